"""Runs on disk: their IDs, lock, status, files and records.

settings   which keys of the configuration count in run IDs.
identity   the run ID of a training and the ID of an evaluation, from their configuration.
lock       one training per run ID, among processes and machines.
status     done, running, interrupted, failed, ...
paths      every file of a run.
failure    why the last attempt failed.
record     what a finished training and a finished evaluation contain.
frame      all records as one pandas frame: `paa.runs.collect(runs_dir)`.

Nothing here imports torch, so that `python -m paa.runs` starts fast.
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
