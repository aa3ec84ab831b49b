"""Which runs a figure shows where none are named, by rules that look at no result, and what it calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paa.store import keys
from paa.store.columns import name_of
from paa.store.record import TrainingRecord

MIXTURES = ("paa", "a", "b", "b_2020", "d")
"""Boundaries that make a run of assign=paa a PAA run: they separate by the mixture. FNP and FSR are its rivals."""

_ASSIGNERS = {"max_iou": "IoU", "atss": "ATSS"}
"""The baselines of Table 2, in its order."""


def method(config: Mapping[str, Any]) -> str:
    """ "PAA", "PAA (a)", "FNP(3)", "FNP(20 to 1)", "FSR(> 0.3)", "ATSS", "IoU"; of your own, the name of the class."""
    assigner, boundary = name_of(config.get("assign")), name_of(keys.get(config, "assign.boundary"))
    if assigner != "paa":
        return _ASSIGNERS.get(str(assigner), str(assigner).rpartition(".")[2])
    if boundary == "fnp":
        return scheme(keys.get(config, "assign.boundary.n"), keys.get(config, "assign.boundary.n_end"))
    if boundary == "fsr":
        return f"FSR(> {keys.get(config, 'assign.boundary.t'):g})"
    return "PAA" if boundary == "paa" else f"PAA ({str(boundary).rpartition('.')[2]})"


def scheme(n: int, n_end: int | None = None) -> str:
    """ "FNP(3)", or "FNP(20 to 1)" where the number changes over training."""
    return f"FNP({n})" if n_end in (None, n) else f"FNP({n} to {n_end})"


def distinct(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """The names, with the first letters of the run's id where two are alike."""
    return [name if names.count(name) == 1 else f"{name} {id_[:5]}" for name, id_ in zip(names, ids, strict=True)]


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
    first_names = [name for name in _ASSIGNERS.values() if name in newest]
    return [newest[name] for name in dict.fromkeys([*first_names, *sorted(newest)])]
