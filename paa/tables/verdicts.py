"""Single comparisons that a claim rests on, each judged by stated rules: supported, contradicted, or undecided.

A comparison of AP is decided where its 95 % interval (over test images) is on one side and every seed says the same, of
two seeds at least. Nothing is decided by detectors that have not learned: of those, any claim could be had.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from paa.tables.bootstrap import Bootstrap, Estimate, PairingError, Term
from paa.tables.entries import Entry

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "not enough data"

LEARNED = 5.0
"""AP below which a reference has not learned enough to say anything."""

SEEDS = 2
"""Seeds that a decision takes at least."""

MARGIN, SHARE = 1.0, 0.05
"""APs are alike where they differ by less than MARGIN, and less than SHARE of the reference's AP."""


@dataclass(frozen=True)
class Check:
    """A comparison. what: "PAA − FNP (3)"; figures, what was found; why, what is missing where it is undecided."""

    what: str
    verdict: str
    figures: str
    estimate: Estimate | None = None
    why: str = ""


def overall(checks: Sequence[Check]) -> str:
    """Of a claim: contradicted where a part of it is, supported where all of it is."""
    verdicts = {check.verdict for check in checks}
    if CONTRADICTED in verdicts:
        return CONTRADICTED
    return SUPPORTED if verdicts == {SUPPORTED} else UNDECIDED


@dataclass(frozen=True)
class Side:
    """An entry with voting off or on, or nothing where the table has no such row; `name` is for people."""

    name: str
    entry: Entry | None
    voting: bool = False

    def ap(self) -> dict[int, float]:
        """{seed: AP}."""
        return {} if self.entry is None else self.entry.values("AP", self.voting)

    def term(self, factor: float, metric: str = "AP") -> Term:
        """Its part of a sum of APs."""
        return Term(factor, {} if self.entry is None else self.entry.matches(self.voting), metric)

    def missing(self) -> str:
        """What stands in the way of a comparison, or ""."""
        if self.entry is None:
            return f"{self.name}: no such row"
        if not self.ap():
            return f"{self.name}: {self.entry.standing(self.voting)}"
        return "" if self.entry.matches(self.voting) else f"{self.name}: its matches are not there"


class Judge:
    """Judges comparisons by one bootstrap; `reference` is who must have learned for any of them to say something."""

    def __init__(self, bootstrap: Bootstrap, reference: Side) -> None:
        self.bootstrap, self.reference = bootstrap, reference

    def higher(self, what: str, terms: Sequence[tuple[float, Side]], metrics: Sequence[str] = ()) -> Check:
        """Supported where the sum of factor x AP over `terms` is above 0, contradicted where below."""
        return self._sum(what, terms, metrics, lambda e: _sign(e, 0.0, 0.0))

    def about(self, what: str, terms: Sequence[tuple[float, Side]], low: float, high: float) -> Check:
        """Supported where the sum is from `low` to `high`, contradicted where its whole interval is not."""

        def judge(found: Estimate) -> str:
            if low <= found.value <= high:
                return SUPPORTED
            return CONTRADICTED if found.high < low or found.low > high else UNDECIDED

        return self._sum(what, terms, (), judge, f"{low:g} to {high:g}")

    def alike(self, what: str, one: Side, other: Side) -> Check:
        """Supported where two are within the margin of each other, contradicted where they are further apart."""
        margin = self.margin(other)
        return self._sum(what, [(1.0, one), (-1.0, other)], (), lambda e: _within(e, margin), f"margin {margin:.1f}")

    def no_gain(self, what: str, one: Side, other: Side) -> Check:
        """Supported where `one` is not above `other` by the margin, contradicted where it is."""
        margin = self.margin(other)
        turned = {SUPPORTED: CONTRADICTED, CONTRADICTED: SUPPORTED, UNDECIDED: UNDECIDED}
        note = f"margin {margin:.1f}"
        return self._sum(what, [(1.0, one), (-1.0, other)], (), lambda e: turned[_sign(e, margin, margin)], note)

    def margin(self, other: Side) -> float:
        """How far apart two may be and count as alike."""
        values = other.ap().values()
        return min(MARGIN, SHARE * sum(values) / len(values)) if values else MARGIN

    def fails(self, what: str, one: Side, other: Side) -> Check:
        """Supported where AP is below a tenth of the other's on every seed, contradicted where above half of it."""
        ours, theirs = one.ap(), other.ap()
        seeds = sorted(set(ours) & set(theirs))
        why = self._unlearned() or one.missing() or other.missing() or _too_few(seeds)
        figures = ", ".join(f"{ours[s]:.1f} of {theirs[s]:.1f}" for s in seeds)
        if why:
            return Check(what, UNDECIDED, figures, why=why)
        if all(ours[s] < 0.1 * theirs[s] for s in seeds):
            return Check(what, SUPPORTED, figures)
        return Check(what, CONTRADICTED if all(ours[s] > 0.5 * theirs[s] for s in seeds) else UNDECIDED, figures)

    def below(self, what: str, values: Mapping[int, float], bound: float, missing: str) -> Check:
        """Supported where all `values`, by seed, are below `bound`; contradicted where none is."""
        figures = ", ".join(f"{value:.3f}" for value in values.values())
        why = self._unlearned() or (missing if not values else _too_few(list(values)))
        if why:
            return Check(what, UNDECIDED, figures, why=why)
        under = [value < bound for value in values.values()]
        return Check(what, SUPPORTED if all(under) else UNDECIDED if any(under) else CONTRADICTED, figures)

    def changes(self, what: str, ratios: Mapping[int, float], missing: str) -> Check:
        """Supported where all `ratios` (late to early, by seed) are a tenth above 1, or all a tenth below.

        Contradicted where all are within a twentieth of 1.
        """
        figures = ", ".join(f"× {ratio:.2f}" for ratio in ratios.values())
        why = self._unlearned() or (missing if not ratios else _too_few(list(ratios)))
        if why:
            return Check(what, UNDECIDED, figures, why=why)
        values = ratios.values()
        if all(r >= 1.1 for r in values) or all(r <= 0.9 for r in values):
            return Check(what, SUPPORTED, figures)
        return Check(what, CONTRADICTED if all(abs(r - 1) < 0.05 for r in values) else UNDECIDED, figures)

    def _sum(
        self,
        what: str,
        terms: Sequence[tuple[float, Side]],
        metrics: Sequence[str],
        judge: Callable[[Estimate], str],
        note: str = "",
    ) -> Check:
        missing = [side.missing() for _, side in terms if side.missing()]
        if missing:
            return Check(what, UNDECIDED, "", why="; ".join(dict.fromkeys(missing)))
        named = metrics or ["AP"] * len(terms)
        try:
            found = self.bootstrap.estimate([s.term(f, m) for (f, s), m in zip(terms, named, strict=True)])
        except (PairingError, ValueError, OSError) as error:
            return Check(what, UNDECIDED, "", why=str(error))
        why = self._unlearned() or _too_few(found.seeds)
        verdict = UNDECIDED if why else judge(found)
        return Check(
            what,
            verdict,
            note,
            found,
            why or ("" if verdict != UNDECIDED else "neither side has the whole interval and all seeds"),
        )

    def _unlearned(self) -> str:
        values = self.reference.ap().values()
        if not values:
            return self.reference.missing()
        mean = sum(values) / len(values)
        return "" if mean >= LEARNED else f"{self.reference.name} has AP {mean:.1f}: it has not learned enough"


def _too_few(seeds: Sequence[int]) -> str:
    return "" if len(seeds) >= SEEDS else f"{len(seeds)} seed{'' if len(seeds) == 1 else 's'} of at least {SEEDS}"


def _sign(found: Estimate, above: float, below: float) -> str:
    if found.low > above and all(value > above for value in found.by_seed):
        return SUPPORTED
    return CONTRADICTED if found.high < below and all(value < below for value in found.by_seed) else UNDECIDED


def _within(found: Estimate, margin: float) -> str:
    if -margin <= found.low and found.high <= margin and all(abs(value) <= margin for value in found.by_seed):
        return SUPPORTED
    apart = found.low > margin or found.high < -margin
    return CONTRADICTED if apart and all(abs(value) > margin for value in found.by_seed) else UNDECIDED
