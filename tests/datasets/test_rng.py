import numpy as np
import pytest

from paa.datasets.rng import AUGMENT, SHAPES, Rng

KNOWN_BELOW = [85, 31, 79, 61, 77, 98, 69, 77]
KNOWN_ORDER = [5, 3, 2, 1, 0, 6, 7, 4]
KNOWN_OCTETS = [222, 87, 232, 135, 133]


def test_stream_is_the_high_half_of_the_raw_words():
    raw = np.random.PCG64([SHAPES, 4, 5]).random_raw(200)
    rng = Rng(SHAPES, 4, 5)
    assert [rng.randbelow(1000) for _ in range(200)] == [((int(word) >> 32) * 1000) >> 32 for word in raw]


def test_known_values():
    rng = Rng(AUGMENT, 7, 3, 11)
    assert [rng.randbelow(100) for _ in range(8)] == KNOWN_BELOW
    assert Rng(AUGMENT, 7).permutation(8).tolist() == KNOWN_ORDER
    assert Rng(AUGMENT, 7).randbytes(5).tolist() == KNOWN_OCTETS


def test_many_indices_are_the_high_halves_of_the_raw_words():
    raw = np.random.PCG64([SHAPES, 4, 5]).random_raw(200)
    found = Rng(SHAPES, 4, 5).indices(200, 37)
    assert found.tolist() == [((int(word) >> 32) * 37) >> 32 for word in raw]
    assert found.dtype == np.int64


@pytest.mark.parametrize("count", [1, 2, 7, 100])
def test_values_are_in_range_and_all_come_up(count):
    rng = Rng(1, count)
    seen = [rng.randbelow(count) for _ in range(count * 60)]
    assert sorted(set(seen)) == list(range(count))


def test_between_includes_both_ends_and_chance_has_its_rate():
    rng = Rng(2, 0)
    assert {rng.randint(-2, 2) for _ in range(300)} == {-2, -1, 0, 1, 2}
    rate = sum(rng.bernoulli(1, 4) for _ in range(8000)) / 8000
    assert abs(rate - 0.25) < 0.02


def test_keys_do_not_share_a_stream():
    streams = {tuple(Rng(*key).randbytes(16)) for key in [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (1, 0, 2)]}
    assert len(streams) == 5


def test_permutation_is_one():
    assert sorted(Rng(2, 9).permutation(1000).tolist()) == list(range(1000))
