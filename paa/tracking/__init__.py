"""Where the numbers of a training go besides the files of its folder: nowhere, or to Weights & Biases.

Tracking changes no number and stops no training: what cannot be sent costs one warning.
"""

from paa.tracking.files import Files, RunInfo, Tracker

__all__ = ["Files", "RunInfo", "Tracker"]
