"""The device and the processes that a run trains on, and what is too much for a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from paa.config.errors import ConfigError
from paa.engine.distributed import ProcessGroup, process_group
from paa.engine.memory import keep_freed_memory

_OWN_THREADS = torch.get_num_threads()

MAX_CPU_PIXELS = 1e10
"""Training pixels (steps x batch size x height x width) that a CPU is used for without `device=cpu`. ResNet-50 with FPN
and head takes 0.7 MFLOP per pixel, forward and backward: almost a day at 100 GFLOP/s. `mini` has 1.5e9 and `coco_1x`
1.2e12."""

_STORED = (480, 640)  # height and width of most COCO images


def device_of(config: Mapping[str, Any]) -> torch.device:
    """Return the device of `device=` on this machine; each of several processes has its own GPU. ConfigError."""
    name, group = config["device"], process_group()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    elif name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device=cuda: torch finds no CUDA device here; use device=auto or device=cpu")
    if name == "cpu" or group.size == 1:
        return torch.device(name)
    if group.local_rank >= torch.cuda.device_count():
        found = f"{torch.cuda.device_count()} GPUs for at least {group.local_rank + 1} processes on this machine"
        raise ConfigError(f"device={config['device']}: {found}; start one process per GPU, or use device=cpu")
    return torch.device("cuda", group.local_rank)


def check_processes(config: Mapping[str, Any], group: ProcessGroup) -> None:
    """ConfigError if so many processes cannot share the steps of this training."""
    size, norm, counted = config["train"]["batch_size"], config["backbone"].get("norm"), config["train"]["processes"]
    if config["criterion"].get("normalizer_sync") == "per_process" and counted != group.size:
        why = "criterion.normalizer_sync=per_process makes the numbers depend on it"
        raise ConfigError(f"train.processes={counted}: must be {group.size}, the number of processes; {why}")
    if size < group.size:
        least = f"must be at least one image for each of the {group.size} processes"
        raise ConfigError(f"train.batch_size={size}: {least}")
    if group.size > 1 and norm == "batch":
        problem = f"its statistics would be those of one of the {group.size} processes"
        raise ConfigError(f"backbone.norm=batch: {problem}; use backbone.norm=group, or one process")


def apply_process(config: Mapping[str, Any]) -> None:
    """Set what holds for the whole process: torch's CPU threads (null: its own choice), deterministic cuDNN algorithms,
    memory that a CPU computes in.
    """
    torch.set_num_threads(config["threads"] or _OWN_THREADS)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    if device_of(config).type == "cpu":
        keep_freed_memory()


def too_long(config: Mapping[str, Any]) -> str | None:
    """Return the reason to refuse a training with device=auto where torch has no GPU; None if it is short enough."""
    if config["device"] != "auto" or torch.cuda.is_available():
        return None
    short, longest = config["images"]["train"]["short"], config["images"]["train"]["longest"]
    side = config["data"].get("size")
    height, width = (side, side) if isinstance(side, int) else _STORED
    if short is not None:
        short = int(np.mean(short))
        height, width = short, min(short * width // height, longest or short * width)
    images = config["schedule"]["steps"] * config["train"]["batch_size"]
    if images * height * width <= MAX_CPU_PIXELS:
        return None
    return (
        f"recipe={config['recipe']['name']}: {images:,} training images of about {height} x {width} pixels take days "
        "on a CPU; add device=cpu to train anyway, or use a machine where torch finds a GPU"
    )
