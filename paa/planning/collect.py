"""Rows of tables with the runs in a folder: which seeds there are, and the state and numbers of each."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from paa.config.errors import ConfigError
from paa.datasets.errors import DataError
from paa.planning.rows import Row, Rows, rows_of
from paa.store import keys
from paa.store.errors import BadRecord
from paa.store.frame import UnreadableRecord, configuration
from paa.store.paths import runs
from paa.store.record import TrainingRecord
from paa.tables.entries import Entry, entries

_UNKNOWN = "data without a run here"


Digests = tuple[tuple[str, str], ...]
"""Content digests of the data: (key, digest), sorted."""


@dataclass(frozen=True)
class RunSummary:
    """A summary of the runs of a recipe.

    seeds      of all of them, finished or not.
    data       {(folder of the data, their content digests): number of finished runs}.
    overrides  {overrides without those of rows and seeds: number of finished runs}.
    others     {other recipe: number of runs}.
    """

    seeds: set[int]
    data: Counter[tuple[str, Digests]]
    overrides: Counter[tuple[str, ...]]
    others: Counter[str]


def summarize(runs_dir: Path, recipe: str) -> RunSummary:
    """Summarize the runs below `runs_dir` with `recipe`; warns of files that are not readable as records."""
    out = RunSummary(set(), Counter(), Counter(), Counter())
    for paths in runs(runs_dir):
        try:
            record = TrainingRecord.read(paths.record) if paths.finished else None
            config = configuration(paths) if record is None else record.config
        except BadRecord as error:
            warnings.warn(f"{error}; left out", UnreadableRecord, stacklevel=2)
            continue
        name, seed = keys.get(config, "recipe.name"), config.get("seed")
        if name != recipe:
            out.others.update([name] if isinstance(name, str) else [])
        elif isinstance(seed, int):
            out.seeds.add(seed)
            if record is not None:
                digests = tuple(sorted((k, v) for k, v in record.digests.items() if k.startswith("data.")))
                out.data[str(keys.get(config, "data.root")), digests] += 1
                out.overrides[tuple(o for o in record.overrides if not _is_a_row_s(o))] += 1
    return out


def _is_a_row_s(override: str) -> bool:
    """Whether an override differs between rows, or does not concern the training."""
    key = override.split("=")[0]
    return key in ("seed", "recipe", "runs_dir", "workers") or key.startswith(("table", "hydra"))


def found(
    groups: Sequence[str],
    recipe: str,
    overrides: Sequence[str],
    runs_dir: Path,
    summary: RunSummary,
    seeds: Sequence[int] = (),
    config_dir: str | None = None,
) -> list[Entry]:
    """Return the rows of `groups` ("table1", ...) with `recipe` and `overrides`, and their runs of `seeds`.

    seeds  none: all seeds for which a row of these groups was started, or the first if there is none.
    A row that cannot be composed with these overrides (they name a key of another backbone, say) is left out with a
    warning, and so is a group, except the first.
    Errors as in `paa.planning.rows.rows_of`.
    """
    wanted = sorted(set(seeds) or summary.seeds) or [0]
    words = [f"recipe={recipe}", *overrides, f"runs_dir={runs_dir}", f"seed={','.join(map(str, wanted))}"]
    every: list[Row] = []
    for group in groups:
        try:
            rows = _rows(group, words, summary, config_dir)
        except ConfigError as error:
            if group == groups[0]:
                raise
            warnings.warn(f"{group} is left out: {error}", stacklevel=2)
            continue
        every += rows.all
        for name, problem in rows.problems.items():
            warnings.warn(f"{group}={name} is left out: {problem}", stacklevel=2)
    if not seeds:
        begun = {row.seed for row in every if row.paths.folder.exists()} or {wanted[0]}
        every = [row for row in every if row.seed in begun]
    return entries(every)


def _rows(group: str, words: Sequence[str], summary: RunSummary, config_dir: str | None) -> Rows:
    """Compose the rows of a table; if their data are not on this machine, with those of most runs of the recipe."""
    try:
        return rows_of(group, words, config_dir=config_dir)
    except (ConfigError, DataError) as error:
        root, digests = "elsewhere", dict.fromkeys(("data.train", "data.val", "data.test", "data.test-dev"), _UNKNOWN)
        if summary.data:
            (root, common), _ = summary.data.most_common(1)[0]
            digests |= dict(common)
        named = any(word.split("=")[0] == "data.root" for word in words)
        moved = [*([] if named else [f"data.root={root}"]), *words]
        try:
            return rows_of(group, moved, config_dir=config_dir, digests=digests)
        except (ConfigError, DataError):
            raise error from None
