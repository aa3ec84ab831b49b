"""From a sweep's files to jobs of SLURM, through submitit."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from paa.checks import UserError
from paa.launch import queue
from paa.launch.ledger import Array, Sweep
from paa.launch.settings import SlurmSettings
from paa.launch.task import Task
from paa.log import print_line

_SIGNAL = "SUBMITIT_PREEMPT_SIGNAL"

AGAIN_S = 60
"""Seconds that a batch script which has requeued its own job waits for SLURM to end it."""


class NotSubmitted(UserError):  # noqa: N818
    """SLURM rejects a submission. The message says why, and what was submitted before."""


def submit(sweep: Sweep, numbers: Sequence[int]) -> list[Array]:
    """Submit these entries of a sweep, each training as a job, in as few arrays as the cluster allows. NotSubmitted."""
    if os.environ.get(_SIGNAL, "USR2") != "USR2":
        raise NotSubmitted(f"{_SIGNAL}={os.environ[_SIGNAL]}: a run saves only at USR2; unset it")
    settings = SlurmSettings(**sweep.settings)
    arrays: list[Array] = []
    try:
        most = min(queue.max_array_size(), settings.max_array or 1 << 30)
        for needs, parts in _arrays(sweep, numbers, settings, most):
            array = sweep.plan(parts)
            executor = submitit.SlurmExecutor(sweep.logs, max_num_timeout=settings.max_num_timeout)
            executor.update_parameters(**parameters(settings, array.name, *needs, sweep.logs, sweep.directory))
            with executor.batch():
                jobs = [executor.submit(Task(sweep.folder, part)) for part in parts]
            arrays.append(sweep.submitted(array, jobs[0].job_id.partition("_")[0]))
    except (FailedJobError, FailedSubmissionError, queue.NoAnswer, RuntimeError, OSError) as error:
        before = f"; {sum(len(a.parts) for a in arrays)} jobs were submitted before that" if arrays else ""
        raise NotSubmitted(f"{_reason(error)}{before}") from error
    total = sum(len(array.parts) for array in arrays)
    print_line(f"submitted {total} job{'s' * (total != 1)} to SLURM: {', '.join(str(array.job) for array in arrays)}")
    return arrays


def _arrays(
    sweep: Sweep, numbers: Sequence[int], settings: SlurmSettings, most: int
) -> Iterator[tuple[tuple[int, int], list[list[int]]]]:
    """Yield the needs and the jobs of each array, at most `most`; a job has the numbers of one training's entries."""
    trainings: dict[str, list[int]] = {}
    alike: dict[tuple[int, int], list[list[int]]] = {}
    for number, content in sweep.contents(numbers).items():
        train_id = sweep.entries[number].train_id
        if train_id not in trainings:
            trainings[train_id] = []
            alike.setdefault(settings.needs(content["config"]), []).append(trainings[train_id])
        trainings[train_id].append(number)
    for needs, parts in alike.items():
        yield from ((needs, parts[at : at + most]) for at in range(0, len(parts), most))


def parameters(settings: SlurmSettings, name: str, gpus: int, cpus: int, logs: Path, directory: str) -> dict[str, Any]:
    """Return what submitit writes into the batch script; gpus of each node, cpus of each process."""
    same = ("partition", "account", "qos", "constraint", "nodes", "signal_delay_s", "array_parallelism")
    asked = {key: getattr(settings, key) for key in same} | {
        "job_name": name,
        "time": settings.timeout_min,
        "ntasks_per_node": settings.tasks_per_node,
        "cpus_per_task": cpus,
        # SLURM 22.05 and later give a step one CPU a process unless srun has the option, too.
        "srun_args": [f"--cpus-per-task={cpus}"],
        "gpus_per_node": gpus or None,
        "mem": None if settings.mem_gb is None else f"{max(1, round(settings.mem_gb * 1024))}MB",
        "stderr_to_stdout": True,
        "setup": list(settings.setup) or None,
        "teardown": _requeue_if_killed(settings.max_requeues_after_kill, logs),
        "additional_parameters": {"requeue": True, "chdir": directory, **settings.additional_parameters},
    }
    return {key: value for key, value in asked.items() if value is not None}


def _requeue_if_killed(times: int, logs: Path) -> list[str]:
    """Return the end of the batch script. A process that was killed (137: kill -9, out of memory; 140: SIGUSR2 while
    Python still started) could not requeue its job, and SLURM does so only when a node fails. The count is kept in a
    file, because SLURM's own counts every requeue.
    """
    if not times:
        return []
    return [
        "code=$?",
        f'count={shlex.quote(str(logs))}/"$SLURM_JOB_ID.kills"',
        f'if [[ $code =~ ^(137|140)$ ]] && [ "$(cat "$count" 2>/dev/null || echo 0)" -lt {times} ]; then',
        '  echo $(($(cat "$count" 2>/dev/null || echo 0) + 1)) > "$count"',
        '  echo "a process of this job was killed: the job is requeued"',
        f'  scontrol requeue "$SLURM_JOB_ID" && sleep {AGAIN_S}',
        "fi",
        "exit $code",
    ]


def _reason(error: Exception) -> str:
    """Return the line of sbatch's output that says why."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if line.startswith("sbatch: error:")), lines[0])
