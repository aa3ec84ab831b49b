"""Composing many equals composing each, and leaves out what has been composed before."""

import pytest

from paa.config import bulk
from paa.config.bulk import Bulk
from paa.config.compose import composer, resolved
from paa.config.errors import ConfigError

SMOKE = ["recipe=smoke"]
SAME = (
    [*SMOKE, "seed=3", "assign.topk=5"],
    [*SMOKE, "recipe.steps=7", "seed=1"],  # others refer to it
    [*SMOKE, "schedule.steps=9", "recipe.steps=7"],  # and here no longer
    [*SMOKE, "runs_dir=/elsewhere"],  # within a text
    [*SMOKE, "criterion.alpha=0.5", "assign.gamma=1"],
    [*SMOKE, "images={train: {flip: 0.1}}", "images.train.flip=0.2"],
    [*SMOKE, "images.train.flip=0.2", "images={train: {flip: 0.1}}"],  # the later wins
    [*SMOKE, "seed=1", "seed=2"],
    [*SMOKE, "evaluate.splits=[val,test]", "threads=null", "device='cpu'"],
    [*SMOKE, "train.clip_norm=${recipe.sgd_lr}", "recipe.sgd_lr=0.5"],
    ["data=custom", "seed=4", "data.root=/data", "data.exif=apply"],  # missing but for the override
    ["table2=atss_none", *SMOKE, "assign._lambda_alone_=1.5"],  # within a resolver
    ["++assign.topk=5", "seed=2", *SMOKE],
)


def test_every_way_of_putting_in_values_gives_what_hydra_gives():
    with composer() as compose:
        many = Bulk(compose)
        for overrides in SAME:
            composed = compose.composed(overrides)
            found = many.resolved(overrides)
            assert found.config == resolved(composed.cfg), overrides
            assert found.choices == composed.choices
            assert found.launcher == composed.launcher == "basic"
            assert list(found.config) == list(resolved(composed.cfg))


def test_files_that_are_read_once_compose_as_those_that_are_read_anew(tmp_path, monkeypatch):
    """Hydra merges into what it has loaded: what is remembered must not change by it."""
    (tmp_path / "optim").mkdir()
    (tmp_path / "optim" / "own.yaml").write_text("defaults: [adamw, _self_]\nlr: 0.5\n")
    every = ([*SMOKE, "optim=own", "optim.lr=0.25"], ["recipe=mini", "assign=atss"], [*SMOKE, "optim=own"], SMOKE)

    def plain():
        with composer(str(tmp_path)) as compose:
            return [resolved(compose.compose(overrides)) for overrides in every]

    remembered = plain()
    assert [config["optim"]["lr"] for config in remembered] == [0.25, 0.006, 0.5, 0.002]
    monkeypatch.setattr("paa.config.compose.Remembering", lambda repository: repository)
    assert plain() == remembered


def test_a_set_of_choices_is_composed_once_and_what_is_referred_to_merged_once(monkeypatch):
    calls = {"composed": 0, "resolved": 0}
    with composer() as compose:
        compose.compose([])

        def counted(name, plain):
            def count(*args):
                calls[name] += 1
                return plain(*args)

            return count

        monkeypatch.setattr(compose, "composed", counted("composed", compose.composed))
        monkeypatch.setattr(bulk, "resolved", counted("resolved", resolved))
        many = Bulk(compose)
        jobs = compose.jobs(["recipe=smoke,mini", "recipe.steps=5,6", "seed=range(0,20)", "assign.topk=3,4"], True)
        found = [many.resolved(job).config for job in jobs]
    assert len(found) == 160
    assert calls == {"composed": 2, "resolved": 4}
    assert {(c["recipe"]["name"], c["schedule"]["steps"], c["seed"], c["assign"]["topk"]) for c in found} == {
        (r, n, s, k) for r in ("smoke", "mini") for n in (5, 6) for s in range(20) for k in (3, 4)
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=1", "assign.topkk=3"], r"^assign\.topkk: no such key\. .* Did you mean assign\.topk\?$"),
        (["assign=max_iou", "assign.boundary=fnp"], r"it belongs to assign=paa$"),
        (["data=custom", "seed=1"], r"^data\.root is missing: add data\.root=VALUE to the command$"),
        (["seed=1", "assign=4"], r"^assign=4: no such choice"),
        (["assign.topk={a: 1}", "seed=${nope}"], r"^seed: Interpolation key 'nope' not found$"),
    ],
)
def test_mistakes_are_told_as_ever(overrides, message):
    with composer() as compose, pytest.raises(ConfigError, match=message):
        Bulk(compose).resolved(overrides)
