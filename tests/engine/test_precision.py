"""bf16 and fp16: what is computed in them, what is not, and what fp16 does with gradients that overflow."""

from __future__ import annotations

import io
import itertools
import math

import pytest
import torch
from running import TINY, configuration

from paa.checks import OutOfRange
from paa.engine import checkpoint
from paa.engine.checkpoint import Checkpoints, weights_digest
from paa.engine.loop import Loop, LoopSettings, NonFiniteLoss
from paa.engine.metrics import Metrics, read
from paa.engine.precision import Precision
from paa.engine.progress import TrainProgress
from paa.engine.signals import StopRequest
from paa.experiment.parts import assemble
from paa.structures import Batch, Targets

STEPS = 6


@pytest.fixture(scope="module")
def parts():
    return assemble(configuration(*TINY, f"schedule.steps={STEPS}"))


def batch(number: int) -> Batch:
    draw = torch.Generator().manual_seed(number)
    near = torch.rand(3, 2, generator=draw) * 40
    boxes = torch.cat([near, near + 6 + torch.rand(3, 2, generator=draw) * 18], 1)
    size = torch.tensor([[64, 64]] * 2)
    targets = Targets.pad([boxes, boxes[:1]], [torch.tensor([0, 1, 2]), torch.tensor([3])])
    return Batch(torch.randn(2, 3, 64, 64, generator=draw), size, size, targets, (number, number + 100))


def batches(start=0):
    return (batch(number) for number in itertools.count(start))


def loop(folder, parts, name, state=None, clip_norm=None):
    detector, precision = parts.detector(5), Precision(name)
    made = Loop(
        core=parts.core(detector, precision),
        optimizer=parts.optim.build(detector),
        schedule=parts.schedule,
        settings=LoopSettings(log_every=1, checkpoint_every=3, clip_norm=clip_norm),
        checkpoints=Checkpoints(folder / "checkpoints", keep=9),
        metrics=Metrics(folder / "metrics.jsonl", state["metrics"] if state else 0),
        progress=TrainProgress("t0", STEPS, 0, io.StringIO()),
        stop=StopRequest(),
        device=torch.device("cpu"),
        precision=precision,
    )
    if state:
        made.restore(state)
    return made


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_the_network_alone_is_in_another_precision(parts, name):
    """Its maps are; its predictions, and all that the assigner and the losses see, are float32."""
    seen, maps = [], []
    detector = parts.detector(5)
    core = parts.core(detector, Precision(name))
    detector.head.cls_logits.register_forward_hook(lambda module, inputs, output: maps.append(output.dtype))
    plain = core.assigner

    def assigner(anchors, predictions, targets, progress):
        seen.append((predictions.logits.dtype, predictions.deltas.dtype, predictions.auxiliary.dtype))
        seen.append(torch.is_autocast_enabled("cpu"))
        return plain(anchors, predictions, targets, progress)

    core.assigner = assigner
    numbers = core.losses(batch(0), 0.5)
    assert set(maps) == {torch.bfloat16 if name == "bf16" else torch.float16}
    assert seen == [(torch.float32,) * 3, False]
    assert numbers.dtype == torch.float32
    assert all(p.dtype == torch.float32 and p.grad.dtype == torch.float32 for p in detector.parameters())
    exact = parts.core(parts.detector(5)).losses(batch(0), 0.5)
    assert numbers[:3].tolist() == pytest.approx(exact[:3].tolist(), rel=0.05)
    assert numbers[0] != exact[0]


@pytest.mark.parametrize("name", ["fp32", "tf32"])
def test_without_autocast_nothing_changes(parts, name):
    first, second = parts.detector(5), parts.detector(5)
    plain, other = parts.core(first), parts.core(second, Precision(name))
    assert torch.equal(plain.losses(batch(0), 0.5), other.losses(batch(0), 0.5))
    assert Precision(name).state() == {}
    assert Precision(name).scale is None


@pytest.mark.parametrize("name", ["bf16", "fp16"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_gradients_are_those_of_float32_but_for_rounding(parts, name, accumulate):
    """In parts as well: the pass without gradients must not leave its copies of the weights to the one with them."""
    exact, rough = parts.detector(5), parts.detector(5)
    core = parts.core(rough, Precision(name))
    core.accumulate = accumulate
    parts.core(exact).losses(batch(1), 0.5)
    core.losses(batch(1), 0.5)
    scale = core.precision.scale or 1.0
    a = torch.cat([p.grad.flatten() for p in exact.parameters()])
    b = torch.cat([p.grad.flatten() for p in rough.parameters()]) / scale
    assert torch.nn.functional.cosine_similarity(a, b, dim=0) > {"bf16": 0.97, "fp16": 0.999}[name]
    assert float(b.norm()) == pytest.approx(float(a.norm()), rel=0.05)


@pytest.mark.parametrize("clip_norm", [None, 10.0])
def test_a_step_whose_gradients_overflow_is_left_out_and_resumes_bit_for_bit(tmp_path, parts, clip_norm):
    """It moves no weight, halves the scale and trips no check; the scale is in the checkpoint."""

    def made(folder, state=None, start=0):
        one = loop(folder, parts, "fp16", state, clip_norm)
        losses, steps = one.core.losses, itertools.count(start)

        class Overflowing:
            detector = one.core.detector

            def losses(self, batch, progress):
                numbers = losses(batch, progress)
                if next(steps) == 2:
                    next(self.detector.parameters()).grad[0].fill_(math.inf)
                    digests.append(weights_digest(self.detector))
                elif len(digests) == 1:
                    digests.append(weights_digest(self.detector))
                return numbers

        one.core = Overflowing()
        return one

    digests: list[str] = []
    whole = made(tmp_path / "whole")
    whole.run(batches())
    assert digests[0] == digests[1], "the weights have moved"
    scales = [line["loss_scale"] for line in read(tmp_path / "whole/metrics.jsonl")]
    assert scales == [65536.0] * 2 + [32768.0] * 4
    state = checkpoint.load(tmp_path / "whole/checkpoints/00000003.pt")
    assert state["precision"]["scale"] == 32768.0
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut/metrics.jsonl").write_bytes((tmp_path / "whole/metrics.jsonl").read_bytes())
    cut = made(tmp_path / "cut", state, start=3)
    cut.run(batches(3))
    assert weights_digest(cut.core.detector) == weights_digest(whole.core.detector)
    assert (tmp_path / "cut/metrics.jsonl").read_bytes() == (tmp_path / "whole/metrics.jsonl").read_bytes()


def test_a_loss_that_is_not_finite_still_stops_fp16(tmp_path, parts):
    made = loop(tmp_path, parts, "fp16")
    with torch.no_grad():
        made.core.detector.head.cls_logits.bias.fill_(math.nan)
    with pytest.raises(NonFiniteLoss, match="the loss of step 1 is not finite: cls nan"):
        made.run(batches())


def test_gradients_that_are_not_finite_at_any_scale_are_told(tmp_path, parts):
    made = loop(tmp_path, parts, "fp16")
    made.precision._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**-16)
    text = "the gradients of step 3 are not finite at any loss scale"
    with pytest.raises(NonFiniteLoss, match=text):
        made.run(batches())
    assert made.checkpoints.latest is None


def test_a_wrong_name_is_refused():
    with pytest.raises(OutOfRange, match="precision=fp8: must be one of fp32, tf32, bf16, fp16"):
        Precision("fp8")


def test_only_tf32_lets_a_gpu_round_its_products():
    flags = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    try:
        for name in ("tf32", "fp32"):
            Precision(name).apply()
            assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == (name == "tf32")
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = flags
