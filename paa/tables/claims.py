"""The nine claims of the paper that its tables and Figure 4b rest on, and what our runs say of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from paa.engine.metrics import read
from paa.store.columns import name_of
from paa.store.paths import RunPaths
from paa.store.text_table import cell
from paa.tables.bootstrap import Bootstrap
from paa.tables.entries import Entry
from paa.tables.layout import BOUNDARIES, backbone, rival
from paa.tables.verdicts import Check, Judge, Side, overall

Found = Mapping[str, Sequence[Entry]]
"""The entries of each group of rows: {"table1": ...}."""


@dataclass(frozen=True)
class Finding:
    """A claim by its number, in the paper's sense, with the comparisons that it rests on."""

    number: int
    claim: str
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """What all checks together say."""
        return overall(self.checks)


def findings(found: Found, runs_dir: Path, bootstrap: Bootstrap) -> list[Finding]:
    """All nine, from the entries of the groups that there are; `runs_dir` holds their metrics."""
    table1, table2 = _Named(found.get("table1", ())), _Named(found.get("table2", ()))
    judge = Judge(bootstrap, table1.side("paa", "PAA"))
    modules = Judge(bootstrap, table2.side("paa_iou", "PAA / IoU"))
    return [
        Finding(1, "Any of the boundaries (a) to (d) works.", tuple(_boundaries(table1, judge))),
        Finding(2, "PAA beats FNP and FSR; FSR (> 0.3) fails.", tuple(_rivals(found.get("table1", ()), table1, judge))),
        Finding(3, "Of all steps, from IoU to PAA assignment gains most.", tuple(_steps(table2, modules))),
        Finding(
            4,
            "IoU prediction with the unified score adds about 1 AP to PAA; centerness adds nothing.",
            tuple(_auxiliary(table2, modules)),
        ),
        Finding(5, "IoU prediction beats centerness for ATSS, too.", tuple(_for_atss(table2, modules))),
        Finding(6, "Score voting adds a little, most at AP75.", tuple(_voting(table2, modules))),
        Finding(7, "The error of the predicted IoU is below 0.1.", tuple(_errors(found, table2, modules))),
        Finding(8, "AP hardly depends on K and on the anchor scale.", tuple(_insensitive(found, bootstrap))),
        Finding(9, "The number of positives adapts during training.", tuple(_adapts(table1, runs_dir, judge))),
    ]


class _Named:
    """Entries by name, as sides of comparisons."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = {entry.name: entry for entry in entries}

    def side(self, name: str, words: str, voting: bool = False) -> Side:
        return Side(words, self._entries.get(name), voting)


def _boundaries(table1: _Named, judge: Judge) -> list[Check]:
    ours = table1.side("c", BOUNDARIES["c"])
    return [judge.alike(f"({name}) − (c)", table1.side(name, BOUNDARIES[name]), ours) for name in ("a", "b", "d")]


def _rivals(entries: Sequence[Entry], table1: _Named, judge: Judge) -> list[Check]:
    ours, out = table1.side("paa", "PAA"), []
    for entry in entries:
        kind = name_of(entry.at("assign.boundary"))
        if kind in ("fnp", "fsr"):
            side = Side(rival(entry), entry)
            out.append(judge.higher(f"PAA − {side.name}", [(1.0, ours), (-1.0, side)]))
            if kind == "fsr" and entry.at("assign.boundary.t") == 0.3:
                out.append(judge.fails(f"AP of {side.name} beside that of PAA", side, ours))
    return out or [judge.higher("PAA − FNP", [(1.0, ours), (-1.0, table1.side("fnp", "FNP"))])]


def _steps(table2: _Named, judge: Judge) -> list[Check]:
    base, paa = table2.side("max_iou_none", "IoU / none"), table2.side("paa_none", "PAA / none")
    predicted, voted = table2.side("paa_iou", "PAA / IoU"), table2.side("paa_iou", "PAA / IoU / voting", voting=True)
    first = [(1.0, paa), (-1.0, base)]
    return [
        judge.higher("IoU to PAA", first),
        judge.higher("IoU to PAA − adding IoU prediction", [*first, (-1.0, predicted), (1.0, paa)]),
        judge.higher("IoU to PAA − adding voting", [*first, (-1.0, voted), (1.0, predicted)]),
    ]


def _auxiliary(table2: _Named, judge: Judge) -> list[Check]:
    none, iou = table2.side("paa_none", "PAA / none"), table2.side("paa_iou", "PAA / IoU")
    centerness = table2.side("paa_centerness", "PAA / centerness")
    return [
        judge.higher("PAA / IoU − PAA / none", [(1.0, iou), (-1.0, none)]),
        judge.about("that is about 1 AP", [(1.0, iou), (-1.0, none)], 0.5, 1.5),
        judge.no_gain("PAA / centerness − PAA / none", centerness, none),
    ]


def _for_atss(table2: _Named, judge: Judge) -> list[Check]:
    iou, centerness = table2.side("atss_iou", "ATSS / IoU"), table2.side("atss_centerness", "ATSS / centerness")
    return [judge.higher("ATSS / IoU − ATSS / centerness", [(1.0, iou), (-1.0, centerness)])]


def _voting(table2: _Named, judge: Judge) -> list[Check]:
    off, on = table2.side("paa_iou", "PAA / IoU"), table2.side("paa_iou", "PAA / IoU / voting", voting=True)
    gain = [(1.0, on), (-1.0, off)]
    return [
        judge.higher("gain in AP", gain),
        judge.no_gain("gain in AP is little", on, off),
        judge.higher("gain in AP75 − gain in AP", [*gain, (-1.0, on), (1.0, off)], ["AP75", "AP75", "AP", "AP"]),
        judge.higher("gain in AP75 − gain in AP50", [*gain, (-1.0, on), (1.0, off)], ["AP75", "AP75", "AP50", "AP50"]),
    ]


def _errors(found: Found, table2: _Named, judge: Judge) -> list[Check]:
    whole = table2.side("paa_iou", "PAA / IoU").entry
    entries = [*([whole] if whole is not None else []), *found.get("table2_right", ())]
    if not entries:
        return [judge.below("PAA / IoU", {}, 0.1, "no such row")]
    return [
        judge.below(
            f"{backbone(e)}, kept detections", e.values("iou_error", False), 0.1, e.standing(False) or "not measured"
        )
        for e in entries
    ]


def _insensitive(found: Found, bootstrap: Bootstrap) -> list[Check]:
    entries = found.get("table4", ())
    out: list[Check] = []
    for words, key, standard in (
        ("K", "assign.topk", "recipe.topk"),
        ("scale", "anchors.scale", "recipe.anchor_scale"),
    ):
        usual = [e for e in entries if _usual(e)]
        reference = Side(f"the recipe's {words}", usual[0] if usual else None)
        judge = Judge(bootstrap, reference)
        for entry in sorted((e for e in entries if e.at(key) != e.at(standard)), key=lambda e: float(e.at(key))):
            what = f"{words} {cell(entry.at(key))} − {words} {cell(entry.at(standard))}"
            out.append(judge.alike(what, Side(f"{words} {cell(entry.at(key))}", entry), reference))
    return out or [
        Judge(bootstrap, Side("Table 4", None)).alike("K, scale", Side("Table 4", None), Side("Table 4", None))
    ]


def _usual(entry: Entry) -> bool:
    pairs = (("assign.topk", "recipe.topk"), ("anchors.scale", "recipe.anchor_scale"))
    return all(entry.at(key) == entry.at(standard) for key, standard in pairs)


def _adapts(table1: _Named, runs_dir: Path, judge: Judge) -> list[Check]:
    side = table1.side("paa", "PAA")
    ratios = positives(side.entry, runs_dir) if side.entry is not None else {}
    what = "PAA: positives of a ground truth in the last tenth of training, beside the first"
    return [judge.changes(what, ratios, side.missing() or "its metrics are not there")]


def positives(entry: Entry, runs_dir: Path) -> dict[int, float]:
    """{seed: positives per ground truth in the last tenth of the steps, divided by those in the first}."""
    out = {}
    for run in entry.runs:
        if run.training is None:
            continue
        steps = run.training.steps
        lines = [line for line in read(RunPaths(runs_dir, run.train_id).metrics) if "positives_per_gt" in line]
        early = [line["positives_per_gt"] for line in lines if line["step"] <= 0.1 * steps] or _values(lines[:1])
        late = [line["positives_per_gt"] for line in lines if line["step"] > 0.9 * steps]
        if len(lines) > 1 and early and late and fmean(early) > 0:
            out[run.seed] = fmean(late) / fmean(early)
    return out


def _values(lines: list[dict[str, float]]) -> list[float]:
    return [line["positives_per_gt"] for line in lines]
