"""`python -m paa.train`: check every job of the command line, run them through Hydra, print what each came to."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from paa.checks import UserError
from paa.commands.report import table
from paa.config.compose import App, Command, JobConfig
from paa.config.errors import USER_ERRORS, ConfigError, format_error
from paa.config.suggestions import with_preset
from paa.config.user_code import add_cwd_to_path
from paa.engine.distributed import destroy_process_group, process_group
from paa.engine.signals import Interrupted
from paa.experiment.experiment import Experiment, JobFailed, reported
from paa.experiment.memo import Memo
from paa.launch import sweep
from paa.log import print_line
from paa.planning.dry_run import plan

REFUSED = 2
"""Exit code of a command line that was refused before anything ran."""

Launch = Callable[[Sequence[Sequence[str]], int], Sequence[Any]]
"""The overrides of some jobs and the number of the first -> what Hydra calls a JobReturn for each."""


class Jobs:
    """The jobs of one command line, and what became of them. Hydra calls it to run one: it is its task function.

    command   the words that resume them; printed when they are interrupted.
    all       in order; jobs of equal overrides (seed=0,0) are there twice.
    detached  set by a launcher that does not wait: nothing can be reported yet.
    """

    def __init__(self, command: Sequence[str] = (), app: App | None = None) -> None:
        self.command, self.app, self.memo = command, app, Memo()
        self.all: list[Experiment] = []
        self.detached = False
        self._prepared: dict[tuple[str, ...], Experiment] = {}
        self._failed: dict[tuple[str, ...], str] = {}
        self._ended: dict[tuple[str, ...], tuple[str, bool]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Another process prepares its job itself."""
        return Jobs().__dict__

    def prepare(self, job: JobConfig) -> Experiment:
        """Build, identify and check a job, once. Raises what is wrong; of a preset's value the preset's key, too."""
        if job.overrides not in self._prepared:
            here = (self.app is None or self.app.in_process) and not job.dry_run
            try:
                made = Experiment.of(job.config, job.overrides, job.choices, here, self.memo, not job.dry_run)
            except ConfigError as error:
                if self.app is not None:
                    error.args = (with_preset(str(error), self.app.compose.compose(job.overrides)),)
                raise
            self._prepared[job.overrides] = made
            self.all.append(made)
        return self._prepared[job.overrides]

    def __call__(self, cfg: Any) -> float | None:
        """Run a job and return its objective. JobFailed after the reason was printed; SystemExit if interrupted."""
        job, resume = JobConfig.launched(cfg), shlex.join(self.command)
        try:
            with reported("paa.train", job.overrides, resume), process_group().main_process_first():
                experiment = self.prepare(job)
            with reported(experiment.train_id, job.overrides, resume):
                experiment.run()
            return experiment.objective
        except Interrupted as stop:
            raise SystemExit(stop.code) from None
        except KeyboardInterrupt:
            print_line("stopped immediately; the last checkpoint is kept")
            raise SystemExit(130) from None
        except JobFailed as error:
            self._note_failure(job.overrides, str(error))
            if process_group().size > 1:  # the processes are out of step
                raise SystemExit(1) from None
            raise

    def submit(self, node: Mapping[str, Any], folder: Path, every: Sequence[Sequence[str]]) -> None:
        """Run the jobs with these overrides as the `node` of hydra/launcher=slurm or local says.

        folder  of the sweep. A request that SLURM refuses ends the process with one line and exit code 2.
        """
        settings, launched = sweep.settings_of(node), [self._prepared[tuple(overrides)] for overrides in every]
        if settings is None or not launched:
            return
        try:
            found = sweep.run(folder.name, self.command, settings, launched)
        except UserError as error:
            print_line(f"paa.train: {error}", sys.stderr)
            raise SystemExit(REFUSED) from None
        self.detached = found is None
        for job, row in zip(launched, found or (), strict=False):
            log = f"; log: {row.log}" if row.log is not None else ""
            if row.kind == "failed":
                self._note_failure(job.overrides, f"{row.status.detail}{log}")
            elif row.kind != "done":
                # A job without an error and records left the run to another process: fine if it was told to skip.
                expected = row.kind == "interrupted" and job.config["lock"]["if_locked"] == "skip"
                self._ended[tuple(job.overrides)] = f"{row.status}{log}", expected

    def _note_failure(self, overrides: Sequence[str], reason: str) -> None:
        self._failed.setdefault(tuple(overrides), reason)

    def launch(self, launch: Launch, batch_size: int | None = None) -> list[Any]:
        """Give `launch` the jobs that are not finished, `batch_size` at a time, and note which failed.

        Jobs of one training with different evaluations are all launched: it is trained once, then evaluated. Of jobs
        that ask for exactly the same, only the first is.
        """
        group = process_group()
        finished = group.run_on_main(lambda: [job.finished for job in self.all])
        first: dict[tuple[str, ...], Experiment] = {}
        for job, done in zip(self.all, finished, strict=True):
            if done:
                job.run()
            else:
                first.setdefault(_request(job), job)
        left, returned = list(first.values()), list[Any]()
        size = batch_size or max(len(left), 1)
        for start in range(0, len(left), size):
            batch = left[start : start + size]
            results = launch([job.overrides for job in batch], start)
            for job, result in zip(batch, results, strict=False):
                if getattr(getattr(result, "status", None), "name", "") == "FAILED":
                    self._note_failure(job.overrides, _one_line(result._return_value))
            returned += results
        for job, done in zip(self.all, finished, strict=True):
            before = job if done else first[_request(job)]
            if before is not job:
                reason = self._failed.get(tuple(before.overrides))
                if reason is not None:
                    self._note_failure(job.overrides, reason)
                elif group.run_on_main(lambda job=job: job.finished):  # type: ignore[misc]
                    job.run()
        return returned

    def report(self) -> int:
        """Print the table that ends a command; return its exit code."""
        if self.detached:
            return 0
        keys = [tuple(job.overrides) for job in self.all]
        failed = {number: self._failed[key] for number, key in enumerate(keys) if key in self._failed}
        ended = {number: self._ended[key][0] for number, key in enumerate(keys) if key in self._ended}
        if self.all and process_group().is_main:
            print_line("\n" + table([(job.overrides, job) for job in self.all], failed, ended))
        return int(bool(failed) or not all(expected for _, expected in self._ended.values()))


def main(command: Command, argv: Sequence[str]) -> int:
    """Check all jobs of a command line, then run them, in every process of a group.

    Return the exit code: 0, 1 if a job failed, 2 if one is wrong.
    """
    add_cwd_to_path()
    group, new_folders, problem, planned = process_group(), set[Path](), None, False
    with group.main_process_first():
        try:
            app = App(command)
            jobs, every = Jobs([*_program(), *argv], app), app.jobs()
            folders = {Path(str(job.config["runs_dir"])) for job in every}
            new_folders = {folder for folder in folders if not folder.exists()}
            jobs.all = [jobs.prepare(job) for job in every]
            planned = any(job.dry_run for job in every)
            if not planned:
                for folder in folders:
                    _require_writable(folder)
                sweep.check(sweep.settings_of(app.launcher), jobs.all, command.multirun)
        except USER_ERRORS as error:
            problem = format_error("paa.train", error)
    problem = group.first_error(problem)
    if problem is None and not planned:
        try:
            app.run(jobs)
        except JobFailed:  # noted; a third party's sweeper has ended on it
            pass
        except USER_ERRORS as error:  # of a job that a sweeper proposed
            print_line(format_error("paa.train", error), sys.stderr)
            return REFUSED
        code = jobs.report()
    else:
        code = 0 if problem is None else REFUSED
        if group.is_main:
            for folder in new_folders:
                _remove_cache(folder)
            if problem is None:
                print(plan(jobs.all, jobs.memo), end="")
            else:
                print_line(problem, sys.stderr)
    destroy_process_group()
    return code


def _require_writable(runs_dir: Path) -> None:
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        problem = "" if os.access(runs_dir, os.W_OK | os.X_OK) else "permission denied"
    except OSError as error:
        problem = str(error.strerror)
    if problem:
        raise ConfigError(f"runs_dir={runs_dir}: {problem}; must be a folder that can be written")


def _request(job: Experiment) -> tuple[str, ...]:
    return (job.train_id, *(one.eval_id for one in job.evaluations))


def _one_line(error: BaseException) -> str:
    text = str(error).partition("\n")[0]
    return text if isinstance(error, JobFailed) else f"{type(error).__name__}: {text}"


def _remove_cache(runs_dir: Path) -> None:
    """Remove a folder of runs that holds only cached digests: a refused command leaves no folder."""
    if runs_dir.is_dir() and all(path.name == ".cache" for path in runs_dir.iterdir()):
        shutil.rmtree(runs_dir)


def _program() -> list[str]:
    local = os.environ.get("LOCAL_WORLD_SIZE")  # torchrun's
    if local is not None and process_group().size > 1:
        return ["torchrun", "--nproc-per-node", local, "-m", "paa.train"]
    return ["python", "-m", "paa.train"] if os.path.basename(sys.argv[0]) in ("train.py", "-m") else [sys.argv[0]]
