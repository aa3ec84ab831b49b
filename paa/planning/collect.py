"""The rows of a table with what lies below a folder of runs: which seeds there are, and what has become of each."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
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

_UNKNOWN = "of data that nobody has trained on here"


@dataclass
class Known:
    """What the runs of a recipe have in common.

    seeds      of any of them, finished or not.
    digests    content digests of the data, with how many runs have them; roots, where these lay.
    overrides  what asked for them, but for rows and seeds, with how many.
    others     runs of other recipes, {recipe: how many}.
    """

    seeds: set[int] = field(default_factory=set)
    digests: Counter[tuple[tuple[str, str], ...]] = field(default_factory=Counter)
    roots: dict[tuple[tuple[str, str], ...], str] = field(default_factory=dict)
    overrides: Counter[tuple[str, ...]] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)


def known(runs_dir: Path, recipe: str) -> Known:
    """Looks at every run below `runs_dir` that was asked for with `recipe`. Files that are none are warned of."""
    out = Known()
    for paths in runs(runs_dir):
        try:
            record = TrainingRecord.read(paths.record) if paths.finished else None
            config = configuration(paths) if record is None else record.config
        except BadRecord as error:
            warnings.warn(f"{error}; left out", UnreadableRecord, stacklevel=2)
            continue
        name = keys.get(config, "recipe.name")
        if name != recipe or not isinstance(config.get("seed"), int):
            out.others.update([name] if isinstance(name, str) and name != recipe else [])
            continue
        out.seeds.add(config["seed"])
        if record is not None:
            data = tuple(sorted((k, v) for k, v in record.digests.items() if k.startswith("data.")))
            out.digests[data] += 1
            out.roots[data] = str(keys.get(config, "data.root"))
            out.overrides[tuple(o for o in record.overrides if not _is_own(o))] += 1
    return out


def _is_own(override: str) -> bool:
    """Whether an override is what rows differ in, or no matter of the training at all."""
    key = override.split("=")[0]
    return key in ("seed", "recipe", "runs_dir", "workers") or key.startswith(("table", "hydra"))


def found(
    groups: Sequence[str],
    recipe: str,
    overrides: Sequence[str],
    runs_dir: Path,
    known: Known,
    seeds: Sequence[int] = (),
    config_dir: str | None = None,
) -> list[Entry]:
    """The rows of `groups` ("table1", ...) under `recipe` and `overrides`, with the runs of `seeds` below `runs_dir`.

    seeds  none: those of which a row of these groups has been begun, and the first where none has.
    Data that are not here are taken to be those that most runs of the recipe have; without such, nothing has been run.
    A row that cannot be under these overrides (they name a key of another backbone, say) is left out, with a warning,
    and so is a group after the first. Else errors as in `paa.planning.rows.rows_of`.
    """
    wanted = sorted(set(seeds) or known.seeds) or [0]
    words = [f"recipe={recipe}", *overrides, f"runs_dir={runs_dir}", f"seed={','.join(map(str, wanted))}"]
    every: list[Row] = []
    for group in groups:
        try:
            rows = _rows(group, words, known, config_dir)
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


def _rows(group: str, words: Sequence[str], known: Known, config_dir: str | None) -> Rows:
    try:
        return rows_of(group, words, config_dir=config_dir)
    except (ConfigError, DataError) as error:
        found = _without_data(group, words, known, config_dir)
        if found is None:
            raise error from None
        return found


def _without_data(group: str, words: Sequence[str], known: Known, config_dir: str | None) -> Rows | None:
    """The rows as they would be with data that are elsewhere; None where something else is wrong."""
    root, digests = "elsewhere", dict.fromkeys(("data.train", "data.val", "data.test", "data.test-dev"), _UNKNOWN)
    if known.digests:
        common, _ = known.digests.most_common(1)[0]
        root, digests = known.roots[common], digests | dict(common)
    here = any(word.split("=")[0] == "data.root" for word in words)
    try:
        return rows_of(
            group, [*([] if here else [f"data.root={root}"]), *words], config_dir=config_dir, digests=digests
        )
    except (ConfigError, DataError):
        return None
