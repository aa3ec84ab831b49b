"""Enter the answer of COCO's evaluation server into the record of the evaluation whose detections were uploaded.

The answer is the `scores.txt` of CodaLab: a line "name: value" for each number, values as fractions of 1, -1 if
there is no ground truth of that size:

    AP: 0.448
    AP_50: 0.633
    AP_small: 0.265
    AR_max_1: 0.353
"""

from __future__ import annotations

import datetime
import time
from dataclasses import replace
from pathlib import Path

from paa.evaluation.coco import NUMBERS
from paa.store.errors import RunError
from paa.store.frame import evaluations
from paa.store.paths import RunPaths, runs
from paa.store.record import EvaluationRecord

_PRECISIONS = ("AP", "AP_50", "AP_75", "AP_small", "AP_medium", "AP_large")
_RECALLS = ("AR_max_1", "AR_max_10", "AR_max_100", "AR_small", "AR_medium", "AR_large")
_NAMES = dict(zip(_PRECISIONS + _RECALLS, NUMBERS, strict=True))
"""{the server's name: ours}."""


class BadScore(RunError):  # noqa: N818
    """An answer that cannot be read, or that belongs to no evaluation."""


def read_answer(path: Path) -> dict[str, float | None]:
    """Return the numbers of a `scores.txt` in percent, by our names; None for -1. Lines of other names are ignored.

    BadScore if AP is missing, a value is no fraction from 0 to 1, or a name occurs twice with different values.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise BadScore(f"{path}: {error.strerror or error}") from error
    found: dict[str, float | None] = {}
    for line in lines:
        name, _, text = (part.strip() for part in line.partition(":"))
        if name not in _NAMES:
            continue
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (value == -1 or 0 <= value <= 1):
            raise BadScore(f"{path}: {name}={text}: must be a fraction from 0 to 1, or -1")
        number = None if value == -1 else round(100 * value, 6)
        if found.setdefault(_NAMES[name], number) != number:
            raise BadScore(f"{path}: {name} occurs twice with different values; must be one answer")
    if "AP" not in found:
        raise BadScore(f"{path}: AP is missing; must be the server's scores.txt, with lines such as 'AP: 0.448'")
    return found


def enter(
    runs_dir: Path, name: str, answer: Path, source: str | None = None, date: str | None = None
) -> tuple[RunPaths, EvaluationRecord, float | None]:
    """Enter an answer; return the run, the new record, and the AP that was there before.

    name    a prefix of the evaluation's or the run's ID that matches one upload only.
    source  where the answer is from (the address of a page, for example); None: the name of the file.
    date    of the answer, ISO; None: the date of the file.
    BadScore also if `name` matches no upload or several.
    """
    paths, record = _find(runs_dir, name)
    numbers = read_answer(answer)
    if date is None:
        day = datetime.date.fromtimestamp(answer.stat().st_mtime)
    else:
        try:
            day = datetime.date.fromisoformat(date)
        except ValueError as error:
            raise BadScore(f"--date {date}: must be a date such as 2020-07-04") from error
    score = {"source": source or answer.name, "date": day.isoformat(), "file": answer.name, "entered": time.time()}
    before = record.numbers.get("AP")
    new = replace(record, numbers=dict.fromkeys(NUMBERS) | numbers, score=score)
    new.write(paths.evaluation(record.eval_id))
    return paths, new, before


def _find(runs_dir: Path, name: str) -> tuple[RunPaths, EvaluationRecord]:
    if not runs_dir.is_dir():
        raise BadScore(f"--runs-dir {runs_dir}: no such folder; must be the folder of the evaluated run")
    uploaded = [(run, one) for run in runs(runs_dir) for one in evaluations(run) if one.upload is not None]
    meant = [(r, e) for r, e in uploaded if r.train_id.startswith(name) or e.eval_id.startswith(name)]
    if name and len(meant) == 1:
        return meant[0]
    if name and meant:
        each = ", ".join(f"{e.eval_id} ({_what(r, e)})" for r, e in meant)
        raise BadScore(f"{name}: ambiguous prefix ({len(meant)} uploads match); must be one of {each}")
    there = ", ".join(f"{e.eval_id} of {r.train_id}" for r, e in uploaded[:5]) or "none"
    raise BadScore(f"{name}: no evaluation with an upload in {runs_dir} has this prefix; must be one of {there}")


def _what(run: RunPaths, record: EvaluationRecord) -> str:
    scales = ", multi-scale" if record.multiscale else ""
    return f"{run.train_id}, {record.split}, voting {'on' if record.voting else 'off'}{scales}"
