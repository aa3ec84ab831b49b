"""The answer of COCO's evaluation server, entered into the record of the evaluation whose detections were uploaded."""

from __future__ import annotations

import datetime
import json
import math
import re
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from paa.evaluation.coco import NUMBERS
from paa.store.errors import RunError
from paa.store.frame import evaluations
from paa.store.paths import RunPaths, runs
from paa.store.record import EvaluationRecord

_NAMES = {
    **{name.lower(): name for name in NUMBERS},
    **{f"ap{name}": f"AP{name[0].upper()}" for name in ("small", "medium", "large")},
    **{f"ar{name}": f"AR{name[0].upper()}" for name in ("small", "medium", "large")},
    **{f"armax{count}": f"AR{count}" for count in (1, 10, 100)},
}
"""The server's names, in small letters and digits alone (AP_50, AP_small, AR_max_1) -> ours."""

_SUMMARY = re.compile(
    r"Average (?:Precision|Recall)\s+\((?P<kind>AP|AR)\) @\[ IoU=(?P<iou>[\d.:]+)\s*\| area=\s*(?P<area>\w+)\s*"
    r"\| maxDets=\s*(?P<most>\d+)\s*\] = (?P<value>-?[\d.]+)"
)
"""A line as pycocotools summarizes, which the server's log has as well."""

_PAIR = re.compile(r"\s*[\"']?(?P<name>[A-Za-z][\w@.\- ]*?)[\"']?\s*[:=]\s*(?P<value>-?\d[\d.eE+-]*)\s*,?\s*")


class BadScore(RunError):  # noqa: N818
    """An answer that cannot be read, or an evaluation that it cannot belong to."""


def read_answer(path: Path) -> dict[str, float | None]:
    """The numbers in the server's answer in percent, by our names; None for its -1 (nothing of that size).

    Taken are its JSON (the twelve numbers as one object, or as the first of a list, or within another), its "name:
    value" lines, and pycocotools' summary. Values up to 1 are fractions, as the server gives them. BadScore where AP
    is not among them, a value is no percentage, or one is stated twice and differs.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadScore(f"{path}: {error.strerror or error}") from error
    found: dict[str, float] = {}
    for name, value in _stated(text):
        if name in found and found[name] != value:
            raise BadScore(f"{path}: states {name} twice, {found[name]:g} and {value:g}; must be one answer")
        found[name] = value
    if "AP" not in found:
        what = "the server's JSON, its lines 'AP: 0.448', or pycocotools' summary"
        raise BadScore(f"{path}: holds no AP; must be {what}")
    scale = 100.0 if all(value <= 1 for value in found.values()) else 1.0
    for name, value in found.items():
        if not (math.isfinite(value) and (value == -1 or 0 <= value * scale <= 100)):
            raise BadScore(f"{path}: {name}={value:g}: must be a fraction or a percentage")
    return {name: None if value == -1 else round(value * scale, 6) for name, value in found.items()}


def enter(
    runs_dir: Path, name: str, answer: Path, source: str | None = None, date: str | None = None
) -> tuple[RunPaths, EvaluationRecord, float | None]:
    """Enters an answer; the run, the new record, and the AP that was there before.

    name    the evaluation's id or the run's, or the beginning of either, as long as it tells of one upload alone.
    source  where the answer is from (a page's address, say); None: the file's name. date, of the answer, ISO; None: the
            file's.
    """
    paths, record = _find(runs_dir, name)
    numbers = read_answer(answer)
    if date is None:
        day = datetime.date.fromtimestamp(answer.stat().st_mtime)
    else:
        try:
            day = datetime.date.fromisoformat(date)
        except ValueError as error:
            raise BadScore(f"--date {date}: must be a day, 2020-07-04 say") from error
    score = {"source": source or answer.name, "date": day.isoformat(), "file": answer.name, "entered": time.time()}
    before = record.numbers.get("AP")
    new = replace(record, numbers=dict.fromkeys(NUMBERS) | numbers, score=score)
    new.write(paths.evaluation(record.eval_id))
    return paths, new, before


def _find(runs_dir: Path, name: str) -> tuple[RunPaths, EvaluationRecord]:
    if not runs_dir.is_dir():
        raise BadScore(f"--runs-dir {runs_dir}: must be the folder that the evaluated run lies in; there is none")
    uploaded = [(run, one) for run in runs(runs_dir) for one in evaluations(run) if one.upload is not None]
    meant = [(r, e) for r, e in uploaded if r.train_id.startswith(name) or e.eval_id.startswith(name)]
    if name and len(meant) == 1:
        return meant[0]
    if name and meant:
        each = ", ".join(f"{e.eval_id} ({_what(r, e)})" for r, e in meant)
        raise BadScore(f"{name}: {len(meant)} evaluations with an upload are meant; say which: {each}")
    there = ", ".join(f"{e.eval_id} of {r.train_id}" for r, e in uploaded[:5]) or "none"
    raise BadScore(
        f"{name}: no evaluation in {runs_dir} whose detections wait for a server begins so; there is {there}"
    )


def _what(run: RunPaths, record: EvaluationRecord) -> str:
    scales = ", multi-scale" if record.multiscale else ""
    return f"{run.train_id}, {record.split}, voting {'on' if record.voting else 'off'}{scales}"


def _stated(text: str) -> Iterable[tuple[str, float]]:
    """(our name, value as it stands) of all that the text states."""
    try:
        yield from _in_json(json.loads(text))
        return
    except ValueError:
        pass
    for line in text.splitlines():
        summary, pair = _SUMMARY.search(line), _PAIR.fullmatch(line)
        if summary is not None:
            name = _of_summary(summary)
            if name is not None:
                yield name, float(summary["value"])
        elif pair is not None and (known := _known(pair["name"])) is not None:
            try:
                yield known, float(pair["value"])
            except ValueError:
                continue


def _in_json(value: Any) -> Iterable[tuple[str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            name = _known(str(key))
            if name is not None and isinstance(inner, int | float) and not isinstance(inner, bool):
                yield name, float(inner)
            elif isinstance(inner, dict | list):
                yield from _in_json(inner)
    elif isinstance(value, list) and value:
        yield from _in_json(value[0])


def _known(name: str) -> str | None:
    return _NAMES.get(re.sub(r"[^a-z0-9]", "", name.lower()))


def _of_summary(line: re.Match[str]) -> str | None:
    kind, area, iou = line["kind"], line["area"], line["iou"]
    if kind == "AP" and line["most"] == "100":
        if area == "all":
            return {"0.50:0.95": "AP", "0.50": "AP50", "0.75": "AP75"}.get(iou)
        return f"AP{area[0].upper()}" if iou == "0.50:0.95" else None
    if kind == "AR" and iou == "0.50:0.95":
        return f"AR{line['most']}" if area == "all" else f"AR{area[0].upper()}"
    return None
