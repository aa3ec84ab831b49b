"""`python -m paa.data check`: a data set looked through before anything is trained on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from paa.datasets.contact_sheet import write_contact_sheet
from paa.datasets.errors import DataError
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.image_check import scan_images
from paa.datasets.survey import format_survey, survey
from paa.datasets.targets import training_boxes
from paa.datasets.transforms import Transform
from paa.experiment.parts import Parts

_FLOOR = 0.1  # where the assigner has none: what most detectors ask of an anchor at least


def leave_out(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with data.on_invalid=drop: a check lists all that is wrong, and the first does not end it."""
    data = dict(config["data"])
    if "on_invalid" in data:
        data["on_invalid"] = "drop"
    return {**config, "data": data}


def check_data(parts: Parts, out: Path | None, say: Callable[[str], None]) -> bool:
    """Tells of every split that is there, and writes a sheet of sample images; whether nothing is wrong.

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
            found = survey(index, known, transform, parts.grid, floor, rule=config["images"]["boxes"])
        except DataError as error:
            say(f"  {error}")
            fine = False
            continue
        for line in format_survey(found, floor, lambda: _input(transform)):
            say(line)
        fine &= not found.invalid
    fine &= _agree(read, say)
    if read:
        path = out or Path(config["runs_dir"]) / "data-check" / f"{source.root.resolve().name}.png"
        say(f"\nsample images: {write_contact_sheet(next(iter(read.values())), path)}")
    return fine


def _agree(read: Mapping[str, CocoIndex], say: Callable[[str], None]) -> bool:
    """Whether splits have the training's classes, and the training split a box; says what is wrong."""
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


def _input(transform: Transform) -> str:
    if not transform.shorts:
        return "the images' own size"
    longest = "" if transform.longest is None else f", longer side at most {transform.longest}"
    return f"short side {max(transform.shorts)}{longest}"


class _Plain:
    """Stands in for a backbone, of which a transform wants to know how pixels are normalized: here none are."""

    mean, std, scale, order = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1, "rgb"
