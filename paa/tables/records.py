"""All records as one table: a row for each training and evaluation, with the columns that are informative."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paa.evaluation.coco import NUMBERS
from paa.store.columns import COLUMNS
from paa.store.text_table import written

if TYPE_CHECKING:
    import pandas as pd

ALWAYS = ("assigner", "boundary", "auxiliary", "seed", "split", "voting", "AP", "AP50", "AP75", "APS", "APM", "APL")
"""Columns that are always shown."""

WHERE_KNOWN = ("n", "n_end", "t", "own", "converted", "iou_error", "train_id")
"""Columns that are shown if a row has a value."""

WHERE_DIFFERENT = (
    *("recipe", "compat", "data", "backbone", "topk", "scale", "lambda_score", "over"),
    *("batch_size", "lr", "steps", "sigma_t", "device"),
)
"""Columns that are shown if rows differ in them."""

DIGITS = dict.fromkeys(NUMBERS, 1) | {"iou_error": 3}
"""Decimals, as usual in the field."""

SORTED_BY = (
    *("recipe", "data", "backbone", "compat", "split", "assigner", "boundary", "n", "t"),
    *("auxiliary", "topk", "scale"),
)
"""The sort order of rows, then by voting and seed; missing values first."""


def records(frame: pd.DataFrame, kind: str) -> str:
    """Write the frame of `paa.runs.collect` in one of FORMATS; CSV has all columns and all digits."""
    order = [*SORTED_BY, "voting", "seed", "train_id", "eval_id"]
    frame = frame.sort_values(order, na_position="first", kind="stable")
    shown = frame if kind == "csv" else _informative(frame)
    plain = shown.astype(object).where(shown.notna(), None)
    return written(kind, list(shown.columns), plain.values.tolist(), DIGITS)


def _informative(frame: pd.DataFrame) -> pd.DataFrame:
    """The columns that are informative for these rows, in the order of COLUMNS, the run ID last."""
    known = [name for name in WHERE_KNOWN if frame[name].notna().any()]
    different = [n for n in WHERE_DIFFERENT if frame[n].nunique(dropna=False) > 1]
    shown = {*ALWAYS, *known, *different}
    ordered = [column.name for column in COLUMNS if column.name in shown and column.name != "train_id"]
    return frame[[*ordered, "train_id"]]
