"""The paper's claims as a table: a line for each claim with the verdict, and below it one for each comparison."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from paa.tables.bootstrap import LEVEL
from paa.tables.captions import setting
from paa.tables.claims import Finding
from paa.tables.entries import Entry
from paa.tables.provenance import mixtures
from paa.tables.sheet import Block, Cell, Notes, Sheet, signed
from paa.tables.verdicts import LEARNED, MARGIN, SEEDS, SHARE, UNDECIDED, Check

HEADS = ("", "claim, and what it rests on", "difference", f"{100 * LEVEL:.0f} %", "p", "seeds", "verdict")

FIELDS = (
    *("claim", "text", "claim_verdict", "comparison", "verdict", "difference", "low", "high", "p", "seeds"),
    *("by_seed", "figures", "why"),
)


def claims_sheet(found: Sequence[Finding], entries: Sequence[Entry]) -> Sheet:
    """The sheet; `entries` are all that the findings rest on."""
    notes = Notes()
    rows: list[tuple[Cell, ...]] = []
    rules = []
    for finding in found:
        rules.append(len(rows))
        decided = finding.verdict != UNDECIDED
        head = [Cell(str(finding.number)), Cell(finding.claim), *[Cell()] * 4]
        rows.append((*head, Cell(finding.verdict, best=decided, quiet=not decided)))
        rows += [_check(check, notes) for check in finding.checks]
    numeric = (False, False, True, True, True, True, False)
    return Sheet(
        name="claims",
        title="The paper's claims, and what these runs say of them",
        blocks=(Block("", HEADS, tuple(rows), numeric, frozenset(rules[1:])),),
        notes=tuple(notes.texts),
        remarks=_remarks(entries),
        warnings=tuple(mixtures(entries)),
    )


def _check(check: Check, notes: Notes) -> tuple[Cell, ...]:
    found = check.estimate
    absent = found is None and not check.figures  # then why there is nothing stands in place of the numbers
    why = () if absent else notes.number(check.why)
    if found is None:
        middle = [Cell(check.why if absent else check.figures, quiet=absent), Cell(), Cell(), Cell()]
    else:
        ends = f"[{signed(found.low)}, {signed(found.high)}]"
        seeds = ", ".join(map(str, found.seeds))
        middle = [Cell(signed(found.value)), Cell(ends), Cell(f"{found.p:.3f}"), Cell(seeds)]
    margin = f" ({check.figures})" if found is not None and check.figures else ""
    return (Cell(), Cell(f"– {check.what}{margin}"), *middle, Cell(check.verdict, why, quiet=True))


def _remarks(entries: Sequence[Entry]) -> tuple[str, ...]:
    rules = (
        f"A comparison is decided where its {100 * LEVEL:.0f} % interval (paired bootstrap over test images) is on one"
        f" side and every seed says the same, of {SEEDS} seeds at least; and by no detector of less than AP"
        f" {LEARNED:g}. Alike, or no gain: within a margin of {MARGIN:g} AP, but at most {100 * SHARE:g} % of the AP"
        " compared with. The paper names no margins; these are ours. A claim is supported where all of it is."
    )
    if not entries:
        return (rules,)
    return (f"Ours: {setting(entries)}. The paper's claims are about COCO with ResNet-50 and 135k steps.", rules)


def claims_csv(found: Iterable[Finding]) -> str:
    """A line for each comparison, numbers in full."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, restval="", lineterminator="\n")
    writer.writeheader()
    for finding in found:
        for check in finding.checks:
            row: dict[str, object] = {
                "claim": finding.number,
                "text": finding.claim,
                "claim_verdict": finding.verdict,
                "comparison": check.what,
                "verdict": check.verdict,
                "figures": check.figures,
                "why": check.why,
            }
            one = check.estimate
            if one is not None:
                row |= {"difference": one.value, "low": one.low, "high": one.high, "p": one.p}
                row |= {"seeds": " ".join(map(str, one.seeds)), "by_seed": " ".join(map(repr, one.by_seed))}
            writer.writerow(row)
    return out.getvalue()
