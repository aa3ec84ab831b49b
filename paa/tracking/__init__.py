"""Where the numbers of a training go besides the files of its folder: nowhere, or to Weights & Biases.

Tracking changes no number and stops no training: what cannot be sent costs a line of warning.
"""

from paa.tracking.files import Files
from paa.tracking.tracker import RunInfo, Tracker, Tracking

__all__ = ["Files", "RunInfo", "Tracker", "Tracking"]
