"""What the runs of one table should have in common, and do not: code, threads, machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from paa.store import keys
from paa.store.record import TrainingRecord
from paa.tables.entries import Entry, Run

_FACTS: dict[str, Callable[[TrainingRecord], Any]] = {
    "commits": lambda t: _short(t.origin.get("commit")),
    "CPU threads": lambda t: "torch's choice" if t.threads is None else t.threads,
    "devices": lambda t: t.device,
    "processors": lambda t: keys.get(t.origin, "hardware.cpu"),
    "GPUs": lambda t: keys.get(t.origin, "hardware.gpu") or "none",
    "processes": lambda t: t.world_size,
    "versions of torch": lambda t: keys.get(t.origin, "versions.torch"),
}
"""What is compared between training records; numbers may differ with any of it."""


def differences(entries: Iterable[Entry]) -> list[str]:
    """Return a line for each fact in which finished runs differ, naming the runs with the rarer values."""
    runs = {run.paths: (f"{entry.name} seed {run.seed}", run) for entry in entries for run in entry.runs}
    known = [(name, run, run.training) for name, run in runs.values() if run.training is not None]
    out = [_differing(fact, [(name, of(training)) for name, _, training in known]) for fact, of in _FACTS.items()]
    evaluated = [(name, _commits(run), training) for name, run, training in known if run.evaluations]
    if any(commits != _short(training.origin.get("commit")) for _, commits, training in evaluated):
        out.append(_differing("commits of the evaluations", [(name, commits) for name, commits, _ in evaluated]))
    dirty = [name for name, _, training in known if training.origin.get("clean") is False]
    if dirty:
        out.append(f"{len(dirty)} of {len(known)} runs: code that differs from its commit ({_some(dirty)})")
    return [line for line in out if line]


def _commits(run: Run) -> str:
    return " and ".join(sorted({_short(e.origin.get("commit")) for e in run.evaluations.values()}))


def _short(commit: Any) -> str:
    return str(commit)[:10] if commit else "unknown"


def _differing(fact: str, values: list[tuple[str, Any]]) -> str:
    groups: dict[str, list[str]] = {}
    for name, value in values:
        groups.setdefault(str(value), []).append(name)
    if len(groups) < 2:
        return ""
    (common, most), *others = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    rest = "; ".join(f"{value} in {len(names)} ({_some(names)})" for value, names in others)
    return f"different {fact}: {common} in {len(most)} runs; {rest}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
