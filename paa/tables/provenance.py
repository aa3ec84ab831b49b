"""What runs of one table should have in common, and do not: code, threads, machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from paa.store.columns import value_at
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.tables.entries import Entry

_FACTS: dict[str, Callable[[TrainingRecord], Any]] = {
    "commits": lambda t: _short(t.origin.get("commit")),
    "CPU threads": lambda t: "torch's choice" if t.threads is None else t.threads,
    "devices": lambda t: t.device,
    "processors": lambda t: value_at(t.origin, "hardware.cpu"),
    "GPUs": lambda t: value_at(t.origin, "hardware.gpu") or "none",
    "processes": lambda t: t.world_size,
    "versions of torch": lambda t: value_at(t.origin, "versions.torch"),
}
"""What is compared between trainings; numbers may differ with any of it."""

_NAMED = 3


@dataclass(frozen=True)
class _Known:
    name: str
    training: TrainingRecord
    evaluations: list[EvaluationRecord]


def mixtures(entries: Iterable[Entry]) -> list[str]:
    """A line for each fact in which finished runs differ, naming those of the rarer values; one for unclean code."""
    seen: dict[str, _Known] = {}
    for entry in entries:
        for run in entry.runs:
            if run.training is not None:
                name = f"{entry.name} seed {run.seed}"
                seen.setdefault(run.train_id, _Known(name, run.training, list(run.evaluations.values())))
    known = list(seen.values())
    out = [_mixed(fact, [(one.name, of(one.training)) for one in known]) for fact, of in _FACTS.items()]
    evaluated = [k for k in known if k.evaluations]
    if any(_commits(k.evaluations) != _short(k.training.origin.get("commit")) for k in evaluated):
        out.append(_mixed("commits of the evaluations", [(k.name, _commits(k.evaluations)) for k in evaluated]))
    dirty = [k.name for k in known if k.training.origin.get("clean") is False]
    if dirty:
        out.append(f"{len(dirty)} of {len(known)} runs were made by code that differs from its commit: {_some(dirty)}")
    return [line for line in out if line]


def _commits(evaluations: list[EvaluationRecord]) -> str:
    return " and ".join(sorted({_short(e.origin.get("commit")) for e in evaluations}))


def _short(commit: Any) -> str:
    return str(commit)[:10] if commit else "unknown"


def _mixed(fact: str, values: list[tuple[str, Any]]) -> str:
    groups: dict[str, list[str]] = {}
    for name, value in values:
        groups.setdefault(str(value), []).append(name)
    if len(groups) < 2:
        return ""
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    first, *others = ordered
    rest = "; ".join(f"{value} in {len(names)} ({_some(names)})" for value, names in others)
    return f"different {fact}: {first[0]} in {len(first[1])} runs; {rest}"


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
