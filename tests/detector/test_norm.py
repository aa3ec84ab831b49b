from __future__ import annotations

import pytest

from paa.checks import OutOfRange
from paa.detector.norm import group_count, group_norm


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(256, 32), (512, 32), (128, 16), (64, 8), (48, 6), (36, 4), (20, 2), (30, 3), (7, 1), (1, 1)],
)
def test_group_count(channels: int, groups: int) -> None:
    assert group_count(channels) == groups
    norm = group_norm(channels)
    assert (norm.num_groups, norm.num_channels) == (groups, channels)


def test_a_prime_width_is_one_group() -> None:
    assert group_count(67) == 1


def test_fewer_groups_on_request() -> None:
    assert group_count(256, 16) == 16
    assert group_count(96, 5) == 4


def test_refusals() -> None:
    with pytest.raises(OutOfRange, match="groups=0"):
        group_count(64, 0)
    with pytest.raises(OutOfRange, match="channels=0"):
        group_count(0)
