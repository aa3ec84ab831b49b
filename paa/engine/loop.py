"""The training loop: steps, checkpoints and metrics, and nothing else."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from paa.checks import Checked, UserError, checked, integer, number
from paa.datasets.loader import WorkerDied
from paa.engine.checkpoint import Checkpoints, random_states, restore_random_states
from paa.engine.core import NUMBERS, TrainingCore
from paa.engine.distributed import SINGLE_PROCESS, ProcessGroup
from paa.engine.metrics import Metrics
from paa.engine.precision import Precision
from paa.engine.progress import TrainProgress
from paa.engine.schedule import Schedule
from paa.engine.signals import Interrupted, StopRequest
from paa.structures import Batch


class NonFiniteLoss(UserError):  # noqa: N818
    """A loss is NaN or infinite, or, where `parts` is empty, the weights are though the loss was not.

    On the CPU the weights are still those before the step. The last checkpoint is kept.
    """

    def __init__(self, step: int, image_ids: tuple[int, ...], parts: dict[str, float], what: str) -> None:
        super().__init__(
            f"{what}; image ids {', '.join(map(str, image_ids))}. "
            "The last good checkpoint is kept; a lower optim.lr or train.clip_norm=10 usually helps"
        )
        self.step, self.image_ids, self.parts = step, image_ids, parts


class OutOfMemory(UserError):  # noqa: N818
    """A step does not fit into memory. `saved` says what is kept."""

    def __init__(self, saved: str, error: BaseException) -> None:
        super().__init__(
            f"out of memory ({str(error).splitlines()[0] if str(error) else 'MemoryError'}): {saved}. "
            "train.accumulate=2 halves what a step needs, with equal results; images.train.longest bounds large images"
        )


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that no memory was left, on the CPU or a GPU."""
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or "not enough memory" in str(error) or "annot allocate memory" in str(error)


@dataclass(frozen=True)
class LoopSettings(Checked):
    """Set how often the loop does what is not training.

    evaluate_every steps (0: never), log_every steps, checkpoint_every steps and checkpoint_every_s seconds,
    whichever comes first; clip_norm is the largest norm of the gradient, or None.
    """

    evaluate_every: int = checked(integer, 0, low=0)
    log_every: int = checked(integer, 20, low=1)
    checkpoint_every: int = checked(integer, 500, low=1)
    checkpoint_every_s: float = checked(number, 300, above=0)
    clip_norm: float | None = checked(number, None, above=0)


@dataclass
class Loop:
    """Train `core` from step `start` to the schedule's end.

    `evaluate(step)` returns numbers to log; it may raise Interrupted, and is then called again on resumption.
    `step_context()` wraps each step (a profiler's); `extra()` is kept in each checkpoint; `observe(done)` is called at
    the start and after each step, and changes nothing. A stop request ends the loop after the current step with a
    checkpoint and raises Interrupted.

    Each process of `group` runs its loop on its share of each batch, and all stop at the same step. Only the main one
    uses `checkpoints` and `observe`, and has `metrics` and `progress`. `batch_size` is the number of images of a step
    over all of them, whose shares need not be even; None: those of this process.
    """

    core: TrainingCore
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    settings: LoopSettings
    checkpoints: Checkpoints
    metrics: Metrics | None
    progress: TrainProgress | None
    stop: StopRequest
    device: torch.device
    evaluate: Callable[[int], dict[str, Any]] | None = None
    step_context: Callable[[], AbstractContextManager] = nullcontext
    extra: Callable[[], dict[str, Any]] = dict
    observe: Callable[[int], None] = lambda done: None
    precision: Precision = field(default_factory=Precision)
    group: ProcessGroup = SINGLE_PROCESS
    batch_size: int | None = None
    start: int = 0
    random: dict[str, Any] | None = None
    _pending: list[tuple[int, tuple[int, ...], Tensor]] = field(default_factory=list)
    pending_evaluation: bool = False
    _updating: bool = False

    def state(self, step: int, others: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """Return all that the steps from `step` on depend on; `others` are the other processes' random states."""
        state = {
            "step": step,
            "model": self.core.detector.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {"steps": self.schedule.steps, "next_factor": self.schedule.factor(step)},
            "sampler": {"next_step": step},
            "window": [numbers.cpu() for _, _, numbers in self._pending],  # steps since the last logged line
            "pending_evaluation": self.pending_evaluation,
            "metrics": self.metrics.mark() if self.metrics is not None else 0,
            "random": random_states(),
            "extra": self.extra(),
        }
        own = {"precision": self.precision.state(), "random_of_others": list(others)}
        return state | {name: value for name, value in own.items() if value}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.core.detector.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.precision.restore(state.get("precision", {}))
        # Only a network or an assigner that draws needs the states; with another number of processes, all use the main
        # one's.
        every = [state["random"], *state.get("random_of_others", [])]
        self.start, self.random = state["step"], every[self.group.rank if len(every) == self.group.size else 0]
        self._pending = [(-1, (), numbers.to(self.device)) for numbers in state["window"]]
        self.pending_evaluation = state["pending_evaluation"]

    def run(self, batches: Iterable[Batch]) -> None:
        """Run the steps from `start` on; `batches` begins at that step."""
        steps, stream, main = self.schedule.steps, iter(batches), self.group.is_main
        if self.pending_evaluation:
            self._evaluate(self.start)
            self.group.raise_if_stopped(self.stop, self.start)
        self.core.detector.train()
        if main:
            self.observe(self.start)
        saved_at, logged_at, logged_step = time.monotonic(), time.monotonic(), self.start
        for step in range(self.start, steps):
            batch = self._next(stream, step).to(self.device, non_blocking=True)
            if self.random is not None:
                # Starting the workers drew from the generators: restore the states of the checkpoint.
                restore_random_states(self.random)
                self.random = None
            try:
                with self.step_context():
                    self._step(step, batch)
            except (MemoryError, RuntimeError) as error:
                if out_of_memory(error):
                    raise OutOfMemory(self._saved(step), error) from error
                raise
            done = step + 1
            if self.progress is not None:
                self.progress.advance(done)
            if done % self.settings.log_every == 0 or done == steps:
                now = time.monotonic()
                images = (done - logged_step) * (self.batch_size or len(batch.image_ids))
                self._log(done, images / max(now - logged_at, 1e-9))
                logged_at, logged_step = now, done
            if (
                self.evaluate
                and self.settings.evaluate_every
                and done % self.settings.evaluate_every == 0
                and done < steps
            ):
                self._evaluate(done)
                self.core.detector.train()
                logged_at, logged_step = time.monotonic(), done
            if main:
                self.observe(done)
            late = main and time.monotonic() - saved_at >= self.settings.checkpoint_every_s
            stopping, overdue = self.group.all_reduce_max(self.stop.signum or 0, late)
            if done % self.settings.checkpoint_every == 0 or overdue or stopping or done == steps:
                self._save(done, batch.image_ids)
                saved_at = time.monotonic()
            if stopping and done < steps:
                self.group.barrier()  # none leaves before the checkpoint is on the disk
                raise Interrupted(stopping, done)

    def _next(self, stream: Iterator[Batch], step: int) -> Batch:
        """The batch of a step; where its loader has died, save and end as a kill does, so that a scheduler requeues."""
        try:
            return next(stream)
        except WorkerDied as error:
            if self.group.size > 1:  # the others are within a step, and cannot save
                raise
            self._saved(step)
            raise Interrupted(signal.SIGKILL, step, str(error)) from error

    def _saved(self, step: int) -> str:
        """Save what stands before `step`, if this process can do so by itself; say what is kept."""
        if self.group.size == 1 and step > self.start and not self._updating:
            self._pending = [numbers for numbers in self._pending if numbers[0] < step]
            with suppress(MemoryError, RuntimeError):
                self._save(step, ())
                return f"step {step + 1} was not done; the {step} before it are saved"
        return f"step {step + 1} was not done; the last checkpoint is kept"

    def _save(self, done: int, image_ids: tuple[int, ...]) -> None:
        self._check_finite()
        self._check_weights(done - 1, image_ids)
        others = self.group.gather(random_states())[1:] if self.group.size > 1 else []
        if self.group.is_main:
            self.checkpoints.save(done, self.state(done, others) if others else self.state(done))

    def _evaluate(self, done: int) -> None:
        assert self.evaluate is not None
        self._check_finite()
        self.pending_evaluation = True
        if not self.group.all_reduce_max(self.stop.signum or 0)[0]:
            with suppress(Interrupted):
                found = self.evaluate(done)
                if self.metrics is not None:
                    self.metrics.write(step=done, **found)
                self.pending_evaluation = False

    def _step(self, step: int, batch: Batch) -> None:
        factor = self.schedule.factor(step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
        self.optimizer.zero_grad(set_to_none=True)
        numbers = self.core.losses(batch, step / self.schedule.steps)
        self._pending.append((step, batch.image_ids, numbers))
        if self.device.type == "cpu":
            # Elsewhere reading a number would wait for the device: there it waits for the next log line or checkpoint.
            self._check_finite()
        if self.settings.clip_norm is not None:
            self.precision.unscale(self.optimizer)
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip_norm, foreach=True)
        self._updating = True
        self.precision.step(self.optimizer)
        self._updating = False

    def _check_finite(self) -> None:
        if not self._pending:
            return
        unread = self._pending if self.device.type != "cpu" else self._pending[-1:]
        values = torch.stack([numbers for _, _, numbers in unread]).tolist()
        for (step, image_ids, _), row in zip(unread, values, strict=True):
            parts = dict(zip(NUMBERS[:3], row[:3], strict=True))
            if not all(map(math.isfinite, parts.values())):
                # The numbers are those of all processes, and so is this refusal.
                listed = ", ".join(f"{name} {value:g}" for name, value in parts.items())
                every = sum(self.group.gather(image_ids), ()) or image_ids
                raise NonFiniteLoss(step + 1, every, parts, f"the loss of step {step + 1} is not finite: {listed}")

    def _check_weights(self, step: int, image_ids: tuple[int, ...]) -> None:
        """Raise if a weight is not finite after a finite loss: the last good checkpoint must not be replaced."""
        finite = [p.detach().isfinite().all() for p in self.core.detector.parameters()]
        if self.precision.lost:
            lost = f"the gradients of step {step + 1} are not finite at any loss scale (precision=fp16)"
            raise NonFiniteLoss(step + 1, image_ids, {}, lost)
        if not bool(torch.stack(finite).all()):
            raise NonFiniteLoss(step + 1, image_ids, {}, f"step {step + 1} made weights that are not finite")

    def _log(self, done: int, rate: float) -> None:
        self._check_finite()
        mean = torch.stack([numbers for _, _, numbers in self._pending]).double().mean(0).tolist()
        named = dict(zip(NUMBERS, mean, strict=True))
        self._pending.clear()
        values = {f"loss_{name}": named[name] for name in NUMBERS[:3]}
        values = {"loss": sum(values.values()), **values}
        values["positives"] = named["positives"]
        values["positives_per_gt"] = named["positives"] / max(named["ground_truths"], 1e-9)
        values["without_positive"] = named["without_positive"]
        values["lr"] = self.optimizer.param_groups[0]["lr"]
        if self.precision.scale is not None:
            values["loss_scale"] = self.precision.scale
        if self.metrics is not None:
            # Without the pace, so that equal trainings write equal files.
            self.metrics.write(step=done, **values)
        if self.progress is not None:
            self.progress.report(done, {**values, "images_per_s": rate})
