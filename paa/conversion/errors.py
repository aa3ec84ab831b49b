"""What can be wrong with the weights of others: every message names the file, and the key where there is one."""

from __future__ import annotations

from paa.engine.checkpoint import CheckpointError


class ConversionError(CheckpointError):
    """A file of weights that cannot be read, or whose network is not ours."""
