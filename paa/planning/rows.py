"""The rows of a table: what each is called, what it would run, and the ids that its records have.

A row is a file of experiments/; what it means follows from composing it, under any recipe and with any overrides, and
its records are found by the identities that come of that, never by a recorded name: one training may be a row of
several tables, and a row's training may have been asked for in other words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from paa.config.bulk import Bulk
from paa.config.compose import Composer, composer
from paa.config.errors import USER_ERRORS, ConfigError
from paa.config.suggestions import explain_choice, listed
from paa.experiment.evaluation import Wanted, wanted
from paa.experiment.experiment import identify
from paa.experiment.memo import Shared
from paa.experiment.parts import assemble
from paa.planning.dry_run import without_plan
from paa.store.paths import RunPaths


@dataclass(frozen=True)
class Row:
    """A row of a table with one seed.

    table, name, seed  "table1", "fnp_5", 0.
    overrides    what asks `python -m paa.train` for it: ["recipe=mini", "table1=fnp_5", "seed=0"].
    config       the resolved configuration, as the record of its training holds it.
    choices      {group: choice}.
    paths        where its training lies, or would lie.
    evaluations  (split, voting, eval_id) of each evaluation that it asks for; `paths.evaluation(eval_id)` is its
                 record and `paths.matches(eval_id)` what became of each detection.
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
        """Identity of the training."""
        return self.paths.train_id

    def eval_id(self, voting: bool, split: str | None = None) -> str | None:
        """Identity of the evaluation with or without voting on `split`, or on the first that the row asks for."""
        found = (e.eval_id for e in self.evaluations if e.voting is voting and split in (None, e.split))
        return next(found, None)


@dataclass(frozen=True)
class Rows:
    """Rows of a table. `problems` says of a row that cannot be composed why not: {name: message}."""

    all: list[Row]
    problems: dict[str, str]


def rows(
    table: str,
    recipe: str | None = None,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    *,
    config_dir: str | None = None,
    digests: Mapping[str, str] | None = None,
) -> list[Row]:
    """Every row of `table` for each of `seeds`: row by row, in the order of their names (fnp_5 before fnp_10).

    recipe      under which they are composed; None is the default.
    overrides   further ones, of groups and values, for all rows alike ("data.root=DIR", "runs_dir=DIR").
    config_dir  folder of groups and rows of one's own, as --config-dir of the commands.
    digests     content digests ("data.train", "data.val") of data that are not here, as records hold them; None looks
                at the data (of which digests are remembered).
    Nothing is trained, and no image is looked at. ConfigError where there is no such table or a row cannot be,
    DataError where the data are not there. `rows_of` leaves out rows that cannot be.
    """
    words = [*([f"recipe={recipe}"] if recipe is not None else []), *overrides, f"seed={','.join(map(str, seeds))}"]
    found = rows_of(table, words, config_dir=config_dir, digests=digests)
    for name, problem in found.problems.items():
        raise ConfigError(f"{table}={name}: {problem}")
    return found.all


def rows_of(
    table: str,
    words: Sequence[str] = (),
    *,
    config_dir: str | None = None,
    digests: Mapping[str, str] | None = None,
) -> Rows:
    """The rows of `table` ("table1", or some: "table1=a,b", "table1=glob(fnp*)") with each job that `words` make.

    words  overrides as a sweep takes them: "recipe=mini", "seed=0,1,2", "compat=modern,official".
    Others as in `rows`. A row that cannot be (no file is given for weights that it needs) is among the problems; where
    none can be, its error is raised. ConfigError where there is no such table.
    """
    with composer(config_dir) as compose:
        name = table.partition("=")[0]
        known = row_names(compose, name)
        others = [word for word in words if word.partition("=")[0] in tables(compose)]
        if others:
            raise ConfigError(f"{others[0]}: must not name a second table beside {table}")
        every = compose.jobs([table if "=" in table else f"{table}=glob(*)", *words], True)
        unknown = next((row for row in (_row_of(job, name) for job in every) if row not in known), None)
        if unknown is not None:
            raise ConfigError(explain_choice(name, unknown, known))
        bulk, shared, found = Bulk(compose), Shared(), list[Row]()
        errors: dict[str, Exception] = {}
        for job in sorted(every, key=lambda job: known.index(_row_of(job, name))):
            row = _row_of(job, name)
            try:
                if row not in errors:
                    found.append(_row(bulk, shared, name, row, job, digests))
            except USER_ERRORS as error:
                errors[row] = error
    if errors and not found:
        raise next(iter(errors.values()))
    return Rows(found, {row: str(error) for row, error in errors.items()})


def tables(compose: Composer) -> list[str]:
    """The tables that there are: table1, ..."""
    return [group for group in compose.groups() if group.startswith("table")]


def row_names(compose: Composer, table: str) -> list[str]:
    """The rows of a table, numbers within names by size; ConfigError where there is no such table."""
    known = tables(compose)
    if table not in known:
        raise ConfigError(f"{table}: no such table. Tables: {listed(known)}")
    return sorted(compose.options(table), key=_natural)


def _natural(name: str) -> list[tuple[int, float, str]]:
    parts = re.findall(r"\d+(?:\.\d+)?|\D+", name)
    return [(0, float(part), "") if part[0].isdigit() else (1, 0.0, part) for part in parts]


def _row_of(job: Sequence[str], table: str) -> str:
    return next(word.partition("=")[2] for word in job if word.startswith(f"{table}="))


def _row(
    bulk: Bulk, shared: Shared, table: str, name: str, overrides: list[str], digests: Mapping[str, str] | None
) -> Row:
    found = bulk.resolved(overrides)
    parts = assemble(without_plan(found.config)[0], shared)
    identity = identify(parts, shared, digests)
    evaluations = wanted(parts.config, identity.digests)
    seed = int(parts.config["seed"])
    return Row(table, name, seed, overrides, parts.config, found.choices, identity.paths, evaluations)
