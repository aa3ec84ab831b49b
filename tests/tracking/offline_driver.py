"""Trains under wandb in offline mode: stopped by SIGTERM, resumed, and requested once more.

    python tests/tracking/offline_driver.py RUNS_DIR DATA_ROOT

prints JSON: the run's id, and whether the signal handlers and hooks of Python are the same afterward.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import torch
from running import experiment

from paa.engine.progress import TrainProgress
from paa.engine.signals import Interrupted

KEYS = ("schedule.steps=12", "tracking.log_every=2", "evaluate.every=4")
TRACKED = ("tracking=wandb", "tracking.mode=offline", "tracking.tags=[test]", "tracking.system_stats=false")
IMAGES = ("tracking.images.steps=[3,8]", "tracking.images.count=1")
STOP = 8


def main() -> None:
    torch.set_num_threads(1)
    runs_dir, data = Path(sys.argv[1]), f"data.root={sys.argv[2]}"
    hooks = sys.exit, sys.excepthook, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR2)
    plain, advance = experiment(runs_dir / "plain", *KEYS, data), TrainProgress.advance
    plain.run()

    def tracked() -> None:
        experiment(runs_dir / "tracked", *KEYS, *TRACKED, *IMAGES, data).run()

    TrainProgress.advance = lambda self, done: os.kill(os.getpid(), signal.SIGTERM) if done == STOP else None  # type: ignore[assignment, method-assign, return-value]
    with suppress(Interrupted):
        tracked()
    TrainProgress.advance = advance  # type: ignore[method-assign]
    for _ in range(2):
        tracked()
    after = sys.exit, sys.excepthook, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR2)
    print(json.dumps({"id": plain.identity.train_id, "hooks": [a is b for a, b in zip(hooks, after, strict=True)]}))


if __name__ == "__main__":
    main()
