from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from paa.anchors import AnchorGrid
from paa.detector import FPN, Detector, Head, ResNet, Tiny


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def build(channels_last: bool = True, seed: int = 0, auxiliary: bool = True) -> Detector:
    torch.manual_seed(seed)
    backbone = Tiny(widths=(8, 16, 16, 24), depths=(0, 1, 1, 1))
    return Detector(backbone, FPN(backbone.out_channels, 16), Head(16, 3, depth=1, auxiliary=auxiliary), channels_last)


@pytest.mark.parametrize(
    ("height", "width", "shapes"),
    [
        (128, 128, ((16, 16), (8, 8), (4, 4), (2, 2), (1, 1))),
        (160, 192, ((20, 24), (10, 12), (5, 6), (3, 3), (2, 2))),
        (800, 1344, ((100, 168), (50, 84), (25, 42), (13, 21), (7, 11))),
        (32, 64, ((4, 8), (2, 4), (1, 2), (1, 1), (1, 1))),
    ],
)
def test_shapes_are_the_anchors(height: int, width: int, shapes: tuple[tuple[int, int], ...]) -> None:
    with torch.no_grad():
        found, levels = build()(torch.randn(1, 3, height, width))
    assert levels == shapes
    anchors = AnchorGrid()(levels, torch.tensor([[height, width]]), (height, width), "cpu")
    count = len(anchors.boxes)
    assert count == sum(h * w for h, w in shapes)
    assert found.auxiliary is not None
    assert (found.logits.shape, found.deltas.shape, found.auxiliary.shape) == ((1, count, 3), (1, count, 4), (1, count))


def test_sides_must_be_multiples_of_32() -> None:
    with pytest.raises(ValueError, match="images of 100 x 128 pixels: pad both sides to multiples of 32"):
        build()(torch.randn(1, 3, 100, 128))


def step(detector: Detector, images: torch.Tensor) -> dict[str, torch.Tensor]:
    found, _ = detector(images)
    loss = found.logits.square().mean() + found.deltas.square().mean()
    if found.auxiliary is not None:
        loss = loss + found.auxiliary.square().mean()
    loss.backward()
    with torch.no_grad():
        for p in detector.parameters():
            if p.grad is not None:
                p -= 0.1 * p.grad
                p.grad = None
    return {name: value.clone() for name, value in detector.state_dict().items()}


def test_one_thread_is_deterministic() -> None:
    images = torch.randn(4, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    runs = []
    for _ in range(2):
        detector = build()
        for _ in range(3):
            state = step(detector, images)
        runs.append(state)
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])


def test_memory_layout_changes_no_result() -> None:
    images = torch.randn(2, 3, 64, 96)
    (last, _), (first, _) = build(True)(images), build(False)(images)
    torch.testing.assert_close(last.logits, first.logits, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(last.deltas, first.deltas, rtol=1e-4, atol=1e-5)


def test_every_parameter_is_reached() -> None:
    detector = build()
    for name, p in detector.named_parameters():
        if "norm2.weight" in name:  # 0 at the start: what lies before it gets no gradient in the first step
            torch.nn.init.ones_(p)
    found, _ = detector(torch.randn(2, 3, 64, 64))
    assert found.auxiliary is not None
    (found.logits.square().sum() + found.deltas.square().sum() + found.auxiliary.square().sum()).backward()
    assert [name for name, p in detector.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_number_of_parameters_of_the_papers_network(norm: str) -> None:
    """By hand: 32.30 M with 80 classes; 32.07 M, as is reported for ATSS, without the frozen stem and C2."""
    backbone = ResNet(50, norm=norm)
    detector = Detector(backbone, FPN(backbone.out_channels), Head(256, 80))

    def conv(inputs: int, outputs: int, kernel: int, bias: bool = False) -> int:
        return inputs * outputs * kernel**2 + (outputs if bias else 2 * outputs)  # else a norm's scale and shift

    resnet, inputs = conv(3, 64, 7), 64
    stem_and_c2 = 0
    for blocks, width in ((3, 64), (4, 128), (6, 256), (3, 512)):
        for i in range(blocks):
            resnet += conv(inputs, width, 1) + conv(width, width, 3) + conv(width, 4 * width, 1)
            resnet += conv(inputs, 4 * width, 1) if i == 0 else 0
            inputs = 4 * width
        stem_and_c2 = stem_and_c2 or resnet
    fpn = sum(conv(c, 256, 1, True) for c in (512, 1024, 2048)) + 5 * conv(256, 256, 3, True)
    head = 8 * (conv(256, 256, 3, True) + 2 * 256) + conv(256, 85, 3, True) + 5
    count = sum(p.numel() for p in detector.parameters())
    assert count == resnet + fpn + head == 32_297_370
    assert round((count - stem_and_c2) / 1e6, 2) == 32.07


def test_names() -> None:
    names = [name for name, _ in build().named_parameters()]
    assert {name.split(".")[0] for name in names} == {"backbone", "fpn", "head"}
    assert {"head.cls_logits.bias", "head.bbox_pred.weight", "head.iou_pred.weight", "head.scales"} <= set(names)
    assert not any("iou_pred" in name for name, _ in build(auxiliary=False).named_parameters())
