"""Trains by one and by several processes, in every way that the tests ask about, and tells what came of it.

    python tests/engine/several_processes.py FOLDER DATA_ROOT

writes FOLDER/outcome.pkl. One process imports torch once and forks the processes of each case.
"""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from running import TINY, configuration, experiment

from paa.engine import checkpoint, distributed
from paa.engine.core import TrainingCore
from paa.experiment.parts import assemble
from paa.store.lock import acquire
from paa.store.record import TrainingRecord
from paa.structures import Batch, Targets

CORES = {
    "paa": ("assign=paa",),
    "atss": ("assign=atss", "auxiliary=centerness"),
    "local": ("assign=paa", "compat=mmdet"),
    "parts": ("assign=paa", "train.accumulate=2"),
}
STEPS = 6
KEYS = (
    f"schedule.steps={STEPS}",
    "tracking.log_every=1",
    "evaluate.every=4",
    "train.batch_size=5",
    "images.train.short=[40,100]",  # every image draws a size of its own: shares would be padded otherwise
    "images.test.batch_size=1",
    "lock.if_locked=skip",
    "postprocess.score_threshold=0.001",
)


def batch(number: int, counts: tuple[int, ...], size: int = 64) -> Batch:
    """Random images with so many boxes each."""
    draw = torch.Generator().manual_seed(number)
    boxes, labels = [], []
    for count in counts:
        near = torch.rand(count, 2, generator=draw) * (size - 24)
        boxes.append(torch.cat([near, near + 6 + torch.rand(count, 2, generator=draw) * 18], 1))
        labels.append(torch.randint(5, (count,), generator=draw))
    sizes = torch.tensor([[size, size - 8 * (i % 2)] for i in range(len(counts))])
    pixels = torch.randn(len(counts), 3, size, size, generator=draw)
    return Batch(pixels, sizes, sizes, Targets.pad(boxes, labels), tuple(range(len(counts))))


def part(whole: Batch, s: slice) -> Batch:
    t = whole.targets
    return Batch(
        whole.images[s],
        whole.sizes[s],
        whole.original[s],
        Targets(t.boxes[s], t.labels[s], t.valid[s]),
        whole.image_ids[s],
    )


BATCHES = [batch(0, (3, 1, 2, 4)), batch(1, (4, 2, 0, 0)), batch(2, (0, 1, 0, 5, 2)), batch(3, (0, 0, 0, 0))]
"""Even ones; the second half without any ground truth; five images over two processes; none at all."""


def cores(group: distributed.ProcessGroup) -> dict[str, Any]:
    """Losses, gradients and final weights of a step for each batch, with each of CORES."""
    out = {}
    for name, overrides in CORES.items():
        parts = assemble(configuration(*TINY, *overrides))
        detector = parts.detector(5)
        core = parts.core(detector, group=group)
        optimizer = torch.optim.SGD(detector.parameters(), lr=0.01)
        rows = []
        for whole in BATCHES:
            optimizer.zero_grad(set_to_none=True)
            numbers = core.losses(part(whole, distributed.shard(group.rank, group.size, len(whole.image_ids))), 0.5)
            grads = {n: p.grad.clone() for n, p in detector.named_parameters() if p.grad is not None}
            rows.append((numbers.tolist(), grads))
            optimizer.step()
        out[name] = rows, checkpoint.weights_digest(detector)
    return out


def primitives(group: distributed.ProcessGroup) -> dict[str, Any]:
    """What the methods of ProcessGroup return, with different input on each process."""
    weights = [torch.zeros(3, requires_grad=True), torch.zeros(2, 3, 1, 2).to(memory_format=torch.channels_last)]
    unused = torch.zeros(2, requires_grad=True)
    weights[1].requires_grad_()
    (weights[0].sum() * (1 + group.rank)).backward()
    if group.rank == 1:
        (weights[1] * torch.arange(12.0).view(2, 3, 1, 2)).sum().backward()
    trained = group.with_gradient([*weights, unused, torch.zeros(1)])
    group.all_reduce_gradients(trained)
    value = torch.full((2,), float(group.rank))
    group.broadcast([value])
    return {
        "trained": [any(t is w for w in weights) for t in trained],
        "gradients": [w.grad.tolist() for w in weights],
        "unused": unused.grad,
        "all_reduce_max": group.all_reduce_max(group.rank, -group.rank),
        "gather": group.gather({"rank": group.rank}),
        "run_on_main": group.run_on_main(lambda: f"of {group.rank}"),
        "first_error": [group.first_error(None), group.first_error(f"problem of {group.rank}" if group.rank else None)],
        "broadcast": value.tolist(),
        "waited": group.barrier(),  # the store ends with the main process
    }


def barriers(folder: Path) -> Callable[..., Any]:
    """A case: whether a late process's file is there after a barrier, and what a barrier is whose peer has failed."""

    def run(group: distributed.ProcessGroup) -> Any:
        late = folder / "late"
        if group.rank == 1:
            time.sleep(0.3)
            late.touch()
        group.barrier()
        seen = late.exists()
        try:
            with group.report_failure():
                if group.rank == 1:
                    fail()
                group.barrier()
        except (ValueError, distributed.PeerFailed) as error:
            return seen, type(error).__name__

    return run


def halves(group: distributed.ProcessGroup) -> list[list[float]]:
    """Numbers of the two halves of the first batch, each normalized by its own statistics."""
    parts = assemble(configuration(*TINY, *CORES["local"]))
    return [parts.core(parts.detector(5)).losses(part(BATCHES[0], s), 0.5).tolist() for s in (slice(2), slice(2, 4))]


def trains(folder: Path, *keys: str, at: dict[int, Callable[[], None]] | None = None) -> Callable[..., Any]:
    """A case: the experiment in `folder`; `at` says what happens to which process amid its third step."""

    def run(group: distributed.ProcessGroup) -> Any:
        steps, losses = itertools.count(1), TrainingCore.losses

        def counted(core: TrainingCore, *args: Any) -> Any:
            if next(steps) == 3 and at and group.rank in at:
                at[group.rank]()
            return losses(core, *args)

        TrainingCore.losses = counted  # type: ignore[method-assign]
        made = experiment(folder, *KEYS, *keys, here=True)
        made.run()
        paths = made.identity.paths
        record = TrainingRecord.read(paths.record) if paths.finished else None
        return {
            "record": record,
            "metrics": paths.metrics.read_text() if paths.metrics.exists() else "",
            "evaluations": made.records(),
            "matches": [p.read_bytes() for p in sorted(paths.evals.glob("*.npz"))],
            "files": sorted(str(p.relative_to(paths.folder)) for p in paths.folder.rglob("*") if "lock" not in p.parts),
        }

    return run


def forked(case: Callable[[distributed.ProcessGroup], Any], count: int, out: Path) -> list[tuple[Any, float]]:
    """What `case` gave or raised on each of `count` processes, and after how many seconds."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(count):
        child = os.fork()
        if child == 0:
            try:
                names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "MASTER_PORT": port}
                os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1")
                distributed.destroy_process_group()
                began = time.monotonic()
                try:
                    result = case(distributed.process_group())
                except Exception as error:
                    result = (type(error).__name__, str(error))
                (out / f"{rank}.pkl").write_bytes(pickle.dumps((result, time.monotonic() - began)))
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    found = [out / f"{rank}.pkl" for rank in range(count)]
    results = [pickle.loads(p.read_bytes()) if p.exists() else (("killed", ""), 0.0) for p in found]
    for path in found:
        path.unlink(missing_ok=True)
    return results


def fail() -> None:
    raise ValueError("a lens cap")


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    torch.set_num_threads(1)
    folder, data = Path(sys.argv[1]), f"data.root={sys.argv[2]}"
    out: dict[str, Any] = {}

    def tell(name: str, case: Callable[[distributed.ProcessGroup], Any], count: int) -> None:
        out[name] = forked(case, count, folder)

    for count in (1, 2):
        tell(f"cores {count}", cores, count)
        tell(f"whole {count}", trains(folder / f"whole {count}", data), count)
    tell("halves", halves, 1)
    tell("primitives", primitives, 2)
    tell("barriers", barriers(folder), 2)
    tell("stopped", trains(folder / "cut", data, at={1: stop}), 2)
    tell("resumed", trains(folder / "cut", data), 2)
    tell("stopped alone", trains(folder / "grown", data, at={0: stop}), 1)
    tell("grown", trains(folder / "grown", data), 2)
    tell("stopped local", trains(folder / "local", data, "compat=mmdet", "train.processes=2", at={0: stop}), 2)
    tell("shrunk local", trains(folder / "local", data, "compat=mmdet", "train.processes=2"), 1)
    tell("resumed local", trains(folder / "local", data, "compat=mmdet", "train.processes=2"), 2)
    for path in (folder / "whole 2").glob("t*/evals/*"):
        path.rename(path.with_name(f"{path.name}.before"))
    tell("evaluated alone", trains(folder / "whole 2", data), 1)
    tell("failed", trains(folder / "failed", data, at={1: fail}), 2)
    tell("killed", trains(folder / "killed", data, at={1: die}), 2)
    tell("too many", trains(folder / "many", data, "train.batch_size=1"), 2)
    with acquire(folder / "busy" / out["whole 1"][0][0]["record"].train_id / "lock"):  # type: ignore[union-attr]
        tell("busy", trains(folder / "busy", data), 2)
    (folder / "outcome.pkl").write_bytes(pickle.dumps(out))


if __name__ == "__main__":
    main()
