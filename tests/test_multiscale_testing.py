"""A multi-scale test of a trained network on real images, against a loop over images, scales and boxes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from literal_merge import merge as literal_merge
from running import TINY, call, configuration, only_run, rows, train

from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.images import decode
from paa.datasets.transforms import Transform, pad
from paa.experiment.evaluation import Evaluator
from paa.experiment.experiment import Experiment, final_detector
from paa.store.record import TrainingRecord
from paa.structures import Detections

REAL = Path(__file__).resolve().parents[2] / "shared" / "data" / "coco_tiny100"

CORE = (
    *("workers=0", "debug.images=5", "schedule.steps=12", "postprocess.score_threshold=0.01"),
    *("postprocess.pre_nms=40", "postprocess.max_detections=25", "postprocess.unified=product"),
    *("images.train.short=64", "images.test.short=64", "images.train.longest=110", "images.test.longest=100"),
)

SCALES = (
    "postprocess.multiscale=official",
    "postprocess.multiscale.short=[40,96]",
    "postprocess.multiscale.sides=[[12,1000],[0,30]]",
    "postprocess.multiscale.longest=100",
    "postprocess.multiscale.large=90",
    "postprocess.multiscale.longest_large=140",
    "postprocess.multiscale.floor=0.002",
    "postprocess.multiscale.max_detections=60",
)
"""As the authors' at a twelfth of the size: two more scales, and each with its mirror."""


@pytest.fixture(scope="module", params=["official", "modern"])
def trained(request, tmp_path_factory, smoke_data) -> tuple[Experiment, TrainingRecord, CocoIndex]:
    """A network that was trained for a few steps on five images, and the images."""
    runs = tmp_path_factory.mktemp(request.param)
    data = ["data=custom", f"data.root={REAL}"] if REAL.is_dir() else [f"data.root={smoke_data}"]
    core = [word for word in TINY if not REAL.is_dir() or not word.startswith("data.")]
    words = [*core, *CORE, *data, *SCALES, f"compat={request.param}", f"runs_dir={runs}", "evaluate.splits=[train]"]
    made = Experiment.of(configuration(*words, "images.test.batch_size=1"), words)
    made.run()
    index = made.parts.source.index("train")
    return made, TrainingRecord.read(made.identity.paths.record), index.subset(np.arange(5))


def passes(made: Experiment, detector: torch.nn.Module, index: CocoIndex, i: int, voting: bool) -> Iterator[Detections]:
    """Detections of an image at each scale and of its mirror, in pixels of the first; one box after the other."""
    parts, legacy = made.parts, made.parts.postprocess.legacy
    one, node = (1.0 if legacy else 0.0), parts.config["images"]
    backbone = detector.backbone
    own = {"mean": backbone.mean, "std": backbone.std, "scale": backbone.scale, "channels": backbone.order}
    image, first = decode(index, i), None
    for short, longest, low, high in ((64, 100, -1, math.inf), (40, 100, 12, 1000), (96, 140, 0, 30)):
        transform = Transform(short, longest, node["resize"], legacy=legacy, **own)
        pixels, _ = transform(image, torch.zeros(0, 4))
        h, w = pixels.shape[1:]
        first = first or (h, w)
        for flipped in (False, True):
            batch = pad([pixels.flip(-1) if flipped else pixels])
            size = torch.tensor([[h, w]])
            with torch.no_grad():
                predictions, shapes = detector(batch)
                anchors = parts.grid(shapes, size, (batch.shape[2], batch.shape[3]), "cpu")
                selection = parts.postprocess.select(predictions, anchors, size, parts.auxiliary)
                (found,) = parts.postprocess.finish(selection, voting)
            kept, boxes = [], []
            for k, (x1, y1, x2, y2) in enumerate(found.boxes.tolist()):
                if low < math.sqrt(max(x2 - x1 + one, 0) * max(y2 - y1 + one, 0)) < high:
                    if flipped:
                        x1, x2 = w - one - x2, w - one - x1
                    sx, sy = first[1] / w, first[0] / h
                    kept.append(k)
                    boxes.append([x1 * sx, y1 * sy, x2 * sx, y2 * sy])
            yield Detections(torch.tensor(boxes).view(-1, 4), *(c[kept] for c in list(vars(found).values())[1:]))


@pytest.mark.parametrize("voting", [False, True])
def test_it_is_the_loop_over_images_scales_and_boxes(trained, voting):
    made, record, index = trained
    detector = final_detector(made.parts, made.identity.paths, record).eval()
    found = Evaluator(made.parts, detector, torch.device("cpu"), record.categories).results(index, [voting])[voting]
    counts = []
    one = 1.0 if made.parts.postprocess.legacy else 0.0
    for i, name in enumerate(index.image_ids.tolist()):
        every = list(passes(made, detector, index, i, voting))
        assert len(every) == 6
        counts.append([len(p) for p in every])
        merged = literal_merge(Detections.join(every), "soft_vote", 0.66, 0.002, made.parts.postprocess.legacy)
        last = merged[min(60, len(merged)) - 1][1]
        expected = [row for row in merged if row[1] >= last]
        mine = np.flatnonzero(found.image_ids == name)
        assert len(mine) == len(expected)
        h, w = made.parts.test_transform(detector.backbone).size(int(index.heights[i]), int(index.widths[i]))
        sx, sy = index.widths[i] / w, index.heights[i] / h
        for row, (box, score, label, quality) in zip(mine, expected, strict=True):
            x1, y1, x2, y2 = box[0] * sx, box[1] * sy, box[2] * sx, box[3] * sy
            assert found.labels[row] == label
            assert found.scores[row] == pytest.approx(score, abs=1e-6)
            assert found.quality[row] == pytest.approx(quality, abs=1e-6)
            assert found.boxes[row].tolist() == pytest.approx([x1, y1, x2 - x1 + one, y2 - y1 + one], abs=2e-3)
    total = np.array(counts).sum(0)
    assert (total > 0).all(), f"passes without a detection test nothing: {total}"
    assert total[4] < total[0], f"no box of the large scale was too large: {total}"
    assert len(found) < total.sum()


def test_its_training_is_that_of_one_scale_and_batches_change_no_number(trained):
    """Images of one size share their padding with none, however many come at once."""
    made, record, _ = trained
    plain = Experiment.of(configuration(*(word for word in made.overrides if word not in SCALES)))
    assert plain.parts.scales is None
    assert plain.identity.train_id == made.identity.train_id
    assert [e.eval_id for e in plain.evaluations] != [e.eval_id for e in made.evaluations]
    detector = final_detector(made.parts, made.identity.paths, record)
    whole = made.parts.source.index("train")
    _, kind, counts = np.unique([whole.heights, whole.widths], axis=1, return_inverse=True, return_counts=True)
    alike = np.flatnonzero(kind == counts.argmax())
    results = []
    for size in (1, 4):
        parts = Experiment.of(configuration(*made.overrides, f"images.test.batch_size={size}")).parts
        evaluator = Evaluator(parts, detector, torch.device("cpu"), record.categories)
        results.append(evaluator.results(whole.subset(alike[:3]), [True])[True])
    assert len(set(results[0].image_ids.tolist())) == len(alike[:3]) > 1
    np.testing.assert_array_equal(results[0].image_ids, results[1].image_ids)
    np.testing.assert_allclose(results[0].boxes, results[1].boxes, rtol=0, atol=1e-2)


def test_the_commands(here, capsys):
    """After training, at its end, and on a folder of images; each once, and none trains again."""
    keys = [*SCALES[:3], "workers=0"]
    threshold = "postprocess.score_threshold=0.005"
    both = train(
        capsys, "-m", "postprocess.multiscale=none,official", *SCALES[1:2], threshold, "postprocess.voting=true"
    )
    assert both.code == 2
    assert "postprocess.multiscale.short: no such key" in both.err
    assert train(capsys, threshold, "postprocess.voting=true").code == 0
    run = only_run(here)
    ended = call(capsys, "paa.evaluate", f"run={run.train_id}", *keys)
    assert ended.code == 0, ended.err
    assert [row[-9:-7] for row in rows(ended.out)] == [["val", "on"]]
    assert "val, voting on, multi-scale: AP" in ended.out
    records = [json.loads(path.read_text()) for path in run.evals.glob("*.json")]
    assert sorted(bool(record["postprocess"]["multiscale"]) for record in records) == [False, True]
    plain, many = sorted(records, key=lambda record: bool(record["postprocess"]["multiscale"]))
    assert many["detections"] > plain["detections"]
    assert many["weights_sha256"] == plain["weights_sha256"]

    again = train(capsys, threshold, "postprocess.voting=true", *keys)
    assert "already finished, reusing its results" in again.out
    listed = call(capsys, "paa.runs", "--runs-dir", "runs")
    assert "val+voting+scales " in listed.out
    (here / "photos").mkdir()
    torch.manual_seed(0)
    from PIL import Image

    Image.fromarray(torch.randint(0, 256, (50, 70, 3), dtype=torch.uint8).numpy()).save(here / "photos" / "a.png")
    for out, more in (("one", []), ("many", SCALES[:3])):
        words = [f"run={run.train_id}", "images=photos", f"out={out}", "pictures=false", "workers=0", *more]
        assert call(capsys, "paa.predict", *words).code == 0
    one, several = (json.loads((here / out / "detections.json").read_text()) for out in ("one", "many"))
    assert len(several) > len(one) > 0
