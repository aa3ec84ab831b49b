"""Where rows stand in the paper's tables, and which published number stands beside them."""

from pathlib import Path

import pytest
from made import Made

from paa.tables.layout import LAYOUTS, backbone
from paa.tables.published import Published

PUBLISHED = Path(__file__).resolve().parents[2] / "analysis" / "published.csv"


@pytest.fixture(scope="module")
def published():
    return Published.read(PUBLISHED)


def laid_out(runs, name, published, *more):
    table = LAYOUTS[name](runs.entries(name, *more), published)
    return {part.name: part for part in table.parts}


def stubs(part):
    return [line.stub for line in part.lines]


def test_table_1_has_boundaries_on_the_left_and_rivals_by_size_above_paa_on_the_right(tmp_path, published):
    runs = Made(tmp_path)
    for name in ("a", "b", "b_2020", "c", "d"):
        runs.row("table1", name, boundary=name)
    for n in (3, 20):
        runs.row("table1", f"fnp_{n}", boundary="fnp", n=n)
    runs.row("table1", "fnp_decays", boundary="fnp", n=9, n_end=2)
    runs.row("table1", "fsr_0.1", boundary="fsr", t=0.1, over="candidates")
    runs.row("table1", "fsr_0.3", boundary="fsr", t=0.3, over="anchors")
    runs.row("table1", "mine", boundary="d")
    runs.row("table1", "paa")
    parts = laid_out(runs, "table1", published)
    assert [s[0][:3] for s in stubs(parts["left"])] == ["(a)", "(b)", "(c)", "(d)", "(b)"]
    assert [s[0] for s in stubs(parts["right"])] == [
        *("FNP (3)", "FNP (20)", "FNP (9 to 2)", "FSR (> 0.1, of candidates)", "FSR (> 0.3)"),
        *("mine", "PAA"),
    ]
    assert parts["left"].reference is parts["right"].reference is parts["right"].lines[-1]
    assert parts["right"].lines[4].quotes["AP"].text == "fails"
    assert not parts["right"].lines[3].quotes
    cited = {line.key: [text.split(":")[0] for text in line.citations] for line in parts["left"].lines}
    assert cited == {
        "a": [],
        "b": ["a user's run of 90k steps"],
        "c": ["the same training in Table 2", "90k steps, with voting"],
        "d": [],
        "b_2020": ["90k steps, with voting"],
    }


def test_table_2_has_each_module_without_and_with_voting_and_the_networks_apart(tmp_path, published):
    runs = Made(tmp_path)
    for auxiliary in ("none", "centerness", "iou"):  # in the order of the files' names
        for assign in ("atss", "max_iou", "paa"):
            runs.row("table2", f"{assign}_{auxiliary}", assign=assign, auxiliary=auxiliary)
    runs.row("table2", "paa_iou_p", voting_weight="p")
    runs.row("table2_right", "resnet50", backbone="resnet50")
    parts = laid_out(runs, "table2", published, "table2_right")
    lines = stubs(parts["left"])
    assert lines[:2] == [("IoU", "none", "off"), ("IoU", "none", "on")]
    assert lines[-3:] == [("PAA", "IoU", "off"), ("PAA", "IoU", "on"), ("PAA", "IoU", "on, weight p")]
    assert len(lines) == 2 * 9 + 1
    assert [n for n, line in enumerate(parts["left"].lines) if line.rule] == [6, 12]
    assert parts["left"].reference.stub == ("PAA", "IoU", "on")
    assert {line.stub: value.text for line in parts["left"].lines for value in line.quotes.values()} == {
        ("IoU", "none", "off"): "34.6",
        ("ATSS", "centerness", "off"): "39.4",
        ("ATSS", "IoU", "off"): "39.8",
        ("PAA", "none", "off"): "+5.3 over IoU, none",
        ("PAA", "centerness", "off"): "no improvement over PAA, none",
        ("PAA", "IoU", "off"): "40.8",
        ("PAA", "IoU", "on"): "41.0",
    }
    assert parts["right"].lines[1].quotes["iou_error"].text == "<0.1"
    assert stubs(parts["right"]) == [("tiny",), ("ResNet-50",)]


def test_the_recipe_s_own_network_is_not_shown_twice(tmp_path, published):
    runs = Made(tmp_path)
    runs.row("table2", "paa_iou", backbone="resnet50")
    runs.row("table2_right", "resnet50", backbone="resnet50")
    assert stubs(laid_out(runs, "table2", published, "table2_right")["right"]) == [("ResNet-50",)]


def test_table_3_has_published_numbers_below_ours_and_then_those_of_others(tmp_path, published):
    runs = Made(tmp_path)
    networks = ("resnet101", "resnet101_dcn", "resnext101_64x4d", "resnext101_64x4d_dcn", "resnext152_32x8d_dcn")
    for name in networks:
        runs.row("table3", name, backbone=name)
        runs.row("table3", f"{name}_ms", backbone=name, multiscale={"sizes": 1})
    (part,) = laid_out(runs, "table3", published).values()
    ours = [line for line in part.lines if line.scores is not None]
    assert [line.stub for line in ours[:5]] == [
        ("PAA ResNet-101", "single"),
        ("PAA ResNet-101-DCN", "single"),
        ("PAA ResNeXt-101-64x4d", "single"),
        ("PAA ResNeXt-101-64x4d-DCN", "single"),
        ("PAA ResNeXt-152-32x8d-DCN", "single"),
    ]
    assert {line.stub[1] for line in ours[5:]} == {"multi"}
    below = {line.stub: part.lines[n + 1] for n, line in enumerate(part.lines) if line.scores is not None}
    ap = {stub: line.quotes["AP"].text if line.quotes else line.stub[0] for stub, line in below.items()}
    assert ap == {
        ("PAA ResNet-101", "single"): "44.8",
        ("PAA ResNet-101-DCN", "single"): "47.4",
        ("PAA ResNeXt-101-64x4d", "single"): "46.6",
        ("PAA ResNeXt-101-64x4d-DCN", "single"): "49.0",
        ("PAA ResNeXt-152-32x8d-DCN", "single"): "50.8",
        ("PAA ResNet-101", "multi"): "published: not public",
        ("PAA ResNet-101-DCN", "multi"): "published: not public",
        ("PAA ResNeXt-101-64x4d", "multi"): "49.4",
        ("PAA ResNeXt-101-64x4d-DCN", "multi"): "51.4",
        ("PAA ResNeXt-152-32x8d-DCN", "multi"): "53.5",
    }
    rest = part.lines[2 * len(ours) :]
    assert [line.stub for line in rest[:2]] == [
        ("PAA ResNeXt-101-32x8d-DCN", "single"),
        ("PAA ResNeXt-101-32x8d-DCN", "multi"),
    ]
    assert len(rest) == 2 + len(published.rows("table3_others"))
    assert all(line.scores.voting for line in ours)


def test_table_4_varies_one_key_a_side_and_refers_to_the_recipe(tmp_path, published):
    runs = Made(tmp_path)
    for k in (11, 3, 9):
        runs.row("table4", f"topk_{k}", topk=k)
    for scale in (10.0, 2.0, 8.0):
        runs.row("table4", f"scale_{scale:g}", scale=scale)
    parts = laid_out(runs, "table4", published)
    assert stubs(parts["left"]) == [("3",), ("9",), ("11",)]
    assert stubs(parts["right"]) == [("2",), ("8",), ("10",)]
    assert parts["left"].reference.scores.entry.name == "topk_9"
    assert parts["right"].reference.scores.entry.name == "scale_8"


def test_backbones_are_written_as_in_papers(tmp_path):
    runs = Made(tmp_path)
    words = {
        "resnet18": "ResNet-18",
        "resnet101_dcn": "ResNet-101-DCN",
        "resnext101_64x4d": "ResNeXt-101-64x4d",
        "resnext152_32x8d_dcn": "ResNeXt-152-32x8d-DCN",
        "efficientnet_lite0": "efficientnet_lite0",
    }
    for choice in words:
        runs.row("table3", choice, backbone=choice)
    assert {e.name: backbone(e) for e in runs.entries("table3")} == words


def test_published_numbers_keep_their_words_notes_and_sources(published):
    fails = published.value("table1_right", "FSR (>0.3)")
    assert (fails.text, fails.note) == ("fails", "fails (no anchor scores in range in early iterations)")
    twice = published.value("table3", "PAA ResNet-101", form="{}")
    assert twice.text == "44.8"
    assert len(twice.sources) == 2
    assert twice.footnote == "; ".join(twice.sources)
    assert list(published.row("table3", "PAA ResNet-101")) == ["AP", "AP50", "AP75", "APS", "APM", "APL"]
    assert published.row("table1_left", "a") == {}
    with pytest.raises(KeyError):
        published.value("table1_left", "a")
