"""Number formats of the network. All that is not the network - boxes, assignment, losses - stays float32 or 64.

fp32  float32 throughout, on GPUs without TF32 (whose products have 10 bits).
tf32  float32, and products of GPUs in TF32; elsewhere the same as fp32.
bf16  autocast to bfloat16: the range of float32 with 8 bits of precision, no scaling needed.
fp16  autocast to float16: 11 bits, but gradients below 6e-8 vanish and above 65504 overflow; so the loss is scaled, and
      a step whose gradients overflow is skipped and the scale halved (torch.amp.GradScaler).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from paa import checks

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_LEAST_SCALE = 2.0**-14


class Precision:
    """How a training computes in `name`, one of PRECISIONS, on `device`. Weights and gradients are always float32.

    OutOfRange for another name.
    """

    def __init__(self, name: str = "fp32", device: torch.device | str = "cpu") -> None:
        self.name = checks.choice("precision", name, PRECISIONS)
        self.device = torch.device(device)
        self._scaler = torch.amp.GradScaler(self.device.type) if name == "fp16" else None

    def apply(self) -> None:
        """Set whether this process's GPU may use TF32, which torch allows in convolutions unless told."""
        allowed = self.name == "tf32"
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed

    def network(self) -> AbstractContextManager:
        """Return the context in which the network's forward pass runs.

        Each pass needs a new one: autocast keeps its copies of the weights to the context's end, and those of a pass
        without gradients would leave one with gradients without any.
        """
        dtype = _AUTOCAST.get(self.name)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`, scaled in fp16."""
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def unscale(self, optimizer: torch.optim.Optimizer) -> None:
        """Divide the gradients by the scale, for use before the step."""
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Do the optimizer's step; in fp16 without effect where a gradient is not finite. Nothing leaves the device."""
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()

    @property
    def scale(self) -> float | None:
        """Return the loss scale of fp16, else None. Waits for the device."""
        return None if self._scaler is None else float(self._scaler.get_scale())

    @property
    def lost(self) -> bool:
        """Whether some thirty steps in a row were skipped: then no scale helps. Waits for the device."""
        return self.scale is not None and self.scale < _LEAST_SCALE

    def state(self) -> dict[str, Any]:
        """Return what the next steps depend on; empty except in fp16."""
        return {} if self._scaler is None else self._scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        if self._scaler is not None and state:
            self._scaler.load_state_dict(state)
