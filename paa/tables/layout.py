"""The layout of the paper's Tables 1 to 4, filled with the rows in experiments/.

The place and label of a row follow from its name and configuration. A row that is not in the paper (your own boundary,
for instance) comes at the end of the part that fits best.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from paa.store.columns import name_of
from paa.store.text_table import cell
from paa.tables.entries import Entry
from paa.tables.model import AP, AP50, AP75, APL, APM, APS, Line, Metric, Part, Table
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
    "b_2020": "(b) as released in July 2020",
}
"""Rows of Table 1, left."""

ASSIGNERS = {"max_iou": "IoU", "atss": "ATSS", "paa": "PAA"}
AUXILIARIES = {"none": "none", "centerness": "centerness", "iou": "IoU"}

_VOTED = ("AP_minival", "90k steps, with voting: {}")
_CITED = {
    "b": [("reproductions", "PAA R50 1x, real Fig3(b)", "AP_minival", "a user's run of 90k steps: {}")],
    "b_2020": [("reproductions", "PAA R50 1x voting (boundary of July 2020, buggy (b))", *_VOTED)],
    "c": [
        ("table2_left", "PAA / IoU pred", "AP", "the same training in Table 2: {}"),
        ("reproductions", "PAA R50 1x voting", *_VOTED),
    ],
}
"""Rows of Table 1: numbers published elsewhere, as arguments of `Published.value`."""

_MODULES: dict[tuple[str, str, bool], tuple[str, ...]] = {
    ("max_iou", "none", False): ("IoU-assign / no aux",),
    ("atss", "centerness", False): ("ATSS / centerness",),
    ("atss", "iou", False): ("ATSS / IoU pred",),
    ("paa", "none", False): ("PAA / no aux minus IoU-assign / no aux", "AP_delta", "+{} over IoU, none"),
    ("paa", "centerness", False): ("PAA / centerness", "AP_vs_PAA_no_aux", "{} over PAA, none"),
    ("paa", "iou", False): ("PAA / IoU pred",),
    ("paa", "iou", True): ("PAA / IoU pred / voting",),
}
"""Table 2, left: {(assigner, auxiliary, voting): row, metric and form of the published number}."""

_SAME_NETWORK = {
    "PAA ResNeXt-101-64x4d": "PAA ResNeXt-101",
    "PAA ResNeXt-101-64x4d (multi-scale test)": "PAA ResNeXt-101 (multi-scale test)",
}
"""Other names of networks in published.csv, as the paper writes them."""


def table1(entries: Sequence[Entry], published: Published) -> Table:
    """Lay out Table 1: separation boundaries on the left; fixed numbers, score thresholds and PAA on the right."""

    def line(entry: Entry, label: str, cited: str = "", rule: bool = False) -> Line:
        values = [published.value(*words) for words in _CITED.get(cited, ())]
        fails = name_of(entry.at("assign.boundary")) == "fsr" and entry.at("assign.boundary.t") == 0.3
        quotes = {"AP": published.value("table1_right", "FSR (>0.3)")} if fails else {}
        citations = tuple(f"{value.text}: {value.footnote}" for value in values)
        return Line(entry.name, (label,), entry.scores(False), quotes, citations, rule)

    named = {entry.name: entry for entry in entries}
    left = [line(named[name], label, name) for name, label in BOUNDARIES.items() if name in named]
    right = [line(entry, rival(entry)) for entry in entries if entry.name not in (*BOUNDARIES, "paa")]
    reference = line(named["paa"], "PAA", "c", rule=bool(right)) if "paa" in named else None
    right += [reference] if reference is not None else []
    parts = (
        Part("left", "Separation boundary", ("boundary",), _ABLATION, tuple(left), reference),
        Part("right", "Simpler separation", ("positive",), _ABLATION, tuple(right), reference),
    )
    return _table("table1", "Anchor separation", parts, MINIVAL)


def rival(entry: Entry) -> str:
    """Return the label of a row of Table 1, right: "FNP (5)", "FSR (> 0.3)"."""
    boundary = name_of(entry.at("assign.boundary"))
    if boundary == "fnp":
        end = entry.at("assign.boundary.n_end")
        return f"FNP ({entry.at('assign.boundary.n')}{f' to {end}' if end else ''})"
    if boundary == "fsr":
        over = entry.at("assign.boundary.over")
        return f"FSR (> {cell(entry.at('assign.boundary.t'))}{'' if over == 'anchors' else f', of {over}'})"
    return entry.name


def table2(entries: Sequence[Entry], published: Published) -> Table:
    """Lay out Table 2: assigner, auxiliary task and voting on the left; the IoU error of each backbone on the right."""
    networks = [e for e in entries if e.table == "table2_right"]
    modules = sorted((e for e in entries if e not in networks), key=_place)
    lines: list[Line] = []
    for one in (line for entry in modules for line in _module_lines(entry, published)):
        lines.append(replace(one, rule=bool(lines) and one.stub[0] != lines[-1].stub[0]))
    reference = next((line for line in lines if line.key == "paa_iou, voting"), None)

    everyone = {"iou_error": published.value("table2_right", "every backbone", "mean_abs_iou_error")}
    errors = [Line(f"{e.name}, error", (backbone(e),), e.scores(False), everyone) for e in networks]
    whole = next((e for e in entries if e.name == "paa_iou"), None)
    if whole is not None and backbone(whole) not in map(backbone, networks):  # the recipe's, not in the paper
        errors.insert(0, Line(f"{whole.name}, error", (backbone(whole),), whole.scores(False)))
    heads = ("assignment", "auxiliary", "voting")
    parts = (
        Part("left", "Modules", heads, _ALL, tuple(lines), reference),
        Part("right", "Error of the predicted IoU", ("backbone",), _ERRORS, tuple(errors)),
    )
    setting = f"{MINIVAL}; on the right the networks of its rows"
    return _table("table2", "Modules, and the error of the predicted IoU", parts, setting)


def _module_lines(entry: Entry, published: Published) -> list[Line]:
    assigner, auxiliary = _modules(entry)
    stub = ASSIGNERS.get(assigner, entry.name), AUXILIARIES.get(auxiliary, auxiliary)
    if entry.at("postprocess.voting_weight") == "p":
        return [Line(f"{entry.name}, voting", (*stub, "on, weight p"), entry.scores(True))]
    out = []
    for voting, key, state in ((False, entry.name, "off"), (True, f"{entry.name}, voting", "on")):
        words = _MODULES.get((assigner, auxiliary, voting))
        quotes = {"AP": published.value("table2_left", *words)} if words else {}
        out.append(Line(key, (*stub, state), entry.scores(voting), quotes))
    return out


def _modules(entry: Entry) -> tuple[str, str]:
    return name_of(entry.at("assign")) or "", name_of(entry.at("auxiliary")) or ""


def _place(entry: Entry) -> tuple[int, int, bool]:
    assigner, auxiliary = _modules(entry)
    return (
        [*ASSIGNERS, assigner].index(assigner),
        [*AUXILIARIES, auxiliary].index(auxiliary),
        entry.at("postprocess.voting_weight") == "p",
    )


def table3(entries: Sequence[Entry], published: Published) -> Table:
    """Lay out Table 3: our backbones, single and multi-scale test, each above its published numbers; then others."""
    lines: list[Line] = []
    shown = set(_SAME_NETWORK.values())
    for entry in sorted(entries, key=lambda e: bool(e.at("postprocess.multiscale"))):
        name, test = f"PAA {backbone(entry)}", "multi" if entry.at("postprocess.multiscale") else "single"
        row = name + (" (multi-scale test)" if test == "multi" else "")
        quotes = published.row("table3", row) or published.row("table3", _SAME_NETWORK.get(row, ""))
        shown.add(row)
        lines.append(Line(entry.name, (name, test), entry.scores(True), rule=bool(lines)))
        words = "published" if quotes else "published: not public"
        lines.append(Line(f"{entry.name}, published", (words, test), None, quotes))
    ours = [row for row in published.rows("table3") if row.startswith("PAA ") and " minus " not in row]
    rest = {"table3": [row for row in ours if row not in shown], "table3_others": published.rows("table3_others")}
    for table, rows in rest.items():
        for n, row in enumerate(rows):
            name, multi, _ = row.partition(" (multi-scale test)")
            stub = name, "multi" if multi else "single"
            lines.append(Line(row, stub, None, published.row(table, row), rule=n == 0))
    part = Part("all", "", ("method, backbone", "test"), _ALL, tuple(lines), quoted=False)
    return _table("table3", "Comparison with published detectors", (part,), TEST_DEV)


_SWEPT = {"topk": "assign.topk", "anchor_scale": "anchors.scale"}


def table4(entries: Sequence[Entry], published: Published) -> Table:
    """Lay out Table 4: K, the candidates of a ground truth per level, on the left; the anchor scale on the right."""
    parts = (
        _sweep("left", "Candidates per level", "K", "topk", entries),
        _sweep("right", "Anchor scale", "scale", "anchor_scale", entries),
    )
    return _table("table4", "Candidates per level, and anchor scale", parts, MINIVAL)


def _sweep(name: str, title: str, head: str, swept: str, entries: Sequence[Entry]) -> Part:
    """The rows in which only `swept` differs from the recipe, and one with the recipe's value: the reference."""
    mine = [e for e in entries if departures(e) == {swept}]
    usual = [e for e in entries if not departures(e)]
    usual.sort(key=lambda e: not e.name.startswith((swept, head.lower())))
    ordered = sorted([*mine, *usual[:1]], key=lambda e: float(e.at(_SWEPT[swept])))
    lines = {e.name: Line(f"{e.name}, {head}", (cell(e.at(_SWEPT[swept])),), e.scores(False)) for e in ordered}
    reference = lines[usual[0].name] if usual else None
    return Part(name, title, (head,), _ABLATION, tuple(lines.values()), reference)


def departures(entry: Entry) -> set[str]:
    """Return which of "topk" and "anchor_scale" differ from the recipe."""
    return {swept for swept, key in _SWEPT.items() if entry.at(key) != entry.at(f"recipe.{swept}")}


LAYOUTS: dict[str, Callable[[Sequence[Entry], Published], Table]] = {
    function.__name__: function for function in (table1, table2, table3, table4)
}
"""The function that lays out each table."""

GROUPS = {name: (name,) for name in LAYOUTS} | {"table2": ("table2", "table2_right")}
"""The folders of experiments/ that hold the rows of each table."""


def backbone(entry: Entry) -> str:
    """Return the backbone as papers write it, "ResNeXt-101-64x4d-DCN"; others as the choice in conf/ is called."""
    choice = entry.choices.get("backbone", "")
    found = re.fullmatch(r"res(net|next)(\d+)(?:_(\d+x\d+d))?(_dcn)?", choice)
    if found is None:
        return choice
    kind, depth, groups, deformable = found.groups()
    words = ["ResNet" if kind == "net" else "ResNeXt", depth, groups, "DCN" if deformable else None]
    return "-".join(filter(None, words))


def _table(name: str, title: str, parts: tuple[Part, ...], published_on: str) -> Table:
    """The table, without parts that have no line."""
    return Table(name, title, tuple(part for part in parts if part.lines), published_on)
