"""From checked jobs to jobs of SLURM, through submitit; and again, from what a sweep's folder says."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from paa.checks import UserError
from paa.launch import queue
from paa.launch.ledger import Array, Sweep
from paa.launch.settings import SlurmSettings
from paa.launch.task import Task

_SIGNAL = "SUBMITIT_PREEMPT_SIGNAL"

AGAIN_S = 60
"""Seconds that a batch script which has put its own job back waits for SLURM to end it."""


class Refused(UserError):  # noqa: N818
    """A submission that SLURM does not take; the message says why, and what was submitted before."""


def submit(sweep: Sweep, numbers: Sequence[int], say: Callable[[str], None]) -> list[Array]:
    """Submits these entries of a sweep, each training as one job, in as few arrays as the cluster takes. Refused."""
    strange = sorted(set(sweep.settings) - set(SlurmSettings.__dataclass_fields__))
    if strange:
        raise Refused(f"{sweep.folder}: noted by another version of paa ({', '.join(strange)}); give its command again")
    settings = SlurmSettings(**sweep.settings)
    if os.environ.get(_SIGNAL, "USR2") != "USR2":
        raise Refused(f"{_SIGNAL}={os.environ[_SIGNAL]}: runs save at USR2 alone; unset it")
    contents = sweep.contents(numbers)
    arrays: list[Array] = []
    try:
        most = min(queue.max_array_size(), settings.max_array or 1 << 30)
        sweep.logs.mkdir(parents=True, exist_ok=True)
        with _within(Path(sweep.directory)):
            for parts in _arrays(sweep, contents, settings, most):
                arrays.append(_submit_array(sweep, parts, contents, settings))
    except (FailedJobError, FailedSubmissionError, queue.NoAnswer, RuntimeError, OSError) as error:
        before = f"; {sum(len(a.parts) for a in arrays)} jobs were submitted before and go on" if arrays else ""
        raise Refused(f"{_reason(error)}{before}") from error
    jobs = sum(len(array.parts) for array in arrays)
    say(f"submitted {jobs} job{'s' * (jobs != 1)} to SLURM: {', '.join(str(array.job) for array in arrays)}")
    return arrays


def _arrays(
    sweep: Sweep, contents: dict[int, dict[str, Any]], settings: SlurmSettings, most: int
) -> Iterator[list[list[int]]]:
    """The jobs of each array, each the numbers of one training's entries: those that ask for the same, `most` each."""
    trainings: dict[str, list[int]] = {}
    for number in contents:
        trainings.setdefault(sweep.entries[number].train_id, []).append(number)
    alike: dict[tuple[int, int], list[list[int]]] = {}
    for part in trainings.values():
        alike.setdefault(_asks(contents[part[0]]["config"], settings), []).append(part)
    for parts in alike.values():
        yield from (parts[at : at + most] for at in range(0, len(parts), most))


def _asks(config: dict[str, Any], settings: SlurmSettings) -> tuple[int, int]:
    return settings.gpus(config["device"]), settings.cpus(config["workers"])


def _submit_array(
    sweep: Sweep, parts: list[list[int]], contents: dict[int, dict[str, Any]], settings: SlurmSettings
) -> Array:
    array = sweep.plan(parts)
    gpus, cpus = _asks(contents[parts[0][0]]["config"], settings)
    executor = submitit.SlurmExecutor(sweep.logs, max_num_timeout=settings.max_num_timeout)
    executor.update_parameters(**parameters(settings, array.name, gpus, cpus, sweep.logs))
    with executor.batch():
        jobs = [executor.submit(Task([contents[n] for n in part], sweep.command)) for part in parts]
    main = jobs[0].job_id.partition("_")[0]
    sweep.submitted(array, main)
    return Array(array.name, array.parts, array.at, main)


def parameters(settings: SlurmSettings, name: str, gpus: int, cpus: int, logs: Path) -> dict[str, Any]:
    """What submitit writes into the batch script; gpus a node, cpus a process."""
    asked: dict[str, Any] = {
        "job_name": name,
        "time": settings.timeout_min,
        "nodes": settings.nodes,
        "ntasks_per_node": settings.tasks_per_node,
        "cpus_per_task": cpus,
        # SLURM 22.05 and later give a step one CPU a process unless it is told.
        "srun_args": [f"--cpus-per-task={cpus}"],
        "signal_delay_s": settings.signal_delay_s,
        "array_parallelism": settings.array_parallelism,
        "stderr_to_stdout": True,
        "setup": list(settings.setup) or None,
        "teardown": _put_back_if_killed(settings.max_requeues_after_kill, logs),
        "additional_parameters": {"requeue": True, **settings.additional_parameters},
    }
    if gpus:
        asked["gpus_per_node"] = gpus
    if settings.mem_gb is not None:
        asked["mem"] = f"{max(1, round(settings.mem_gb * 1024))}MB"
    for key in ("partition", "account", "qos", "constraint"):
        if getattr(settings, key) is not None:
            asked[key] = getattr(settings, key)
    return asked


def _put_back_if_killed(times: int, logs: Path) -> list[str]:
    """The end of the batch script. A process that was killed without a word (137: kill -9, out of memory; 140: SIGUSR2
    while Python still started) could not put its job back, and SLURM does so for nodes alone. The count is kept in a
    file, for SLURM's own counts every requeue.
    """
    if not times:
        return []
    return [
        "code=$?",
        f'count={shlex.quote(str(logs))}/"$SLURM_JOB_ID.kills"',
        f'if [[ $code =~ ^(137|140)$ ]] && [ "$(cat "$count" 2>/dev/null || echo 0)" -lt {times} ]; then',
        '  echo $(($(cat "$count" 2>/dev/null || echo 0) + 1)) > "$count"',
        '  echo "a process of this job was killed: the job is put back in the queue"',
        f'  scontrol requeue "$SLURM_JOB_ID" && sleep {AGAIN_S}',
        "fi",
        "exit $code",
    ]


@contextmanager
def _within(directory: Path) -> Iterator[None]:
    """Jobs run in the folder that they are submitted from."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


def _reason(error: Exception) -> str:
    """The line of what sbatch said that says why."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("sbatch: error:")]
    return (told or lines or [type(error).__name__])[0]
