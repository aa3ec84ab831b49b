"""The paper's nine claims that its tables and Figure 4b support, and what our runs say about each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from paa.engine.metrics import read
from paa.store.columns import name_of
from paa.store.text_table import cell
from paa.tables.bootstrap import Bootstrap
from paa.tables.entries import Entry
from paa.tables.layout import BOUNDARIES, backbone, departures, rival
from paa.tables.verdicts import Check, Judge, difference, minus, overall


@dataclass(frozen=True)
class Finding:
    """A claim of the paper by its number, with the comparisons that it is based on."""

    number: int
    claim: str
    checks: tuple[Check, ...]

    @property
    def verdict(self) -> str:
        """The verdict of all comparisons together."""
        return overall(self.checks)


def findings(found: Mapping[str, Sequence[Entry]], bootstrap: Bootstrap) -> list[Finding]:
    """Judge all nine claims from {"table1": entries, ...}."""
    boundaries = Judge(found.get("table1", ()), bootstrap, "paa")
    modules = Judge(found.get("table2", ()), bootstrap, "paa_iou")
    networks = [*filter(None, [modules.entries.get("paa_iou")]), *found.get("table2_right", ())]
    base, none, iou = map(modules.side, ("max_iou_none", "paa_none", "paa_iou"))
    centerness, voted = modules.side("paa_centerness"), modules.side("paa_iou", voting=True)
    atss_iou, atss_centerness = map(modules.side, ("atss_iou", "atss_centerness"))
    to_paa, to_iou, to_voting = difference(none, base), difference(iou, none), difference(voted, iou)
    gain50, gain75 = difference(voted, iou, "AP50"), difference(voted, iou, "AP75")
    claims: dict[str, list[Check]] = {
        "Any of the boundaries (a) to (d) works.": [
            boundaries.alike(f"({x}) − (c)", *(boundaries.side(name, BOUNDARIES[name]) for name in (x, "c")))
            for x in ("a", "b", "d")
        ],
        "PAA beats FNP and FSR; FSR (> 0.3) fails.": _rivals(boundaries),
        "Of all steps, from IoU to PAA assignment gains most.": [
            modules.higher("IoU to PAA", to_paa),
            modules.higher("IoU to PAA − adding IoU prediction", minus(to_paa, to_iou)),
            modules.higher("IoU to PAA − adding voting", minus(to_paa, to_voting)),
        ],
        "IoU prediction with the unified score adds about 1 AP to PAA; centerness adds nothing.": [
            modules.higher("PAA / IoU − PAA / none", to_iou),
            modules.within("that is about 1 AP", to_iou, 0.5, 1.5, "0.5 to 1.5", about=True),
            modules.no_gain("PAA / centerness − PAA / none", centerness, none),
        ],
        "IoU prediction beats centerness for ATSS, too.": [
            modules.higher("ATSS / IoU − ATSS / centerness", difference(atss_iou, atss_centerness))
        ],
        "Score voting adds a little, most at AP75.": [
            modules.higher("gain in AP", to_voting),
            modules.no_gain("gain in AP is little", voted, iou),
            modules.higher("gain in AP75 − gain in AP", minus(gain75, to_voting)),
            modules.higher("gain in AP75 − gain in AP50", minus(gain75, gain50)),
        ],
        "The error of the predicted IoU is below 0.1.": [_error(entry, modules) for entry in networks]
        or [_error(None, modules)],
        "AP hardly depends on K and on the anchor scale.": _insensitive(found.get("table4", ()), bootstrap),
        "The number of positives adapts during training.": [_adapts(boundaries)],
    }
    return [Finding(number, claim, tuple(checks)) for number, (claim, checks) in enumerate(claims.items(), start=1)]


def _rivals(judge: Judge) -> list[Check]:
    paa, out = judge.side("paa", "PAA"), []
    for name, entry in judge.entries.items():
        kind = name_of(entry.at("assign.boundary"))
        if kind not in ("fnp", "fsr"):
            continue
        side = judge.side(name, rival(entry))
        out.append(judge.higher(f"PAA − {side.name}", difference(paa, side)))
        if kind == "fsr" and entry.at("assign.boundary.t") == 0.3:
            ours, theirs = side.values(), paa.values()
            shares = {seed: 100 * ours[seed] / theirs[seed] for seed in ours if theirs.get(seed)}
            missing = side.missing() or paa.missing() or "no seed in common"
            what = f"AP of {side.name} in percent of PAA's"
            out.append(judge.per_seed(what, shares, "{:.0f}", _all(lambda x: x < 10), _all(lambda x: x > 50), missing))
    return out or [judge.higher("PAA − FNP", difference(paa, judge.side("fnp", "FNP")))]


def _error(entry: Entry | None, judge: Judge) -> Check:
    what = f"{backbone(entry) if entry else 'paa_iou'}, kept detections"
    values = entry.scores(False).values("iou_error") if entry else {}
    missing = (entry.scores(False).missing() or "not measured") if entry else "no such row"
    return judge.per_seed(what, values, "{:.3f}", _all(lambda x: x < 0.1), _all(lambda x: x >= 0.1), missing)


def _insensitive(entries: Sequence[Entry], bootstrap: Bootstrap) -> list[Check]:
    usual = next((entry.name for entry in entries if not departures(entry)), "the recipe's K and scale")
    judge, out = Judge(entries, bootstrap, usual), []
    for swept, head, key in (("topk", "K", "assign.topk"), ("anchor_scale", "scale", "anchors.scale")):
        mine = [entry for entry in entries if swept in departures(entry)]
        for entry in sorted(mine, key=lambda e: float(e.at(key))):
            label = f"{head} {cell(entry.at(key))}"
            what = f"{label} − {head} {cell(entry.at(f'recipe.{swept}'))}"
            out.append(judge.alike(what, judge.side(entry.name, label), judge.reference))
    return out or [judge.alike("K, scale", judge.side("another K or scale"), judge.reference)]


def _adapts(judge: Judge) -> Check:
    side = judge.side("paa", "PAA")
    return judge.per_seed(
        "PAA: positives per ground truth in the last tenth of training, relative to the first",
        positives(side.scores.entry) if side.scores is not None else {},
        "× {:.2f}",
        lambda ratios: min(ratios) >= 1.1 or max(ratios) <= 0.9,
        _all(lambda ratio: abs(ratio - 1) < 0.05),
        side.missing() or "its metrics are missing",
    )


def _all(holds: Callable[[float], bool]) -> Callable[[Sequence[float]], bool]:
    return lambda values: all(map(holds, values))


def positives(entry: Entry) -> dict[int, float]:
    """{seed: positives per ground truth in the last tenth of the steps, divided by those in the first tenth}."""
    out = {}
    for run in entry.runs:
        if run.training is None:
            continue
        lines = [line for line in read(run.paths.metrics) if "positives_per_gt" in line]
        counts = [(line["step"] / run.training.steps, line["positives_per_gt"]) for line in lines]
        early = [count for progress, count in counts if progress <= 0.1] or [count for _, count in counts[:1]]
        late = [count for progress, count in counts if progress > 0.9]
        if len(counts) > 1 and late and fmean(early) > 0:
            out[run.seed] = fmean(late) / fmean(early)
    return out
