"""One run, from its configuration to its record: reuse, lock, resume, train, evaluate.

A launcher takes `config`, `overrides` and `choices` of an `Experiment`, which are plain and can be pickled or written
as JSON, and calls `run_config` with them where the job runs. Nothing there reads conf/ again.
"""

from __future__ import annotations

import json
import shlex
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paa import files
from paa.config.errors import USER_ERRORS, ConfigError, reason
from paa.datasets.loader import WorkerDied
from paa.detector import Detector
from paa.engine import checkpoint
from paa.engine.distributed import PeerFailed, ProcessGroup, process_group
from paa.engine.signals import Interrupted
from paa.experiment.cpu_limit import too_long
from paa.experiment.device import apply_process, check_processes, device_of
from paa.experiment.evaluation import Evaluator, Wanted, missing, title, wanted
from paa.experiment.memo import Memo
from paa.experiment.parts import Components, Identity, assemble, data_key, identify
from paa.experiment.run_context import RunContext
from paa.experiment.training import Training
from paa.log import console, log, print_line
from paa.store import failure
from paa.store.code_digest import code_digests
from paa.store.errors import BadRecord, LockLost
from paa.store.lock import LockOwner, RunLock, acquire
from paa.store.paths import RunPaths, runs
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.tracking import RunInfo, Tracker


@dataclass(frozen=True)
class Experiment:
    """A checked experiment. `overrides` and `choices` ({group: choice}, without Hydra's groups) go into the record."""

    parts: Components
    identity: Identity
    overrides: Sequence[str]
    choices: Mapping[str, str]

    @classmethod
    def of(
        cls,
        config: Mapping[str, Any],
        overrides: Sequence[str] = (),
        choices: Mapping[str, str] | None = None,
        here: bool = False,
        memo: Memo | None = None,
        check_images: bool = True,
    ) -> Experiment:
        """Build all that is cheap; ConfigError for a wrong value, DataError for data that cannot be used.

        here          it will run in this process: ConfigError if there is no such device, or if it would take days.
        memo          what the jobs of one command line compute only once.
        check_images  False leaves image files unread: nothing will run yet.
        """
        memo = memo or Memo()
        parts = assemble(config, memo)
        if here:
            device_of(config)
            check_processes(config, process_group())
        refusal = too_long(config) if here else None
        if refusal and not any(run.finished for run in runs(Path(config["runs_dir"]))):
            raise ConfigError(refusal)  # before reading data
        experiment = cls(parts, identify(parts, memo), overrides, choices or {})
        if refusal and not experiment.paths.finished:
            raise ConfigError(refusal)
        if check_images:
            experiment.check_data(memo)
        return experiment

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration, plain types."""
        return self.parts.config

    @property
    def paths(self) -> RunPaths:
        """The files of its run."""
        return self.identity.paths

    @property
    def train_id(self) -> str:
        """ID of the training; experiments that differ only at test time share it."""
        return self.identity.train_id

    @property
    def evaluations(self) -> list[Wanted]:
        """The evaluations that are asked for."""
        return wanted(self.config, self.identity.digests)

    def check_data(self, memo: Memo | None = None) -> None:
        """DataError for what is wrong with the splits that the missing work needs. Looks at each image once ever."""
        if not self.finished:
            training = [] if self.paths.finished else ["train"]
            splits = list(dict.fromkeys([*training, *self.config["evaluate"]["splits"]]))
            images = self.config["images"]
            key = [*data_key(self.config), splits, images]
            (memo or Memo())("data", key, lambda: self.parts.source.check(splits, images))

    @property
    def finished(self) -> bool:
        """Whether the training and every evaluation that is asked for have their records."""
        return self.paths.finished and not missing(self.paths, self.evaluations)

    @property
    def objective(self) -> float | None:
        """`evaluate.objective` of the first evaluation that is asked for; None if it is not there or undefined."""
        records = self.records()
        return records[0].numbers.get(self.config["evaluate"]["objective"]) if records else None

    def run(self) -> list[EvaluationRecord]:
        """Do what is missing and return the evaluations; none if another process has the run and we may not wait.

        Of several processes only the main one locks, writes and prints; the others do their part of the work.
        """
        group = process_group()
        with console(group.is_main), group.report_failure():
            lock = self._lock() if group.is_main else None
            is_ours = group.run_on_main(lambda: lock is not None)
            with lock or nullcontext():
                if is_ours:
                    self._attempt(lock, group)
                done = group.run_on_main(lambda: is_ours or self.finished)
                group.barrier()
        if not done:
            return []
        records = self.records()
        if group.is_main:
            for record in records:
                if record.upload is not None and record.score is None:
                    print_line(f"{self.train_id}  {_upload(self.paths, record)}")
        return records

    def records(self) -> list[EvaluationRecord]:
        """Return the records of the evaluations that are asked for, as far as they exist."""
        every = [self.paths.evaluation(one.eval_id) for one in self.evaluations]
        return [EvaluationRecord.read(path) for path in every if path.exists()]

    def _lock(self) -> RunLock | None:
        """Take the run's lock if there is something to do and nobody else does it."""
        node = self.config["lock"]
        if self.finished:
            try:
                TrainingRecord.read(self.paths.record)
            except BadRecord as error:
                raise BadRecord(
                    f"{error}; it is damaged: restore it, or remove {self.paths.folder} to train again"
                ) from error
            self._clear_checkpoints()
            log.info("%s  already finished, reusing its results", self.train_id)
            return None

        def wait(owner: LockOwner) -> None:
            what = "waiting" if node["if_locked"] == "wait" else "skipping (lock.if_locked=skip)"
            log.info("%s  locked by %s: %s", self.train_id, owner, what)

        return acquire(self.paths.lock, **node, is_done=lambda: self.finished, on_wait=wait)

    def _clear_checkpoints(self) -> None:
        """Remove what a process left that was killed right after it wrote the record."""
        if self.paths.checkpoints.exists():
            lock = acquire(self.paths.lock, if_locked="skip")
            if lock is not None:
                with lock:
                    checkpoint.Checkpoints(self.paths.checkpoints, 1, lock.check).clear()

    def _attempt(self, lock: RunLock | None, group: ProcessGroup) -> None:
        """Train and evaluate what is missing; a failure leaves its reason in the run's folder."""
        paths = self.paths
        if lock is not None:
            lock.check()
            failure.clear(paths)
        try:
            apply_process(self.config)
            if lock is not None:
                for folder in (paths.folder, paths.checkpoints, paths.evals):
                    files.clear_leftovers(folder)
            with RunContext.open(paths, group, lock) as run:
                log.debug("%s  %s", paths.train_id, json.dumps(list(self.overrides)))
                group.run_on_main(self.parts.source.prepare)
                self.parts.source.prepare()
                if group.run_on_main(lambda: paths.finished):
                    self._evaluate(run)
                else:
                    with self._tracker(run) as run.tracker:
                        self._train(run)
                group.raise_if_stopped(run.stop, self.parts.schedule.steps)  # too late for this run, not for its sweep
        except (Interrupted, LockLost):  # it resumes later, or elsewhere
            raise
        except WorkerDied as error:  # in an evaluation, which is repeated
            if group.size > 1:
                raise
            raise Interrupted(signal.SIGKILL, self.parts.schedule.steps, str(error)) from error
        except Exception as error:
            if lock is not None:
                self._leave_reason(lock, error)
            raise

    def _leave_reason(self, lock: RunLock, error: Exception) -> None:
        """Write why the attempt failed. What goes wrong here must not hide the error itself."""
        with suppress(LockLost, OSError):
            lock.check()
            failure.write(self.paths, reason(error))
            if self.paths.log.exists():
                with self.paths.log.open("a", encoding="utf-8") as log:
                    log.write(f"{''.join(traceback.format_exception(error))}failed: {reason(error)}\n")

    def _tracker(self, run: RunContext) -> AbstractContextManager[Tracker]:
        """Write the configuration and follow the training; a process that is not the main one does neither."""
        if not run.group.is_main:
            return nullcontext(run.tracker)
        run.ensure_lock_held()
        files.write_text(run.paths.config, yaml.safe_dump(dict(self.config), sort_keys=False))
        info = RunInfo(self.train_id, run.paths.folder, self.config, self.overrides, self.choices)
        return self.parts.tracking.tracker(info)

    def _train(self, run: RunContext) -> None:
        paths, config = run.paths, self.config
        training = Training(self.parts, run)
        done = training.run()
        digest = checkpoint.weights_digest(done.detector)
        if run.group.is_main:
            run.ensure_lock_held()
            checkpoint.save(paths.weights, done.detector.state_dict())
        steps = self.parts.schedule.steps
        self._record_evaluations(run, Evaluator(self.parts, done.detector, done.device, done.categories), steps, digest)
        if not run.group.is_main:
            return
        for one in self.records():
            split = f"{one.split}_multiscale" if one.multiscale else one.split
            run.tracker.evaluation(split, one.voting, one.numbers)
        record = TrainingRecord(
            train_id=paths.train_id,
            config=dict(config),
            overrides=list(self.overrides),
            digests=self.identity.digests,
            seed=config["seed"],
            threads=config["threads"],
            device=done.device.type,
            steps=steps,
            started=done.started,
            wall_s=round(done.wall_s, 2),
            weights_sha256=digest,
            origin=done.origin,
            choices=dict(self.choices),
            final=done.final,
            categories=done.categories,
            code=code_digests(config),
            world_size=run.group.size,
        )
        run.ensure_lock_held()
        record.write(paths.record)
        training.checkpoints.clear()

    def _evaluate(self, run: RunContext) -> None:
        """Evaluate a finished training."""
        record = TrainingRecord.read(run.paths.record)
        device = device_of(self.config)
        detector = final_detector(self.parts, run.paths, record).to(device)
        evaluator = Evaluator(self.parts, detector, device, record.categories)
        self._record_evaluations(run, evaluator, record.steps, record.weights_sha256)

    def _record_evaluations(self, run: RunContext, evaluator: Evaluator, step: int, weights_sha256: str) -> None:
        left = run.group.run_on_main(lambda: missing(run.paths, self.evaluations))
        evaluator.within(run, step).record(left, run, self.identity.digests, weights_sha256)


def final_detector(parts: Components, paths: RunPaths, record: TrainingRecord) -> Detector:
    """Return the network of a finished run with its final weights; ConfigError if they are missing or were changed."""
    again = f"remove {paths.folder} to {'import' if record.converted else 'train'} it again"
    if not paths.weights.exists():
        raise ConfigError(f"{paths.train_id}: finished, but its weights were removed; {again}")
    detector = parts.detector(len(record.categories), load_weights=False)
    detector.load_state_dict(checkpoint.load(paths.weights, again))
    if checkpoint.weights_digest(detector) != record.weights_sha256:
        raise ConfigError(f"{paths.weights}: not the weights that the run ended with (their SHA-256 differs); {again}")
    return detector


def _upload(paths: RunPaths, record: EvaluationRecord) -> str:
    file = paths.folder / str(record.upload)
    removed = f" (it was removed; delete {paths.evaluation(record.eval_id)} to write it again)"
    return f"{title(record)}: upload {file}{'' if file.exists() else removed}"


class JobFailed(Exception):  # noqa: N818
    """A job has failed. The message is the reason, in one line; the rest is on stderr and in the run's log."""


def run_experiment(experiment: Experiment, resume: str | None = None) -> float | None:
    """Run a job in this process and return its objective: train and evaluate what is missing.

    resume  the command that resumes it, printed when it is interrupted; None: one for this job only.
    JobFailed if it failed; Interrupted, whose `code` is the exit code, if it was asked to stop and has saved. What a
    user has to know is printed before either is raised.
    """
    try:
        experiment.run()
    except Interrupted as stop:
        if process_group().is_main:
            command = resume or shlex.join(["python", "-m", "paa.train", *experiment.overrides])
            print_line(f"{stop}. Resume with:\n  {command}")
        raise
    except Exception as error:
        raise JobFailed(report_failure(experiment.train_id, error)) from error
    return experiment.objective


def run_config(
    config: Mapping[str, Any],
    overrides: Sequence[str],
    choices: Mapping[str, str],
    resume: str | None = None,
    expected: str | None = None,
) -> float | None:
    """Check a job from its resolved configuration and run it, in a process that a launcher started.

    config, overrides, choices  those of an `Experiment`.
    expected  the run ID that the job was submitted with; another one now is a failure, since code or data changed.
    Returns and raises as `run_experiment`.
    """
    try:
        with process_group().main_process_first():
            experiment = Experiment.of(config, overrides, choices, here=True)
        found = experiment.train_id
        if expected is not None and found != expected:
            raise ConfigError(
                f"code or data changed since it was submitted as {expected}: it would train {found} now; submit again "
                "(hydra.launcher.snapshot=true of hydra/launcher=slurm keeps the code as it is at submission)"
            )
    except Exception as error:
        raise JobFailed(report_failure("paa.train", error)) from error
    return run_experiment(experiment, resume)


def report_failure(name: str, error: Exception) -> str:
    """Print why a job failed, with the traceback unless a user can fix it; return the reason in one line."""
    why = reason(error)
    if process_group().is_main or not isinstance(error, PeerFailed):  # a process that another one stopped adds nothing
        trace = "" if isinstance(error, USER_ERRORS) else "".join(traceback.format_exception(error))
        print_line(f"{trace}{name}  failed: {why}", sys.stderr)
    return why
