from __future__ import annotations

import pytest
import torch
from scenes import anchors_of

from paa.anchors import AnchorGrid


def test_grid_by_hand() -> None:
    anchors = anchors_of([(64, 128)], (64, 128), strides=(32, 64), scale=2.0)
    assert anchors.shapes == ((2, 4), (1, 2))
    assert anchors.counts == (8, 2)
    assert anchors.strides == (32, 64)
    assert anchors.level.tolist() == [0] * 8 + [1] * 2
    assert anchors.boxes.dtype == torch.float32
    assert anchors.boxes[0].tolist() == [16 - 32, 16 - 32, 16 + 32, 16 + 32]
    assert anchors.boxes[1].tolist() == [48 - 32, 16 - 32, 48 + 32, 16 + 32]  # the next column, not the next row
    assert anchors.boxes[4].tolist() == [16 - 32, 48 - 32, 16 + 32, 48 + 32]
    assert anchors.boxes[9].tolist() == [96 - 64, 32 - 64, 96 + 64, 32 + 64]


def test_center_and_legacy_sides() -> None:
    corner = anchors_of([(64, 64)], (64, 64), strides=(32,), scale=8.0, center=0.0)
    assert corner.boxes[3].tolist() == [32 - 128, 32 - 128, 32 + 128, 32 + 128]
    legacy = anchors_of([(64, 64)], (64, 64), strides=(32,), scale=8.0, legacy=True)
    assert legacy.boxes[0].tolist() == [16 - 127.5, 16 - 127.5, 16 + 127.5, 16 + 127.5]


def test_padding_policies() -> None:
    # 40 x 70 in 64 x 128: rows of centers 16, 48; columns of centers 16, 48, 80, 112
    sizes = [(40, 70), (64, 128)]
    out = anchors_of(sizes, (64, 128), strides=(32,), padding="out").inside
    assert out[0].view(2, 4).tolist() == [[True, True, False, False], [False] * 4]
    assert out[1].all()
    assert anchors_of(sizes, (64, 128), strides=(32,), padding="negative").inside.all()
    # 40 x 70 rounded up to 32 is 64 x 96
    rounded = anchors_of(sizes, (64, 128), strides=(32,), padding="out_32").inside
    assert rounded[0].view(2, 4).tolist() == [[True, True, True, False]] * 2
    # and on a coarse level every cell that it reaches into
    coarse = anchors_of([(40, 70)], (128, 256), strides=(64,), padding="out_32").inside
    assert coarse[0].view(2, 4).tolist() == [[True, True, False, False], [False] * 4]


def test_a_center_on_the_edge_is_outside() -> None:
    on_edge = anchors_of([(16, 17)], (64, 64), strides=(32,), padding="out").inside
    assert not on_edge.any()
    assert anchors_of([(17, 17)], (64, 64), strides=(32,), padding="out").inside.sum() == 1


def test_boxes_are_made_once_per_shape() -> None:
    grid = AnchorGrid(strides=(32,))
    first, second = (grid(((2, 2),), torch.tensor([[n, 64]]), (64, 64)) for n in (64, 32))
    assert first.boxes is second.boxes
    assert grid(((2, 3),), torch.tensor([[64, 96]]), (64, 96)).boxes is not first.boxes


def test_so_many_shapes_are_kept_the_last_ones() -> None:
    grid = AnchorGrid(strides=(32,))

    def made(columns: int) -> torch.Tensor:
        return grid(((1, columns),), torch.tensor([[32, 32 * columns]]), (32, 32 * columns)).boxes

    first, second = made(1), made(2)
    for columns in range(3, 66):
        made(1)
        made(columns)
    assert len(grid._cached) == 64
    assert made(1) is first
    assert made(2) is not second
    assert torch.equal(made(2), second)


def test_levels_that_do_not_fit_the_input_are_refused() -> None:
    grid = AnchorGrid(strides=(8, 16))
    with pytest.raises(ValueError, match="level of stride 16 has 4 x 5 cells; an input of 64 x 64 pixels makes 4 x 4"):
        grid(((8, 8), (4, 5)), torch.tensor([[64, 64]]), (64, 64))
    with pytest.raises(ValueError, match=r"1 pyramid levels for 2 strides \[8, 16\]"):
        grid(((8, 8),), torch.tensor([[64, 64]]), (64, 64))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 0}, "scale=0 is out of range: must be a number above 0"),
        ({"strides": (16, 8)}, "must be one or more integers that ascend"),
        ({"strides": ()}, "must be one or more integers that ascend"),
        ({"center": 2}, "center=2 is out of range: must be a number from 0 to 1"),
        ({"padding": "in"}, "must be one of out, negative, out_32"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AnchorGrid(**arguments)  # type: ignore[arg-type]
