"""Survey a data set: what each split contains, what is invalid, and a contact sheet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from paa.datasets.contact_sheet import write_contact_sheet
from paa.datasets.errors import DataError
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.image_scan import scan_images
from paa.datasets.survey import survey
from paa.datasets.targets import training_boxes
from paa.experiment.parts import Components

_FLOOR = 0.1  # for assigners without an iou_floor: what most detectors require of an anchor


def leave_out(config: Mapping[str, Any]) -> dict[str, Any]:
    """Set data.on_invalid=drop: a check lists all findings and does not stop at the first."""
    data = dict(config["data"])
    if "on_invalid" in data:
        data["on_invalid"] = "drop"
    return {**config, "data": data}


def check_data(parts: Components, out: Path | None, say: Callable[[str], None]) -> bool:
    """Print the survey of every split, write a contact sheet, and return whether nothing is wrong.

    out  the sheet's file; runs_dir/data-check/<name of the data folder>.png where None.
    """
    source, config = parts.source, parts.config
    source.prepare()
    say(f"{source.root}")
    transform, floor = parts.train_transform(_Plain()), _floor(config)  # type: ignore[arg-type]
    fine, read = True, {}
    for split in source.splits:
        say(f"\n{split}")
        try:
            read[split] = index = source.index(split)
            known = scan_images(index, config["data"]["verify"], source.cache_dir) if _has_files(config) else []  # type: ignore[union-attr]
            lines = survey(index, known, transform, parts.grid, floor, rule=config["images"]["boxes"])
        except DataError as error:
            say(f"  {error}")
            fine = False
            continue
        for line in lines:
            say(line)
        fine &= not index.invalid
    fine &= _agree(read, say)
    if read:
        path = out or Path(config["runs_dir"]) / "data-check" / f"{source.root.resolve().name}.png"
        say(f"\nsample images: {write_contact_sheet(next(iter(read.values())), path)}")
    return fine


def _agree(read: Mapping[str, CocoIndex], say: Callable[[str], None]) -> bool:
    """Check that all splits have the classes of the training split, and that it has a box; print what is wrong."""
    fine = True
    train = read.get("train")
    if train is not None and not len(training_boxes(train).boxes):
        say(f"\n{train.path}: has no box to train on")
        fine = False
    for split, index in read.items():
        try:
            if train is not None and split != "train":
                index.require_classes(train.categories)
        except DataError as error:
            say(f"\n{error}")
            fine = False
    return fine


def _has_files(config: Mapping[str, Any]) -> bool:
    return config["data"].get("verify", "none") != "none"


def _floor(config: Mapping[str, Any]) -> float:
    node = config["assign"]
    return float(node["iou_floor"] or 0) if "iou_floor" in node else _FLOOR


class _Plain:
    """A stand-in for a backbone, whose normalization of pixels a transform needs: here there is none."""

    mean, std, scale, order = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1, "rgb"
