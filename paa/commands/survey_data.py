"""Survey a data set: what each split contains, what is invalid, and a contact sheet."""

from __future__ import annotations

from pathlib import Path

from paa.datasets.contact_sheet import write_contact_sheet
from paa.datasets.errors import DataError
from paa.datasets.image_scan import scan_images
from paa.datasets.survey import survey
from paa.datasets.targets import trained_on
from paa.experiment.parts import Components
from paa.log import print_line

_FLOOR = 0.1  # for assigners without an iou_floor: what most detectors require of an anchor


def check_data(parts: Components, out: Path | None) -> bool:
    """Print the survey of every split, write a contact sheet, and return whether nothing is wrong.

    out  the sheet's file; runs_dir/data-check/<name of the data folder>.png where None.
    """
    source, config = parts.source, parts.config
    source.prepare()
    print_line(f"{source.root}")
    transform = parts.train_transform(_Plain())  # type: ignore[arg-type]
    floor = float(config["assign"].get("iou_floor", _FLOOR) or 0)
    verify = config["data"].get("verify", "none")
    fine, read = True, {}
    for split in source.splits:
        print_line(f"\n{split}")
        try:
            read[split] = index = source.index(split)
            known = scan_images(index, verify, source.cache_dir) if verify != "none" else []  # type: ignore[union-attr]
            lines = survey(index, known, transform, parts.grid, floor, rule=config["images"]["boxes"])
        except DataError as error:
            print_line(f"  {error}")
            fine = False
            continue
        print_line("\n".join(lines))
        fine &= not index.invalid
    train = read.get("train")
    for split, index in read.items():
        if split != "train" and index.crowd.all() and source.labeled(split):
            print_line(f"\n{index.path}: has no box to measure with")
            fine = False
    for index in read.values() if train is not None else ():
        try:
            if index is train:
                trained_on(index, config["images"])
            index.require_classes(train.categories)  # type: ignore[union-attr]
        except DataError as error:
            print_line(f"\n{error}")
            fine = False
    if read:
        path = out or Path(config["runs_dir"]) / "data-check" / f"{source.root.resolve().name}.png"
        print_line(f"\nsample images: {write_contact_sheet(next(iter(read.values())), path)}")
    return fine


class _Plain:
    """A stand-in for a backbone, whose normalization of pixels a transform needs: here there is none."""

    mean, std, scale, order = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1, "rgb"
