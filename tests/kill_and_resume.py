"""Train one configuration twice, once uninterrupted and once killed by SIGKILL again and again; print both outcomes.

    python tests/kill_and_resume.py RUNS_DIR DATA_ROOT WORKERS SEED

prints JSON. One process imports torch once and forks a child for each attempt. Most attempts are killed by the parent
a random time after a random step; some kill themselves within the writing of a checkpoint.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch
from running import experiment

from paa.engine import checkpoint
from paa.engine.metrics import read
from paa.engine.progress import TrainProgress
from paa.experiment.experiment import Experiment
from paa.store.record import TrainingRecord

STEPS = 60
KEYS = (
    f"schedule.steps={STEPS}",
    "checkpoint.every=3",
    "evaluate.every=20",
    "tracking.log_every=7",
    "train.accumulate=2",
)
KILLS = ["half", "step", "step", "rename", "step", "step", "step", "half", "step", "step"]


def forked(work: Callable[[], object]) -> int:
    """Fork a child that runs `work` and exits; return its process ID."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def ended(child: int) -> int:
    """Wait for a child; return its exit code, or -9 if it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die(*args: object, **kwargs: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def half(save: Callable[..., None], state: object, file: IO[bytes]) -> None:
    """Write half of a checkpoint, then die."""
    save(state, buffer := io.BytesIO())
    file.write(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    file.flush()
    die()


def attempt(cut: Experiment, kind: str, draw: random.Random) -> int:
    """Resume the training until it is killed; return the exit code."""
    after, delay, writes = draw.randint(0, 5), draw.uniform(0, 0.04), draw.randint(1, 2)
    reader, writer = os.pipe()

    def work() -> None:
        os.close(reader)
        TrainProgress.advance = lambda self, done: os.write(writer, b".")  # type: ignore[assignment, return-value, method-assign]
        count = iter(range(1, 100))
        if kind == "half":
            save = torch.save
            torch.save = lambda state, file: (  # type: ignore[assignment]
                half(save, state, file) if next(count) == writes else save(state, file)
            )
        if kind == "rename":
            rename = os.replace
            os.replace = lambda source, target: (  # type: ignore[assignment]
                die() if Path(target).suffix == ".pt" and next(count) == writes else rename(source, target)
            )
        cut.run()

    child = forked(work)
    os.close(writer)
    if kind == "step":
        if after:
            for _ in range(after):
                os.read(reader, 1)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    code = ended(child)
    os.close(reader)
    return code


def outcome(run: Experiment) -> dict[str, Any]:
    """Return what a finished run leaves, without times and paths."""
    paths = run.identity.paths
    record = TrainingRecord.read(paths.record)
    return {
        "weights": record.weights_sha256,
        "file": checkpoint.weights_digest(_Holder(checkpoint.load(paths.weights))),
        "metrics": paths.metrics.read_text(),
        "final": record.final,
        "evaluations": [[e.split, e.voting, e.numbers, e.per_class, e.iou_error] for e in run.records()],
        "files": sorted(str(p.relative_to(paths.folder)) for p in paths.folder.rglob("*") if "lock" not in p.parts),
    }


class _Holder(torch.nn.Module):
    def __init__(self, state: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.state = state

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.state


def main() -> None:
    runs_dir, data_root, workers, seed = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    torch.set_num_threads(1)
    keys = (*KEYS, f"data.root={data_root}")
    whole = experiment(runs_dir / "whole", *keys)
    cut = experiment(runs_dir / "cut", *keys, f"workers={workers}")
    draw, kills = random.Random(seed), []
    assert ended(forked(lambda: whole.run())) == 0
    for kind in KILLS:
        code = attempt(cut, kind, draw)
        saved = [int(p.stem) for p in cut.identity.paths.checkpoints.glob("*.pt")]
        logged = [line["step"] for line in read(cut.identity.paths.metrics)]
        kills.append({"kind": kind, "code": code, "saved": max(saved, default=0), "logged": max(logged, default=0)})
    assert ended(forked(lambda: cut.run())) == 0
    print(json.dumps({"kills": kills, "whole": outcome(whole), "cut": outcome(cut)}))


if __name__ == "__main__":
    main()
