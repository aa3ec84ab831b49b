"""Draw the paper's figures from finished runs: which runs and images each shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from paa.config.compose import Composer
from paa.config.errors import ConfigError
from paa.experiment.finished_run import Opened, opened
from paa.figures import architecture, assignments, detections, positives, separation
from paa.figures.runs import distinct, method, newest_paa, rivals
from paa.store.frame import scan


@dataclass(frozen=True)
class Shown:
    """The runs and images that figures show.

    runs     the first is that of figures which show one; the others are compared with it.
    named    whether the command line names the runs.
    images   ids that the command line names, or none.
    score    least score of Figure 8. schemes: of Figure 4b; none gives those with as many positives as the first run.
    """

    runs: Sequence[Opened]
    named: bool = False
    images: Sequence[int] = ()
    score: float = detections.SCORE
    schemes: Sequence[positives.Scheme] = ()

    @property
    def first(self) -> Opened:
        """The run of figures that show a single one."""
        return self.runs[0]

    @property
    def title(self) -> str:
        """The title of that run: "t9b2ecec567 (PAA)"."""
        return f"{self.first.paths.train_id} ({method(self.first.record.config)})"

    def compared(self, most: int) -> dict[str, Opened]:
        """Return {name: run}, at most `most`; ConfigError if the command line names more."""
        if self.named and len(self.runs) > most:
            raise ConfigError(f"--run: {len(self.runs)} runs; must be at most {most}, to be told apart in print")
        runs = self.runs[:most]
        names = distinct([method(run.record.config) for run in runs], [run.paths.train_id for run in runs])
        return dict(zip(names, runs, strict=True))


def choose(runs_dir: Path, prefixes: Sequence[str], compose: Composer) -> list[Opened]:
    """Return the runs that `prefixes` name; without any, the newest PAA run and its rivals (`paa.figures.runs`).

    RunNotFound, BadRecord, ConfigError where there is none. Warns of records that cannot be read.
    """
    if prefixes:
        return list({run.paths: run for run in (opened(runs_dir, one, compose) for one in prefixes)}.values())
    known = {record.train_id: Opened(paths, record, compose) for paths, record, _ in scan(runs_dir)}
    records = [run.record for run in known.values()]
    first = newest_paa(records)
    if first is None:
        raise ConfigError(f"{runs_dir}: no finished PAA run; python -m paa.train makes one, or --run names others")
    return [known[record.train_id] for record in (first, *rivals(first, records))]


def figure_3(shown: Shown) -> Figure:
    """Draw the scores of one ground truth, the mixture and the boundaries."""
    (image,) = shown.first.images(shown.images[:1], 1)
    found, name = shown.first.separation(image)
    return separation.draw(found, f"candidates of a ground truth ({name}, image {image}) at the end of {shown.title}")


def figure_4a(shown: Shown) -> Figure:
    """Draw the assignment at several steps of training."""
    steps, seen = shown.first.recorded(shown.images)
    return assignments.draw_steps(steps, seen, shown.first.record.steps)


def figure_4b(shown: Shown) -> Figure:
    """Draw the positives per ground truth over the steps."""
    if len(shown.schemes) > len(positives.DASHES):
        problem = f"{len(shown.schemes)} schemes; must be at most {len(positives.DASHES)}, to be told apart in print"
        raise ConfigError(f"--scheme: {problem}")
    curves = {name: run.counted() for name, run in shown.compared(len(positives.LINES)).items()}
    return positives.draw(curves, shown.schemes or positives.equal_schemes(next(iter(curves.values()))))


def figure_5(shown: Shown) -> Figure:
    """Draw the architecture."""
    return architecture.draw(shown.first.network(), f"network of {shown.title}")


def figure_6_7(shown: Shown) -> Figure:
    """Draw the assignments of several runs on several images."""
    runs = shown.compared(assignments.RUNS)
    images = shown.first.images(shown.images, 3)
    for run in runs.values():
        run.images(images, 0)  # refuses data that lack one of them
    return assignments.draw_runs(images, {name: [run.assigned(i)[0] for i in images] for name, run in runs.items()})


def figure_8(shown: Shown) -> Figure:
    """Draw detections beside ground truth."""
    images = shown.first.images(shown.images, 4)
    return detections.draw(shown.first.detected(images, shown.score), shown.score)


FIGURES: dict[str, Callable[[Shown], Figure]] = {
    "3": figure_3,
    "4a": figure_4a,
    "4b": figure_4b,
    "5": figure_5,
    "6-7": figure_6_7,
    "8": figure_8,
}

OTHER_NAMES = {"4": ("4a", "4b"), "6": ("6-7",), "7": ("6-7",)}
"""Numbers of the paper that stand for other names of figures."""
