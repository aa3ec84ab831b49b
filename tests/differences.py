"""Record how far our numbers are from another implementation's; the end of a test run prints the maxima.

What tests say travels with their reports, so that it arrives from the workers of a parallel run, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

_LARGEST, _SHARE, _TOLD, _FAILS = "largest difference", "share that differs", "told", "fails"


class Differences:
    """Record the differences of one test; `against` names the preset and the other implementation."""

    def __init__(self, record: Callable[[str, object], None], where: str) -> None:
        self._record, self._where = record, where

    def within(self, limit: float, against: str, part: str, ours: Any, theirs: Any, *, relative: bool = False) -> None:
        """Assert that arrays differ by at most `limit`, absolute, or relative to theirs; record the maximum."""
        mine, right = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
        assert mine.shape == right.shape, f"{part}: {mine.shape}, and there {right.shape}"
        if not mine.size:
            return
        gap = np.abs(mine - right)
        if relative:
            gap = gap / np.maximum(np.abs(right), np.finfo(np.float64).tiny)
        self.most(limit, against, f"{part}, {'relative' if relative else 'absolute'}", float(gap.max()))

    def most(self, limit: float, against: str, part: str, found: float) -> None:
        """Assert that a difference is at most `limit`, and record it."""
        self._record(_LARGEST, [against, part, found, limit, self._where])
        assert found <= limit, f"{part} differ from {against} by {found:.3g}, more than {limit:g}"

    def share(self, against: str, part: str, wrong: int, of: int) -> None:
        """Record how many of how many differ; the test has its own limit."""
        self._record(_SHARE, [against, part, int(wrong), int(of)])

    def tell(self, text: str) -> None:
        """Add a line to the report: why something differs, or what the other implementation cannot do."""
        self._record(_TOLD, f"{self._where}: {text}")

    def fails(self, against: str, case: str, how: str) -> None:
        """Record that the other implementation fails where ours does not; the test has asserted it."""
        self._record(_FAILS, [against, case, how])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what the tests of this run recorded."""
    said = defaultdict(list)
    for kind in ("passed", "failed"):
        for report in terminalreporter.stats.get(kind, []):
            for key, value in getattr(report, "user_properties", []):
                said[key].append(value)
    if not said.keys() & {_LARGEST, _SHARE, _FAILS}:
        return
    terminalreporter.section("differences from other implementations")
    lines = [*_largest(said[_LARGEST]), *_shares(said[_SHARE])]
    lines += [f"{against:32} {case:38} fails, ours does not: {how}" for against, case, how in said[_FAILS]]
    for line in [*lines, *dict.fromkeys(said[_TOLD])]:
        terminalreporter.write_line(line)


def _largest(values: list[list[Any]]) -> list[str]:
    worst: dict[tuple[str, str], list[Any]] = {}
    for against, part, found, limit, where in values:
        key = (against, part)
        if key not in worst or found > worst[key][0]:
            worst[key] = [found, limit, where]
    return [
        f"{against:32} {part:38} {found:9.2e}  limit {limit:7.1e}  {where}"
        for (against, part), (found, limit, where) in sorted(worst.items())
    ]


def _shares(values: list[list[Any]]) -> list[str]:
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for against, part, wrong, of in values:
        counts[against, part][0] += wrong
        counts[against, part][1] += of
    return [f"{against:32} {part:38} {n[0]:9} of {n[1]} differ" for (against, part), n in sorted(counts.items())]


@pytest.fixture
def differences(record_property: Callable[[str, object], None], request: pytest.FixtureRequest) -> Differences:
    """Return the test's `Differences`."""
    return Differences(record_property, request.node.name)
