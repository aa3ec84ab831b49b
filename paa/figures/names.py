"""What a figure calls a run: the method that it trained with, as the paper's tables write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from paa.store import keys
from paa.store.columns import name_of

_ASSIGNERS = {"max_iou": "IoU", "atss": "ATSS"}


def method(config: Mapping[str, Any]) -> str:
    """ "PAA", "PAA (a)", "FNP(3)", "FNP(20 to 1)", "FSR(> 0.3)", "ATSS", "IoU"; of your own, the name of the class."""
    assigner, boundary = name_of(config.get("assign")), name_of(keys.get(config, "assign.boundary"))
    if assigner != "paa":
        return _ASSIGNERS.get(str(assigner), str(assigner).rpartition(".")[2])
    if boundary == "fnp":
        n, n_end = (keys.get(config, f"assign.boundary.{key}") for key in ("n", "n_end"))
        return scheme(n, n_end)
    if boundary == "fsr":
        return f"FSR(> {keys.get(config, 'assign.boundary.t'):g})"
    return "PAA" if boundary == "paa" else f"PAA ({str(boundary).rpartition('.')[2]})"


def scheme(n: int, n_end: int | None = None) -> str:
    """ "FNP(3)", or "FNP(20 to 1)" where the number changes over training."""
    return f"FNP({n})" if n_end in (None, n) else f"FNP({n} to {n_end})"


def distinct(names: Sequence[str], ids: Sequence[str]) -> list[str]:
    """The names, with the first letters of the run's id where two are alike."""
    return [name if names.count(name) == 1 else f"{name} {id_[:5]}" for name, id_ in zip(names, ids, strict=True)]
