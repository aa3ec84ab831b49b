"""All records as one table: a row for each training and evaluation, with the columns that say something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paa.evaluation.coco import NUMBERS
from paa.store.columns import COLUMNS
from paa.store.text_table import aligned, comma_separated, markdown

if TYPE_CHECKING:
    import pandas as pd

ALWAYS = ("assigner", "boundary", "auxiliary", "seed", "split", "voting", "AP", "AP50", "AP75", "APS", "APM", "APL")
"""Columns that are shown in any case."""

WHERE_KNOWN = ("n", "n_end", "t", "own", "converted", "iou_error", "train_id")
"""Columns that are shown where a row has a value."""

WHERE_DIFFERENT = (
    *("recipe", "compat", "data", "backbone", "topk", "scale", "lambda_score", "over"),
    *("batch_size", "lr", "steps", "sigma_t", "device"),
)
"""Columns that are shown where rows differ in them."""

DIGITS = dict.fromkeys(NUMBERS, 1) | {"iou_error": 3}
"""Digits after the point, as the field prints them."""

SORTED_BY = (
    *("recipe", "data", "backbone", "compat", "split", "assigner", "boundary", "n", "t"),
    *("auxiliary", "topk", "scale"),
)
"""Rows stand in this order, then by voting and seed."""

FORMATS = ("text", "md", "csv")


def records(frame: pd.DataFrame, kind: str) -> str:
    """What `paa.runs.collect` gives, in one of FORMATS; CSV has all columns in full."""
    frame = arrange(frame)
    if kind == "csv":
        return comma_separated(*parts(frame))
    write = markdown if kind == "md" else aligned
    return write(*parts(chosen(frame)), DIGITS)


def arrange(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows in the order of SORTED_BY, voting and seed; what is missing comes first."""
    return frame.sort_values([*SORTED_BY, "voting", "seed", "train_id", "eval_id"], na_position="first", kind="stable")


def chosen(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that say something about these rows, in the order of COLUMNS; the training's id last."""
    known = [name for name in WHERE_KNOWN if frame[name].notna().any()]
    different = [n for n in WHERE_DIFFERENT if frame[n].nunique(dropna=False) > 1]
    shown = {*ALWAYS, *known, *different}
    ordered = [column.name for column in COLUMNS if column.name in shown and column.name != "train_id"]
    return frame[[*ordered, "train_id"]]


def parts(frame: pd.DataFrame) -> tuple[list[str], list[list[Any]]]:
    """Header and rows of `frame` in plain types, None where a value is missing."""
    columns = [
        [None if missing else value for value, missing in zip(frame[n], frame[n].isna(), strict=True)] for n in frame
    ]
    return list(frame.columns), [list(row) for row in zip(*columns, strict=True)]
