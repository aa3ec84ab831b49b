"""The layout of the paper's Tables 1 to 4, filled with the rows that experiments/ holds.

A row's place and label follow from its name and from what it is configured to be; one that the paper has no place for
(a boundary of one's own, say) comes at the end of the part that it is nearest to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from paa.store.columns import name_of
from paa.store.text_table import cell
from paa.tables.entries import Entry
from paa.tables.model import AP, AP50, AP75, APL, APM, APS, Line, Metric, Part, Quote, Table
from paa.tables.published import Published

MINIVAL = "COCO 2017 val (minival), ResNet-50, 135k steps of 16 images"
TEST_DEV = "COCO test-dev, 180k steps of 16 images (ResNeXt-152: 360k of 8), short side 640 to 800"

_ABLATION = (AP, AP50, AP75)
_ALL = (AP, AP50, AP75, APS, APM, APL)
_ERRORS = (
    Metric("iou_error", "kept detections", 3, higher=False),
    Metric("iou_error_positives", "assigned positives", 3, higher=False),
)

BOUNDARIES = {
    "a": "(a)",
    "b": "(b)",
    "c": "(c), default",
    "d": "(d)",
    "b_2020": "(b) with the slip of July 2020",
}
"""Rows of Table 1, left."""

ASSIGNERS = {"max_iou": "IoU", "atss": "ATSS", "paa": "PAA"}
AUXILIARIES = {"none": "none", "centerness": "centerness", "iou": "IoU"}

_VOTED = "90k steps, with voting: {}"
_ELSEWHERE: dict[str, tuple[Quote, ...]] = {
    "b": (Quote("reproductions", "PAA R50 1x, real Fig3(b)", "AP_minival", "a user's run of 90k steps: {}"),),
    "b_2020": (Quote("reproductions", "PAA R50 1x voting (boundary of July 2020, buggy (b))", "AP_minival", _VOTED),),
    "c": (
        Quote("table2_left", "PAA / IoU pred", form="the same training in Table 2: {}"),
        Quote("reproductions", "PAA R50 1x voting", "AP_minival", _VOTED),
    ),
}
"""What was published of rows of Table 1 in other places."""

_MODULES = {
    ("max_iou", "none", False): Quote("table2_left", "IoU-assign / no aux"),
    ("atss", "centerness", False): Quote("table2_left", "ATSS / centerness"),
    ("atss", "iou", False): Quote("table2_left", "ATSS / IoU pred"),
    ("paa", "none", False): Quote(
        "table2_left", "PAA / no aux minus IoU-assign / no aux", "AP_delta", "+{} over IoU, none"
    ),
    ("paa", "centerness", False): Quote("table2_left", "PAA / centerness", "AP_vs_PAA_no_aux", "{} over PAA, none"),
    ("paa", "iou", False): Quote("table2_left", "PAA / IoU pred"),
    ("paa", "iou", True): Quote("table2_left", "PAA / IoU pred / voting"),
}

_SAME_NETWORK = {
    "PAA ResNeXt-101-64x4d": "PAA ResNeXt-101",
    "PAA ResNeXt-101-64x4d (multi-scale test)": "PAA ResNeXt-101 (multi-scale test)",
}
"""What published.csv calls a network otherwise, in the paper's own words."""


def table1(entries: Sequence[Entry], published: Published) -> Table:
    """Separation boundaries on the left; on the right fixed numbers and score thresholds beside PAA."""
    named = {entry.name: entry for entry in entries}
    left = [
        Line(name, (label,), named[name], also=_ELSEWHERE.get(name, ()))
        for name, label in BOUNDARIES.items()
        if name in named
    ]
    rest = [entry for entry in entries if entry.name not in BOUNDARIES and entry.name != "paa"]
    right = [Line(entry.name, (rival(entry),), entry, quotes=_fails(entry)) for entry in rest]
    reference = None
    if "paa" in named:
        reference = Line("paa", ("PAA",), named["paa"], also=_ELSEWHERE["c"], rule=bool(right))
        right.append(reference)
    parts = (
        Part("left", "Separation boundary", ("boundary",), _ABLATION, tuple(left), reference, (AP,)),
        Part("right", "Simpler separation", ("positive",), _ABLATION, tuple(right), reference, (AP,)),
    )
    return Table("table1", "Anchor separation", _filled(parts), MINIVAL)


def rival(entry: Entry) -> str:
    """What a row of Table 1, right, is called: "FNP (5)", "FSR (> 0.3)"."""
    boundary = name_of(entry.at("assign.boundary"))
    if boundary == "fnp":
        end = entry.at("assign.boundary.n_end")
        return f"FNP ({entry.at('assign.boundary.n')}{f' to {end}' if end else ''})"
    if boundary == "fsr":
        over = entry.at("assign.boundary.over")
        return f"FSR (> {cell(entry.at('assign.boundary.t'))}{'' if over == 'anchors' else f', of {over}'})"
    return entry.name


def _fails(entry: Entry) -> dict[str, Quote]:
    fsr = name_of(entry.at("assign.boundary")) == "fsr" and entry.at("assign.boundary.t") == 0.3
    return {"AP": Quote("table1_right", "FSR (>0.3)")} if fsr else {}


def table2(entries: Sequence[Entry], published: Published) -> Table:
    """Assignment, auxiliary task and voting on the left; on the right how well each backbone predicts the IoU."""
    whole = next((e for e in entries if e.name == "paa_iou"), None)
    networks = [e for e in entries if e.table == "table2_right"]
    modules = sorted((e for e in entries if e not in networks), key=_place)
    lines = [line for entry in modules for line in _module_lines(entry)]
    starts = [n for n, line in enumerate(lines) if n and line.stub[0] != lines[n - 1].stub[0]]
    lines = [replace(line, rule=n in starts) for n, line in enumerate(lines)]
    reference = next((line for line in lines if line.key == "paa_iou, voting"), None)
    everyone = {"iou_error": Quote("table2_right", "every backbone", "mean_abs_iou_error")}
    errors = [Line(f"{e.name}, error", (backbone(e),), e, quotes=everyone) for e in networks]
    if whole is not None and all(e.choices.get("backbone") != whole.choices.get("backbone") for e in networks):
        errors.insert(0, Line(f"{whole.name}, error", (backbone(whole),), whole))  # the recipe's, none of the paper's
    heads = ("assignment", "auxiliary", "voting")
    parts = (
        Part("left", "Modules", heads, _ALL, tuple(lines), reference, (AP,)),
        Part("right", "Error of the predicted IoU", ("backbone",), _ERRORS, tuple(errors), None, _ERRORS[:1]),
    )
    return Table(
        "table2",
        "Modules, and the error of the predicted IoU",
        _filled(parts),
        f"{MINIVAL}; on the right the networks of its rows",
    )


def _module_lines(entry: Entry) -> list[Line]:
    assigner, auxiliary = _modules(entry)
    words = ASSIGNERS.get(assigner, entry.name), AUXILIARIES.get(auxiliary, auxiliary)
    if entry.at("postprocess.voting_weight") == "p":
        return [Line(f"{entry.name}, voting", (*words, "on, p alone"), entry, voting=True)]
    return [
        Line(
            entry.name + (", voting" if voting else ""),
            (*words, "on" if voting else "off"),
            entry,
            voting,
            _quotes(_MODULES.get((assigner, auxiliary, voting))),
        )
        for voting in (False, True)
    ]


def _modules(entry: Entry) -> tuple[str, str]:
    return name_of(entry.at("assign")) or "", name_of(entry.at("auxiliary")) or ""


def _place(entry: Entry) -> tuple[int, int, bool]:
    assigner, auxiliary = _modules(entry)
    return (
        list(ASSIGNERS).index(assigner) if assigner in ASSIGNERS else len(ASSIGNERS),
        list(AUXILIARIES).index(auxiliary) if auxiliary in AUXILIARIES else len(AUXILIARIES),
        entry.at("postprocess.voting_weight") == "p",
    )


def table3(entries: Sequence[Entry], published: Published) -> Table:
    """Backbones, with single and multi-scale test, each above its published numbers; then those of others."""
    lines: list[Line] = []
    ordered = sorted(entries, key=lambda e: bool(e.at("postprocess.multiscale")))
    for entry in ordered:
        several = bool(entry.at("postprocess.multiscale"))
        stub = (f"PAA {backbone(entry)}", "multi" if several else "single")
        lines.append(Line(entry.name, stub, entry, voting=True, rule=bool(lines)))
        name = stub[0] + (" (multi-scale test)" if several else "")
        found = next((row for row in (name, _SAME_NETWORK.get(name, "")) if row in published.rows("table3")), None)
        if found is None:
            lines.append(Line(f"{entry.name}, published", ("published: not public", stub[1]), None))
        else:
            quotes = {m.name: Quote("table3", found, m.name) for m in _ALL}
            lines.append(Line(f"{entry.name}, published", ("published", stub[1]), None, True, quotes))
    shown = {quote.row for line in lines for quote in line.quotes.values()} | set(_SAME_NETWORK.values())
    ours = [row for row in published.rows("table3") if row.startswith("PAA ") and " minus " not in row]
    rest = [("table3", row) for row in ours if row not in shown]
    before = ""
    for of, row in [*rest, *(("table3_others", row) for row in published.rows("table3_others"))]:
        name, at_scales, _ = row.partition(" (multi-scale test)")
        quotes = {m.name: Quote(of, row, m.name) for m in _ALL}
        lines.append(Line(row, (name, "multi" if at_scales else "single"), None, quotes=quotes, rule=of != before))
        before = of
    part = Part("all", "", ("method, backbone", "test"), _ALL, tuple(lines))
    return Table("table3", "Comparison with published detectors", (part,), TEST_DEV)


def table4(entries: Sequence[Entry], published: Published) -> Table:
    """K, the candidates of a ground truth on a level, on the left; the anchor scale on the right."""
    parts = (
        _sweep("left", "Candidates of a level", "K", "topk", entries),
        _sweep("right", "Anchor scale", "scale", "anchor_scale", entries),
    )
    return Table("table4", "Candidates of a level, and anchor scale", _filled(parts), MINIVAL)


_SWEPT = {"topk": "assign.topk", "anchor_scale": "anchors.scale"}


def _sweep(name: str, title: str, head: str, swept: str, entries: Sequence[Entry]) -> Part:
    """The rows in which one key differs from the recipe, and one that has the recipe's own value: the reference."""
    key, (other,) = _SWEPT[swept], (k for k in _SWEPT if k != swept)
    mine = [e for e in entries if not _usual(e, swept) and _usual(e, other)]
    usual = [e for e in entries if _usual(e, swept) and _usual(e, other)]
    usual.sort(key=lambda e: not e.name.startswith((swept, head.lower())))
    ordered = sorted([*mine, *usual[:1]], key=lambda e: float(e.at(key)))
    lines = [Line(f"{e.name}, {head}", (cell(e.at(key)),), e) for e in ordered]
    reference = next((line for line in lines if line.entry in usual), None)
    return Part(name, title, (head,), _ABLATION, tuple(lines), reference, (AP,))


def _usual(entry: Entry, swept: str) -> bool:
    return bool(entry.at(_SWEPT[swept]) == entry.at(f"recipe.{swept}"))


GROUPS = {
    "table1": ("table1",),
    "table2": ("table2", "table2_right"),
    "table3": ("table3",),
    "table4": ("table4",),
}
"""The folders of experiments/ that the rows of each table lie in."""

LAYOUTS: dict[str, Callable[[Sequence[Entry], Published], Table]] = {
    "table1": table1,
    "table2": table2,
    "table3": table3,
    "table4": table4,
}
"""How each table is laid out."""


def backbone(entry: Entry) -> str:
    """The backbone as papers write it: "ResNeXt-101-64x4d-DCN"; another's choice as it is called in conf/."""
    choice = entry.choices.get("backbone", "")
    found = re.fullmatch(r"(resnet|resnext)(\d+)(_\d+x\d+d)?(_dcn)?", choice)
    if found is None:
        return choice
    kind, depth, groups, deformable = found.groups()
    words = [{"resnet": "ResNet", "resnext": "ResNeXt"}[kind], depth, (groups or "").strip("_")]
    return "-".join([*filter(None, words), *(["DCN"] if deformable else [])])


def _quotes(quote: Quote | None) -> dict[str, Quote]:
    return {} if quote is None else {"AP": quote}


def _filled(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts that have a line."""
    return tuple(part for part in parts if part.lines)
