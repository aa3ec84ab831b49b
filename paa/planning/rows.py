"""The rows of a table: their names, configurations and run IDs.

A row is a file of experiments/. Its records are found by composing it, with any recipe and overrides, and computing its
IDs, never by a recorded name: one training may be a row of several tables, and may have been requested in other words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paa.config.compose import Composer
from paa.config.errors import USER_ERRORS, ConfigError
from paa.config.suggestions import check_choice, listed
from paa.experiment.identify import Wanted, identify
from paa.experiment.memo import Memo
from paa.store.paths import RunPaths


@dataclass(frozen=True)
class Row:
    """A row of a table with one seed.

    table, name, seed  "table1", "fnp_5", 0.
    overrides    those of `python -m paa.train` for it: ["table1=fnp_5", "recipe=mini", "seed=0"].
    config       the resolved configuration, as in the record of its training.
    choices      {group: choice}.
    paths        the folder of its training, which may not exist.
    evaluations  (split, voting, eval_id) of each evaluation that it requests.
    """

    table: str
    name: str
    seed: int
    overrides: list[str]
    config: Mapping[str, Any]
    choices: Mapping[str, str]
    paths: RunPaths
    evaluations: list[Wanted]

    @property
    def train_id(self) -> str:
        """ID of the training."""
        return self.paths.train_id

    @property
    def settings(self) -> tuple[str, ...]:
        """The overrides that select neither the row nor its seed: ("recipe=mini",)."""
        return tuple(w for w in self.overrides if w not in (f"{self.table}={self.name}", f"seed={self.seed}"))


@dataclass(frozen=True)
class Rows:
    """Rows of a table, and {name: message} of the rows that cannot be composed."""

    all: list[Row]
    problems: dict[str, str]


def rows_of(
    table: str,
    words: Sequence[str] = (),
    *,
    config_dir: str | None = None,
    digests: Mapping[str, str] | None = None,
) -> Rows:
    """Compose the rows of a table, by name (fnp_5 before fnp_10), once for each job that `words` make; build nothing.

    table       "table1", or some of its rows: "table1=a,b", "table1=glob(fnp*)".
    words       overrides for all rows, as for a sweep: "recipe=mini", "seed=0,1,2", "runs_dir=DIR".
    config_dir  folder with your own groups and rows.
    digests     content digests ("data.train", "data.val") of data that are not here; None reads the data.
    Trains nothing and reads no image. A row that cannot be composed (weights that it needs are missing) is among the
    problems; if none can, its error is raised. ConfigError for an unknown table; DataError if the data are missing.
    """
    compose = Composer(config_dir)
    name = table.partition("=")[0]
    tables = [group for group in compose.groups() if group.startswith("table")]
    if name not in tables:
        raise ConfigError(f"{name}: no such table. Tables: {listed(tables)}")
    known = sorted(compose.options(name), key=_natural)
    others = [word for word in words if word.partition("=")[0] in tables]
    if others:
        raise ConfigError(f"{others[0]}: must not name a second table beside {table}")
    every = compose.jobs([table if "=" in table else f"{table}=glob(*)", *words], True)
    unknown = next((row for row in (_row_of(job, name) for job in every) if row not in known), None)
    if unknown is not None:
        check_choice(name, unknown, known)
    memo, found = Memo(), list[Row]()
    errors: dict[str, Exception] = {}
    for job in sorted(every, key=lambda job: known.index(_row_of(job, name))):
        row = _row_of(job, name)
        try:
            if row not in errors:
                found.append(_row(compose, memo, name, row, job, digests))
        except USER_ERRORS as error:
            errors[row] = error
    if errors and not found:
        raise next(iter(errors.values()))
    return Rows(found, {row: str(error) for row, error in errors.items()})


def _natural(name: str) -> list[tuple[int, float, str]]:
    """Sort numbers in names by size."""
    parts = re.findall(r"\d+(?:\.\d+)?|\D+", name)
    return [(0, float(part), "") if part[0].isdigit() else (1, 0.0, part) for part in parts]


def _row_of(job: Sequence[str], table: str) -> str:
    return next(word.partition("=")[2] for word in job if word.startswith(f"{table}="))


def _row(
    compose: Composer, memo: Memo, table: str, name: str, overrides: list[str], digests: Mapping[str, str] | None
) -> Row:
    found = compose.job(overrides)
    identity = identify(found.config, memo, digests)
    seed = int(identity.config["seed"])
    return Row(table, name, seed, overrides, identity.config, found.choices, identity.paths, identity.evaluations)
