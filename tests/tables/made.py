"""Runs of the tables' rows as they would lie on disk, made by hand: no network, no composing, the same on any machine.

Detections are drawn from raw bits, so that every number in the golden files follows from integers.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO

from paa.datasets.rng import Rng
from paa.evaluation import Evaluation, Results, evaluate
from paa.store.paths import RunPaths
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.tables.entries import Entry, entries

IMAGES, CLASSES, TRUTHS = 12, 3, 4
ORIGIN = {
    "commit": "c" * 40,
    "clean": True,
    "versions": {"python": "3.11", "torch": "2.4"},
    "hardware": {"cpu": "a processor", "cores": 2, "memory_gb": 8.0, "gpu": None},
    "host": "here",
}
ASSIGN = {"paa": "paa.assign.PAA", "max_iou": "paa.assign.MaxIoU", "atss": "paa.assign.ATSS"}
AUXILIARY = {
    "none": "paa.auxiliary.NoAuxiliary",
    "centerness": "paa.auxiliary.Centerness",
    "iou": "paa.auxiliary.IoUPrediction",
}
BOUNDARY = {"a": "A", "b": "B", "b_2020": "B2020", "c": "C", "d": "D", "paa": "C", "fnp": "FNP", "fsr": "FSR"}


class Truth:
    """The part of a CocoIndex that evaluation uses: boxes of two sizes, one crowd."""

    def __init__(self) -> None:
        rng, self.image_ids = Rng(9, 1), list(range(1, IMAGES + 1))
        self.category_ids = list(range(1, CLASSES + 1))
        self.category_names = ["ring", "bar", "dot"]
        self.annotations: list[dict[str, Any]] = []
        for image in self.image_ids:
            for n in range(TRUTHS):
                side = 20 if n % 2 else 60
                box = [rng.randbelow(300), rng.randbelow(300), side + rng.randbelow(10), side + rng.randbelow(10)]
                number = len(self.annotations) + 1
                one = {"id": number, "image_id": image, "category_id": 1 + n % CLASSES, "bbox": box}
                self.annotations.append({**one, "area": box[2] * box[3], "iscrowd": int(number == 7)})

    def to_coco(self) -> COCO:
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i, "file_name": "", "width": 400, "height": 400} for i in self.image_ids],
            "categories": [{"id": c, "name": str(c)} for c in self.category_ids],
            "annotations": self.annotations,
        }
        with contextlib.redirect_stdout(io.StringIO()):
            coco.createIndex()
        return coco


TRUTH = Truth()


@lru_cache
def detected(seed: int, error: int) -> Evaluation:
    """The evaluation of a detector that misplaces boxes by up to `error` pixels; 1000 finds nothing."""
    rng, rows = Rng(9, 2, seed, error), []
    for truth in TRUTH.annotations:
        box = [v + rng.randint(-error, error) for v in truth["bbox"]]
        score = 500 + rng.randbelow(500) - 10 * error
        rows.append((truth["image_id"], truth["category_id"] - 1, box, score, 40 + rng.randbelow(60)))
        if rng.bernoulli(1, 2):
            rows.append((truth["image_id"], rng.randbelow(CLASSES), [9, 9, 30, 30], rng.randbelow(900), 50))
    rows = [] if error == 1000 else rows
    scores = np.array([max(r[3], 1) for r in rows], dtype=np.float32) / 1024
    results = Results(
        image_ids=np.array([r[0] for r in rows], dtype=np.int64),
        labels=np.array([r[1] for r in rows], dtype=np.int64),
        boxes=np.maximum(np.array([r[2] for r in rows], dtype=np.float32).reshape(-1, 4), 1),
        scores=scores + np.arange(len(rows), dtype=np.float32) / 2**20,  # no two alike
        quality=np.array([r[4] for r in rows], dtype=np.float32) / 128,
    )
    return evaluate(TRUTH, results)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Evaluated:
    """As `paa.experiment.evaluation.Wanted`."""

    split: str
    voting: bool
    eval_id: str


@dataclass(frozen=True)
class Row:
    """As `paa.planning.rows.Row`, as far as tables read it."""

    table: str
    name: str
    seed: int
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    paths: RunPaths
    evaluations: Sequence[Evaluated]


def config(**changes: Any) -> dict[str, Any]:
    """A configuration with the keys that tables read; of it `assign`, `boundary` and `auxiliary` by name."""
    boundary = {"_target_": f"paa.assign.boundary.{BOUNDARY[changes.pop('boundary', 'paa')]}"}
    boundary |= {k: changes.pop(k) for k in ("n", "n_end", "t", "over") if k in changes}
    assign = {"_target_": ASSIGN[changes.pop("assign", "paa")], "topk": changes.pop("topk", 9), "boundary": boundary}
    auxiliary = {"_target_": AUXILIARY[changes.pop("auxiliary", "iou")]}
    postprocess = {"voting_weight": changes.pop("voting_weight", "ps"), "multiscale": changes.pop("multiscale", None)}
    made = {
        "seed": 0,
        "recipe": {"name": changes.pop("recipe", "mini"), "topk": 9, "anchor_scale": 8.0},
        "data": {"_target_": changes.pop("data", "paa.datasets.Shapes")},
        "anchors": {"scale": changes.pop("scale", 8.0)},
        "assign": assign,
        "auxiliary": auxiliary,
        "postprocess": postprocess,
        "schedule": {"steps": 30},
        "train": {"batch_size": 16},
    }
    assert not changes, changes
    return made


class Made:
    """Rows of tables below `folder`; a training is its name and seed, whichever tables it is a row of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[Row] = []

    def row(
        self,
        table: str,
        name: str,
        error: int | None = None,
        training: str | None = None,
        seeds: Sequence[int] = (0, 1),
        done: Sequence[int] = (0, 1),
        split: str = "val",
        backbone: str = "tiny",
        **changes: Any,
    ) -> None:
        """A row that has ended on the seeds `done` with a detector of `error`; None has never been begun."""
        settings = config(**changes)
        for seed in seeds:
            paths = RunPaths(self.folder, f"t{training or name}_{seed}")
            scales = "ms" if changes.get("multiscale") else ""
            weight = changes.get("voting_weight", "")
            every = [Evaluated(split, voting, f"e{split}{scales}{weight}{voting:d}") for voting in (False, True)]
            self.rows.append(Row(table, name, seed, {**settings, "seed": seed}, {"backbone": backbone}, paths, every))
            if error is not None and seed in done:
                self._end(paths, settings, seed, every, error)

    def _end(self, paths: RunPaths, settings: Any, seed: int, every: Sequence[Evaluated], error: int) -> None:
        if not paths.finished:
            TrainingRecord(
                train_id=paths.train_id,
                config={**settings, "seed": seed},
                overrides=[],
                digests={"data.train": "a1", "data.val": "b2"},
                seed=seed,
                threads=1,
                device="cpu",
                steps=30,
                started=1.7e9,
                wall_s=9.5,
                weights_sha256="d" * 64,
                origin=ORIGIN,
            ).write(paths.record)
        for one in every:
            found = detected(seed, error - (1 if one.voting and error > 1 else 0))
            rest: dict[str, Any] = {
                "eval_id": one.eval_id,
                "train_id": paths.train_id,
                "split": one.split,
                "voting": one.voting,
                "postprocess": settings["postprocess"],
                "digests": {},
                "wall_s": 1.0,
                "weights_sha256": "d" * 64,
                "origin": ORIGIN,
            }
            predicts = settings["auxiliary"]["_target_"] == AUXILIARY["iou"]
            if predicts:
                rest |= {"iou_error_positives": 0.125 + error / 256, "positives": 400}
            record = EvaluationRecord.of(found if predicts else replace(found, iou_error=None), **rest)
            record.write(paths.evaluation(one.eval_id))
            found.matches.save(paths.matches(one.eval_id))

    def rewrite(self, train_id: str, voting: bool, **changes: Any) -> None:
        """Change fields of an evaluation's record."""
        for path in sorted((self.folder / train_id / "evals").glob("*.json")):
            record = EvaluationRecord.read(path)
            if record.voting == voting:
                replace(record, **changes).write(path)

    def entries(self, *tables: str) -> list[Entry]:
        """The rows of `tables`, as tables get them."""
        return entries(row for row in self.rows if row.table in tables)


def checkpoint(run: Path, step: int) -> None:
    """What an interrupted run leaves, as far as its status depends on it."""
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / f"{step:06d}.pt").touch()


def made(folder: Path) -> Made:
    """Rows of Tables 1, 2 and 4: some finished, one in part, some not run; the detectors rank as in the paper."""
    out = Made(folder)
    out.row("table1", "a", 3, boundary="a")
    out.row("table1", "b", 3, boundary="b")
    out.row("table1", "b_2020", boundary="b_2020")
    out.row("table1", "c", 2, training="paa", boundary="c")
    out.row("table1", "d", 2, training="d", boundary="d")
    out.row("table1", "fnp_3", 7, boundary="fnp", n=3)
    out.row("table1", "fnp_5", 6, done=(0,), boundary="fnp", n=5)
    out.row("table1", "fsr_0.1", boundary="fsr", t=0.1, over="anchors")
    out.row("table1", "fsr_0.3", 1000, boundary="fsr", t=0.3, over="anchors")
    out.row("table1", "paa", 2, training="paa")
    checkpoint(folder / "tfnp_5_1", 12)

    for assign, auxiliary, error in _modules():
        training = "paa" if (assign, auxiliary) == ("paa", "iou") else None
        out.row("table2", f"{assign}_{auxiliary}", error, training=training, assign=assign, auxiliary=auxiliary)
    out.row("table2", "paa_iou_p", 2, training="paa", voting_weight="p")
    out.row("table2_right", "resnet50", 4, backbone="resnet50")
    out.row("table2_right", "resnext101_64x4d_dcn", backbone="resnext101_64x4d_dcn")
    out.row("table4", "topk_5", 3, topk=5)
    out.row("table4", "topk_9", 2, training="paa")
    out.row("table4", "topk_15", topk=15)
    out.row("table4", "scale_4", 4, scale=4.0)
    out.row("table4", "scale_8", 2, training="paa")
    for seed in (0, 1):
        lines = [f'{{"step": {step}, "positives_per_gt": {5 + step * (1 + seed) / 16}}}' for step in range(3, 31, 3)]
        (folder / f"tpaa_{seed}" / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return out


def _modules() -> Iterator[tuple[str, str, int | None]]:
    errors = {
        "max_iou": {"none": 9, "centerness": None, "iou": None},
        "atss": {"none": None, "centerness": 5, "iou": 3},
        "paa": {"none": 3, "centerness": 3, "iou": 2},
    }
    for assign, by_task in errors.items():
        for auxiliary, error in by_task.items():
            yield assign, auxiliary, error
