"""The presets of conf/compat: each key can be changed by itself, builds, has a source, and is on the page."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from docs.generate.comments import Key
from docs.generate.presets import AGREED, AUTHORS, PRESETS, REPOSITORIES, link, main, page, topics
from docs.generate.reference import Conf
from paa.config.compose import Composer, resolved
from paa.config.paths import conf_dir
from paa.experiment.parts import assemble
from paa.store.identity import eval_id, train_id

PAGE = Path(__file__).resolve().parents[2] / "docs" / "compat.md"
DIGESTS = {"data.train": "1", "data.val": "2", "data.test": "3"}


@pytest.fixture(scope="module")
def conf() -> Conf:
    return Conf.read(conf_dir())


@pytest.fixture(scope="module")
def presets(conf) -> dict[str, dict[str, Key]]:
    """Return {preset: {key without "compat.": Key}}."""
    return {c.name: {key.name.removeprefix("compat."): key for key in c.own()} for c in conf.groups["compat"]}


@pytest.fixture(scope="module")
def values(presets) -> dict[str, dict[str, Any]]:
    """Return {preset: {key: value}}, with references resolved."""
    recipe = OmegaConf.load(conf_dir() / "recipe" / "mini.yaml").recipe
    lines = {name: OmegaConf.load(conf_dir() / "compat" / f"{name}.yaml") for name in presets}
    return {
        name: OmegaConf.to_container(OmegaConf.create({"compat": node, "recipe": recipe}).compat, resolve=True)
        for name, node in lines.items()
    }


def test_page_is_up_to_date():
    assert PAGE.read_text() == page(), "make docs writes docs/compat.md anew"


def test_page_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("docs.generate.presets.page", lambda: "# Presets\n")
    assert main([str(tmp_path / "compat.md")]) == 0
    assert (tmp_path / "compat.md").read_text() == "# Presets\n"


def test_every_key_is_in_every_preset_and_under_one_heading(presets):
    found = [name for _, names in topics(conf_dir() / "compat" / "modern.yaml") for name in names]
    assert sorted(presets) == sorted(PRESETS)
    for name, keys in presets.items():
        assert [f"compat.{key}" for key in keys] == found, name
    assert not {key for key, _ in AGREED} & set(found)


def test_every_value_has_a_file_or_a_section_as_source(presets):
    assert not any(key.comment.source for key in presets["modern"].values())
    for name in ("official", "mmdet"):
        for key in (key for key in presets[name].values() if not key.references):  # which are from where those are
            assert link(name, key.comment.source).startswith("["), f"{name}: {key.name} has no source"
    for key in presets["paper"].values():
        assert not key.comment.source or re.match(r"Eq\. \d|Procedure 1|sections? [\dA]", key.comment.source), key.name
    assert link("official", "a/b.py") == f"[b.py]({AUTHORS}a/b.py)"
    assert link("mmdet", "mmcv/b.py") == f"[b.py]({REPOSITORIES['mmcv']}mmcv/b.py)"


def test_preset_paper_is_the_authors_code_where_the_paper_is_silent(presets):
    silent = [key for key, line in presets["paper"].items() if not line.comment.source]
    assert len(silent) > 30
    for key in silent:
        assert presets["paper"][key].written == presets["official"][key].written, key


@pytest.fixture(scope="module")
def readers(conf, presets) -> dict[str, set[str]]:
    """Return {key of the preset: keys that refer to it, directly or indirectly}."""

    def all_of(name: str) -> set[str]:
        found = set(conf.readers(name))
        return found.union(*(all_of(reader) for reader in found))

    return {key: all_of(f"compat.{key}") for key in presets["modern"]}


ATSS = ("normalizer", "zero_weights", "average", "unified", "threshold_on", "ranked_by", "drop_empty", "voting")
READ_ELSEWHERE = {
    "baseline_low_quality",
    "baseline_low_quality_at_zero",
    "norm",
    "x152",
    *(f"atss_{key}" for key in ATSS),
}
"""Keys that are only read with assign=max_iou or atss, with pretrained weights, or by one network."""


@pytest.mark.parametrize("name", PRESETS)
def test_each_value_of_another_preset_works_in_this_one(name, values, readers):
    """It changes only the keys that refer to it, and builds. All keys together also work as overrides."""
    typed = [f"compat.{key}={value}" for key, value in values[name].items()]
    words = ["optim=sgd", "schedule=multistep", "backbone=resnet18", "recipe.steps=90000"]
    cfg = Composer().compose([f"compat={name}", *words, *typed])
    usual, tried = leaves(resolved(cfg)), 0
    assert {key: usual[f"compat.{key}"] for key in values[name]} == values[name]
    for key, own in values[name].items():
        for value in {str(values[other][key]): values[other][key] for other in PRESETS}.values():
            if value != own:
                one = copy.deepcopy(cfg)
                OmegaConf.update(one, f"compat.{key}", value)
                config = resolved(one)
                changed = {path for path, leaf in leaves(config).items() if usual[path] != leaf}
                assert f"compat.{key}" in changed
                assert changed <= {f"compat.{key}"} | readers[key], key
                assert (len(changed) > 1) == (key not in READ_ELSEWHERE), key
                assemble(config)
                tried += 1
    assert tried > 25


def leaves(node: Any, path: str = "") -> dict[str, Any]:
    """Return {dotted key: value} of all values."""
    if not isinstance(node, dict) or not node:
        return {path: node}
    return {k: v for key, value in node.items() for k, v in leaves(value, f"{path}.{key}".lstrip(".")).items()}


def test_sweep_over_a_test_time_key_is_two_evaluations_of_one_training():
    compose = Composer()
    jobs = compose.jobs(["compat=official", "postprocess.sigma_t=0.0025,0.025"], multirun=True)
    configs = [dict(assemble(resolved(compose.compose(job))).config) for job in jobs]
    assert [config["postprocess"]["sigma_t"] for config in configs] == [0.0025, 0.025]
    assert len({train_id(config, DIGESTS) for config in configs}) == 1
    assert len({eval_id(config, DIGESTS, "val", voting=True) for config in configs}) == 2
    assert len({eval_id(config, DIGESTS, "val", voting=False) for config in configs}) == 1


def test_recipe_has_the_schedule_of_its_preset():
    compose = Composer()
    for recipe, epochs, falls in (("1x", 12, (8, 11)), ("1.5x", 18, (12, 16)), ("2x", 24, (16, 22))):
        words = [f"recipe=coco_{recipe}", "data.root=/data"]
        official, mmdet = (compose.compose([*words, f"compat={name}"]) for name in ("official", "mmdet"))
        assert official.schedule.steps == official.recipe.steps == int(float(recipe.removesuffix("x")) * 90_000)
        assert list(official.schedule.milestones) == [0.6666667, 0.8888889]
        assert mmdet.schedule.steps == epochs * 7330
        assert [round(m * mmdet.schedule.steps) for m in mmdet.schedule.milestones] == [f * 7330 for f in falls]
        short = compose.compose([*words, "compat=mmdet", "schedule.steps=400"])
        assert short.schedule.steps == 400
