"""A run is its configuration: what it is called, who works on it, where it lies, what it left.

identity  the names of a training and of an evaluation, from their configuration.
lock     one training per identity, over processes and machines.
paths     every file of a run.
failure   why the last attempt failed.
record    what a finished training and a finished evaluation say about themselves.
frame     all records as one pandas frame: `paa.runs.collect(runs_dir)`.

Nothing here imports torch: `python -m paa.runs` answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paa.store.frame import collect

__all__ = ["collect"]


def __getattr__(name: str) -> Any:
    """`collect`, imported where it is asked for: it needs numpy and pycocotools, which most of this package do not."""
    if name == "collect":
        from paa.store.frame import collect

        return collect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
