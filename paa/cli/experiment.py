"""One experiment from its configuration to its record: reuse, claim, resume, train, evaluate."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from paa import files
from paa.cli.assemble import Parts, apply_threads, assemble, device_of
from paa.cli.evaluating import Evaluator, missing, wanted
from paa.cli.messages import ConfigError
from paa.cli.training import Training
from paa.detector import Detector
from paa.engine import checkpoint
from paa.engine.progress import print_line
from paa.engine.signals import StopRequest
from paa.runs.claim import Claim, acquire
from paa.runs.identity import file_digest, train_id
from paa.runs.origin import origin
from paa.runs.paths import RunPaths
from paa.runs.record import EvaluationRecord, TrainingRecord


@dataclass(frozen=True)
class Identity:
    """What a configuration is called: the digests of what it reads, its training and where that lies."""

    digests: dict[str, str]
    train_id: str
    paths: RunPaths


def identify(parts: Parts) -> Identity:
    """Names the training. Reads the annotations (or what was remembered of them), nothing else."""
    config = parts.config
    splits = dict.fromkeys(["train", *config["evaluate"]["splits"]])
    digests = {f"data.{split}": parts.source.digest(split) for split in splits}
    weights = config["backbone"].get("weights")
    if weights is not None and weights != "torchvision":
        if not isinstance(weights, str) or not Path(weights).is_file():
            raise ConfigError(f"backbone.weights={weights}: must be null, torchvision or the path of a file")
        digests["backbone.weights"] = file_digest(Path(weights))
    name = train_id(config, digests)
    return Identity(digests, name, RunPaths(Path(config["runs_dir"]), name))


@dataclass(frozen=True)
class Experiment:
    """A checked experiment. `overrides` and `choices` go into the record."""

    parts: Parts
    identity: Identity
    overrides: Sequence[str]
    choices: Mapping[str, str]

    @classmethod
    def of(
        cls, config: Mapping[str, Any], overrides: Sequence[str] = (), choices: Mapping[str, str] | None = None
    ) -> Experiment:
        """Builds all that is cheap; ConfigError where a value cannot be."""
        parts = assemble(config)
        device_of(config)
        return cls(parts, identify(parts), overrides, choices or {})

    @property
    def finished(self) -> bool:
        """Whether the training and every evaluation that is asked for have their records."""
        paths = self.identity.paths
        return paths.finished and not missing(paths, wanted(self.parts.config, self.identity.digests))

    def run(self, say: Callable[[str], None] = print_line) -> list[EvaluationRecord]:
        """Does what is missing and returns the evaluations; none where another has the run and we may not wait."""
        node, paths = self.parts.config["claim"], self.identity.paths
        if self.finished:
            self._clear_checkpoints()
            say(f"{self.identity.train_id}  is finished: nothing to do")
        else:
            claim = acquire(
                paths.claim,
                on_busy=node["on_busy"],
                heartbeat_s=node["heartbeat_s"],
                stale_s=node["stale_s"],
                is_done=lambda: self.finished,
                on_wait=lambda holder: say(_busy(self.identity.train_id, holder, node["on_busy"])),
            )
            if claim is not None:
                with claim:
                    self._work(claim, say)
            elif not self.finished:
                return []
        return self.records()

    def records(self) -> list[EvaluationRecord]:
        """The records of the evaluations that are asked for, as far as they are there."""
        found = []
        for one in wanted(self.parts.config, self.identity.digests):
            path = self.identity.paths.evaluation(one.eval_id)
            if path.exists():
                found.append(EvaluationRecord.read(path))
        return found

    def _work(self, claim: Claim, say: Callable[[str], None]) -> None:
        config, paths = self.parts.config, self.identity.paths
        apply_threads(config)
        for folder in (paths.folder, paths.checkpoints, paths.evals):
            files.clear_leftovers(folder)
        with ExitStack() as stack:
            stop = stack.enter_context(StopRequest())
            log = stack.enter_context(paths.log.open("a", encoding="utf-8"))
            speak = _both(say, log)
            speak(f"{self.identity.train_id}  {json.dumps(list(self.overrides))}", quiet=True)
            self.parts.source.prepare()
            if paths.finished:
                self._evaluate_only(claim, stop, speak)
            else:
                claim.check()
                files.write_text(paths.config, OmegaConf.to_yaml(OmegaConf.create(dict(config))))
                self._train(claim, stop, speak, log)
            stop.check(self.parts.schedule.steps)  # a stop that came too late for this run still ends a sweep

    def _clear_checkpoints(self) -> None:
        """Removes what a process that was killed right after its record left behind."""
        paths = self.identity.paths
        if paths.checkpoints.exists():
            claim = acquire(paths.claim, on_busy="leave")
            if claim is not None:
                with claim:
                    checkpoint.Checkpoints(paths.checkpoints, 1).clear()

    def _train(self, claim: Claim, stop: StopRequest, say: Callable[..., None], log: Any) -> None:
        paths, config = self.identity.paths, self.parts.config
        training = Training(self.parts, paths, claim.check, stop, say, log)
        done = training.run()
        digest = checkpoint.weights_digest(done.detector)
        claim.check()
        checkpoint.save(paths.weights, done.detector.state_dict())
        every = wanted(config, self.identity.digests)
        steps = self.parts.schedule.steps
        evaluator = Evaluator(self.parts, done.detector, done.device, say, done.categories, lambda: stop.check(steps))
        evaluator.record(
            missing(paths, every), paths, self.identity.train_id, self.identity.digests, digest, claim.check
        )
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
            origin=origin(),
            choices=dict(self.choices),
            final=done.final,
            categories=done.categories,
        )
        claim.check()
        record.write(paths.record)
        training.checkpoints.clear()

    def _evaluate_only(self, claim: Claim, stop: StopRequest, say: Callable[..., None]) -> None:
        paths, name = self.identity.paths, self.identity.train_id
        record = TrainingRecord.read(paths.record)
        device = device_of(self.parts.config)
        detector = final_detector(self.parts, paths, record)
        categories = record.categories
        evaluator = Evaluator(
            self.parts, detector.to(device), device, say, categories, lambda: stop.check(record.steps)
        )
        every = missing(paths, wanted(self.parts.config, self.identity.digests))
        evaluator.record(every, paths, name, self.identity.digests, record.weights_sha256, claim.check)


def final_detector(parts: Parts, paths: RunPaths, record: TrainingRecord) -> Detector:
    """The network of a finished run with its final weights; ConfigError where they are gone or are others."""
    again = f"remove {paths.folder} to train it again"
    if not paths.weights.exists():
        raise ConfigError(f"{paths.train_id}: is finished, but its weights were removed; {again}")
    detector = parts.detector(len(record.categories))
    detector.load_state_dict(checkpoint.load(paths.weights, again))
    if checkpoint.weights_digest(detector) != record.weights_sha256:
        raise ConfigError(f"{paths.weights}: not the weights that the run ended with (their SHA-256 differs); {again}")
    return detector


def _busy(name: str, holder: object, on_busy: str) -> str:
    what = "waiting for it" if on_busy == "wait" else "leaving it to it (claim.on_busy=leave)"
    return f"{name}  is being trained by {holder}: {what}"


def _both(say: Callable[[str], None], log: Any) -> Callable[..., None]:
    def speak(text: str, quiet: bool = False) -> None:
        if not quiet:
            say(text)
        log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        log.flush()

    return speak
