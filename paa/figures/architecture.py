"""Figure 5: the network of a run, with the shapes of its maps and the numbers of its parameters."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from paa.figures.network import Network, Part, Shape
from paa.figures.style import PAGE, page

HEIGHT = 3.7

_BOX: dict[str, Any] = {"boxstyle": "round,pad=0,rounding_size=0.05", "linewidth": 0.7, "edgecolor": "black"}
_GROUNDS = {"image": "white", "backbone": "#F7DDA8", "fpn": "#BFE3F7", "head": "#DEDEDE", "auxiliary": "#A8E0CC"}
_ROWS = (0.75, 1.3, 1.85, 2.4, 2.95)  # the middles of P3 to P7; this and all below in inches
_IMAGE, _BACKBONE, _PYRAMID, _BUS = 0.47, 1.5, 2.75, 3.45  # middles across, and the line from the pyramid to the head
_WIDE, _HIGH = 0.95, 0.44  # of a box
_HEAD = (3.62, 0.46, 2.8, 2.76)  # left, bottom, width, height of its frame
_TOWERS, _OUTPUTS = 4.45, 5.8
_LINE = 0.105


def draw(network: Network, title: str) -> Figure:
    """From the image on the left to the outputs of the shared head on the right."""
    figure = page(PAGE, HEIGHT, layout=None)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, PAGE), ylim=(0, HEIGHT))
    axis.axis("off")
    axis.text(0.08, HEIGHT - 0.08, title, fontsize=7.5, va="top")
    totals = [f"{name} {number(network.totals[key])}" for key, name in _TOTALS.items()]
    line = f"Boxes: channels × rows × columns, parameters. Parameters: {', '.join(totals)}, trained "
    axis.text(0.08, 0.12, line + number(network.trained), fontsize=6.5)
    _trunk(axis, network)
    _head(axis, network)
    return figure


_TOTALS = {"backbone": "backbone", "fpn": "pyramid", "head": "head", "all": "all"}


def _trunk(axis: Axes, network: Network) -> None:
    """The image, the backbone's stages and the pyramid's levels."""
    _box(axis, (_IMAGE, _ROWS[0]), 0.84, "image", ["image", dims(network.image)], 0.3)
    for y, part in zip(_ROWS, network.stages, strict=False):
        _part(axis, (_BACKBONE, y), "backbone", part)
        _arrow(axis, (_BACKBONE + _WIDE / 2, y), (_PYRAMID - _WIDE / 2, y))
    for y, part in zip(_ROWS, network.levels, strict=True):
        _part(axis, (_PYRAMID, y), "fpn", part)
        axis.plot((_PYRAMID + _WIDE / 2, _BUS), (y, y), color="black", linewidth=0.7)
    axis.plot((_BUS, _BUS), (_ROWS[0], _ROWS[-1]), color="black", linewidth=0.7)
    _arrow(axis, (_IMAGE + 0.42, _ROWS[0]), (_BACKBONE - _WIDE / 2, _ROWS[0]))
    for low, high in pairwise(_ROWS[: len(network.stages)]):
        _arrow(axis, (_BACKBONE, low + _HIGH / 2), (_BACKBONE, high - _HIGH / 2))
        _arrow(axis, (_PYRAMID, high - _HIGH / 2), (_PYRAMID, low + _HIGH / 2))  # the coarser is added to the finer
    for low, high in pairwise(_ROWS[len(network.stages) - 1 :]):
        _arrow(axis, (_PYRAMID, low + _HIGH / 2), (_PYRAMID, high - _HIGH / 2))
    above = _HIGH / 2 + 0.06
    axis.text(_BACKBONE, _ROWS[len(network.stages) - 1] + above, f"backbone: {network.backbone}", ha="center")
    axis.text(_PYRAMID, _ROWS[-1] + above, "pyramid", ha="center")


def _head(axis: Axes, network: Network) -> None:
    """The towers and outputs, in a frame: one set of weights for every level."""
    left, bottom, width, height = _HEAD
    axis.add_patch(FancyBboxPatch((left, bottom), width, height, **_BOX, linestyle="--", facecolor="none"))
    first, last = network.levels[0].name, network.levels[-1].name
    axis.text(left + width / 2, bottom + height + 0.06, f"head, shared by {first} to {last}", ha="center")
    anchors = f"{network.anchors:,}".replace(",", " ")
    note = f"shapes at {first}; {anchors} anchors on all levels, one a place"
    axis.text(left + width / 2, bottom + 0.06, note, ha="center", fontsize=6.5)
    fork = left + 0.1
    axis.plot((_BUS, fork), (_ROWS[2], _ROWS[2]), color="black", linewidth=0.7)
    tower_y = (2.62, 1.28)
    axis.plot((fork, fork), tower_y, color="black", linewidth=0.7)
    for y, tower in zip(tower_y, network.towers, strict=True):
        _long(axis, (_TOWERS, y), 1.12, "head", tower)
        _arrow(axis, (fork, y), (_TOWERS - 0.56, y))
    spread = 0.36 if len(network.outputs) > 2 else 0.0
    places = (tower_y[0], tower_y[1] + spread, tower_y[1] - spread)
    for y, start, part, kind in zip(places, (0, 1, 1), network.outputs, ("head", "head", "auxiliary"), strict=False):
        _long(axis, (_OUTPUTS, y), 1.12, kind, part)
        _arrow(axis, (_TOWERS + 0.56, tower_y[start]), (_OUTPUTS - 0.56, y))


def _part(axis: Axes, at: tuple[float, float], kind: str, part: Part) -> None:
    _box(axis, at, _WIDE, kind, [part.name, dims(part.shape), number(part.parameters)], _HIGH)


def _long(axis: Axes, at: tuple[float, float], wide: float, kind: str, part: Part) -> None:
    """A box that also says how the part is made."""
    lines = [part.name, *textwrap.wrap(part.made or "no layers", 21), dims(part.shape), number(part.parameters)]
    _box(axis, at, wide, kind, lines, _LINE * len(lines) + 0.12)


def _box(axis: Axes, at: tuple[float, float], wide: float, kind: str, lines: Sequence[str], high: float) -> None:
    low = (at[0] - wide / 2, at[1] - high / 2)
    axis.add_patch(FancyBboxPatch(low, wide, high, facecolor=_GROUNDS[kind], **_BOX))
    axis.text(*at, "\n".join(lines), ha="center", va="center", fontsize=6.5, linespacing=1.15)


def _arrow(axis: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.7, "shrinkA": 0, "shrinkB": 0}
    axis.add_patch(FancyArrowPatch(start, end, color="black", **style))


def dims(shape: Shape) -> str:
    """ "256 × 100 × 152"."""
    return " × ".join(map(str, shape))


def number(parameters: int) -> str:
    """ "23.5 M", "8.20 k", "640": three digits."""
    for unit, name in ((1_000_000, "M"), (1_000, "k")):
        if parameters >= unit:
            value = parameters / unit
            return f"{value:.{max(0, 3 - len(str(int(value))))}f} {name}"
    return str(parameters)
