"""Train one experiment: data, network, optimizer and the loop, from the start or from the latest checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from paa import files
from paa.config.errors import ConfigError
from paa.datasets.findings import summarize
from paa.datasets.formats.coco_index import CocoIndex
from paa.datasets.loader import train_batches
from paa.datasets.targets import TrainingBoxes, trained_on
from paa.detector import Detector
from paa.engine import checkpoint
from paa.engine.core import TrainingCore
from paa.engine.distributed import shard
from paa.engine.loop import Loop
from paa.engine.metrics import Metrics, read
from paa.engine.pictures import Pictures, drawn_pictures, subjects
from paa.engine.precision import Precision
from paa.engine.progress import TrainProgress
from paa.experiment.device import device_of
from paa.experiment.evaluation import Evaluator
from paa.experiment.identify import votings
from paa.experiment.init_weights import InitWeights
from paa.experiment.parts import Components
from paa.experiment.run_context import RunContext
from paa.store.paths import RunPaths
from paa.store.provenance import origin, resumed
from paa.tracking import Tracker


@dataclass(frozen=True)
class _Data:
    """The training split, its boxes, and the positions of the images to train on."""

    index: CocoIndex
    truths: TrainingBoxes
    chosen: np.ndarray


class Training:
    """Trains into the folder of a run. All processes of its group train; only the main one writes."""

    def __init__(self, parts: Components, run: RunContext) -> None:
        self.parts, self.context = parts, run
        keep = parts.config["checkpoint"]["keep"]
        self.checkpoints = checkpoint.Checkpoints(run.paths.checkpoints, keep, run.ensure_lock_held)

    def run(self) -> tuple[Evaluator, dict[str, Any]]:
        """Train to the end of the schedule. Interrupted and NonFiniteLoss leave a checkpoint to resume from.

        Return what evaluates the network, and the fields of the run's record that say how it was trained: `started`,
        `wall_s`, `final` and `origin`.
        """
        parts, config, run, group = self.parts, self.parts.config, self.context, self.context.group
        steps, device, data = parts.schedule.steps, device_of(config), self._data()
        categories = data.index.categories
        self._check_splits(categories)
        group.raise_if_stopped(run.stop, 0)
        latest = group.run_on_main(lambda: self.checkpoints.latest)
        state = checkpoint.load(latest) if latest else None
        start = state["step"] if state else 0
        if state:
            run.say(f"resumes at step {start} of {steps}")
        detector = self._detector(categories, resumes=state is not None).to(device)
        group.broadcast(list(detector.state_dict().values()))  # machines may round the initial weights differently
        precision = Precision(config["precision"], device)
        precision.apply()
        now, began = origin(), time.monotonic()
        fresh = {"wall_s": 0.0, "started": time.time(), "origin": now}
        before: dict[str, Any] = state["extra"] if state else fresh
        made_by, note = resumed(before["origin"], now)
        if note:
            run.say(note)

        def extra() -> dict[str, Any]:
            return {**before, "wall_s": before["wall_s"] + time.monotonic() - began, "origin": made_by}

        evaluator = Evaluator(parts, detector, device, categories)
        with ExitStack() as stack:
            metrics = progress = None
            if group.is_main:
                mark = state["metrics"] if state else 0
                metrics = Metrics(run.paths.metrics, mark, run.ensure_lock_held, run.tracker.line)
                stack.callback(metrics.close)
                _replay(run.tracker, run.paths, start)
                progress = TrainProgress(run.paths.train_id, steps, start, state=run.paths.progress)
                stack.enter_context(progress)
            profiled = config["debug"]["profile"] if group.is_main else None
            step_context = stack.enter_context(_profiler(profiled, run.paths))
            core = parts.core(detector, precision, group)
            loop = Loop(
                core=core,
                optimizer=parts.optim.build(detector),
                schedule=parts.schedule,
                settings=parts.loop,
                checkpoints=self.checkpoints,
                metrics=metrics,
                progress=progress,
                stop=run.stop,
                device=device,
                evaluate=self._evaluate(evaluator),
                step_context=step_context,
                extra=extra,
                observe=self._pictures(core, data, device),
                precision=precision,
                group=group,
                batch_size=config["train"]["batch_size"],
            )
            if state:
                loop.restore(state)
            loop.run(self._batches(data, detector.backbone, start))
        fields, lines = extra(), [line for line in read(run.paths.metrics) if "loss" in line]
        fields |= {"wall_s": round(fields["wall_s"], 2), "final": lines[-1] if lines else {}}
        return evaluator, fields

    def _data(self) -> _Data:
        index = self.parts.index("train")
        truths, chosen = trained_on(index, self.parts.config["images"])
        left_out = f", {len(index) - len(chosen)} left out" if len(chosen) < len(index) else ""
        crowds = f", {truths.crowds} crowds" if truths.crowds else ""
        dropped = f", {truths.dropped} boxes without area" if truths.dropped else ""
        text = f"trains on {len(chosen)} images{left_out}, {len(truths.boxes)} boxes{crowds}{dropped}"
        self.context.say(f"{text}, {index.classes} classes")
        self._report_dropped("train", index)
        return _Data(index, truths, chosen)

    def _check_splits(self, categories: list[list[Any]]) -> None:
        """DataError if a split to evaluate has other classes; ConfigError if none can be evaluated while training."""
        node, source = self.parts.config["evaluate"], self.parts.source
        for split in node["splits"]:
            index = source.index(split)
            index.require_classes(categories)
            self._report_dropped(split, index)
        if node["every"] and not any(map(source.labeled, node["splits"])):
            none = f"no split of evaluate.splits=[{','.join(node['splits'])}] has annotations"
            raise ConfigError(f"evaluate.every={node['every']}: {none}; set evaluate.every=0, or add one")

    def _report_dropped(self, split: str, index: CocoIndex) -> None:
        if index.invalid:
            self.context.say(f"left out of {split} (data.on_invalid=drop): {summarize(index.invalid)}")

    def _batches(self, data: _Data, backbone: Any, start: int) -> Any:
        config, group = self.parts.config, self.context.group
        return train_batches(
            data.index,
            self.parts.train_transform(backbone),
            self.parts.sampler(data.index, data.chosen),
            start_step=start,
            steps=self.parts.schedule.steps,
            workers=config["workers"],
            truths=data.truths,
            pin_memory=device_of(config).type == "cuda",
            share=partial(shard, group.rank, group.size) if group.size > 1 else None,
        )

    def _detector(self, categories: list[list[Any]], resumes: bool) -> Detector:
        """Build the network as it starts. One that resumes gets its weights from the checkpoint only."""
        init = None if resumes else InitWeights.of(self.parts.config)
        detector = self.parts.detector(len(categories), load_weights=not resumes and init is None)
        if init is not None:
            self.context.say(init.into(detector, self.parts.config, categories))
        return detector

    def _evaluate(self, final: Evaluator) -> Callable[[int], dict[str, Any]]:
        """Return what evaluates the network during training, on the first split that has annotations."""
        parts = replace(self.parts, scales=None)  # at several scales it would take as long as much training
        evaluator = replace(final, parts=parts)

        def evaluate(step: int) -> dict[str, Any]:
            split = next(filter(parts.source.labeled, parts.config["evaluate"]["splits"]))
            voting, index = votings(parts.config)[-1], evaluator.index(split)
            found = evaluator.within(self.context, step).results(index, [voting])
            numbers = self.context.group.run_on_main(lambda: evaluator.measure(index, found[voting]).numbers)
            shown = "-" if numbers["AP"] is None else f"{numbers['AP']:.1f}"
            self.context.say(f"step {step}  {split}: AP {shown}")
            return {"split": split, "voting": voting, **numbers}

        return evaluate

    def _pictures(self, core: TrainingCore, data: _Data, device: torch.device) -> Callable[[int], None]:
        """Return what draws the assignment at the steps of `tracking.images`; it changes nothing in the training."""
        settings, config, run = self.parts.tracking.images, self.parts.config, self.context
        steps = settings.within(self.parts.schedule.steps)
        if not steps or not run.group.is_main:
            return lambda step: None
        draw = Pictures(
            core=replace(core, network=None),  # the compiled one would be compiled again for a batch of one
            device=device,
            index=data.index,
            positions=subjects(data.truths, data.chosen, config["seed"], settings.count),
            transform=self.parts.train_transform(core.detector.backbone),  # type: ignore[arg-type]
            rule=config["images"]["boxes"],
            legacy=config["images"]["legacy"],
            steps=steps,
            total=self.parts.schedule.steps,
            folder=run.paths.images,
            made=run.tracker.pictures,
            warn=run.say,
        )
        # After a stop request, the resumed training draws them.
        return lambda step: None if run.stop.signum is not None else draw(step)


def _replay(tracker: Tracker, paths: RunPaths, start: int) -> None:
    """Pass on to the tracker what earlier processes of this training left; it knows what it has already."""
    left = [(line["step"], partial(tracker.line, line)) for line in read(paths.metrics)]
    for step, made in drawn_pictures(paths.images).items():
        if step < start:
            left.append((step, partial(tracker.pictures, step, made)))
    for _, pass_on in sorted(left, key=lambda one: one[0]):  # the lines of a step before its pictures
        pass_on()


@contextmanager
def _profiler(steps: int | None, paths: RunPaths) -> Iterator[Callable[[], AbstractContextManager]]:
    """Profile `steps` steps after the first ten with torch.profiler; its table and trace go into the run's folder.

    Gives what wraps each step. None profiles nothing.
    """
    if steps is None:
        yield nullcontext
        return

    def save(profile: Any) -> None:
        table = profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=40)
        files.write_text(paths.folder / "profile.txt", table)
        profile.export_chrome_trace(str(paths.folder / "profile.json"))

    schedule = torch.profiler.schedule(wait=9, warmup=1, active=steps, repeat=1)
    with torch.profiler.profile(schedule=schedule, on_trace_ready=save) as profile:

        @contextmanager
        def step() -> Iterator[None]:
            yield
            profile.step()

        yield step
