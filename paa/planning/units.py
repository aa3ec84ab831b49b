"""Sizes and times as people read them."""

from __future__ import annotations


def size(count: float) -> str:
    """Format a number of bytes: "1.3 MB"."""
    for unit, least in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= least:
            return f"{count / least:.3g} {unit}"
    return "0" if not count else "<1 kB"


def hours(seconds: float | None) -> str:
    """Format a time in hours: "0.25"; "?" if it is unknown."""
    if seconds is None:
        return "?"
    number = seconds / 3600
    return "0" if not number else "<0.01" if number < 0.005 else f"{number:.2f}" if number < 100 else f"{number:,.0f}"


def span(seconds: float) -> str:
    """Format a time with its unit: "40 minutes"."""
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{hours(seconds)} hours"
