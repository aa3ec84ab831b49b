"""The processes that train one network together: which of them this is, and what they tell one another.

torchrun (or whoever starts the processes) sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT. Tensors go
over NCCL between GPUs and over gloo between CPUs. What steers the processes goes over a gloo group of its own, so that
it never waits for a GPU, and what may take hours (another run's claim) over the store that they met at, which has no
time limit.

Gradients are added up in fixed buckets after the backward pass, and not by DistributedDataParallel: that one rearranges
its buckets after the first step, so that a resumed run would add in another order, and wants every forward pass to go
through it, while here some passes are without gradients and some parameters frozen. The price is that sending does not
overlap with the backward pass.
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
"""Seconds that a process waits for the others within a step before it gives them up."""

_BUCKET = 1 << 23  # elements: 32 MiB of float32, enough for the links to be busy, little beside the activations
_FAILED = "paa/failed"
_GRACE_S = 2.0  # how long a process whose connection broke looks for the reason that the other one left


class PeerFailed(UserError):  # noqa: N818
    """Another process of this training has ended, so this one has to."""


@dataclass(eq=False)
class World:
    """The processes of one training: this one is number `rank` of `size`, and `local_rank` of its machine.

    A world of one process does nothing and costs nothing. All methods are for all processes to call, in the same order.
    One that fails says so (`together`); the others then raise PeerFailed from whatever they wait in.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    store: Any = None
    control: Any = None
    _verdicts: int = 0
    _meetings: int = 0

    @property
    def main(self) -> bool:
        """Whether this process is the one that claims, writes and prints."""
        return self.rank == 0

    def add(self, tensor: Tensor) -> Tensor:
        """The sum of `tensor` over all processes, in its place."""
        if self.size > 1:
            with _connection(self):
                dist.all_reduce(tensor)
        return tensor

    def trained(self, parameters: Iterable[Tensor]) -> list[Tensor]:
        """Those of `parameters` that have a gradient on any process: a matter of the network, not of the data."""
        every = [p for p in parameters if p.requires_grad]
        here = self.highest(*(int(p.grad is not None) for p in every))
        return [p for p, used in zip(every, here, strict=True) if used]

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Sums the gradients of `parameters` over all processes; where this process has none, it counts as 0."""
        if self.size == 1:
            return
        for bucket in _buckets(parameters):
            # In the order of the parameter's memory, so that (but for odd cases) no gradient is copied in transposed.
            views = []
            for parameter in bucket:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                views.append(parameter.grad.permute(_order(parameter)))
            flat = self.add(torch.cat([view.reshape(-1) for view in views]))
            for view, summed in zip(views, flat.split([view.numel() for view in views]), strict=True):
                view.copy_(summed.view(view.shape))

    def spread(self, tensors: Sequence[Tensor]) -> None:
        """Gives all processes the main one's values of `tensors`, in their place."""
        if self.size > 1:
            for tensor in tensors:
                same = tensor.detach().contiguous()
                with _connection(self):
                    dist.broadcast(same, 0)
                with torch.no_grad():
                    tensor.copy_(same)

    def highest(self, *values: int) -> list[int]:
        """The largest of each of `values` over all processes. Nothing waits for a GPU."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.int64)
        with _connection(self):
            dist.all_reduce(tensor, dist.ReduceOp.MAX, group=self.control)
        return [int(value) for value in tensor.tolist()]

    def gather(self, value: T) -> list[T]:
        """`value` of every process, by rank; on the main process alone, others get nothing."""
        if self.size == 1:
            return [value]
        found: list[Any] | None = [None] * self.size if self.main else None
        with _connection(self):
            dist.gather_object(value, found, 0, group=self.control)
        return found or []

    def check(self, stop: StopRequest, step: int) -> None:
        """Raises Interrupted on every process where a stop was asked for on any, amid work after `step`."""
        signum = self.highest(stop.signum or 0)[0]
        if signum:
            raise Interrupted(signum, step)

    def from_main(self, work: Callable[[], T]) -> T:
        """What `work` gives on the main process, which alone does it; the others wait for it as long as it takes."""
        if self.size == 1:
            return work()
        self._verdicts += 1
        key = f"paa/verdict/{self._verdicts}"
        if self.main:
            result = work()
            with _connection(self):
                self.store.set(key, pickle.dumps(result))
            return result
        pause = 0.001
        with _connection(self):
            while not self.store.check([key]):
                self._raise_if_failed()
                time.sleep(pause)
                pause = min(2 * pause, 0.2)
            return pickle.loads(self.store.get(key))

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The block, on the main process before the others, which find what it has left behind."""
        if not self.main:
            self.from_main(lambda: None)
        try:
            yield
        finally:
            if self.main:
                self.from_main(lambda: None)

    def wait_for_main(self) -> None:
        """Waits, as long as it takes, until the main process has come here too; and it until all have heard of it."""
        self.from_main(lambda: None)
        self.highest(0)

    def meet(self) -> None:
        """Waits, as long as it takes, until every process has come here."""
        if self.size == 1:
            return
        self._meetings += 1
        key = f"paa/meeting/{self._meetings}"
        with _connection(self):
            here = self.store.add(key, 1)
            while here < self.size:
                self._raise_if_failed()
                time.sleep(0.05)
                here = self.store.add(key, 0)

    def agree(self, problem: str | None) -> str | None:
        """The problem of the first process that has one, for all; None where none has."""
        if self.size == 1:
            return problem
        found = self.gather(problem)
        return self.from_main(lambda: next((one for one in found if one is not None), None))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Tells the others where this process fails within the block, so that none waits for it.

        The first failure is raised as it is where it happened, and as PeerFailed everywhere else.
        """
        try:
            yield
        except (PeerFailed, Interrupted):  # the latter is agreed upon: all processes raise it at one step
            raise
        except Exception as error:
            if self.size > 1:
                text = f"process {self.rank} failed: {' '.join(str(error).split()) or type(error).__name__}"
                with suppress(RuntimeError):  # the store has gone with the main process: there is nobody left to tell
                    if self.store.compare_set(_FAILED, "", text).decode() != text:
                        self._raise_if_failed()
            raise

    def _raise_if_failed(self) -> None:
        try:
            failed = self.store.check([_FAILED])
            reason = self.store.get(_FAILED).decode() if failed else ""
        except RuntimeError as error:  # the store was the main process's, and went with it
            raise PeerFailed("the process that the others had met at has ended") from error
        if failed:
            raise PeerFailed(f"ended, since {reason}")


ALONE = World()
"""The world of a process that trains by itself."""

_JOINED: list[World] = []


def current(environment: Mapping[str, str] = os.environ) -> World:
    """The world that the environment tells of; at the first call the processes meet, later calls give the same.

    OutOfRange for an environment that says half of it.
    """
    if not _JOINED:
        _JOINED.append(_join(environment))
    return _JOINED[0]


def _join(environment: Mapping[str, str]) -> World:
    size = environment.get("WORLD_SIZE", "1")
    if size == "1":
        return ALONE
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
    return World(rank, count, local_rank, store, dist.new_group(backend="gloo", timeout=timeout))


def leave() -> None:
    """Parts from the other processes at the end of the work; what fails on the way there just ends."""
    if _JOINED and _JOINED[0].size > 1:
        dist.destroy_process_group()
    _JOINED.clear()


def share(rank: int, size: int, count: int) -> slice:
    """The part of `count` things that process `rank` of `size` gets: contiguous, and as even as can be."""
    return slice(rank * count // size, (rank + 1) * count // size)


@contextmanager
def _connection(world: World) -> Iterator[None]:
    """Puts a broken connection in words: the reason that the other process left behind, if it had the time."""
    try:
        yield
    except RuntimeError as error:
        until = time.monotonic() + _GRACE_S
        while time.monotonic() < until:
            world._raise_if_failed()
            time.sleep(0.05)
        raise PeerFailed(f"another process ended without a word, or was silent for {TIMEOUT_S:g} s") from error


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
