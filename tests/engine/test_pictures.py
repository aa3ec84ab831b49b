"""Pictures of the assignment: when, of what, and that they change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from running import experiment
from torch import nn

from paa import checks
from paa.config.errors import ConfigError
from paa.drawing.assignment import Drawn, save_picture
from paa.engine import checkpoint
from paa.engine.pictures import PictureSettings, drawn_pictures, evaluating
from paa.store.record import TrainingRecord
from paa.structures import NEGATIVE, Anchors, Assignment, Batch, Targets

KEYS = ("schedule.steps=6", "tracking.log_every=2", "evaluate.splits=[]")
IMAGES = ("tracking.images.steps=[0,2,0.5,1.0]", "tracking.images.count=2")


def test_steps_and_parts_of_the_schedule():
    assert PictureSettings([0, 10, 0.5, 1.0]).within(20) == {0, 10, 20}
    assert PictureSettings().within(20) == frozenset()
    with pytest.raises(checks.OutOfRange, match=r"steps=\[21\]: 21 lies past the schedule's 20 steps"):
        PictureSettings([21]).within(20)
    for steps in ([-1], [1.5], ["a"], 5, [True]):
        with pytest.raises(checks.OutOfRange, match="steps"):
            PictureSettings(steps)
    with pytest.raises(checks.OutOfRange, match="count=0"):
        PictureSettings([1], 0)


def test_a_step_past_the_schedule_is_refused_by_its_key(runs_dir):
    with pytest.raises(ConfigError, match=r"^tracking\.images\.steps=\[7\]: 7 lies past the schedule's 6 steps"):
        experiment(runs_dir, *KEYS, "tracking.images.steps=[7]")


@pytest.mark.parametrize("keys", [(), ("assign=atss", "auxiliary=centerness"), ("assign=max_iou", "data.size=96")])
def test_pictures_change_no_bit(runs_dir, tmp_path, keys):
    """The same metrics and weights with and without, for each assigner; twice the same images at each step."""
    data = f"data.root={runs_dir / '.data'}"
    plain = experiment(tmp_path / "plain", *KEYS, *keys, data)
    shown = experiment(tmp_path / "shown", *KEYS, *keys, data, *IMAGES)
    for run in (plain, shown):
        run.run()
    a, b = plain.identity, shown.identity
    assert a.train_id == b.train_id
    assert a.paths.metrics.read_bytes() == b.paths.metrics.read_bytes()
    assert TrainingRecord.read(a.paths.record).weights_sha256 == TrainingRecord.read(b.paths.record).weights_sha256
    assert not a.paths.images.exists()
    made = drawn_pictures(b.paths.images)
    assert sorted(made) == [0, 2, 3, 6]
    assert len({tuple(p.name for p in paths) for paths in made.values()}) == 1
    for paths in made.values():
        assert [p.parent.name[:5] for p in paths] == ["step_"] * 2
        for path in paths:
            with Image.open(path) as picture:
                assert min(picture.size) > 600
    assert len({path.read_bytes() for paths in made.values() for path in paths}) == 8


def test_what_is_drawn_is_not_drawn_again_and_a_folder_that_cannot_be_written_is_one_warning(
    runs_dir, monkeypatch, capsys
):
    run = experiment(runs_dir, *KEYS, *IMAGES)
    run.identity.paths.folder.mkdir(parents=True)
    run.identity.paths.images.write_text("in the way")
    run.run()
    assert run.identity.paths.finished
    warnings = [line for line in capsys.readouterr().out.splitlines() if "warning: " in line]
    assert 1 <= len(warnings) <= 4
    assert all(str(run.identity.paths.images) in line for line in warnings)

    again = experiment(runs_dir, *KEYS, *IMAGES, "seed=1")
    first = again.identity.paths.images / "step_00000000"
    first.mkdir(parents=True)
    other = experiment(runs_dir, *KEYS, *IMAGES, "seed=1")
    drawn = []
    plain = save_picture
    monkeypatch.setattr("paa.drawing.assignment.save_picture", lambda *a: (drawn.append(a[2]), plain(*a)))
    other.run()
    assert len(drawn) == 8
    drawn.clear()
    other.identity.paths.record.unlink()
    gone = min(first.glob("*.png"))
    gone.unlink()
    experiment(runs_dir, *KEYS, *IMAGES, "seed=1").run()
    assert drawn == [gone]


def test_modes_are_put_back_and_nothing_random_is_drawn(runs_dir):
    module = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1), nn.Dropout())
    module.train()
    module[1].eval()
    before = torch.get_rng_state()
    with evaluating(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == [True, True, False, True]
    assert torch.equal(before, torch.get_rng_state())
    with pytest.raises(RuntimeError), evaluating(module):
        raise RuntimeError
    assert module.training
    assert checkpoint.random_states()["torch"].equal(before)


def scene() -> tuple[Batch, Anchors]:
    centers = torch.tensor([[8.0, 8], [24, 8], [8, 24], [24, 24], [40, 8]])
    anchors = Anchors(
        torch.cat([centers - 8, centers + 8], 1), torch.tensor([0, 0, 0, 0, 1]),
        torch.tensor([[True, True, True, True, False]]), ((2, 2), (1, 1)), (16, 32),
    )  # fmt: skip
    targets = Targets.pad([torch.tensor([[0.0, 0, 16, 16], [16, 16, 32, 32]])], [torch.tensor([1, 0])])
    sizes = torch.tensor([[32, 32]])
    return Batch(torch.zeros(1, 3, 32, 64), sizes, sizes * 2, targets, (7,)), anchors


def test_what_is_drawn_of_an_assignment(tmp_path):
    batch, anchors = scene()
    extras = {
        "candidates": torch.tensor([[[0, 1], [3, 0]]]),
        "candidate_valid": torch.tensor([[[True, True], [True, False]]]),
    }
    found = Assignment(torch.tensor([[0, -1, -1, -2, -2]]), extras=extras)
    drawn = Drawn.of(np.zeros((64, 64, 3), np.uint8), ["cat", "dog"], batch, anchors, found)
    assert drawn.names == ["dog", "cat"]
    assert drawn.counts == {"positive": 1, "ignored": 1, "negative candidates": 1, "other negatives": 1}
    assert drawn.boxes.tolist() == [[0, 0, 32, 32], [32, 32, 64, 64]]  # in pixels of the picture
    assert drawn.centers[drawn.gt_index == NEGATIVE].tolist() == [[48, 16]]
    plain = Drawn.of(np.zeros((64, 64, 3), np.uint8), ["cat", "dog"], batch, anchors, Assignment(found.gt_index))
    assert plain.counts["negatives of IoU 0.1 and above"] == 0
    save_picture(drawn, "a title", tmp_path / "out" / "a.png")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["a.png"]
    pixels = np.asarray(Image.open(tmp_path / "out" / "a.png").convert("RGB")).reshape(-1, 3)
    colors = {tuple(c) for c in np.unique(pixels, axis=0).tolist()}
    assert {(0xE6, 0x9F, 0x00), (0x56, 0xB4, 0xE9)} <= colors  # the colors of the two ground truths
