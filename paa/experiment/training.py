"""The training of one experiment: data, network, optimizer and the loop, begun or taken up where it was cut off."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TextIO

import numpy as np
import torch
from torch import nn

from paa import files
from paa.config.errors import ConfigError
from paa.datasets.findings import summarize
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.loader import train_batches
from paa.datasets.targets import TrainingBoxes, training_boxes, training_images
from paa.detector import Detector
from paa.engine import checkpoint
from paa.engine.core import TrainingCore
from paa.engine.distributed import ProcessGroup, shard
from paa.engine.loop import Loop, processes_of
from paa.engine.metrics import Metrics, read
from paa.engine.precision import Precision
from paa.engine.progress import TrainProgress
from paa.engine.signals import StopRequest
from paa.experiment.evaluation import Evaluator
from paa.experiment.init_weights import Start
from paa.experiment.parts import Parts, check_as_before, device_of, votings
from paa.experiment.watching import catch_up, pictures
from paa.store.paths import RunPaths
from paa.store.provenance import origin, resumed
from paa.tracking import Tracker


@dataclass(frozen=True)
class Trained:
    """A finished training.

    wall_s      seconds of work, `started` the Unix time at which it began.
    final       the last logged numbers.
    categories  [id, name] of each class.
    origin      code, libraries and machine at the start of training, and of resumes with other code.
    """

    detector: nn.Module
    device: torch.device
    started: float
    wall_s: float
    final: dict[str, Any]
    categories: list[list[Any]]
    origin: dict[str, Any]


class Training:
    """Trains into the folder of `paths`; `ensure_lock_held` raises when this process may no longer write there.

    Of several processes (`group`) all train, and the main one alone writes.
    """

    def __init__(
        self,
        parts: Parts,
        paths: RunPaths,
        ensure_lock_held: Callable[[], None],
        stop: StopRequest,
        say: Callable[..., None],
        log: TextIO,
        group: ProcessGroup,
        tracker: Tracker,
    ) -> None:
        self.parts, self.paths, self.ensure_lock_held = parts, paths, ensure_lock_held
        self.stop, self.say, self.log = stop, say, log
        self.group, self.tracker = group, tracker
        keep = parts.config["checkpoint"]["keep"]
        self.checkpoints = checkpoint.Checkpoints(paths.checkpoints, keep, ensure_lock_held)

    def run(self) -> Trained:
        """Trains to the end of the schedule. Interrupted and NonFiniteLoss leave a checkpoint to go on from."""
        parts, config = self.parts, self.parts.config
        device, (index, truths, chosen) = device_of(config), self._training_data()
        categories = index.categories
        self._say_left_out("train", index)
        for split in config["evaluate"]["splits"]:
            parts.source.index(split).require_classes(categories)
            self._say_left_out(split, parts.source.index(split))
        if config["evaluate"]["every"]:
            self._measured_split()
        self.group.raise_if_stopped(self.stop, 0)
        latest = self.group.run_on_main(lambda: self.checkpoints.latest)
        state = checkpoint.load(latest) if latest else None
        if state:
            check_as_before(parts, self.paths.train_id, processes_of(state), self.group.size)
        detector = self._detector(categories, resumes=state is not None).to(device)
        self.group.broadcast(list(detector.state_dict().values()))  # machines may round the initial weights differently
        optimizer = parts.optim.build(detector)
        precision = Precision(config.get("precision", "fp32"), device)
        precision.apply()
        start = state["step"] if state else 0
        made_by, note = resumed(state["extra"]["origin"], origin()) if state else (origin(), "")
        clock = _Clock(state, made_by)
        if state:
            self.say(f"{self.paths.train_id}  goes on at step {start} of {parts.schedule.steps}")
        if note:
            self.say(f"{self.paths.train_id}  {note}")
        with ExitStack() as stack:
            metrics = progress = None
            if self.group.is_main:
                mark = state["metrics"] if state else 0
                metrics = Metrics(self.paths.metrics, mark, self.ensure_lock_held, self.tracker.line)
                stack.callback(metrics.close)
                catch_up(self.tracker, self.paths, start)
                progress = TrainProgress(
                    self.paths.train_id, parts.schedule.steps, start, log=self.log, state=self.paths.progress
                )
                stack.enter_context(progress)
            profiler = _Profiler(config["debug"]["profile"] if self.group.is_main else None, self.paths)
            core = parts.core(detector, precision, self.group)
            loop = Loop(
                core=core,
                optimizer=optimizer,
                schedule=parts.schedule,
                settings=parts.loop,
                checkpoints=self.checkpoints,
                metrics=metrics,
                progress=progress,
                stop=self.stop,
                device=device,
                evaluate=self._evaluate(detector, device, categories),
                step_context=stack.enter_context(profiler).step,
                extra=clock.state,
                observe=self._pictures(core, (index, truths, chosen), detector, device),
                precision=precision,
                group=self.group,
                batch_size=config["train"]["batch_size"],
            )
            if state:
                loop.restore(state)
            loop.run(self._batches(index, truths, chosen, detector.backbone, start))
        final = [line for line in read(self.paths.metrics) if "loss" in line][-1:]
        return Trained(detector, device, clock.started, clock.elapsed, final[0] if final else {}, categories, made_by)

    def _training_data(self) -> tuple[CocoIndex, TrainingBoxes, np.ndarray]:
        """The training split, its boxes, and the positions of the images to train on."""
        images, limit = self.parts.config["images"], self.parts.config["debug"]["images"]
        index = self.parts.source.index("train")
        if limit is not None:
            index = index.subset(np.arange(min(limit, len(index))))
        truths = training_boxes(index, legacy=images["legacy"], rule=images["boxes"])
        chosen = training_images(
            index,
            truths,
            empty_images=images["empty"],
            degenerate_boxes=images["degenerate_boxes"],
            min_side=images["min_side"],
        )
        if not len(chosen):
            raise ConfigError(f"{index.path}: no image to train on (images.empty={images['empty']} leaves none)")
        left_out = f", {len(index) - len(chosen)} left out" if len(chosen) < len(index) else ""
        crowds = f", {truths.crowds} crowds" if truths.crowds else ""
        dropped = f", {truths.dropped} boxes without area" if truths.dropped else ""
        text = f"trains on {len(chosen)} images{left_out}, {len(truths.boxes)} boxes{crowds}{dropped}"
        self.say(f"{self.paths.train_id}  {text}, {index.classes} classes")
        return index, truths, chosen

    def _say_left_out(self, split: str, index: CocoIndex) -> None:
        if index.invalid:
            self.say(f"{self.paths.train_id}  left out of {split} (data.on_invalid=drop): {summarize(index.invalid)}")

    def _batches(self, index: CocoIndex, truths: TrainingBoxes, chosen: np.ndarray, backbone: Any, start: int) -> Any:
        config = self.parts.config
        return train_batches(
            index,
            self.parts.train_transform(backbone),
            self.parts.sampler(index, chosen),
            start_step=start,
            steps=self.parts.schedule.steps,
            workers=config["workers"],
            truths=truths,
            pin_memory=device_of(config).type == "cuda",
            share=partial(shard, self.group.rank, self.group.size) if self.group.size > 1 else None,
        )

    def _pictures(
        self, core: TrainingCore, data: tuple[CocoIndex, TrainingBoxes, np.ndarray], detector: nn.Module, device: Any
    ) -> Callable[[int], None]:
        made, stopping = self.tracker.pictures, lambda: self.stop.signum is not None
        return pictures(self.parts, core, data, detector, device, self.paths.images, made, self.say, stopping)

    def _detector(self, categories: list[list[Any]], resumes: bool) -> Detector:
        """The network as it starts; one that resumes gets its weights from the checkpoint, and loads no others."""
        start = None if resumes else Start.of(self.parts.config)
        detector = self.parts.detector(len(categories), load_weights=not resumes and start is None)
        if start is not None:
            self.say(f"{self.paths.train_id}  {start.into(detector, self.parts.config, categories)}")
        return detector

    def _measured_split(self) -> str:
        """The first split of evaluate.splits that has annotations; ConfigError where none has."""
        node = self.parts.config["evaluate"]
        for split in node["splits"]:
            if self.parts.source.labeled(split):
                return str(split)
        none = f"evaluate.splits=[{','.join(node['splits'])}]: has no split with annotations"
        raise ConfigError(f"evaluate.every={node['every']}: {none}; say evaluate.every=0, or add one")

    def _evaluate(
        self, detector: nn.Module, device: torch.device, categories: list[list[Any]]
    ) -> Callable[[int], dict[str, Any]]:
        def evaluate(step: int) -> dict[str, Any]:
            pause = partial(self.stop.check, step)
            parts = replace(self.parts, scales=None)  # at many scales would take as long as much training
            evaluator = Evaluator(parts, detector, device, self.say, categories, pause, self.group)
            split, voting = self._measured_split(), votings(self.parts.config)[-1]
            measured = evaluator.split(split, [voting])
            numbers = self.group.run_on_main(lambda: measured[voting].numbers)
            self.say(f"{self.paths.train_id}  step {step}  {split}: AP {numbers['AP'] or 0:.1f}")
            return {"split": split, "voting": voting, **numbers}

        return evaluate


class _Clock:
    """Seconds of work over all parts of a training that was cut off and resumed."""

    def __init__(self, state: dict[str, Any] | None, origin: dict[str, Any]) -> None:
        self.origin = origin
        before = state["extra"] if state else {"elapsed": 0.0, "started": time.time()}
        self.started: float = before["started"]
        self._before, self._began = before["elapsed"], time.monotonic()

    @property
    def elapsed(self) -> float:
        return self._before + time.monotonic() - self._began

    def state(self) -> dict[str, Any]:
        return {"elapsed": self.elapsed, "started": self.started, "origin": self.origin}


class _Profiler(ExitStack):
    """torch.profiler over the steps after the first ten; its table and trace go into the run's folder."""

    WARM_UP = 10

    def __init__(self, steps: int | None, paths: RunPaths) -> None:
        super().__init__()
        self._steps, self._paths, self._profile = steps, paths, None

    def __enter__(self) -> _Profiler:
        super().__enter__()
        if self._steps is not None:
            activities = [torch.profiler.ProfilerActivity.CPU]
            if torch.cuda.is_available():
                activities.append(torch.profiler.ProfilerActivity.CUDA)
            schedule = torch.profiler.schedule(wait=self.WARM_UP - 1, warmup=1, active=self._steps, repeat=1)
            self._profile = self.enter_context(
                torch.profiler.profile(activities=activities, schedule=schedule, on_trace_ready=self._save)
            )
        return self

    def step(self) -> AbstractContextManager:
        """Wraps one step."""
        if self._profile is None:
            return nullcontext()
        stack = ExitStack()
        stack.callback(self._profile.step)
        return stack

    def _save(self, profile: Any) -> None:
        table = profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=40)
        files.write_text(self._paths.folder / "profile.txt", table)
        profile.export_chrome_trace(str(self._paths.folder / "profile.json"))
