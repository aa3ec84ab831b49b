"""Writes frozen_ids.json anew: the frozen configurations as conf/ composes them now, and their ids.

    python tests/runs/freeze_ids.py

Frozen ids stand for numbers that people have. They are written anew only when `paa.NUMERICS` was raised, or before
anything was published under the old ones. For a new key, extend `paa.store.identity.INERT` instead. Where the value
that conf/ gives a key has changed, and numbers with it, "today" holds by hand what the overrides compose to since then;
the configuration as it was recorded keeps its "ids".
"""

import json
from pathlib import Path
from typing import Any

from paa.config.compose import composer, resolved
from paa.experiment.parts import assemble
from paa.store.identity import eval_id, train_id

FROZEN = Path(__file__).with_name("frozen_ids.json")
# Contents that never change, so that an id depends on the configuration alone.
DIGESTS = {"data.train": "1" * 64, "data.val": "2" * 64, "data.test": "3" * 64}
OVERRIDES = {
    "default": [],
    "smoke, seed 3": ["recipe=smoke", "seed=3"],
    "fnp": ["assign.boundary=fnp", "assign.boundary.n=5"],
    "fsr": ["assign.boundary=fsr", "assign.boundary.t=0.1"],
    "b_2020, authors": ["assign.boundary=b_2020", "compat=official"],
    "max_iou without auxiliary": ["assign=max_iou", "auxiliary=none"],
    "atss with centerness": ["assign=atss", "auxiliary=centerness"],
    "paper at 1.5x": ["recipe=coco_1.5x", "data.root=/data/coco", "compat=paper", "assign.topk=15"],
    "sgd in two parts": ["optim=sgd", "schedule=multistep", "train.accumulate=2", "workers=7"],
    "own data": ["data=custom", "data.root=/data/own", "backbone=resnet18", "images.train.short=480"],
}


def composed(overrides: list[str]) -> dict[str, Any]:
    """The configuration as a run has it: resolved, in plain types, with what its backbone settles."""
    with composer() as compose:
        return dict(assemble(resolved(compose.compose(overrides))).config)


def ids(config: dict[str, Any]) -> dict[str, str]:
    """The training's id, and those of the evaluations on val without and with voting."""
    return {
        "train": train_id(config, DIGESTS),
        "val": eval_id(config, DIGESTS, "val", voting=False),
        "val, voting": eval_id(config, DIGESTS, "val", voting=True),
    }


def main() -> None:
    """Writes the file."""
    frozen = {}
    for name, overrides in OVERRIDES.items():
        config = composed(overrides)
        frozen[name] = {"overrides": overrides, "ids": ids(config), "config": config}
    FROZEN.write_text(json.dumps(frozen, indent=1) + "\n")


if __name__ == "__main__":
    main()
