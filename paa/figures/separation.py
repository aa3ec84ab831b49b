"""Figure 3: the scores of one ground truth's candidates, the mixture fitted to them, and where each boundary cuts.

Legend: M candidates of the ground truth, best first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from paa.assign.boundary import IGNORED, NEGATIVE, POSITIVE, A, B, C, D, MixtureBoundary
from paa.assign.mixture import log_joint
from paa.figures.style import BLUE, PAGE, VERMILION, page

BOUNDARIES: Mapping[str, Callable[..., MixtureBoundary]] = {"a": A, "b": B, "c": C, "d": D}
"""The four of the paper's Figure 3."""

STEEP = 8
"""Where one component's peak is so many times the other's, densities are drawn on a logarithmic scale."""

_LOOKS: dict[int, tuple[str, dict[str, Any]]] = {
    POSITIVE: ("positive", {"marker": "o", "s": 15, "facecolor": BLUE, "edgecolor": "black", "linewidth": 0.4}),
    IGNORED: ("ignored", {"marker": "x", "s": 14, "color": "0.35", "linewidth": 0.9}),
    NEGATIVE: ("negative", {"marker": "d", "s": 15, "facecolor": "white", "edgecolor": VERMILION, "linewidth": 0.9}),
}


@dataclass(frozen=True)
class Separation:
    """The candidates of one ground truth and what the boundaries make of them.

    scores [M] ascending; weights, means, variances [2] of the mixture, component 0 the one of good anchors; posterior
    [M] of component 0; density [M] of the mixture; pos_peak, neg_peak: positions of the densest candidate of either
    component, -1 where it has none; labels {boundary: [M] int} as `paa.assign.boundary` has them.
    """

    scores: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    posterior: np.ndarray
    density: np.ndarray
    pos_peak: int
    neg_peak: int
    labels: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, scores: Tensor, **options: Any) -> Separation:
        """Of scores [M], M at least 1, ascending; `options` are those of every `MixtureBoundary`."""
        rows, valid = scores[None].cpu(), torch.ones(1, len(scores), dtype=torch.bool)
        fitted = C(**options).fitted(rows, valid)
        joint = log_joint(fitted.mixture, rows)[0].double()
        mixture = fitted.mixture
        return cls(
            scores=rows[0].double().numpy(),
            weights=mixture.weights[0].double().numpy(),
            means=mixture.means[0].double().numpy(),
            variances=mixture.variances[0].double().numpy(),
            posterior=joint.softmax(-1)[:, 0].numpy(),
            density=joint.logsumexp(-1).exp().numpy(),
            pos_peak=int(fitted.pos_peak),
            neg_peak=int(fitted.neg_peak),
            labels={name: kind(**options)(rows, valid)[0].numpy() for name, kind in BOUNDARIES.items()},
        )

    def log_components(self, x: np.ndarray) -> np.ndarray:
        """Log of weight times density of each component at x [N] -> [2, N]."""
        weights, means, variances = (a[:, None] for a in (self.weights, self.means, self.variances))
        return np.log(weights) - 0.5 * (np.log(2 * math.pi * variances) + (x - means) ** 2 / variances)

    def cuts(self, boundary: str) -> np.ndarray:
        """Where labels change along the scores: halfway between the two candidates."""
        labels = self.labels[boundary]
        at = np.flatnonzero(labels[1:] != labels[:-1])
        return (self.scores[at] + self.scores[at + 1]) / 2


def draw(found: Separation, title: str) -> Figure:
    """The mixture over the scores, the posterior below it, and a row of candidates for each boundary."""
    figure = page(PAGE, 4.5)
    top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(3.2, 1.1, 2.0))
    x = _grid(found)
    _densities(top, found, x)
    _posterior(middle, found, x)
    _rows(bottom, found)
    figure.suptitle(title, fontsize=7.5)
    top.set_xlim(x[0], x[-1])
    bottom.set_xlabel("anchor score, $-\\log S$ = focal loss + $\\lambda$ GIoU loss (good anchors to the left)")
    figure.align_ylabels([top, middle, bottom])
    return figure


def _grid(found: Separation) -> np.ndarray:
    """Points around the scores that show a narrow component as well as a broad one."""
    room = 0.04 * (found.scores[-1] - found.scores[0]) or 0.5
    low, high = found.scores[0] - room, found.scores[-1] + room
    deviations = np.linspace(-5, 5, 401) * np.sqrt(found.variances)[:, None] + found.means[:, None]
    points = np.concatenate([np.linspace(low, high, 800), deviations.ravel(), found.scores])
    return np.unique(points[(points >= low) & (points <= high)])


def _densities(axis: Axes, found: Separation, x: np.ndarray) -> None:
    parts = np.exp(found.log_components(x))
    for k, (color, dash, name) in enumerate(((BLUE, "--", "good anchors"), (VERMILION, "-.", "bad anchors"))):
        numbers = (found.weights[k], found.means[k], math.sqrt(found.variances[k]))
        label = "component {}, {}: weight {:.2f}, mean {:.2f}, sd {:.2g}".format(k, name, *numbers)
        axis.plot(x, parts[k], color=color, linestyle=dash, label=label, zorder=3)
        axis.fill_between(x, parts[k], color=color, alpha=0.12, linewidth=0)
    axis.plot(x, parts.sum(0), color="black", linewidth=0.9, label="mixture", zorder=2)
    peaks = [peak for peak in (found.pos_peak, found.neg_peak) if peak >= 0]
    stars = found.scores[peaks], found.density[peaks]
    axis.plot(*stars, "k*", markersize=6.5, label="densest candidate of each component", zorder=4)
    tops = parts.max(1)
    if tops.max() > STEEP * tops.min():
        bottom = tops.min() / 30
        axis.set(ylabel="density (log)", yscale="log", ylim=(bottom, 2 * parts.sum(0).max()))
    else:
        bottom = 0.0
        axis.set(ylabel="density", ylim=(bottom, 1.06 * parts.sum(0).max()))
    text, look = f"candidates ({len(found.scores)})", {"markersize": 5, "clip_on": False, "zorder": 5}
    axis.plot(found.scores, np.full_like(found.scores, bottom), "k|", label=text, **look)  # type: ignore[arg-type]
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)


def _posterior(axis: Axes, found: Separation, x: np.ndarray) -> None:
    first, second = found.log_components(x)
    axis.axhline(0.5, color="0.6", linewidth=0.6, linestyle=":")
    axis.plot(x, np.exp(first - np.logaddexp(first, second)), color=BLUE, linewidth=1.0)
    marks: dict[str, Any] = {"marker": "o", "markersize": 2.5, "markeredgecolor": "black", "markeredgewidth": 0.3}
    axis.plot(found.scores, found.posterior, color=BLUE, linestyle="", **marks)
    axis.set(ylabel="posterior of\ncomponent 0", ylim=(-0.08, 1.08), yticks=(0, 0.5, 1))


def _rows(axis: Axes, found: Separation) -> None:
    for row, name in enumerate(found.labels):
        labels = found.labels[name]
        axis.axhline(row, color="0.85", linewidth=0.6, zorder=1)
        for label, (_, look) in _LOOKS.items():
            at = found.scores[labels == label]
            axis.scatter(at, np.full_like(at, row), zorder=3, **look)
        axis.vlines(found.cuts(name), row - 0.36, row + 0.36, color="black", linewidth=1.0, zorder=4)
    axis.set(ylim=(len(found.labels) - 0.4, -0.6), ylabel="boundary")
    axis.set_yticks(range(len(found.labels)), [f"({name})" for name in found.labels])
    axis.tick_params(axis="y", length=0)
    counts = [axis.scatter([], [], label=text, **look) for text, look in _LOOKS.values()]
    cut = Line2D([], [], color="black", linewidth=1.0, label="cut")
    axis.legend(handles=[*counts, cut], ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.42), frameon=False)
