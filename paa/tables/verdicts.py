"""Comparisons that a claim is based on, each judged by stated rules: supported, contradicted, or undecided.

A comparison of AP is decided if its 95 % interval (over test images) is on one side and every seed agrees, of at least
two seeds. Detectors that have not learned decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean

from paa.tables.bootstrap import Bootstrap, Estimate, PairingError, Term
from paa.tables.entries import Entry, Scores

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "not enough data"

LEARNED = 5.0
"""A reference below this AP has not learned enough to decide anything."""

SEEDS = 2
"""Minimum number of seeds for a decision."""

MARGIN, SHARE = 1.0, 0.05
"""APs are alike if they differ by less than MARGIN, and by less than SHARE of the reference's AP."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison: `name` for messages, scores None if the table has no such row."""

    name: str
    scores: Scores | None

    def values(self, metric: str = "AP") -> dict[int, float]:
        """{seed: number}."""
        return {} if self.scores is None else self.scores.values(metric)

    def missing(self) -> str:
        """Why there is nothing to compare, or ""."""
        if self.scores is None:
            return f"{self.name}: no such row"
        if not self.values():
            return f"{self.name}: {self.scores.missing()}"
        return "" if self.scores.matches() else f"{self.name}: its matches are missing"


Sum = list[tuple[float, Side, str]]
"""A sum of factor x metric of a side."""


def difference(one: Side, other: Side, metric: str = "AP") -> Sum:
    """Return one - other in `metric`."""
    return [(1.0, one, metric), (-1.0, other, metric)]


def minus(first: Sum, second: Sum) -> Sum:
    """Return first - second."""
    return [*first, *((-factor, side, metric) for factor, side, metric in second)]


@dataclass(frozen=True)
class Check:
    """A comparison: "PAA − FNP (3)". figures, what was found besides `estimate`; why, the reason if undecided."""

    comparison: str
    verdict: str
    figures: str
    estimate: Estimate | None = None
    why: str = ""


def overall(checks: Sequence[Check]) -> str:
    """Judge a claim: contradicted if any of its comparisons is, supported if all are."""
    verdicts = {check.verdict for check in checks}
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SUPPORTED if verdicts == {SUPPORTED} else UNDECIDED


class Judge:
    """Judges comparisons between rows of a table with one bootstrap, provided that the row `reference` has learned."""

    def __init__(self, entries: Sequence[Entry], bootstrap: Bootstrap, reference: str) -> None:
        self.entries, self.bootstrap = {entry.name: entry for entry in entries}, bootstrap
        self.reference = self.side(reference)

    def side(self, name: str, words: str = "", voting: bool = False) -> Side:
        """Return the row `name` as a side of comparisons, called `words` in messages."""
        entry = self.entries.get(name)
        return Side(words or name, None if entry is None else entry.scores(voting))

    def higher(self, what: str, terms: Sum) -> Check:
        """Supported if the sum is above 0, contradicted if below."""
        return self.within(what, terms, 0.0, inf)

    def alike(self, what: str, one: Side, other: Side) -> Check:
        """Supported if the difference is within the margin, contradicted if it is outside."""
        margin = self.margin(other)
        return self.within(what, difference(one, other), -margin, margin, f"margin {margin:.1f}")

    def no_gain(self, what: str, one: Side, other: Side) -> Check:
        """Supported if `one` is not above `other` by the margin, contradicted if it is."""
        margin = self.margin(other)
        return self.within(what, difference(one, other), -inf, margin, f"margin {margin:.1f}")

    def within(self, what: str, terms: Sum, low: float, high: float, note: str = "", about: bool = False) -> Check:
        """Supported if interval and seeds are between `low` and `high`, contradicted if all are on one side outside.

        about  judge only the sum itself by its support, and only its interval by its contradiction.
        """
        missing = dict.fromkeys(side.missing() for _, side, _ in terms if side.missing())
        if missing:
            return Check(what, UNDECIDED, "", why="; ".join(missing))
        try:
            found = self.bootstrap.estimate(
                [Term(factor, side.scores.matches() if side.scores else {}, metric) for factor, side, metric in terms]
            )
        except (PairingError, ValueError, OSError) as error:
            return Check(what, UNDECIDED, "", why=str(error))
        ends = found.low, found.high
        inside, outside = ((found.difference,), ends) if about else ((*ends, *found.by_seed),) * 2
        why, verdict = self._unlearned() or _too_few(found.paired_seeds), UNDECIDED
        if not why and all(low < value < high for value in inside):
            verdict = SUPPORTED
        elif not why and (max(outside) < low or min(outside) > high):
            verdict = CONTRADICTED
        elif not why:
            why = "neither side has the whole interval and all seeds"
        return Check(what, verdict, note, found, why)

    def margin(self, other: Side) -> float:
        """Return how far apart two APs may be and still count as alike."""
        values = other.values().values()
        return min(MARGIN, SHARE * fmean(values)) if values else MARGIN

    def per_seed(
        self,
        what: str,
        values: Mapping[int, float],
        form: str,
        supported: Callable[[Sequence[float]], bool],
        contradicted: Callable[[Sequence[float]], bool],
        missing: str,
    ) -> Check:
        """Judge one number for each seed, printed in `form`; `missing` says why there are none."""
        figures, every = ", ".join(map(form.format, values.values())), list(values.values())
        why = self._unlearned() or (_too_few(every) if every else missing)
        if why:
            return Check(what, UNDECIDED, figures, why=why)
        return Check(
            what, SUPPORTED if supported(every) else CONTRADICTED if contradicted(every) else UNDECIDED, figures
        )

    def _unlearned(self) -> str:
        values = self.reference.values().values()
        if not values:
            return self.reference.missing()
        mean = fmean(values)
        return "" if mean >= LEARNED else f"{self.reference.name} has AP {mean:.1f}: it has not learned enough"


def _too_few(seeds: Sequence[object]) -> str:
    return "" if len(seeds) >= SEEDS else f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'} of at least {SEEDS}"
