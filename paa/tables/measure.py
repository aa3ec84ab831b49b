"""Lines of a table with their numbers: summaries over seeds, and the test against the reference."""

from __future__ import annotations

from dataclasses import dataclass

from paa.tables.bootstrap import Bootstrap, Estimate, PairingError
from paa.tables.entries import Summary
from paa.tables.model import Line, Part, Table


@dataclass(frozen=True)
class Measured:
    """A line with all that is known of it.

    numbers   {metric: mean over seeds}, of those that were measured.
    seeds     measured, of how many; standing, what is missing.
    estimate  of its difference to the reference; None for the reference, or where `untested` says why not.
    """

    line: Line
    numbers: dict[str, Summary]
    seeds: tuple[int, int]
    standing: str
    estimate: Estimate | None
    untested: str


def measure(table: Table, bootstrap: Bootstrap | None) -> list[tuple[Part, list[Measured]]]:
    """All lines of all parts, measured, and tested against the reference of their part; no bootstrap, no test."""
    return [(part, [_measured(line, part, bootstrap) for line in part.lines]) for part in table.parts]


def _measured(line: Line, part: Part, bootstrap: Bootstrap | None) -> Measured:
    entry = line.entry
    if entry is None:
        return Measured(line, {}, (0, 0), "", None, "")
    found = {metric.name: entry.summary(metric.name, line.voting) for metric in part.metrics}
    numbers = {name: summary for name, summary in found.items() if summary is not None}
    seeds = len(entry.values("AP", line.voting)), len(entry.runs)
    estimate, untested = _tested(line, part.reference, bootstrap) if numbers else (None, "")
    return Measured(line, numbers, seeds, entry.standing(line.voting), estimate, untested)


def is_reference(line: Line, reference: Line) -> bool:
    """Whether a line shows the very evaluations of the reference."""
    if line.entry is None or reference.entry is None or line.voting != reference.voting:
        return False
    return line.entry.ids(line.voting) == reference.entry.ids(line.voting)


def _tested(line: Line, reference: Line | None, bootstrap: Bootstrap | None) -> tuple[Estimate | None, str]:
    if bootstrap is None or reference is None or reference.entry is None or line.entry is None:
        return None, ""
    ours, theirs = line.entry.matches(line.voting), reference.entry.matches(reference.voting)
    if is_reference(line, reference) or not ours:
        return None, "" if ours else "untested: its matches (evals/*.npz) are not there"
    if not theirs:
        return None, ""  # said once, of the reference
    try:
        return bootstrap.difference(ours, theirs), ""
    except (PairingError, ValueError, OSError) as error:
        return None, f"untested: {error}"
