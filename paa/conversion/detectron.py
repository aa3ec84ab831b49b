"""Detectron's ImageNet weights (.pkl): Caffe2's blobs, as the weights of a backbone under torchvision's names.

The file is a pickle. It is read by an unpickler that knows numpy's arrays and plain containers, and refuses all else by
name: nothing in the file is executed. Its BatchNorm is only a scale and a shift (AffineChannel): mean 0 and variance 1
are put beside them, which is exact for a BatchNorm without epsilon.
"""

from __future__ import annotations

import codecs
import collections
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from paa.conversion.errors import ConversionError
from paa.conversion.naming import Renamed, rename

BRANCHES = {"branch2a": "conv1", "branch2b": "conv2", "branch2c": "conv3", "branch1": "downsample.0"}
NORMS = {"branch2a": "bn1", "branch2b": "bn2", "branch2c": "bn3", "branch1": "downsample.1"}
LEAVES = {"s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"}


def _block(match: re.Match[str]) -> str:
    stage, block, branch, leaf = match.groups()
    inner = f"{BRANCHES[branch]}.weight" if leaf == "w" else f"{NORMS[branch]}.{LEAVES[leaf.removeprefix('bn_')]}"
    return f"layer{int(stage) - 1}.{int(block)}.{inner}"


RULES = (
    (r"conv1_w", "conv1.weight"),
    (r"res_conv1_bn_(s|b|rm|riv)", lambda m: f"bn1.{LEAVES[m[1]]}"),
    (r"res([2-5])_(\d+)_(branch2[abc]|branch1)_(w|bn_(?:s|b|rm|riv))", _block),
)

UNUSED = (
    r"(?:fc1000|pred)_[wb]",  # the classifier
    r"(?:conv1|res\d_\d+_branch(?:1|2[abc]))_b",  # biases next to 0, which no network of Detectron's reads
    r".*_momentum",
)


def read(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """The arrays of floats in a pickle by name, and the names of what is none; ConversionError where it holds code."""
    if not path.is_file():
        raise ConversionError(f"{path}: no such file; must be a checkpoint, .pth or .pkl")
    try:
        with path.open("rb") as file:
            found = _Restricted(file, encoding="latin1").load()  # written by Python 2
    except ConversionError as error:
        raise ConversionError(f"{path}: {error}") from error
    except Exception as error:  # a pickle fails with any type, by the kind of damage
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConversionError(f"{path}: cannot be read as a pickle of arrays ({reason})") from error
    blobs = found.get("blobs", found) if isinstance(found, Mapping) else {}
    arrays = {
        str(name): torch.from_numpy(np.array(value, dtype=np.float32))
        for name, value in blobs.items()
        if isinstance(value, np.ndarray) and value.dtype.kind == "f"
    }
    if not arrays:
        raise ConversionError(f"{path}: holds no arrays by name; must be a file of Detectron's")
    return arrays, [str(name) for name in blobs if str(name) not in arrays]


def convert(blobs: Mapping[str, Tensor]) -> Renamed:
    """The weights of a backbone under torchvision's names, with statistics of 0 and 1 where there are none."""
    renamed = rename(blobs, RULES, UNUSED)
    for name in [name for name in renamed.state if re.search(r"(?:\bbn\d|downsample\.1)\.weight$", name)]:
        scale, layer = renamed.state[name], name.removesuffix("weight")
        for leaf, made in (("running_mean", torch.zeros_like(scale)), ("running_var", torch.ones_like(scale))):
            if layer + leaf not in renamed.state:
                renamed.state[layer + leaf] = made
                renamed.theirs[layer + leaf] = f"({leaf} of {renamed.theirs[name]})"
    return renamed


def _numpys() -> dict[tuple[str, str], Any]:
    """What an array is made of, under the names of numpy 1 and 2."""
    rebuild, scalar = np.empty(0).__reduce__()[0], np.float64(0).__reduce__()[0]
    known: dict[tuple[str, str], Any] = {("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        known |= {(module, "_reconstruct"): rebuild, (module, "scalar"): scalar}
    return known


class _Restricted(pickle.Unpickler):
    """Reads arrays and plain containers."""

    known = _numpys() | {
        ("collections", "OrderedDict"): collections.OrderedDict,
        ("_codecs", "encode"): codecs.encode,  # bytes in old protocols
    }

    def find_class(self, module: str, name: str) -> Any:
        """Return one of `known`; ConversionError for anything else."""
        if (module, name) not in self.known:
            raise ConversionError(f"holds {module}.{name}, which is code and is not read; must hold only arrays")
        return self.known[module, name]
