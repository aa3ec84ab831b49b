"""The paper's claims as a table: a line for each claim with its verdict, and below it one for each comparison."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paa.store.text_table import comma_separated
from paa.tables.bootstrap import LEVEL
from paa.tables.claims import Finding
from paa.tables.entries import Entry
from paa.tables.provenance import differences
from paa.tables.sheet import Block, Cell, Sheet, estimated, noted, setting
from paa.tables.verdicts import LEARNED, MARGIN, SEEDS, SHARE, UNDECIDED, Check

HEADS = ("", "claim and comparisons", "difference", f"{100 * LEVEL:.0f} %", "p", "seeds", "verdict")

FIELDS = (
    *("claim", "text", "claim_verdict", "comparison", "verdict", "difference", "low", "high", "p"),
    *("resamples", "paired_seeds", "by_seed", "figures", "why"),
)

_RULES = (
    f"A comparison is decided if its {100 * LEVEL:.0f} % interval (paired bootstrap over test images) is on one side,"
    f" and every seed too, of {SEEDS} or more. Detectors below AP {LEARNED:g} decide nothing. Alike, or no gain: within"
    f" a margin of {MARGIN:g} AP, but at most {100 * SHARE:g} % of the AP compared with. The paper gives no margins;"
    " these are ours. A claim is supported if all of its comparisons are."
)


def claims_sheet(found: Sequence[Finding], entries: Sequence[Entry]) -> Sheet:
    """Write the findings in cells; `entries` are all rows that they use."""
    rules: list[int] = []
    rows: list[tuple[Cell, ...]] = []
    for finding in found:
        rules.append(len(rows))
        decided = finding.verdict != UNDECIDED
        verdict = Cell(finding.verdict, best=decided, quiet=not decided)
        rows.append((Cell(str(finding.number)), Cell(finding.claim), *[Cell()] * 4, verdict))
        rows += map(_check, finding.checks)
    ours = f"Ours: {setting(entries)}. The paper's claims are about COCO with ResNet-50 and 135k steps."
    return Sheet(
        name="claims",
        title="The paper's claims, and what these runs say about them",
        blocks=(Block("", HEADS, tuple(rows), tuple(2 <= i < 6 for i in range(len(HEADS))), frozenset(rules[1:])),),
        remarks=(ours, _RULES) if entries else (_RULES,),
        warnings=tuple(differences(entries)),
    )


def _check(check: Check) -> tuple[Cell, ...]:
    found = check.estimate
    what, why = f"– {check.comparison}", noted(check.why) if found or check.figures else ()
    if found is None:  # the reason stands in place of numbers if there are none at all
        numbers = [Cell(check.figures or check.why, quiet=not check.figures), Cell(), Cell(), Cell()]
    else:
        numbers = [*estimated(found), Cell(", ".join(map(str, found.paired_seeds)))]
        what += f" ({check.figures})" if check.figures else ""
    return (Cell(), Cell(what), *numbers, Cell(check.verdict, why, quiet=True))


def write_csv(found: Iterable[Finding]) -> str:
    """Write CSV: a line for each comparison, with all digits."""
    rows = [
        {"claim": finding.number, "text": finding.claim, "claim_verdict": finding.verdict}
        | vars(check)
        | (vars(check.estimate) if check.estimate else {})
        for finding in found
        for check in finding.checks
    ]
    return comma_separated(FIELDS, [[row.get(name) for name in FIELDS] for row in rows])
