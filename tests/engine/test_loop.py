"""The loop on the real detector, assigners and criterion, with batches that need no files."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json
import math
import signal
from types import SimpleNamespace

import pytest
import torch
from running import TINY, configuration

from paa.checks import OutOfRange
from paa.datasets.loader import WorkerDied
from paa.engine import checkpoint
from paa.engine.checkpoint import Checkpoints, weights_digest
from paa.engine.core import NUMBERS, split, without_positive
from paa.engine.loop import Loop, LoopSettings, NonFiniteLoss, OutOfMemory
from paa.engine.metrics import Metrics, read
from paa.engine.progress import TrainProgress
from paa.engine.signals import Interrupted, StopRequest
from paa.experiment.parts import assemble
from paa.structures import IGNORED, NEGATIVE, Assignment, Batch, Targets

CLASSES = 5


@pytest.fixture(scope="module")
def parts():
    cache = {}

    def made(*overrides):
        if overrides not in cache:
            cache[overrides] = assemble(configuration(*TINY, "schedule.steps=12", *overrides))
        return cache[overrides]

    return made


def batch(number: int, images: int = 4, size: int = 64) -> Batch:
    """Random images with one to four boxes each, and one with none."""
    draw = torch.Generator().manual_seed(number)
    boxes, labels = [], []
    for i in range(images):
        count = 0 if i == 1 else 1 + (number + i) % 4
        near = torch.rand(count, 2, generator=draw) * (size - 24)
        boxes.append(torch.cat([near, near + 6 + torch.rand(count, 2, generator=draw) * 18], 1))
        labels.append(torch.randint(CLASSES, (count,), generator=draw))
    sizes = torch.tensor([[size, size - 8 * (i % 2)] for i in range(images)])
    pixels = torch.randn(images, 3, size, size, generator=draw)
    return Batch(pixels, sizes, sizes, Targets.pad(boxes, labels), tuple(range(100 * number, 100 * number + images)))


def loop(tmp_path, parts, start=0, **changes):
    """A loop of 12 steps; `state` goes on from a checkpoint's."""
    detector = parts.detector(CLASSES)
    settings = {"log_every": 4, "checkpoint_every": 3, "clip_norm": 10.0, **changes.pop("settings", {})}
    state = changes.pop("state", None)
    made = Loop(
        core=changes.pop("core", None) or parts.core(detector),
        optimizer=parts.optim.build(detector),
        schedule=parts.schedule,
        settings=LoopSettings(**settings),
        checkpoints=Checkpoints(tmp_path / "checkpoints", keep=2),
        metrics=Metrics(tmp_path / "metrics.jsonl", state["metrics"] if state else 0),
        progress=TrainProgress("t0", 12, start, io.StringIO()),
        stop=changes.pop("stop", StopRequest()),
        device=torch.device("cpu"),
        **changes,
    )
    if state:
        made.restore(state)
    return made


def batches(start=0):
    return (batch(number) for number in itertools.count(start))


def test_a_run_logs_saves_and_learns(tmp_path, parts):
    made = loop(tmp_path, parts())
    before = weights_digest(made.core.detector)
    made.run(batches())
    lines = read(tmp_path / "metrics.jsonl")
    assert [line["step"] for line in lines] == [4, 8, 12]
    assert lines[-1]["loss"] < lines[0]["loss"]
    keys = {
        "step",
        "loss",
        "loss_cls",
        "loss_box",
        "loss_aux",
        "positives",
        "positives_per_gt",
        "without_positive",
        "lr",
    }
    assert set(lines[0]) == keys
    assert lines[0]["loss"] == pytest.approx(lines[0]["loss_cls"] + lines[0]["loss_box"] + lines[0]["loss_aux"])
    truths = sum(int(batch(i).targets.valid.sum()) for i in range(4)) / 4
    assert lines[0]["positives_per_gt"] == pytest.approx(lines[0]["positives"] / truths)
    assert weights_digest(made.core.detector) != before
    assert [p.name for p in sorted((tmp_path / "checkpoints").iterdir())] == ["00000009.pt", "00000012.pt"]


@pytest.mark.parametrize(("batch_size", "images"), [(7, 7), (None, 4)])
def test_the_pace_counts_the_images_of_all_processes(tmp_path, parts, monkeypatch, batch_size, images):
    made = loop(tmp_path, parts(), batch_size=batch_size)
    paces = []
    monkeypatch.setattr(made.progress, "report", lambda done, values: paces.append(values["images_per_s"]))
    monkeypatch.setattr("paa.engine.loop.time", SimpleNamespace(monotonic=lambda: 0.0))  # no time passes: 1e-9 s
    made.run(batches())
    assert paces == pytest.approx([4 * images / 1e-9] * 3)


def test_the_learning_rate_follows_the_schedule_in_both_groups(tmp_path, parts):
    changed = parts("compat.bias_lr_factor=2.0")
    made = loop(tmp_path, changed)
    seen = []
    made.checkpoints.save = lambda step, state: seen.append((step, [g["lr"] for g in made.optimizer.param_groups]))
    made.run(batches())
    for step, rates in seen:
        rate = changed.optim.lr * changed.schedule.factor(step - 1)
        assert rates == pytest.approx([rate, 2 * rate])


def test_the_gradient_is_clipped(tmp_path, parts):
    made = loop(tmp_path, parts(), settings={"clip_norm": 1e-3})
    norms = []
    made.optimizer.step = lambda: norms.append(
        math.sqrt(sum(float(p.grad.norm()) ** 2 for p in made.core.detector.parameters()))
    )
    made.run(batches())
    assert max(norms) <= 1.001e-3
    assert len(norms) == 12


@pytest.mark.parametrize("step", [0, 7])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_the_weights_move(tmp_path, parts, step, value):
    made = loop(tmp_path, parts())
    digests = []
    core = made.core

    class Poisoned:
        detector = core.detector

        def losses(self, batch, progress):
            digests.append(weights_digest(core.detector))
            numbers = core.losses(batch, progress)
            if len(digests) == step + 1:
                numbers[1] = value
            return numbers

    made.core = Poisoned()
    with pytest.raises(NonFiniteLoss) as error:
        made.run(batches())
    text = str(error.value)
    assert text.startswith(f"the loss of step {step + 1} is not finite: cls ")
    assert f", box {value:g}, aux " in text
    assert f"; image ids {', '.join(map(str, batch(step).image_ids))}. " in text
    assert error.value.step == step + 1  # counted as everywhere a person sees it, from 1
    assert error.value.image_ids == batch(step).image_ids
    assert weights_digest(core.detector) == digests[-1], "the step was still taken"
    latest = made.checkpoints.latest
    assert (checkpoint.load(latest)["step"] if latest else None) == {0: None, 7: 6}[step]


def test_weights_that_are_not_finite_reach_no_checkpoint(tmp_path, parts):
    """An infinite gradient of a finite loss: found before the next checkpoint is written."""
    made = loop(tmp_path, parts(), settings={"clip_norm": None})
    step = made.optimizer.step
    taken = itertools.count(1)

    def poisoned():
        if next(taken) == 6:
            next(made.core.detector.parameters()).grad.fill_(math.inf)
        step()

    made.optimizer.step = poisoned
    with pytest.raises(NonFiniteLoss, match="step 6 made weights that are not finite; image ids 500, 501, 502, 503"):
        made.run(batches())
    assert checkpoint.load(made.checkpoints.latest)["step"] == 3


@pytest.mark.parametrize("stop_after", [1, 4, 6, 11])
def test_a_stop_finishes_the_step_saves_and_goes_on_bit_for_bit(tmp_path, parts, stop_after):
    whole = loop(tmp_path / "whole", parts())
    whole.run(batches())
    stop = StopRequest()
    first = loop(tmp_path / "cut", parts(), stop=stop)

    def until():
        for number in itertools.count():
            if number == stop_after - 1:
                stop.signum = signal.SIGTERM
            yield batch(number)

    with pytest.raises(
        Interrupted, match=f"stopped by SIGTERM after step {stop_after}; everything is saved"
    ) as stopped:
        first.run(until())
    assert stopped.value.code == 143
    state = checkpoint.load(first.checkpoints.latest)
    assert state["step"] == stop_after
    first.metrics.close()
    torch.manual_seed(99)  # whatever another process has drawn
    second = loop(tmp_path / "cut", parts(), start=stop_after, state=state)
    second.run(batches(stop_after))
    assert weights_digest(second.core.detector) == weights_digest(whole.core.detector)
    assert (tmp_path / "cut/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


@pytest.mark.parametrize("error", [WorkerDied(), MemoryError("DefaultCPUAllocator: not enough memory")], ids=str)
def test_a_killed_worker_or_a_full_memory_leaves_a_checkpoint_to_resume_from(tmp_path, parts, error):
    whole = loop(tmp_path / "whole", parts())
    whole.run(batches())
    first = loop(tmp_path / "cut", parts())
    if isinstance(error, WorkerDied):

        def until():
            yield from itertools.islice(batches(), 5)
            raise error

        with pytest.raises(Interrupted, match=r"worker was killed.* after step 5; everything is saved") as stopped:
            first.run(until())
        assert stopped.value.code == 137
    else:
        losses, count = first.core.losses, itertools.count()

        def full(batch, progress):
            if next(count) == 5:
                raise error
            return losses(batch, progress)

        first.core.losses = full
        with pytest.raises(OutOfMemory, match=r"step 6 was not done; the 5 before it are saved.*train\.accumulate=2"):
            first.run(batches())
    state = checkpoint.load(first.checkpoints.latest)
    assert state["step"] == 5
    first.metrics.close()
    second = loop(tmp_path / "cut", parts(), start=5, state=state)
    second.run(batches(5))
    assert weights_digest(second.core.detector) == weights_digest(whole.core.detector)


def test_a_stop_in_the_last_step_is_left_to_the_caller(tmp_path, parts):
    stop = StopRequest()
    made = loop(tmp_path, parts(), stop=stop, evaluate=None)

    def until():
        for number in range(12):
            stop.signum = signal.SIGINT if number == 11 else None
            yield batch(number)

    made.run(until())
    assert checkpoint.load(made.checkpoints.latest)["step"] == 12


def test_evaluations_are_logged_and_one_that_is_interrupted_is_made_up_for(tmp_path, parts):
    def evaluate(step):
        return {"AP": step / 10, "split": "val"}

    settings = {"evaluate_every": 4}
    whole = loop(tmp_path / "whole", parts(), settings=settings, evaluate=evaluate)
    whole.run(batches())
    lines = read(tmp_path / "whole/metrics.jsonl")
    assert [(line["step"], line.get("AP")) for line in lines] == [(4, None), (4, 0.4), (8, None), (8, 0.8), (12, None)]

    stop = StopRequest()

    def interrupted(step):
        if step == 8:
            stop.signum = signal.SIGINT
            stop.check(step)
        return evaluate(step)

    cut = loop(tmp_path / "cut", parts(), settings=settings, evaluate=interrupted, stop=stop)
    with pytest.raises(Interrupted, match="after step 8"):
        cut.run(batches())
    for attempt in range(3):  # stopped again in the evaluation, then killed after it, then let be
        state = checkpoint.load(cut.checkpoints.latest)
        assert state["step"] == 8
        stop.signum = None
        cut = loop(
            tmp_path / "cut",
            parts(),
            start=8,
            settings=settings,
            evaluate=interrupted if attempt == 0 else evaluate,
            stop=stop,
            state=state,
        )
        if attempt == 0:
            with pytest.raises(Interrupted, match="after step 8"):
                cut.run(batches(8))
        elif attempt == 1:
            with pytest.raises(ZeroDivisionError):
                cut.run(batch(1 // 0) for _ in range(1))
        else:
            cut.run(batches(8))
    assert (tmp_path / "cut/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()
    assert weights_digest(cut.core.detector) == weights_digest(whole.core.detector)


def test_seconds_also_bring_a_checkpoint(tmp_path, parts):
    made = loop(tmp_path, parts(), settings={"checkpoint_every": 1000, "checkpoint_every_s": 1e-9})
    steps = []
    made.checkpoints.save = lambda step, state: steps.append(step)
    made.run(batches())
    assert steps == list(range(1, 13))


def test_what_the_caller_adds_is_in_the_checkpoint(tmp_path, parts):
    made = loop(tmp_path, parts(), extra=lambda: {"elapsed": 3.5})
    made.run(batches())
    state = checkpoint.load(made.checkpoints.latest)
    assert state["extra"] == {"elapsed": 3.5}
    assert state["sampler"] == {"next_step": 12}
    assert json.loads(json.dumps(state["schedule"]))["steps"] == 12


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("evaluate_every", -1),
        ("log_every", 0),
        ("checkpoint_every", 0),
        ("checkpoint_every_s", 0),
        ("clip_norm", 0),
        ("clip_norm", math.nan),
    ],
)
def test_settings_are_checked(argument, value):
    with pytest.raises(OutOfRange, match=f"^{argument}={value}"):
        LoopSettings(**{argument: value})


def test_a_batch_is_split_in_order_with_its_padding():
    whole = batch(3, images=5)
    pieces = split(whole, 2)
    assert [len(piece.image_ids) for piece in pieces] == [3, 2]
    assert sum((piece.image_ids for piece in pieces), ()) == whole.image_ids
    for name in ("images", "sizes", "original"):
        assert torch.equal(torch.cat([getattr(piece, name) for piece in pieces]), getattr(whole, name))
    for name in ("boxes", "labels", "valid"):
        assert torch.equal(torch.cat([getattr(piece.targets, name) for piece in pieces]), getattr(whole.targets, name))
    assert [len(piece.image_ids) for piece in split(whole, 5)] == [1] * 5


def test_ground_truths_without_a_positive_are_counted():
    valid = torch.tensor([[True, True, True], [True, False, False]])
    targets = Targets(torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.int64), valid)
    index = torch.tensor([[0, 0, 2, NEGATIVE], [IGNORED, NEGATIVE, NEGATIVE, NEGATIVE]])
    assert without_positive(Assignment(index), targets) == 2  # the second of the first image, and the other image's one


ASSIGNERS = [
    *(("assign=paa", f"assign.boundary={boundary}") for boundary in ("a", "b", "b_2020", "c", "d", "fnp")),
    ("assign=paa", "assign.boundary=fsr", "assign.boundary.t=0.1"),  # nothing scores 0.3 so early
    ("assign=paa", "assign.boundary=fsr", "assign.boundary.over=candidates", "assign.boundary.t=0.1"),
    ("assign=atss", "auxiliary=centerness"),
    ("assign=max_iou", "auxiliary=none"),
    ("assign=paa", "compat=official"),
    ("assign=paa", "compat=mmdet"),
    ("assign=paa", "compat=paper"),
]


@pytest.mark.parametrize("overrides", ASSIGNERS, ids=lambda o: ",".join(x.split("=")[1] for x in o))
def test_accumulation_changes_no_gradient(parts, overrides):
    made = parts(*overrides)
    detector = made.detector(CLASSES)
    core, whole = made.core(detector), batch(5, images=8)

    def gradients(accumulate):
        detector.zero_grad(set_to_none=True)
        numbers = dataclasses.replace(core, accumulate=accumulate).losses(whole, 0.3)
        return numbers, [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in detector.parameters()]

    numbers, expected = gradients(1)
    assert float(numbers[NUMBERS.index("positives")]) > 0
    norm = math.sqrt(sum(float(g.double().square().sum()) for g in expected))
    for accumulate in (2, 3, 4, 8):
        again, found = gradients(accumulate)
        assert torch.allclose(again, numbers, rtol=1e-5)
        apart = math.sqrt(
            sum(float((a.double() - b.double()).square().sum()) for a, b in zip(found, expected, strict=True))
        )
        assert apart / norm < 1e-6
