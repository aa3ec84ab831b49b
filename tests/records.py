"""Write records of finished runs for tests that read them."""

from pathlib import Path
from typing import Any

from paa.evaluation.coco import NUMBERS
from paa.store.paths import RunPaths
from paa.store.record import EvaluationRecord, TrainingRecord

ORIGIN = {
    "commit": "c" * 40,
    "clean": True,
    "versions": {"python": "3.11", "torch": "2.4"},
    "hardware": {"cpu": "a processor", "cores": 2, "memory_gb": 8.0, "gpu": None},
    "host": "here",
}
FNP = {"_target_": "paa.assign.boundary.FNP", "n": 3, "n_end": None}


def config(boundary: dict[str, Any] | None = None, **nodes: Any) -> dict[str, Any]:
    """A configuration with the keys that tables read."""
    return {
        "seed": 0,
        "recipe": {"name": "mini"},
        "data": {"_target_": "paa.datasets.Shapes"},
        "backbone": {"_target_": "paa.detector.ResNet", "depth": 50},
        "anchors": {"scale": 8.0},
        "assign": {"_target_": "paa.assign.PAA", "topk": 9, "boundary": boundary or FNP},
        "auxiliary": {"_target_": "paa.auxiliary.IoUPrediction"},
        "schedule": {"steps": 2500},
        **nodes,
    }


def training(train_id: str, **changes: Any) -> TrainingRecord:
    """A training's record."""
    fields: dict[str, Any] = {
        "config": config(),
        "overrides": ["assign.boundary=fnp"],
        "digests": {"data.train": "a1"},
        "seed": 0,
        "threads": 1,
        "device": "cpu",
        "steps": 2500,
        "started": 1.7e9,
        "wall_s": 400.5,
        "weights_sha256": "d" * 64,
        "origin": ORIGIN,
        "choices": {"compat": "modern"},
    }
    return TrainingRecord(train_id=train_id, **(fields | changes))


def evaluation(train_id: str, number: int, voting: bool = False) -> EvaluationRecord:
    """An evaluation's record; its numbers follow from `number`."""
    return EvaluationRecord(
        eval_id=f"e{number:010d}",
        train_id=train_id,
        split="val",
        voting=voting,
        postprocess={"voting": voting, "sigma_t": 0.025},
        digests={"data.val": "b2"},
        numbers={name: None if name == "APL" else 40.0 + number for name in NUMBERS},
        per_class={"ring": 41.0, "bar": None},
        iou_error=0.09,
        images=500,
        detections=15000,
        matched=2000,
        wall_s=3.25,
        weights_sha256="d" * 64,
        origin=ORIGIN,
    )


def write_run(runs_dir: Path, number: int, evaluations: int = 2, **nodes: Any) -> RunPaths:
    """A finished run t<number> with so many evaluations, of which the second has voting on."""
    paths = RunPaths(runs_dir, f"t{number:010d}")
    training(paths.train_id, config=config(**nodes)).write(paths.record)
    for i in range(evaluations):
        record = evaluation(paths.train_id, i + 1, voting=i == 1)
        record.write(paths.evaluation(record.eval_id))
    return paths
