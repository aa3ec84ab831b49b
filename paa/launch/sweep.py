"""What hydra/launcher=slurm does with the jobs of a command line: notes, submits, and waits or leaves."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paa.checks import OutOfRange
from paa.config.errors import ConfigError
from paa.config.suggestions import listed, nearest
from paa.engine.distributed import SINGLE_PROCESS, ProcessGroup
from paa.experiment.evaluation import wanted
from paa.experiment.job import Job
from paa.experiment.parts import check_processes
from paa.launch.content import content
from paa.launch.ledger import SWEEPS, Entry, Sweep
from paa.launch.settings import LocalSettings, SlurmSettings
from paa.launch.status import Status
from paa.launch.view import rows
from paa.launch.waiting import wait

Settings = SlurmSettings | LocalSettings

_KINDS: dict[str, type[SlurmSettings] | type[LocalSettings]] = {
    "SlurmLauncher": SlurmSettings,
    "LocalLauncher": LocalSettings,
}


def settings_of(node: Mapping[str, Any]) -> Settings | None:
    """The checked settings of a hydra.launcher node of ours, None of another's. ConfigError names the key."""
    kind = _KINDS.get(str(node.get("_target_", "")).rpartition(".")[2])
    if kind is None:
        return None
    values = {key: value for key, value in node.items() if key != "_target_"}
    for key in values:
        if key not in kind.__dataclass_fields__:
            names = list(kind.__dataclass_fields__)
            raise ConfigError(f"hydra.launcher.{key}: no such key. It has: {listed(names)}.{nearest(key, names)}")
    try:
        return kind(**values)
    except OutOfRange as error:
        raise ConfigError(f"hydra.launcher.{error.name}{error.problem}") from error


def check(settings: Settings | None, jobs: Sequence[Job], multirun: bool) -> None:
    """ConfigError for jobs that could never run as `settings` have it; costs nothing."""
    if settings is None:
        return
    if not multirun:
        raise ConfigError("hydra/launcher=...: a launcher runs the jobs of a sweep, also of one job; add -m")
    if isinstance(settings, SlurmSettings):
        if shutil.which("sbatch") is None:
            raise ConfigError(
                "hydra/launcher=slurm: there is no sbatch on the PATH, so this is no machine of a SLURM cluster; "
                "hydra/launcher=local runs several at a time here"
            )
        _one_folder(jobs)
        for job in jobs:
            check_processes(job.config, ProcessGroup(0, settings.tasks))
            job.experiment.check_reuse(ProcessGroup(0, settings.tasks))
            if job.config["device"] == "cuda" and settings.tasks_per_node > settings.gpus("cuda"):
                problem = f"has {settings.gpus('cuda')} GPUs for {settings.tasks_per_node} processes; one each is right"
                raise ConfigError(f"hydra.launcher.gpus_per_node={settings.gpus_per_node}: a node {problem}")
    else:
        for job in jobs:
            job.experiment.check_reuse(SINGLE_PROCESS)


def _one_folder(jobs: Sequence[Job]) -> None:
    found = list(dict.fromkeys(str(job.config["runs_dir"]) for job in jobs))
    if len({Path(one).resolve() for one in found}) > 1:
        problem = "the runs of one sweep share their folder, where it is noted; a command for each is right"
        raise ConfigError(f"runs_dir={','.join(found)}: {problem}")


def check_folder(folder: Path, jobs: Sequence[Job]) -> None:
    """ConfigError for a sweep's folder in which `python -m paa.runs` would never look."""
    right = Path(str(jobs[0].config["runs_dir"])).absolute() / SWEEPS
    if folder.parent.resolve() != right.resolve():
        raise ConfigError(
            f"hydra.sweep.dir={folder}: what is submitted is found, watched and cancelled in {right} alone; "
            f"{right / folder.name} would be right, or leave it out"
        )


def note(folder: Path, command: Sequence[str], settings: Settings, jobs: Sequence[Job], directory: Path) -> Sweep:
    """Writes down what is about to be submitted."""
    entries = tuple(
        Entry(
            number,
            job.train_id,
            tuple(one.eval_id for one in wanted(job.experiment.parts.config, job.experiment.identity.digests)),
            tuple(job.overrides),
        )
        for number, job in enumerate(jobs)
    )
    sweep = Sweep(folder, shlex.join(command), str(directory), asdict(settings), entries)
    sweep.write(content(job.config, job.overrides, job.choices, job.train_id) for job in jobs)
    return sweep


def run(
    folder: Path, command: Sequence[str], settings: SlurmSettings, jobs: Sequence[Job], say: Callable[[str], None]
) -> dict[int, Status] | None:
    """Submits the jobs that are not finished and waits for all; None where it does not wait. submit.Refused,
    OutOfRange where there can be no snapshot, KeyboardInterrupt after it was told what goes on.
    """
    from paa.launch.snapshot import snapshot
    from paa.launch.submit import submit

    left = [number for number, job in enumerate(jobs) if not job.finished]
    runs_dir = Path(str(jobs[0].config["runs_dir"]))
    with ExitStack() as stack:
        directory = Path.cwd()
        if settings.snapshot:
            directory = stack.enter_context(snapshot(folder / "snapshot"))
    sweep = note(folder, command, settings, jobs, directory)
    if len(left) < len(jobs):
        say(f"{len(jobs) - len(left)} of {len(jobs)} runs are finished already")
    if not left:
        return {number: Status("done") for number in range(len(jobs))}
    adopted = _adopt(sweep, runs_dir, left)
    if adopted:
        ids = sweep.ids()
        known = ", ".join(dict.fromkeys(ids[number] for number in sorted(adopted)))
        say(f"{len(adopted)} of {len(jobs)} runs are in the queue already: {known}")
    try:
        if len(adopted) < len(left):
            submit(sweep, [number for number in left if number not in adopted], say)
        say(told(sweep, runs_dir))
        return wait(sweep, runs_dir, say, settings.poll_s) if settings.wait else None
    except KeyboardInterrupt:
        say(f"\nnobody waits any more; what was submitted goes on.\n{told(sweep, runs_dir)}")
        raise


def _adopt(sweep: Sweep, runs_dir: Path, left: Sequence[int]) -> set[int]:
    """The entries whose very run another sweep has in the queue (its driver was killed, say): they are waited for."""
    queued = {(row.entry.train_id, row.entry.evals): row for row in rows(runs_dir) if row.sweep.folder != sweep.folder}
    adopted = set()
    for number in left:
        entry = sweep.entries[number]
        row = queued.get((entry.train_id, entry.evals))
        if row is not None and row.status.id is not None and row.status.job is not None and row.status.active:
            sweep.adopt(number, row.status.id, row.status.log.parent if row.status.log else row.sweep.logs)
            adopted.add(number)
    return adopted


def told(sweep: Sweep, runs_dir: Path) -> str:
    """Where to look, and how to watch, cancel and submit again."""
    at = "" if str(runs_dir) == "runs" else f" --runs-dir {shlex.quote(str(runs_dir))}"
    command = f"python -m paa.runs{at}"
    return (
        f"  folder    {sweep.folder}\n"
        f"  watch     {command} watch\n"
        f"  cancel    {command} cancel {sweep.name}\n"
        f"  resubmit  {command} resubmit missing   (or failed)"
    )
