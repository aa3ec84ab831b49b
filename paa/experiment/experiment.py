"""One experiment from its configuration to its record: reuse, lock, resume, train, evaluate."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from paa import files
from paa.checks import OutOfRange
from paa.config.errors import ConfigError, reason
from paa.detector import Detector
from paa.detector.efficientnet import package_file
from paa.engine import checkpoint
from paa.engine.distributed import ProcessGroup, process_group
from paa.engine.signals import Interrupted, StopRequest
from paa.experiment.cpu_limit import too_long
from paa.experiment.evaluation import Evaluator, missing, wanted
from paa.experiment.init_weights import Start
from paa.experiment.memo import Shared
from paa.experiment.parts import Parts, apply_process, assemble, check_as_before, check_processes, device_of
from paa.experiment.training import Training
from paa.log import print_line
from paa.store import failure
from paa.store.code_digest import code_digests
from paa.store.errors import LockLost
from paa.store.identity import file_digest, train_id
from paa.store.lock import RunLock, acquire
from paa.store.paths import RunPaths, runs
from paa.store.record import EvaluationRecord, TrainingRecord
from paa.tracking import RunInfo, Tracker


@dataclass(frozen=True)
class Identity:
    """What a configuration is called: the digests of what it reads, its training and where that lies."""

    digests: dict[str, str]
    train_id: str
    paths: RunPaths


def identify(parts: Parts, shared: Shared | None = None, known: Mapping[str, str] | None = None) -> Identity:
    """Names the training. Reads the annotations (or what was remembered of them) and local weights, nothing else.

    shared  where files are read once for jobs that name the same.
    known   content digests of splits ("data.train") that need not be looked at.
    """
    config, shared, digests = parts.config, shared or Shared(), dict[str, str]()
    for split in dict.fromkeys(["train", *config["evaluate"]["splits"]]):
        look = partial(shared.once, "digest", [*_data(config), split], partial(parts.source.digest, split))
        digests[f"data.{split}"] = (known or {}).get(f"data.{split}") or look()
    weights = config["backbone"].get("weights")
    if weights == "package":
        digests["backbone.weights"] = shared.once("file", weights, lambda: file_digest(_installed()))
    elif weights is not None and weights != "torchvision":
        if not isinstance(weights, str) or not Path(weights).is_file():
            raise ConfigError(f"backbone.weights={weights}: must be null, torchvision or the path of a file")
        digests["backbone.weights"] = shared.once("file", weights, lambda: file_digest(Path(weights)))
    start = Start.of(config)
    if start is not None:
        digests["finetune.from"] = shared.once("start", str(start.path), start.digest)
    name = train_id(config, digests)
    return Identity(digests, name, RunPaths(Path(config["runs_dir"]), name))


def _data(config: Mapping[str, Any]) -> list[Any]:
    """What tells the data of one configuration from those of another, as long as no file changes."""
    return [config["data"], config["runs_dir"]]


def _installed() -> Path:
    try:
        return package_file()
    except OutOfRange as error:
        raise ConfigError(f"backbone.{error}") from error


@dataclass(frozen=True)
class Experiment:
    """A checked experiment. `overrides` and `choices` go into the record."""

    parts: Parts
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
        shared: Shared | None = None,
        looks: bool = True,
    ) -> Experiment:
        """Builds all that is cheap; ConfigError where a value cannot be, DataError where the data cannot be used.

        here    it is to run in this process: ConfigError where there is no such device, or it would take days on a
                CPU. Nothing is read before, but where it might be finished.
        shared  what the jobs of one command line have in common.
        looks   False leaves image files unread: nothing is to run yet.
        """
        shared = shared or Shared()
        parts = assemble(config, shared)
        if here:
            device_of(config)
        check_processes(config, process_group())
        refusal = too_long(config) if here else None
        if refusal and not any(run.finished for run in runs(Path(config["runs_dir"]))):
            raise ConfigError(refusal)
        experiment = cls(parts, identify(parts, shared), overrides, choices or {})
        if refusal and not experiment.identity.paths.finished:
            raise ConfigError(refusal)
        if here:
            experiment.check_reuse(process_group())
        if looks:
            experiment.check_data(shared)
        return experiment

    def check_reuse(self, group: ProcessGroup) -> None:
        """ConfigError where the training is finished, and would have other numbers by the processes of `group`."""
        paths = self.identity.paths
        if self.parts.criterion.normalizer_sync == "per_process" and paths.finished:  # else no record need be read
            check_as_before(self.parts, paths.train_id, TrainingRecord.read(paths.record).world_size, group.size)

    def check_data(self, shared: Shared | None = None) -> None:
        """DataError for what is wrong with the splits that the missing work needs; images are looked at once and known
        from then on.
        """
        if not self.finished:
            training = [] if self.identity.paths.finished else ["train"]
            splits = list(dict.fromkeys([*training, *self.parts.config["evaluate"]["splits"]]))
            of = [*_data(self.parts.config), splits]
            (shared or Shared()).once("data", of, lambda: self.parts.source.check(splits))

    @property
    def finished(self) -> bool:
        """Whether the training and every evaluation that is asked for have their records."""
        paths = self.identity.paths
        return paths.finished and not missing(paths, wanted(self.parts.config, self.identity.digests))

    def run(self, say: Callable[[str], None] = print_line) -> list[EvaluationRecord]:
        """Does what is missing and returns the evaluations; none where another has the run and we may not wait.

        Of several processes the main one takes the lock, writes and speaks; the others do their part of the work.
        """
        paths, group = self.identity.paths, process_group()
        say = say if group.is_main else _unsaid
        with group.report_failure():
            lock = self._acquire_lock(say) if group.is_main else None
            is_ours = group.run_on_main(lambda: lock is not None)
            with lock or nullcontext():
                if is_ours:
                    self._attempt(lock.check if lock else _unguarded, say, group)
                done = group.run_on_main(lambda: is_ours or self.finished)
                group.barrier()
        if not done:
            return []
        records = self.records()
        for record in records:
            if record.upload is not None and record.score is None:
                say(f"{self.identity.train_id}  {_upload(paths, record)}")
        return records

    def records(self) -> list[EvaluationRecord]:
        """The records of the evaluations that are asked for, as far as they are there."""
        found = []
        for one in wanted(self.parts.config, self.identity.digests):
            path = self.identity.paths.evaluation(one.eval_id)
            if path.exists():
                found.append(EvaluationRecord.read(path))
        return found

    def _acquire_lock(self, say: Callable[[str], None]) -> RunLock | None:
        """The lock, where there is something to do and it is ours to do."""
        node, paths = self.parts.config["lock"], self.identity.paths
        if self.finished:
            self._clear_checkpoints()
            say(f"{self.identity.train_id}  is finished: nothing to do")
            return None
        return acquire(
            paths.lock,
            if_locked=node["if_locked"],
            heartbeat_s=node["heartbeat_s"],
            stale_s=node["stale_s"],
            is_done=lambda: self.finished,
            on_wait=lambda owner: say(_busy(self.identity.train_id, owner, node["if_locked"])),
        )

    def _attempt(self, ensure_lock_held: Callable[[], None], say: Callable[[str], None], group: ProcessGroup) -> None:
        """`_work`, which leaves a trace where it fails and the run is still ours."""
        if group.is_main:
            ensure_lock_held()
            failure.clear(self.identity.paths)
        try:
            self._work(ensure_lock_held, say, group)
        except (Interrupted, LockLost):  # it goes on later, or elsewhere
            raise
        except Exception as error:
            if group.is_main:
                with suppress(LockLost, OSError):  # another process owns the folder, or the disk fails: raise `error`
                    ensure_lock_held()
                    failure.write(self.identity.paths, reason(error))
                    self._log(error)
            raise

    def _log(self, error: Exception) -> None:
        """Adds the traceback to the log, where the attempt came to have one. A full disk is no further error."""
        path = self.identity.paths.log
        with suppress(OSError):
            if path.exists():
                with path.open("a", encoding="utf-8") as log:
                    log.write(f"{''.join(traceback.format_exception(error))}failed: {reason(error)}\n")

    def _work(self, ensure_lock_held: Callable[[], None], say: Callable[[str], None], group: ProcessGroup) -> None:
        """Trains and evaluates, as far as it is missing; `ensure_lock_held` raises when the lock is lost."""
        config, paths = self.parts.config, self.identity.paths
        apply_process(config)
        if group.is_main:
            for folder in (paths.folder, paths.checkpoints, paths.evals):
                files.clear_leftovers(folder)
        with ExitStack() as stack:
            stop = stack.enter_context(StopRequest())
            log = stack.enter_context((paths.log if group.is_main else Path(os.devnull)).open("a", encoding="utf-8"))
            speak = _both(say, log)
            speak(f"{self.identity.train_id}  {json.dumps(list(self.overrides))}", quiet=True)
            group.run_on_main(self.parts.source.prepare)
            self.parts.source.prepare()
            if group.run_on_main(lambda: paths.finished):
                self._evaluate_only(ensure_lock_held, stop, speak, group)
            else:
                tracker = Tracker()
                if group.is_main:
                    ensure_lock_held()
                    files.write_text(paths.config, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
                    tracker = self._tracker()
                self._train(ensure_lock_held, stop, speak, log, stack.enter_context(tracker), group)
            group.raise_if_stopped(stop, self.parts.schedule.steps)  # one that came too late here still ends a sweep

    def _clear_checkpoints(self) -> None:
        """Removes what a process that was killed right after its record left behind."""
        paths = self.identity.paths
        if paths.checkpoints.exists():
            lock = acquire(paths.lock, if_locked="skip")
            if lock is not None:
                with lock:
                    checkpoint.Checkpoints(paths.checkpoints, 1, lock.check).clear()

    def _tracker(self) -> Tracker:
        name, config = self.identity.train_id, self.parts.config
        return self.parts.tracking.tracker(
            RunInfo(name, self.identity.paths.folder, config, self.overrides, self.choices)
        )

    def _train(
        self,
        ensure_lock_held: Callable[[], None],
        stop: StopRequest,
        say: Callable[..., None],
        log: Any,
        tracker: Tracker,
        group: ProcessGroup,
    ) -> None:
        paths, config = self.identity.paths, self.parts.config
        training = Training(self.parts, paths, ensure_lock_held, stop, say, log, group, tracker)
        done = training.run()
        digest = checkpoint.weights_digest(done.detector)
        if group.is_main:
            ensure_lock_held()
            checkpoint.save(paths.weights, done.detector.state_dict())
        every = wanted(config, self.identity.digests)
        steps = self.parts.schedule.steps
        pause = partial(stop.check, steps)
        evaluator = Evaluator(self.parts, done.detector, done.device, say, done.categories, pause, group)
        left = group.run_on_main(lambda: missing(paths, every))
        evaluator.record(left, paths, self.identity.train_id, self.identity.digests, digest, ensure_lock_held)
        if not group.is_main:
            return
        for one in self.records():
            split = f"{one.split}_multiscale" if one.multiscale else one.split
            tracker.evaluation(split, one.voting, one.numbers)
        record = TrainingRecord(
            train_id=self.identity.train_id,
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
            code=code_digests(config),
            final=done.final,
            categories=done.categories,
            world_size=group.size,
        )
        ensure_lock_held()
        record.write(paths.record)
        training.checkpoints.clear()

    def _evaluate_only(
        self, ensure_lock_held: Callable[[], None], stop: StopRequest, say: Callable[..., None], group: ProcessGroup
    ) -> None:
        paths, name = self.identity.paths, self.identity.train_id
        record = TrainingRecord.read(paths.record)
        device = device_of(self.parts.config)
        detector = final_detector(self.parts, paths, record)
        categories = record.categories
        pause = partial(stop.check, record.steps)
        evaluator = Evaluator(self.parts, detector.to(device), device, say, categories, pause, group)
        every = group.run_on_main(lambda: missing(paths, wanted(self.parts.config, self.identity.digests)))
        evaluator.record(every, paths, name, self.identity.digests, record.weights_sha256, ensure_lock_held)


def final_detector(parts: Parts, paths: RunPaths, record: TrainingRecord) -> Detector:
    """The network of a finished run with its final weights; ConfigError where they are gone or are others."""
    again = f"remove {paths.folder} to {'convert' if record.converted else 'train'} it again"
    if not paths.weights.exists():
        raise ConfigError(f"{paths.train_id}: is finished, but its weights were removed; {again}")
    detector = parts.detector(len(record.categories), load_weights=False)
    detector.load_state_dict(checkpoint.load(paths.weights, again))
    if checkpoint.weights_digest(detector) != record.weights_sha256:
        raise ConfigError(f"{paths.weights}: not the weights that the run ended with (their SHA-256 differs); {again}")
    return detector


def _upload(paths: RunPaths, record: EvaluationRecord) -> str:
    what = f"{record.split}, voting {'on' if record.voting else 'off'}: upload {paths.folder / str(record.upload)}"
    again = f" (which was removed; without {paths.evaluation(record.eval_id)} it is written again)"
    return what + ("" if (paths.folder / str(record.upload)).exists() else again)


def _unsaid(text: str) -> None:
    """What a process says that is not the main one."""


def _unguarded() -> None:
    """What guards the writing of a process that does not write."""


def _busy(name: str, owner: object, if_locked: str) -> str:
    what = "waiting for it" if if_locked == "wait" else "leaving it to it (lock.if_locked=skip)"
    return f"{name}  is being trained by {owner}: {what}"


def _both(say: Callable[[str], None], log: Any) -> Callable[..., None]:
    def speak(text: str, quiet: bool = False) -> None:
        if not quiet:
            say(text)
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        log.flush()

    return speak
