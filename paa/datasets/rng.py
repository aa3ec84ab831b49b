"""Random integers that are the same on any machine: drawn from the raw bits of PCG64, keyed by what they are for.

NumPy promises the raw stream of a bit generator for all versions, but not what `Generator`'s methods make of it; so
ranges, permutations and bytes are made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

SHAPES, ORDER, AUGMENT, BOOTSTRAP = 1, 2, 3, 4
"""First word of a key: drawing the embedded images, the order of training images, an image's augmentation, resamples of
the test images.
"""

_BLOCK = 64


class Rng:
    """A stream of random integers that depends only on its key.

    key: non-negative integers below 2**32; the first is the purpose, so that no two uses share a stream.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(list(key))
        self._pool: list[int] = []

    def randbelow(self, count: int) -> int:
        """Draw from 0 ... count - 1, for 1 <= count <= 2**32; multiply-shift, off from uniform by under 2**-32."""
        if not self._pool:
            self._pool = [int(word) >> 32 for word in self._bits.random_raw(_BLOCK)[::-1]]
        return (self._pool.pop() * count) >> 32

    def randint(self, low: int, high: int) -> int:
        """Draw uniformly from low ... high, both included."""
        return low + self.randbelow(high - low + 1)

    def bernoulli(self, numerator: int, denominator: int) -> bool:
        """Return True with probability numerator / denominator."""
        return self.randbelow(denominator) < numerator

    def choice(self, options: Sequence[T]) -> T:
        """Draw one of `options`, each equally likely."""
        return options[self.randbelow(len(options))]

    def indices(self, number: int, count: int) -> np.ndarray:
        """Draw `number` integers uniform in 0 ... count - 1, int64: other ones than `randbelow` would give."""
        words = self._bits.random_raw(number) >> np.uint64(32)
        return ((words * np.uint64(count)) >> np.uint64(32)).astype(np.int64)

    def randbytes(self, count: int) -> np.ndarray:
        """Draw `count` uniform bytes, uint8, the same whatever the machine's byte order."""
        words = self._bits.random_raw(-(-count // 8)).astype("<u8")
        return words.view(np.uint8)[:count]

    def permutation(self, count: int) -> np.ndarray:
        """Draw a permutation of 0 ... count - 1, int64 [count]: the order of `count` random 64-bit keys."""
        return np.argsort(self._bits.random_raw(count), kind="stable")
