"""One run, from its configuration to its record: reuse, lock, resume, train, evaluate.

`config`, `overrides` and `choices` of an `Experiment` are plain and can be pickled or written as JSON. A launcher
builds it from them again where the job runs; nothing there reads conf/.
"""

from __future__ import annotations

import json
import shlex
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from paa import files
from paa.config.errors import USER_ERRORS, ConfigError, reason
from paa.detector import Detector
from paa.engine import checkpoint
from paa.engine.distributed import PeerFailed, process_group
from paa.engine.signals import Interrupted
from paa.experiment.device import apply_process, check_processes, device_of, too_long
from paa.experiment.evaluation import Evaluator, title
from paa.experiment.identify import Identity, Wanted, data_key, identify, missing
from paa.experiment.memo import Memo
from paa.experiment.parts import Components, assemble
from paa.experiment.run_context import RunContext
from paa.experiment.training import Training
from paa.log import console, log, print_line
from paa.store.code_digest import code_digests
from paa.store.errors import BadRecord
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
        memo, refusal = memo or Memo(), None
        others = {name: node for name, node in config.items() if name != "seed"}
        parts = memo("components", others, lambda: assemble(config, memo))
        parts = replace(parts, config={**parts.config, "seed": config["seed"]})
        if here:
            device_of(config)
            check_processes(config, process_group())
            refusal = too_long(config)
        if refusal and not any(run.finished for run in runs(Path(config["runs_dir"]))):
            raise ConfigError(refusal)  # before reading data
        experiment = cls(parts, identify(parts.config, memo), overrides, choices or {})
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
        return self.identity.evaluations

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
        group, paths, source = process_group(), self.paths, self.parts.source
        with console(group.is_main), group.report_failure():
            lock = self._lock() if group.is_main else None
            is_ours = group.run_on_main(lambda: lock is not None)
            with lock or nullcontext(), RunContext.open(paths, group, lock) if is_ours else nullcontext() as run:
                if run is not None:
                    log.debug("%s  %s", self.train_id, json.dumps(list(self.overrides)))
                    apply_process(self.config)
                    group.run_on_main(source.prepare)
                    source.prepare()
                    if group.run_on_main(lambda: paths.finished):
                        self._evaluate(run)
                    else:
                        with self._tracker(run) as run.tracker:
                            self._train(run)
                    group.raise_if_stopped(run.stop, self.parts.schedule.steps)  # too late for this run, not its sweep
                done = group.run_on_main(lambda: is_ours or self.finished)
                group.barrier()
        records = self.records() if done else []
        for record in records:
            if group.is_main and record.upload is not None and record.score is None:
                file = paths.folder / record.upload
                removed = f" (it was removed; delete {paths.evaluation(record.eval_id)} to write it again)"
                hint = "" if file.exists() else removed
                print_line(f"{self.train_id}  {title(record)}: upload {file}{hint}")
        return records

    def records(self) -> list[EvaluationRecord]:
        """Return the records of the evaluations that are asked for, as far as they exist."""
        every = [self.paths.evaluation(one.eval_id) for one in self.evaluations]
        return [EvaluationRecord.read(path) for path in every if path.exists()]

    def evaluator(self, record: TrainingRecord) -> Evaluator:
        """Return what detects and evaluates with the final weights of the finished training that `record` describes."""
        device = device_of(self.config)
        detector = final_detector(self.parts, self.paths, record).to(device).eval()
        return Evaluator(self.parts, detector, device, record.categories)

    def _lock(self) -> RunLock | None:
        """Take the run's lock if there is something to do and nobody else does it."""
        node = self.config["lock"]
        if self.finished:
            try:
                TrainingRecord.read(self.paths.record)
            except BadRecord as error:
                again = f"restore it, or remove {self.paths.folder} to train again"
                raise BadRecord(f"{error}; it is damaged: {again}") from error
            left = self.paths.checkpoints.exists()  # by a process that was killed right after it wrote the record
            if left and (free := acquire(self.paths.lock, if_locked="skip")):
                with free:
                    checkpoint.Checkpoints(self.paths.checkpoints, 1, free.check).clear()
            log.info("%s  already finished, reusing its results", self.train_id)
            return None

        def wait(owner: LockOwner) -> None:
            what = "waiting" if node["if_locked"] == "wait" else "skipping (lock.if_locked=skip)"
            log.info("%s  locked by %s: %s", self.train_id, owner, what)

        return acquire(self.paths.lock, **node, is_done=lambda: self.finished, on_wait=wait)

    def _tracker(self, run: RunContext) -> AbstractContextManager[Tracker]:
        """Write the configuration and follow the training; a process that is not the main one does neither."""
        if not run.group.is_main:
            return nullcontext(run.tracker)
        run.ensure_lock_held()
        files.write_text(run.paths.config, yaml.safe_dump(dict(self.config), sort_keys=False))
        info = RunInfo(self.train_id, run.paths.folder, self.config, self.overrides, self.choices)
        return self.parts.tracking.tracker(info)

    def _train(self, run: RunContext) -> None:
        """Train, write the weights, evaluate them, and write the record."""
        paths, config, steps, training = run.paths, self.config, self.parts.schedule.steps, Training(self.parts, run)
        evaluator, measured = training.run()
        digest = checkpoint.weights_digest(evaluator.detector)
        if run.group.is_main:
            run.ensure_lock_held()
            checkpoint.save(paths.weights, evaluator.detector.state_dict())
        self._record_evaluations(run, evaluator, steps, digest)
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
            device=evaluator.device.type,
            steps=steps,
            weights_sha256=digest,
            choices=dict(self.choices),
            categories=evaluator.categories,
            code=code_digests(config),
            world_size=run.group.size,
            **measured,
        )
        run.ensure_lock_held()
        record.write(paths.record)
        training.checkpoints.clear()

    def _evaluate(self, run: RunContext) -> None:
        """Evaluate a finished training."""
        record = TrainingRecord.read(run.paths.record)
        self._record_evaluations(run, self.evaluator(record), record.steps, record.weights_sha256)

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


class JobFailed(Exception):  # noqa: N818
    """A job has failed. The message is the reason, in one line; the rest is on stderr and in the run's log."""


@contextmanager
def reported(name: str, overrides: Sequence[str], resume: str = "") -> Iterator[None]:
    """Print what a user has to know when a job ends in the block: why it failed, or how to resume it.

    resume  the command that resumes it; "": one for this job only.
    JobFailed if it failed; Interrupted, whose `code` is the exit code, if it was asked to stop and has saved.
    """
    try:
        yield
    except Interrupted as stop:
        if process_group().is_main:
            print_line(f"{stop}. Resume with:\n  {resume or shlex.join(['python', '-m', 'paa.train', *overrides])}")
        raise
    except Exception as error:
        raise JobFailed(report_failure(name, error)) from error


def report_failure(name: str, error: Exception) -> str:
    """Print why a job failed, with the traceback unless a user can fix it; return the reason in one line."""
    why = reason(error)
    if process_group().is_main or not isinstance(error, PeerFailed):  # a process that another one stopped adds nothing
        trace = "" if isinstance(error, USER_ERRORS) else "".join(traceback.format_exception(error))
        print_line(f"{trace}{name}  failed: {why}", sys.stderr)
    return why
