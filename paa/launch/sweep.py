"""Run the jobs of a command line with hydra/launcher=slurm or local: note them, submit them, wait for them."""

from __future__ import annotations

import shlex
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from paa.config.errors import ConfigError, keys_below
from paa.config.suggestions import listed, nearest
from paa.engine.distributed import SINGLE_PROCESS, ProcessGroup
from paa.experiment.device import check_processes
from paa.experiment.experiment import Experiment
from paa.launch.ledger import Entry, Sweep, absolute, new_folder
from paa.launch.settings import LocalSettings, SlurmSettings
from paa.launch.status import QUEUED, Identity, Row, latest, look, submitted, summary
from paa.log import print_line

Settings = SlurmSettings | LocalSettings

_KINDS: dict[str, type[SlurmSettings] | type[LocalSettings]] = {
    "hydra_plugins.paa_launcher.launcher.SlurmLauncher": SlurmSettings,
    "hydra_plugins.paa_launcher.launcher.LocalLauncher": LocalSettings,
}

SETTLE_S = 20.0
"""Seconds that a job must look ended before `wait` believes it: SLURM requeues the jobs of a failed node only then."""

MOST_S = 60.0
"""The longest pause between two looks at a large sweep."""


def settings_of(node: Mapping[str, Any]) -> Settings | None:
    """Return the checked settings of a hydra.launcher node of ours; None of a third-party one. ConfigError."""
    kind = _KINDS.get(str(node.get("_target_", "")))  # submitit's Hydra plugin has classes of the same names
    if kind is None:
        return None
    values = {key: value for key, value in node.items() if key != "_target_"}
    names = list(kind.__dataclass_fields__)
    for key in values.keys() - names:
        raise ConfigError(f"hydra.launcher.{key}: unknown key. It has: {listed(names)}.{nearest(key, names)}")
    with keys_below("hydra.launcher."):
        return kind(**values)


def check(settings: Settings | None, jobs: Sequence[Experiment], multirun: bool) -> None:
    """Raise ConfigError for jobs that could never run with `settings`."""
    if settings is None:
        return
    if not multirun:
        raise ConfigError("hydra/launcher=...: a launcher runs the jobs of a sweep, even of a single job; add -m")
    world = SINGLE_PROCESS
    if isinstance(settings, SlurmSettings):
        if shutil.which("sbatch") is None:
            raise ConfigError(
                "hydra/launcher=slurm: sbatch is not on the PATH; start this on a machine of a SLURM cluster, or use "
                "hydra/launcher=local for several runs at a time here"
            )
        world = ProcessGroup(0, settings.tasks)
        gpus = settings.gpus("cuda")
        if settings.tasks_per_node > gpus and any(job.config["device"] == "cuda" for job in jobs):
            problem = f"={gpus}: fewer than {settings.tasks_per_node} processes of a node; needs one GPU for each"
            raise ConfigError(f"hydra.launcher.gpus_per_node{problem}")
        found = list(dict.fromkeys(str(job.config["runs_dir"]) for job in jobs))
        if len({Path(one).resolve() for one in found}) > 1:
            problem = "the jobs of a sweep are noted in one folder of runs; start a command for each"
            raise ConfigError(f"runs_dir={','.join(found)}: {problem}")
    for job in jobs:
        check_processes(job.config, world)


def run(name: str, command: Sequence[str], settings: Settings, jobs: Sequence[Experiment]) -> list[Row] | None:
    """Run the jobs that are not finished, and return the state of each; None where it does not wait.

    name  of the sweep's folder below runs_dir/.sweeps.
    NotSubmitted; OutOfRange where no snapshot is possible; KeyboardInterrupt after it said what keeps running.
    """
    runs_dir = Path(str(jobs[0].config["runs_dir"]))
    folder = new_folder(runs_dir, name)
    if isinstance(settings, LocalSettings):
        from paa.launch.local import run_here

        return run_here(_note(folder, command, "local", settings, jobs, Path.cwd()), jobs, settings.n)
    from paa.launch.snapshot import snapshot
    from paa.launch.submit import submit

    directory = snapshot(folder / "snapshot") if settings.snapshot else Path.cwd()
    sweep = _note(folder, command, "slurm", settings, jobs, directory)
    wanted = {entry.identity for entry in sweep.entries}  # which may be in the queue from an earlier command
    same = [(one, entry) for one, entry in submitted(runs_dir) if entry.identity in wanted]
    known = latest(look(same, runs_dir))
    rows = [known[entry.identity] for entry in sweep.entries]
    left = [number for number, row in enumerate(rows) if row.kind != "done" and row.kind not in QUEUED]
    queued = [str(row.id) for row in rows if row.kind in QUEUED]
    if len(left) + len(queued) < len(jobs):
        print_line(f"{len(jobs) - len(left) - len(queued)} of {len(jobs)} runs are already finished")
    if queued:
        print_line(f"{len(queued)} of {len(jobs)} runs are already in the queue: {', '.join(dict.fromkeys(queued))}")
    if not left and not queued:
        return rows
    hint = format_commands(sweep, runs_dir)
    try:
        if left:
            submit(sweep, left)
        print_line(hint)
        if not settings.wait:
            return None
        found = wait(same, runs_dir, settings.poll_s)
    except KeyboardInterrupt:
        print_line(f"\nno longer waiting; the submitted jobs keep running.\n{hint}")
        raise
    return [found[entry.identity] for entry in sweep.entries]


def _note(
    folder: Path, command: Sequence[str], launcher: str, settings: Settings, jobs: Sequence[Experiment], directory: Path
) -> Sweep:
    """Write down what is about to be submitted."""
    entries = []
    for number, job in enumerate(jobs):
        evals = tuple(one.eval_id for one in job.evaluations)
        entries.append(Entry(number, job.train_id, evals, tuple(job.overrides)))
    sweep = Sweep(folder, shlex.join(command), launcher, asdict(settings), str(directory), tuple(entries))
    sweep.write({"config": absolute(job.config), "choices": dict(job.choices)} for job in jobs)
    return sweep


def wait(
    entries: Sequence[tuple[Sweep, Entry]],
    runs_dir: Path,
    poll_s: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> dict[Identity, Row]:
    """Return the state of each run when none of them is in the queue any more; SLURM may be away meanwhile."""
    ended: dict[Identity, float] = {}
    said = ""
    while True:
        started = clock()
        found = latest(look(entries, runs_dir))
        now = clock()
        ended = {identity: ended.get(identity, now) for identity, row in found.items() if not row.active}
        text = summary(list(found.values()))
        if text != said:
            print_line(text)
            said = text
        if all(row.kind == "done" or now - ended.get(identity, now) >= SETTLE_S for identity, row in found.items()):
            return found
        sleep(min(max(poll_s, 20 * (now - started)), max(MOST_S, poll_s)))  # at most 5 % of the time goes into looks


def format_commands(sweep: Sweep, runs_dir: Path) -> str:
    """Return where to look, and how to watch, cancel and resubmit."""
    at = "" if str(runs_dir) == "runs" else f" --runs-dir {shlex.quote(str(runs_dir))}"
    verbs = {"watch": "watch", "cancel": f"cancel {sweep.name}", "resubmit": "resubmit missing"}
    lines = [f"  {name:8}  python -m paa.runs {words}{at}" for name, words in verbs.items()]
    return "\n".join([f"  folder    {sweep.folder}", *lines])
