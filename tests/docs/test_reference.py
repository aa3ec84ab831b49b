"""docs/configuration.md matches conf/, every key has a comment, and documented ranges are those that are enforced."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from docs.generate.comments import Comment, read_choice
from docs.generate.reference import Conf, alike, main, page
from paa.config.compose import Composer, resolved
from paa.config.errors import ConfigError
from paa.config.paths import conf_dir
from paa.experiment.parts import assemble

PAGE = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"


@pytest.fixture(scope="module")
def conf() -> Conf:
    return Conf.read(conf_dir())


@pytest.fixture(scope="module")
def shown() -> str:
    return page()


def test_page_is_up_to_date(shown):
    assert PAGE.read_text() == shown, "make docs writes docs/configuration.md anew"


def test_every_key_has_a_meaning_and_values(conf):
    lacking = conf.uncommented()
    assert not lacking, "keys without a comment:\n" + "\n".join(lacking)
    silent = {k.name for c in conf.choices() for k in c.own() if not conf.comment(k, c.group).values}
    assert silent <= {"tracking.images"}, f"comments without values: {sorted(silent)}"


def test_key_without_comment_is_reported_with_its_file(tmp_path, capsys, monkeypatch):
    (tmp_path / "config.yaml").write_text(
        "defaults: [{assign: x}, {recipe: y}, {size: small}]\nseed: 0  # draws; integer\nnew:\n  key: 1\n"
    )
    for name, text in {"assign/x": "a: 1  # a\n", "recipe/y": "# @package _global_\nseed: 3\nrecipe: {b: 2}\n"}.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "size").mkdir()
    (tmp_path / "size" / "small.yaml").write_text("side: 1  # side, pixels; integer from 1\n")
    (tmp_path / "size" / "large.yaml").write_text("side: 9\n")
    lacking = ["conf/config.yaml: new.key", "conf/recipe/y.yaml: recipe.b"]
    assert Conf.read(tmp_path).uncommented() == lacking
    monkeypatch.setattr("docs.generate.reference.conf_dir", lambda: tmp_path)
    assert main([]) == 1
    assert capsys.readouterr().err.splitlines()[1:] == [f"  {line}" for line in lacking]


def test_page_is_written(tmp_path, capsys, shown):
    assert main([str(tmp_path / "page.md")]) == 0
    assert capsys.readouterr().out == ""
    assert (tmp_path / "page.md").read_text() == shown


@pytest.mark.parametrize(
    ("text", "comment"),
    [
        ("K, of a level; integer from 1; paper: K", Comment("K, of a level", "integer from 1", "K")),
        ("which; auto chooses; one of a, b", Comment("which", "auto chooses; one of a, b", "")),
        ("alone", Comment("alone", "", "")),
        ("", Comment("", "", "")),
    ],
)
def test_comment_has_three_parts(text, comment):
    assert Comment.of(text) == comment


def test_comments_may_continue_below_and_quoted_hashes_are_values(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(
        "# About this,\n# and that.\n_target_: paa.X\na: '# no'  # first; one of\n            # a, b\n# of the next\n"
        "b: [1, 2]\nc:\n  d: ${a.b}  # of d; ${x}\nm: {e: 1}  # both; numbers\nn: {f: 1}\n"
    )
    choice = read_choice(path, "g")
    assert (choice.about, choice.target) == ("About this, and that.", "paa.X")
    assert {key.name: (key.written, key.comment.meaning, key.comment.values) for key in choice.keys} == {
        "g.a": ("'# no'", "first", "one of a, b"),
        "g.b": ("[1, 2]", "", ""),
        "g.c.d": ("${a.b}", "of d", "${x}"),
        "g.m": ("{e: 1}", "both", "numbers"),
        "g.n.f": ("1", "", ""),
    }
    assert [key.references for key in choice.keys if key.name == "g.c.d"] == [["a.b"]]


def test_default_is_shown_with_the_key_that_it_comes_from(shown):
    assert "| `assign.topk` | `9`, from `recipe.topk` | candidates of a ground truth on each pyramid level |" in shown
    assert re.search(r"^\| key \| `modern` \| `mmdet` \| `official` \| `paper` \| meaning ", shown, re.M)
    assert re.search(r"^\| `compat\.sigma_t` \| `0\.025` \| `0\.025` \| `0\.025` \| `0\.0025` \| ", shown, re.M)
    assert "| `data.root` | required |" in shown


# Documented ranges, against what the constructors accept.

BASES = {
    "": [],
    "data": ["data.root=/data"],
    "compat": ["assign=max_iou", "optim=sgd", "schedule=multistep", "backbone=resnet18", "auxiliary=none"],
    "assign": ["auxiliary=none"],
    "recipe": ["schedule=multistep", "optim=sgd"],
}
"""Overrides to compose with a choice of a group, so that its keys are read."""

NOT_IN_THE_MIDDLE = {
    "train.accumulate": "at most the images of a step",
    "backbone.depth": "other keys of the choice must fit it",
    "backbone.expects": "weights of another input convention are rejected",
    "backbone.norm": "frozen and statistics need weights",
    "compat.norm": "frozen and statistics need weights",
    "backbone.stride_in_1x1": "true requires a 1x1 convolution",
    "backbone.frozen_stages": "requires weights",
    "backbone.groups": "must divide",
    "detector.head.channels": "must be those of the pyramid",
    "detector.fpn.channels": "must be those of the head",
    "recipe.longest": "not below the short side",
}
"""Keys of which not every value of the range is accepted, because other keys must fit."""

WHOLE = re.compile(r"integer from (\d+)(?: to (\d+))?(?:,? or null.*)?")
NUMBER = re.compile(r"number(?: (from|above) ([\d.]+))?(?: (to|below) ([\d.]+))?(?: or null)?")


def tries(values: str) -> tuple[list[Any], list[Any]] | None:
    """Return the ends of a documented range and the values right beyond them; None for another kind of text."""
    text = values.split("; ")[-1]
    if whole := WHOLE.fullmatch(text):
        low, high = int(whole[1]), whole[2] and int(whole[2])
        return [low, *([high] if high else [])], [low - 1, *([high + 1] if high else [])]
    if number := NUMBER.fullmatch(text):
        low, high = (float(v) if v else None for v in (number[2], number[4]))
        inside = [v for v, word in ((low, number[1]), (high, number[3])) if word in ("from", "to")]
        beyond = [v for v, word in ((low, number[1]), (high, number[3])) if word in ("above", "below")]
        beyond += [low - 0.001] if number[1] == "from" and low is not None else []
        return inside, beyond + ([high + 0.001] if number[3] == "to" and high is not None else [])
    if text.startswith("one of "):
        return [*text.removeprefix("one of ").split(", ")], ["nope"]
    return ([True, False], ["nope"]) if text == "true or false" else None


class Base:
    """A configuration with which single values are tried."""

    def __init__(self, cfg: DictConfig, conf: Conf) -> None:
        self.cfg, self.plain, self.conf = cfg, resolved(cfg), conf

    def error_of(self, name: str, value: Any) -> str | None:
        try:
            if self.conf.readers(name):
                one = copy.deepcopy(self.cfg)
                OmegaConf.update(one, name, value, merge=False)
                assemble(resolved(one))
            else:
                assemble(replaced(self.plain, name.split("."), value))
        except ConfigError as error:
            return str(error)
        return None


def replaced(node: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    return {**node, path[0]: value if len(path) == 1 else replaced(node[path[0]], path[1:], value)}


def documented(conf: Conf) -> Iterator[tuple[list[list[str]], dict[str, str]]]:
    """Yield (overrides, {key: values}) of each table of the page, without repetitions."""
    yield [BASES[""]], {key.name: conf.comment(key, "").values for key in conf.base.own()}
    for group in conf.groups:
        seen: set[tuple[str, str]] = set()
        for choices in alike(conf, group):
            table = {key.name: conf.comment(key, group).values for key in choices[0].own()}
            new = {name: values for name, values in table.items() if (name, values) not in seen}
            seen |= set(new.items())
            first = [f"{group}={choices[0].name}"]
            more = {"compat": [[], ["assign=atss"]], "recipe": [[]]}.get(group, [])
            yield [[*first, *BASES.get(group, [])], *([*first, *one] for one in more)], new


def test_values_are_accepted_within_the_documented_range_and_rejected_beyond_it(conf):
    checked, wrong = set(), []
    compose = Composer()
    for every, table in documented(conf):
        parsed = {name: found for name, values in table.items() if (found := tries(values)) is not None}
        bases = [Base(compose.compose(overrides), conf) for overrides in every] if parsed else []
        for name, (inside, beyond) in parsed.items():
            checked.add(name)
            if name != "compat.norm":  # read where a backbone has weights
                taken = [v for v in beyond if not any(base.error_of(name, v) for base in bases)]
                wrong += [f"{name}={v} is accepted: {table[name]}" for v in taken]
            if name not in NOT_IN_THE_MIDDLE and not conf.readers(name):  # who reads it says the same
                wrong += [f"{name}={v}: {found}" for v in inside if (found := bases[0].error_of(name, v))]
    assert not wrong, "\n".join(wrong)
    assert len(checked) > 100
