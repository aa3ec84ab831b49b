"""Figures from runs' own files: what is drawn is what the files, the network and the assigner say."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from analysis_scripts import script
from PIL import Image
from running import experiment
from scenes import detect

from paa.assign import PAA
from paa.assign.boundary import A, B, C, D
from paa.config.compose import Composer
from paa.drawing.assignment import Drawn
from paa.engine import checkpoint
from paa.experiment.finished_run import Opened
from paa.figures.detections import ALONE, MATCHED
from paa.figures.style import COLUMN, DPI, PAGE, printed

REPO = Path(__file__).resolve().parents[2]
KEYS = ("schedule.steps=4", "tracking.log_every=1", "evaluate.splits=[]", "postprocess.score_threshold=0.0")
RECORDED = ("tracking.images.steps=[0,2,1.0]", "tracking.images.count=2")


make_figures = script("make_figures")
FIGURES, Shown, choose = make_figures.FIGURES, make_figures.Shown, make_figures.choose


@pytest.fixture(scope="module")
def runs_dir(tmp_path_factory, smoke_data) -> Path:
    """A PAA run that recorded assignments, and an ATSS run that did not."""
    folder = tmp_path_factory.mktemp("figures") / "runs"
    folder.mkdir()
    (folder / ".data").symlink_to(smoke_data)
    experiment(folder, *KEYS, *RECORDED).run()
    experiment(folder, *KEYS, "assign=atss").run()
    return folder


@pytest.fixture(scope="module")
def shown(runs_dir):
    return Shown(choose(runs_dir, [], Composer()))


@pytest.fixture
def paa(shown) -> Opened:
    return shown.first


@pytest.fixture
def atss(shown) -> Opened:
    return shown.runs[1]


def drawn(name: str, shown: Shown):
    with printed():
        return FIGURES[name](shown)


def test_every_figure_is_drawn_as_wide_as_a_page_or_a_column(runs_dir, tmp_path, capsys):
    assert make_figures.main(["--runs-dir", str(runs_dir), "--out", str(tmp_path / "out")]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [str(tmp_path / "out" / f"figure_{name}.png") for name in FIGURES]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(f"figure_{n}.png" for n in FIGURES)
    for name in FIGURES:
        with Image.open(tmp_path / "out" / f"figure_{name}.png") as picture:
            assert picture.width == round((COLUMN if name == "4b" else PAGE) * DPI)
            assert len(np.unique(np.asarray(picture.convert("L")))) > 20


def test_formats(runs_dir, tmp_path, capsys):
    words = ["--runs-dir", str(runs_dir), "--out", str(tmp_path), "--figure", "4b", "--format", "svg,pdf"]
    assert make_figures.main(words) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / f"figure_4b.{f}") for f in ("svg", "pdf")]
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert first["figure_4b.pdf"].startswith(b"%PDF")
    assert ElementTree.fromstring(first["figure_4b.svg"]).tag.endswith("svg")
    assert make_figures.main(words) == 0
    assert first == {path.name: path.read_bytes() for path in tmp_path.iterdir()}  # equal figures are equal files


def test_the_boundaries_of_figure_3_are_what_assigners_with_them_do(paa):
    (image,) = paa.images([], 1)
    found, _ = paa.separation(image)
    drawn, own = paa.assigned(image)
    g = int(own.extras["candidate_valid"][0].sum(-1).argmax())
    valid = own.extras["candidate_valid"][0, g]
    assert found.scores.tolist() == own.extras["candidate_scores"][0, g][valid].double().tolist()
    assert found.labels["c"].tolist() == own.extras["candidate_labels"][0, g][valid].tolist()
    assert len(found.scores) == max(own.extras["candidate_valid"][0].sum(-1))
    assert int((found.labels["c"] == 1).sum()) == int((drawn.gt_index == g).sum())
    one = paa.parts.assigner
    assert isinstance(one, PAA)
    names = ("lambda_score", "topk", "iou_floor", "low_quality", "low_quality_at_zero", "giou")
    kept = {name: getattr(one, name) for name in names}
    _, batch, predictions, anchors = paa.seen(image)
    for name, kind in (("a", A), ("b", B), ("c", C), ("d", D)):
        extras = PAA(kind(), one.coder, **kept)(anchors, predictions, batch.targets, 1.0).extras
        assert found.labels[name].tolist() == extras["candidate_labels"][0, g][valid].tolist()


def test_figure_4a_shows_what_was_recorded(paa, shown):
    """The recording of the last step is what the final weights assign."""
    steps, seen = paa.recorded([])
    assert steps == [0, 2, 4]
    (image,) = seen
    stored = sorted(int(path.stem) for path in (paa.paths.images / "step_00000000").glob("*.npz"))
    assert len(stored) == 2
    assert image == stored[0]
    index = paa.parts.source.index("train")
    trained = Opened(paa.paths, paa.record, paa.compose)
    trained.__dict__["index"] = index  # the split that it was recorded on
    again, _ = trained.assigned(image)
    last = seen[image][-1]
    assert last.counts == again.counts
    for name in ("boxes", "centers", "level", "gt_index"):
        assert np.array_equal(getattr(last, name), getattr(again, name)), name
    assert (last.names, last.what, last.others) == (again.names, again.what, again.others)
    assert np.array_equal(last.pixels, again.pixels)
    figure = drawn("4a", shown)
    assert [axis.get_title() for axis in figure.axes] == [f"image {image}, step {step} of 4" for step in steps]
    lines = ["{} positive, {} ignored, {} negative".format(*one.counts.values()) for one in seen[image]]
    assert [axis.get_xlabel() for axis in figure.axes] == lines
    marks = [sum(len(c.get_offsets()) for c in axis.collections) for axis in figure.axes]
    ignored = [one.counts["ignored"] for one in seen[image]]
    assert marks == [len(one.gt_index) + n for one, n in zip(seen[image], ignored, strict=True)]  # ignored: two crosses
    assert len(drawn("4a", Shown(shown.runs, images=stored)).axes) == 6


def test_a_recording_comes_back_as_it_was(paa, tmp_path):
    (image,) = paa.images([], 1)
    one, _ = paa.assigned(image)
    one.save(tmp_path / "one.npz")
    back = Drawn.load(tmp_path / "one.npz", Image.fromarray(one.pixels))
    assert back.counts == one.counts
    assert back.names == one.names
    for name in ("pixels", "boxes", "centers", "level", "gt_index"):
        assert np.array_equal(getattr(back, name), getattr(one, name)), name
    (tmp_path / "one.npz").write_bytes(b"torn")
    with pytest.raises(ValueError, match=r"one\.npz: not the assignment of an image"):
        Drawn.load(tmp_path / "one.npz", Image.fromarray(one.pixels))


def test_figure_4b_is_the_runs_metrics(paa, atss, shown):
    figure = drawn("4b", shown)
    lines = figure.axes[0].lines
    for run, curve in ((paa, lines[0]), (atss, lines[2])):
        logged = [json.loads(line) for line in run.paths.metrics.read_text().splitlines()]
        assert curve.get_xdata().tolist() == [line["step"] for line in logged]
        assert curve.get_ydata().tolist() == [line["positives_per_gt"] for line in logged]
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["PAA", "ATSS"]
    asked = drawn("4b", Shown(shown.runs, schemes=[(3, None), (9, 1)]))
    texts = [text.get_text() for text in asked.legends[0].get_texts()]
    assert texts[2:] == ["FNP(3), by definition", "FNP(9 to 1), by definition"]


def test_figure_5_counts_the_parameters_of_the_weights(paa):
    network = paa.network()
    state = checkpoint.load(paa.paths.weights)
    assert network.totals["all"] == sum(tensor.numel() for tensor in state.values())
    _, batch, predictions, anchors = paa.seen(paa.images([], 1)[0])
    assert network.image == tuple(batch.images.shape[1:])
    assert network.anchors == predictions.logits.shape[1]
    assert [part.shape[1:] for part in network.levels] == list(anchors.shapes)
    assert network.outputs[-1].name == "predicted IoU"


def test_figures_6_7_show_each_run_beside_the_other(paa, atss, shown):
    figure = drawn("6-7", shown)
    images = paa.images([], 3)
    assert len(images) == 3
    runs = (("PAA", paa), ("ATSS", atss))
    cells = [(name, run.assigned(image)[0], image) for image in images for name, run in runs]
    assert [axis.get_title() for axis in figure.axes] == [f"{name}, image {image}" for name, _, image in cells]
    texts = ["{} positive, {} ignored, {} negative".format(*one.counts.values()) for _, one, _ in cells]
    assert [axis.get_xlabel() for axis in figure.axes] == texts


def test_figure_8_shows_detections_of_the_run(paa, shown):
    images = paa.images([], 4)
    every = paa.detected(images, 0.0)
    assert [one.image for one in every] == images
    assert all(len(one.boxes) for one in every)
    assert {kind for one in every for kind in one.kinds} <= {MATCHED, ALONE}
    with torch.no_grad():
        _, batch, *predicted = paa.seen(images[0])
        best = detect(paa.parts.postprocess, *predicted, batch.sizes, paa.parts.auxiliary)[0]
    assert every[0].scores.tolist() == pytest.approx(best.scores[: len(every[0].scores)].tolist())
    empty = drawn("8", shown)
    assert [axis.get_xlabel() for axis in empty.axes[1::2]] == ["0 of 0 match"] * 4  # untrained: none from 0.5 on
    truths = [len(axis.patches) for axis in empty.axes[::2]]
    assert truths == [2 * len(one.truths) for one in every]


def test_images_are_evenly_spaced_or_those_that_are_named(paa):
    ids = paa.index.image_ids.tolist()
    with_truth = [i for i in ids if i in paa.index.image_ids[paa.index.image_of]]
    assert paa.images([], 2) == [with_truth[0], with_truth[-1]]
    assert paa.images([], 9) == with_truth
    assert paa.images([ids[2], ids[0], ids[2]], 1) == [ids[2], ids[0]]


def refusals(runs_dir, tmp_path, capsys, *words: str) -> list[str]:
    """The lines of a command that draws nothing."""
    assert make_figures.main(["--runs-dir", str(runs_dir), "--out", str(tmp_path / "none"), *words]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert not (tmp_path / "none").exists()
    return err.splitlines()


def test_what_a_run_lacks_is_said_in_a_line_with_the_command_that_records_it(runs_dir, atss, tmp_path, capsys):
    name = atss.paths.train_id
    lines = refusals(runs_dir, tmp_path, capsys, "--figure", "3", "4a", "--run", name)
    assert len(lines) == 2
    assert (
        lines[0] == f"make_figures: Figure 3: {name}: its assigner ATSS scores no anchors; must be a run of assign=paa"
    )
    assert lines[1].startswith(f"make_figures: Figure 4a: {name}: recorded no assignments while it trained; ")
    command = lines[1].partition("python -m paa.train ")[2]
    assert " assign=atss 'tracking.images.steps=[0,0.05,0.25,1.0]' " in command
    assert command.endswith(f" runs_dir={runs_dir}_recorded")
    assert command.count("runs_dir=") == 1


def test_refusals(runs_dir, paa, tmp_path, capsys):
    def told(*words: str) -> list[str]:
        return refusals(runs_dir, tmp_path, capsys, *words)

    (line,) = told("--run", "tzz")
    assert "no run in" in line
    (line,) = told("--figure", "8", "--image", "77")
    assert "--image 77: val of t" in line
    assert "its ids go from" in line
    (line,) = told("--figure", "4a", "--image", "77")
    assert "recorded only images" in line
    (line,) = refusals(tmp_path / "empty", tmp_path, capsys)
    assert "no finished PAA run" in line
    metrics = paa.paths.metrics.read_bytes()
    paa.paths.metrics.write_text("")
    (line,) = told("--figure", "4b")
    assert "metrics.jsonl: no line with positives_per_gt; this records it: python -m paa.train" in line
    paa.paths.metrics.write_bytes(metrics)
    (line,) = told("--figure", "6", "--run", *_copies(runs_dir, paa, 5))
    assert "5 runs; must be at most 4" in line
    (line,) = told("--figure", "4b", "--scheme", "1", "2", "3", "4", "5")
    assert "5 schemes; must be at most 4" in line
    for words in (["--format", "gif"], ["--figure", "9"], ["--scheme", "0"], ["--score", "2"], ["--image", "a"]):
        with pytest.raises(SystemExit) as end:
            make_figures.main(words)
        assert end.value.code == 2


def _copies(runs_dir: Path, run: Opened, count: int) -> list[str]:
    """Records of so many runs."""
    from dataclasses import replace

    from paa.store.paths import RunPaths

    names = [f"t{i:010x}" for i in range(count)]
    for name in names:
        replace(run.record, train_id=name, started=0.0).write(RunPaths(runs_dir, name).record)
    return names
