"""The group of processes that train one network together.

torchrun (or whatever starts the processes) sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. Tensors
travel over NCCL between GPUs and over gloo between CPUs. Control messages use a separate gloo group, so that they never
wait for a GPU. Waits that may take hours (for another run's lock) use the rendezvous store, which has no time limit.

Gradients are summed in fixed buckets after the backward pass, not by DistributedDataParallel: DDP rearranges its
buckets after the first step, so that a resumed run would sum in another order, and it requires every forward pass to go
through it, while some passes here are without gradients and some parameters frozen. The price is that communication
does not overlap with the backward pass.
"""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from paa import checks
from paa.checks import UserError
from paa.engine.signals import Interrupted, StopRequest

T = TypeVar("T")

TIMEOUT_S = 1200.0
"""Seconds that a process waits for the others within a step."""

_BUCKET = 1 << 23  # elements: 32 MiB of float32, enough for the links to be busy, little beside the activations
_FAILED = "paa/failed"
_GRACE_S = 2.0  # how long a process whose connection broke looks for the failure that another one reported


class PeerFailed(UserError):  # noqa: N818
    """Another process of the group has ended, so this one has to."""


@dataclass(eq=False)
class ProcessGroup:
    """The processes of one training: this one has number `rank` of `size`, and `local_rank` on its machine.

    All processes call all methods, in the same order. A group of one process communicates nothing. A process that fails
    reports it (`report_failure`); the others then raise PeerFailed from whatever they wait in.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    store: Any = None
    control: Any = None
    _waits: int = 0

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that locks, writes and prints."""
        return self.rank == 0

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Sum `tensor` over all processes, in place."""
        if self.size > 1:
            with self._connection():
                dist.all_reduce(tensor)
        return tensor

    def all_reduce_max(self, *values: int) -> list[int]:
        """Return the largest of each of `values` over all processes, without waiting for a GPU."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.int64)
        with self._connection():
            dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.control)
        return [int(value) for value in tensor.tolist()]

    def with_gradient(self, parameters: Iterable[Tensor]) -> list[Tensor]:
        """Return those of `parameters` that have a gradient on any process: it depends on the network, not the data."""
        every = [p for p in parameters if p.requires_grad]
        here = self.all_reduce_max(*(int(p.grad is not None) for p in every))
        return [p for p, used in zip(every, here, strict=True) if used]

    def all_reduce_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Sum the gradients of `parameters` over all processes; a missing one counts as 0."""
        if self.size == 1:
            return
        for bucket in _buckets(parameters):
            # In the order of the parameter's memory, so that (but for odd cases) no gradient is copied in transposed.
            views = []
            for parameter in bucket:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                views.append(parameter.grad.permute(_order(parameter)))
            flat = self.all_reduce(torch.cat([view.reshape(-1) for view in views]))
            for view, summed in zip(views, flat.split([view.numel() for view in views]), strict=True):
                view.copy_(summed.view(view.shape))

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Copy the main process's values of `tensors` to all processes, in place."""
        if self.size > 1:
            for tensor in tensors:
                same = tensor.detach().contiguous()
                with self._connection():
                    dist.broadcast(same, 0)
                with torch.no_grad():
                    tensor.copy_(same)

    def gather(self, value: T) -> list[T]:
        """Return `value` of every process by rank, on the main process only; others get an empty list."""
        if self.size == 1:
            return [value]
        found: list[Any] | None = [None] * self.size if self.is_main else None
        with self._connection():
            dist.gather_object(value, found, 0, group=self.control)
        return found or []

    def barrier(self) -> None:
        """Wait until every process is here, without a time limit; none leaves before all know."""
        if self.size > 1:
            self._waits += 1
            key = f"paa/barrier/{self._waits}"
            with self._connection():
                self.store.add(key, 1)
                self._poll(lambda: self.store.add(key, 0) == self.size)
            self.all_reduce_max(0)

    def run_on_main(self, work: Callable[[], T]) -> T:
        """Run `work` on the main process only and broadcast its result; the others wait without a time limit."""
        if self.size == 1:
            return work()
        self._waits += 1
        key = f"paa/result/{self._waits}"
        if self.is_main:
            result = work()
            with self._connection():
                self.store.set(key, pickle.dumps(result))
            return result
        with self._connection():
            self._poll(lambda: self.store.check([key]))
            return pickle.loads(self.store.get(key))

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """Run the block on the main process before the others, which find what it has left behind."""
        if not self.is_main:
            self.run_on_main(lambda: None)
        try:
            yield
        finally:
            if self.is_main:
                self.run_on_main(lambda: None)

    def first_error(self, problem: str | None) -> str | None:
        """Return, on all processes, the problem of the first one that has any; None where none has."""
        found = self.gather(problem)
        return self.run_on_main(lambda: next((one for one in found if one is not None), None))

    def raise_if_stopped(self, stop: StopRequest, step: int) -> None:
        """Raise Interrupted on every process if a stop was requested on any, during work after `step`."""
        signum = self.all_reduce_max(stop.signum or 0)[0]
        if signum:
            raise Interrupted(signum, step)

    @contextmanager
    def report_failure(self) -> Iterator[None]:
        """Report a failure of this process within the block to the others, so that none waits for it.

        The first failure is raised as it is where it happened, and as PeerFailed everywhere else.
        """
        try:
            yield
        except (PeerFailed, Interrupted):  # the latter is agreed upon: all processes raise it at one step
            raise
        except Exception as error:
            if self.size > 1:
                text = f"process {self.rank} failed: {' '.join(str(error).split()) or type(error).__name__}"
                with suppress(RuntimeError):  # the store has ended with the main process: nobody is left to read it
                    if self.store.compare_set(_FAILED, "", text).decode() != text:
                        self._raise_if_failed()
            raise

    def _poll(self, ready: Callable[[], bool]) -> None:
        pause = 0.001
        while not ready():
            self._raise_if_failed()
            time.sleep(pause)
            pause = min(2 * pause, 0.2)

    def _raise_if_failed(self) -> None:
        try:
            failed = self.store.check([_FAILED])
            reason = self.store.get(_FAILED).decode() if failed else ""
        except RuntimeError as error:  # the store was the main process's, and ended with it
            raise PeerFailed("the main process has ended") from error
        if failed:
            raise PeerFailed(f"stopped, because {reason}")

    @contextmanager
    def _connection(self) -> Iterator[None]:
        """Turn a broken connection into PeerFailed, with the failure that the other process reported if it could."""
        try:
            yield
        except RuntimeError as error:
            until = time.monotonic() + _GRACE_S
            while time.monotonic() < until:
                self._raise_if_failed()
                time.sleep(0.05)
            raise PeerFailed(f"another process ended without a report, or was silent for {TIMEOUT_S:g} s") from error


SINGLE_PROCESS = ProcessGroup()
"""The group of a process that trains by itself."""

_group: ProcessGroup | None = None


def process_group(environment: Mapping[str, str] = os.environ) -> ProcessGroup:
    """Return the group that the environment describes; the first call connects the processes.

    OutOfRange for an incomplete environment.
    """
    global _group
    if _group is None:
        _group = _connect(environment)
    return _group


def destroy_process_group() -> None:
    """Disconnect from the other processes at the end of the work; a process that fails ends without it."""
    global _group
    if _group is not None and _group.size > 1:
        dist.destroy_process_group()
    _group = None


def _connect(environment: Mapping[str, str]) -> ProcessGroup:
    size = environment.get("WORLD_SIZE", "1")
    if size == "1":
        return SINGLE_PROCESS
    missing = [n for n in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if n not in environment]
    if missing:
        problem = f"={size}, but {', '.join(missing)} is not set: start the processes with torchrun, or unset it"
        raise checks.OutOfRange("WORLD_SIZE", problem)
    local_rank, timeout = int(environment["LOCAL_RANK"]), timedelta(seconds=TIMEOUT_S)
    backend = "gloo"
    if torch.cuda.is_available() and local_rank < torch.cuda.device_count():
        torch.cuda.set_device(local_rank)
        backend = "cpu:gloo,cuda:nccl" if dist.is_nccl_available() else backend
    store, rank, count = next(dist.rendezvous("env://", timeout=timeout))
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=timeout)
    return ProcessGroup(rank, count, local_rank, store, dist.new_group(backend="gloo", timeout=timeout))


def shard(rank: int, size: int, count: int) -> slice:
    """Return the part of `count` items that process `rank` of `size` gets: contiguous, and as even as possible."""
    return slice(rank * count // size, (rank + 1) * count // size)


def _order(tensor: Tensor) -> list[int]:
    """The dimensions of a dense tensor, the one of the largest steps in memory first."""
    strides = tensor.stride()
    return sorted(range(tensor.dim()), key=lambda d: (-strides[d], d))


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """The tensors in order, in lists of one type and of about `_BUCKET` elements."""
    bucket: list[Tensor] = []
    for tensor in tensors:
        if bucket and (sum(t.numel() for t in bucket) + tensor.numel() > _BUCKET or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket = []
        bucket.append(tensor)
    if bucket:
        yield bucket
