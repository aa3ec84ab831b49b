"""MMDetection's own code as a second implementation, from the folder that `make mmdet` fills.

It stays outside of the environment, whose packages it shares: what it requires is old. mmcv-lite has the Python half of
`mmcv.ops` and not the compiled one, `mmcv._ext`; a module with torchvision's NMS takes its place, and what else mmcv
looks for there is found and refuses to be called.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torchvision
from torch import Tensor

REPO = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("PAA_MMDET") or REPO / "build" / "mmdet").resolve()
VERSION = "3.3.0"


def installed() -> bool:
    """Return whether `make mmdet` has been run here or for the folder PAA_MMDET."""
    return (FOLDER / "mmdet" / "version.py").is_file()


def require() -> None:
    """Skip the test if MMDetection is not installed; otherwise make `import mmdet` work."""
    if not installed():
        pytest.skip(f"no MMDetection in {FOLDER}: `make mmdet` installs it, or PAA_MMDET names a folder that has it")
    activate()


@cache
def activate() -> None:
    """Append MMDetection to the path and provide what mmcv-lite lacks."""
    sys.path.append(str(FOLDER))
    sys.modules["mmcv._ext"] = _compiled_half()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is old: escapes in its strings, and names that torch will drop
        importlib.import_module("mmcv.ops")
        importlib.import_module("mmdet.models")
    found = sys.modules["mmdet"].__version__
    if found != VERSION:
        raise RuntimeError(f"{FOLDER}: this is MMDetection {found}, and these tests are about {VERSION}")


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of the kept boxes, best first: `nms` of mmcv's compiled half."""
    if offset != 0:
        raise ValueError("torchvision's NMS knows no inclusive pixels")
    return torchvision.ops.nms(boxes, scores, iou_threshold)


def _compiled_half() -> types.ModuleType:
    """Return a module in place of `mmcv._ext`."""

    def absent(name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def refuse(*args: Any, **kwargs: Any) -> Any:
            raise RuntimeError(f"{name} is compiled in mmcv, which mmcv-lite is not")

        return refuse

    module = types.ModuleType("mmcv._ext")
    vars(module).update({"nms": _nms, "__getattr__": absent})
    return module
