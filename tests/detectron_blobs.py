"""The blobs of Detectron's ImageNet weights: their names and shapes, as its ResNet.py names them."""

from __future__ import annotations

from collections.abc import Iterator

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
FILES = {
    "MSRA/R-50": (50, 1, 64, "fc1000"),
    "MSRA/R-101": (101, 1, 64, "fc1000"),
    "20171220/X-101-32x8d": (101, 32, 8, "pred"),
    "20171220/X-101-64x4d": (101, 64, 4, "pred"),
    "25093814/X-152-32x8d-IN5k": (152, 32, 8, "pred"),
}
"""Depth, groups, group width and classifier name of the files from which the authors' trainings start."""


def blobs(depth: int, groups: int, width: int, classifier: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Return names and shapes as Detectron's ResNet.py names and abbreviates its blobs."""
    yield "conv1_w", (64, 3, 7, 7)
    yield "res_conv1_bn_s", (64,)
    yield "res_conv1_bn_b", (64,)
    inputs = 64
    for stage, count in enumerate(BLOCKS[depth]):
        inner, outputs = groups * width * 2**stage, 256 * 2**stage
        for block in range(count):
            name = f"res{stage + 2}_{block}"
            branches = [("branch2a", inner, inputs, 1), ("branch2b", inner, inner // groups, 3)]
            branches += [("branch2c", outputs, inner, 1)]
            branches += [("branch1", outputs, inputs, 1)] if block == 0 else []
            for branch, out, channels, kernel in branches:
                yield f"{name}_{branch}_w", (out, channels, kernel, kernel)
                yield f"{name}_{branch}_bn_s", (out,)
                yield f"{name}_{branch}_bn_b", (out,)
            inputs = outputs
    yield f"{classifier}_w", (1000, 2048)
    yield f"{classifier}_b", (1000,)
