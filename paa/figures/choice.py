"""Which runs a figure shows where none are named, by rules that look at no result."""

from __future__ import annotations

from collections.abc import Sequence

from paa.figures.names import method
from paa.store import keys
from paa.store.columns import name_of
from paa.store.record import TrainingRecord

MIXTURES = ("paa", "a", "b", "b_2020", "d")
"""Boundaries that make a run of assign=paa a PAA run: they separate by the mixture. FNP and FSR are its rivals."""

_FIRST = ("IoU", "ATSS")


def newest_paa(records: Sequence[TrainingRecord]) -> TrainingRecord | None:
    """The PAA run that began last; None where there is none."""
    mixtures = [r for r in records if name_of(keys.get(r.config, "assign.boundary")) in MIXTURES]
    return max(mixtures, key=lambda r: (r.started, r.train_id), default=None)


def rivals(first: TrainingRecord, records: Sequence[TrainingRecord]) -> list[TrainingRecord]:
    """Of each other method the run that began last, of those with the training data and the steps of `first`.

    The baselines of Table 2 come first, IoU and ATSS, then the others by name.
    """
    newest: dict[str, TrainingRecord] = {}
    for record in sorted(records, key=lambda r: (r.started, r.train_id)):
        alike = record.steps == first.steps and record.digests.get("data.train") == first.digests.get("data.train")
        if alike and method(record.config) != method(first.config):
            newest[method(record.config)] = record
    order = sorted(newest, key=lambda name: (_FIRST.index(name) if name in _FIRST else len(_FIRST), name))
    return [newest[name] for name in order]
