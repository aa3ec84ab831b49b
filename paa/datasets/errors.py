"""What can be wrong with data: every message is one line that names the file, and the id where there is one."""

from __future__ import annotations

from paa.checks import UserError


class DataError(UserError, ValueError):
    """The data cannot be used as they are."""


class AnnotationError(DataError):
    """An annotation file is missing, is not COCO's, or contradicts itself."""


class ImageError(DataError):
    """An image file is missing, cannot be decoded, or is not as the annotation file says."""
