"""What an identity depends on, and what it does not."""

import copy
import hashlib
import json
import random
import subprocess
import sys

import pytest

from paa.runs import identity
from paa.runs.errors import IdentityError
from paa.runs.identity import INERT, INERT_BESIDE, canonical, eval_id, file_digest, train_id
from paa.runs.sources import source_digest

DIGESTS = {"data.train": "a1", "data.val": "b2", "data.test": "c3"}


@pytest.fixture
def config():
    return {
        "seed": 0,
        "device": "auto",
        "threads": 1,
        "workers": 2,
        "runs_dir": "runs",
        "compat": {"legacy": False},
        "recipe": {"name": "mini"},
        "data": {
            "_target_": "paa.data.Shapes",
            "root": "runs/.data",
            "seed": 0,
            "train": 4000,
            "val": 500,
            "test": 500,
        },
        "images": {
            "train": {"short": None, "flip": 0.5},
            "test": {"short": None, "batch_size": 50},
            "resize": "round",
            "legacy": False,
            "boxes": "clip",
            "empty": "keep",
            "min_side": 0,
        },
        "backbone": {"_target_": "paa.detector.ResNet", "depth": 50, "weights": "torchvision"},
        "detector": {"head": {"depth": 4}},
        "anchors": {"scale": 8.0},
        "assign": {
            "_target_": "paa.assign.PAA",
            "topk": 9,
            "boundary": {"_target_": "paa.assign.boundary.FNP", "n": 3},
        },
        "auxiliary": {"_target_": "paa.auxiliary.IoUPrediction", "lambda_2": 0.5},
        "coder": {"weights": [10.0, 10.0, 5.0, 5.0]},
        "criterion": {"alpha": 0.25},
        "postprocess": {"nms_iou": 0.6, "voting": True, "sigma_t": 0.025},
        "optim": {"lr": 0.01},
        "schedule": {"steps": 2500},
        "train": {"batch_size": 16, "accumulate": 1, "clip_norm": 10.0},
        "evaluate": {"splits": ["val"], "every": 0, "voting": [False, True]},
        "checkpoint": {"every": 500},
        "claim": {"on_busy": "wait"},
        "tracking": {"log_every": 20},
        "debug": {"images": None, "profile": None},
    }


def changed(config, key, value):
    out = copy.deepcopy(config)
    *parents, last = key.split(".")
    node = out
    for name in parents:
        node = node[name]
    node[last] = value
    return out


def ids(config, digests=DIGESTS):
    return train_id(config, digests), eval_id(config, digests, "val")


TRAINING_ALONE = {
    "seed": 1,
    "images.train.flip": 0.0,
    "images.boxes": "mmdet",
    "images.empty": "drop",
    "images.min_side": 32,
    "backbone.depth": 101,
    "backbone.weights": None,
    "detector.head.depth": 3,
    "anchors.scale": 4.0,
    "assign.topk": 5,
    "assign.boundary.n": 5,
    "assign.boundary._target_": "paa.assign.boundary.C",
    "auxiliary.lambda_2": 0.25,
    "coder.weights": [1.0, 1.0, 1.0, 1.0],
    "criterion.alpha": 0.5,
    "optim.lr": 0.02,
    "schedule.steps": 2501,
    "train.batch_size": 8,
    "train.clip_norm": None,
}
EVALUATION_ALONE = {
    "postprocess.nms_iou": 0.5,
    "postprocess.voting": False,
    "postprocess.sigma_t": 0.0025,
    "images.test.short": 800,
    "images.test.batch_size": 1,
}
BOTH = {
    "images.legacy": True,
    "images.resize": "truncate",
    "debug.images": 16,
    "data.seed": 5,
    "data._target_": "paa.data.Coco",
}
NEITHER = {
    "device": "cuda",
    "threads": 8,
    "workers": 0,
    "runs_dir": "/scratch/runs",
    "compat": {"legacy": True},
    "recipe": {"name": "smoke"},
    "data.root": "/elsewhere",
    "data.val": 100,
    "train.accumulate": 4,
    "evaluate": {"splits": ["test"]},
    "checkpoint.every": 1,
    "claim.on_busy": "leave",
    "tracking.log_every": 1,
    "debug.profile": 20,
}


@pytest.mark.parametrize(
    ("changes", "training", "evaluation"),
    [
        (TRAINING_ALONE, True, False),
        (EVALUATION_ALONE, False, True),
        (BOTH, True, True),
        (NEITHER, False, False),
    ],
    ids=["training", "evaluation", "both", "neither"],
)
def test_each_key_counts_where_it_should(config, changes, training, evaluation):
    before = ids(config)
    seen = {before}
    for key, value in changes.items():
        after = ids(changed(config, key, value))
        assert (after[0] != before[0], after[1] != before[1]) == (training, evaluation), key
        assert after == before or after not in seen, key
        seen.add(after)


def test_names_begin_with_a_letter_that_is_no_digit(config):
    train, evaluation = ids(config)
    assert train[0] == "t"
    assert evaluation[0] == "e"
    for name in (train, evaluation):
        assert len(name) == 11
        assert set(name[1:]) <= set("0123456789abcdef")


def test_order_and_spelling_do_not_count(config):
    def shuffled(node):
        if not isinstance(node, dict):
            return node
        keys = list(node)
        random.Random(3).shuffle(keys)
        return {key: shuffled(node[key]) for key in keys}

    same = shuffled(config)
    same = changed(same, "anchors.scale", 8)
    same = changed(same, "coder.weights", (10, 10, 5, 5))
    same = changed(same, "seed", 0.0)
    same = changed(same, "train.clip_norm", 10)
    assert list(same) != list(config)
    assert ids(same) == ids(config)


def test_asking_leaves_the_configuration_alone(config):
    before = copy.deepcopy(config)
    ids(config)
    eval_id(config, DIGESTS, "val", voting=False)
    assert config == before


def test_canonical():
    assert (
        canonical({"b": (1.0, -0.0, 1e-4, 0.1 + 0.2), "a": None}) == '{"a":null,"b":[1,0,0.0001,0.30000000000000004]}'
    )
    assert canonical({"a": True}) != canonical({"a": 1})
    assert canonical({"a": "1"}) != canonical({"a": 1})
    assert canonical(float("inf")) != canonical("inf")
    assert canonical(2.0**53) == canonical(2**53)


@pytest.mark.parametrize("value", [{1, 2}, object(), {1: 2}])
def test_values_that_are_not_plain_are_refused_by_key(config, value):
    with pytest.raises(IdentityError, match=r"optim\.lr"):
        train_id(changed(config, "optim.lr", value), DIGESTS)


def test_an_unknown_node_is_refused(config):
    for function in (lambda c: train_id(c, DIGESTS), lambda c: eval_id(c, DIGESTS, "val")):
        with pytest.raises(IdentityError, match=r"^novelty: unknown top-level node"):
            function({**config, "novelty": 1})


def test_contents_count_in_place_of_paths(config):
    train, evaluation = ids(config)
    assert train_id(config, {**DIGESTS, "data.train": "x"}) != train
    assert train_id(config, {**DIGESTS, "data.val": "x", "data.test": "x"}) == train
    assert eval_id(config, {**DIGESTS, "data.val": "x"}, "val") != evaluation
    assert eval_id(config, {**DIGESTS, "data.train": "x"}, "val") == evaluation
    with pytest.raises(IdentityError, match=r"data\.train: no content digest"):
        train_id(config, {})


def test_splits_and_voting_are_evaluations_of_their_own(config):
    names = {eval_id(config, DIGESTS, split, voting) for split in ("train", "val", "test") for voting in (False, True)}
    assert len(names) == 6
    assert eval_id(config, DIGESTS, "val", True) == eval_id(config, DIGESTS, "val")


def test_local_weights_count_by_content(config, tmp_path):
    file = tmp_path / "r50.pth"
    file.write_bytes(b"weights")
    with pytest.raises(IdentityError, match=r"backbone\.weights=.*counts by its content"):
        train_id(changed(config, "backbone.weights", str(file)), DIGESTS)
    with pytest.raises(IdentityError, match=r"backbone\.weights"):
        train_id(changed(config, "backbone.weights", "r50.pth"), DIGESTS)
    here = train_id(changed(config, "backbone.weights", str(file)), {**DIGESTS, "backbone.weights": file_digest(file)})
    there = train_id(changed(config, "backbone.weights", "b/c.pth"), {**DIGESTS, "backbone.weights": file_digest(file)})
    other = train_id(changed(config, "backbone.weights", str(file)), {**DIGESTS, "backbone.weights": "x"})
    assert here == there != other
    # A digest of a key that this configuration lacks says nothing about it.
    assert train_id(config, {**DIGESTS, "coder.weights_file": "x"}) == train_id(config, DIGESTS)


def test_a_new_key_at_its_inert_value_renames_nothing(config, monkeypatch):
    monkeypatch.setitem(INERT, "assign.soft", None)
    monkeypatch.setitem(INERT, "images.train.blur", 0.0)
    monkeypatch.setitem(INERT, "detector.neck.depth", 2)
    before = ids(config)
    assert ids(changed(config, "assign.soft", None)) == before
    assert ids(changed(config, "images.train.blur", 0)) == before
    assert ids(changed(config, "detector.neck", {"depth": 2})) == before  # nor does the node that it brought
    assert ids(changed(config, "assign.soft", 0))[0] != before[0]
    assert ids(changed(config, "images.train.blur", 0.5))[0] != before[0]
    assert ids(changed(config, "detector.neck", {"depth": 3}))[0] != before[0]
    assert ids(changed(config, "detector.neck", {"depth": 2, "wide": 1}))[0] != before[0]
    # A node that stood empty before is not the absence of it.
    assert ids(changed(config, "detector.tail", {}))[0] != before[0]


def test_a_new_key_may_be_inert_beside_older_ones_alone(config, monkeypatch):
    rules = (
        ("assign.soft", 1, {"anchors.scale": 8.0, "optim.lr": 0.01}),
        ("postprocess.blur", 0, {"images.legacy": False}),
    )
    monkeypatch.setattr(identity, "INERT_BESIDE", rules)
    before = ids(config)
    assert ids(changed(config, "assign.soft", 1)) == before
    assert ids(changed(config, "assign.soft", 2))[0] != before[0]
    for other in (changed(config, "anchors.scale", 4.0), changed(config, "optim.lr", 0.02)):
        assert ids(changed(other, "assign.soft", 1))[0] != ids(other)[0]
    assert ids(changed(config, "postprocess.blur", 0)) == before
    assert ids(changed(config, "postprocess.blur", 1))[1] != before[1]


@pytest.mark.parametrize("rule", INERT_BESIDE, ids=lambda rule: "{}={} beside {}".format(*rule))
def test_what_a_new_key_says_beside_older_ones_was_so_before(config, rule):
    key, value, older = rule
    recorded = config
    for name, its in older.items():
        recorded = changed(recorded, name, its)
    assert ids(changed(recorded, key, value)) == ids(recorded)
    assert ids(changed(recorded, key, "another"))[0] != ids(recorded)[0]


def test_thin_images_count_where_they_are_not_dropped_anyway(config):
    authors = changed(changed(config, "images.legacy", True), "images.empty", "drop")
    assert len({ids(changed(authors, "images.thin", value)) for value in ("keep", "drop")}) == 1
    for key, value in (("images.legacy", False), ("images.empty", "keep")):
        other = changed(authors, key, value)
        assert len({ids(changed(other, "images.thin", value)) for value in ("keep", "drop")}) == 2


def test_raised_numerics_rename_everything(config, monkeypatch):
    before = ids(config)
    monkeypatch.setattr(identity, "NUMERICS", identity.NUMERICS + 1)
    after = ids(config)
    assert after[0] != before[0]
    assert after[1] != before[1]


# In a process of its own: a module is read once in a process, since that is what the process runs.
FOREIGN = """
import json, sys
from paa.runs.identity import train_id
config = json.load(sys.stdin)
print(train_id(config, {"data.train": "a1"}))
"""


def foreign_id(folder, config, target):
    config = changed(config, "assign.boundary._target_", target)
    done = subprocess.run(
        [sys.executable, "-c", FOREIGN],
        input=json.dumps(config),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_source_of_foreign_targets_counts(config, tmp_path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("from mine.boundary import Mine\n")
    (package / "boundary.py").write_text(
        "import json\nimport mine.rule\nfrom mine.base import Base\nclass Mine(Base): ...\n"
    )
    (package / "base.py").write_text("class Base: ...\n")
    (package / "rule.py").write_text("LIMIT = 1\n")
    (package / "plot.py").write_text("COLOUR = 1\n")
    first = foreign_id(tmp_path, config, "mine.Mine")
    assert foreign_id(tmp_path, config, "mine.Mine") == first
    (package / "plot.py").write_text("COLOUR = 2\n")
    assert foreign_id(tmp_path, config, "mine.Mine") == first
    seen = {first}
    for name in ("boundary.py", "base.py", "rule.py"):
        with (package / name).open("a") as file:
            file.write("# edited\n")
        seen.add(foreign_id(tmp_path, config, "mine.Mine"))
    assert len(seen) == 4


def test_source_of_a_single_file_and_its_neighbour_counts(config, tmp_path):
    (tmp_path / "my_boundary.py").write_text("from my_rule import limit\nclass Mine: ...\n")
    (tmp_path / "my_rule.py").write_text("def limit(): return 1\n")
    first = foreign_id(tmp_path, config, "my_boundary.Mine")
    (tmp_path / "my_rule.py").write_text("def limit(): return 2\n")
    assert foreign_id(tmp_path, config, "my_boundary.Mine") != first


def test_a_constant_of_a_neighbour_counts(config, tmp_path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "boundary.py").write_text("from .settings import WITHIN\nclass Mine: limit = WITHIN\n")
    (package / "settings.py").write_text("from mine import deep\nWITHIN = 1 + deep.MORE\n")
    (package / "deep.py").write_text("MORE = 1\n")
    seen = {foreign_id(tmp_path, config, "mine.boundary.Mine")}
    for name, text in (("settings.py", "from mine import deep\nWITHIN = 2 + deep.MORE\n"), ("deep.py", "MORE = 2\n")):
        (package / name).write_text(text)
        seen.add(foreign_id(tmp_path, config, "mine.boundary.Mine"))
    assert len(seen) == 3


def test_an_import_in_a_function_counts_and_is_not_run(config, tmp_path):
    body = "class Mine:\n    def __call__(self):\n        from my_rule.limits import LIMIT\n        return LIMIT\n"
    check = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import my_types\n"
    (tmp_path / "my_boundary.py").write_text(check + body)
    (tmp_path / "my_types.py").write_text("Text = str\n")
    rule = tmp_path / "my_rule"
    rule.mkdir()
    (rule / "__init__.py").write_text("raise SystemExit('this was imported')\n")
    (rule / "limits.py").write_text("LIMIT = 1\n")
    first = foreign_id(tmp_path, config, "my_boundary.Mine")
    (tmp_path / "my_types.py").write_text("Text = bytes\n")
    assert foreign_id(tmp_path, config, "my_boundary.Mine") == first  # for type checkers alone
    (rule / "limits.py").write_text("LIMIT = 2\n")
    assert foreign_id(tmp_path, config, "my_boundary.Mine") != first


def test_the_digest_of_a_module_and_what_it_takes_a_class_from_is_as_ever(tmp_path, monkeypatch):
    (tmp_path / "lone_rule.py").write_text("class Base: ...\n")
    (tmp_path / "lone_boundary.py").write_text(
        "import json\nimport torch\nfrom lone_rule import Base\nclass Mine(Base): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    digest = hashlib.sha256()
    for name in ("lone_boundary", "lone_rule"):
        digest.update(f"{name}\n".encode() + (tmp_path / f"{name}.py").read_bytes())
    assert source_digest("lone_boundary.Mine") == digest.hexdigest()


def test_targets_that_are_not_there_are_named(config):
    for target in ("no_such_module.Mine", "json.NoSuchThing"):
        with pytest.raises(ValueError, match=f"_target_={target}"):
            train_id(changed(config, "assign.boundary._target_", target), DIGESTS)


def test_builtins_and_the_standard_library_do_not_count_by_source(config):
    for target in ("builtins.dict", "collections.OrderedDict"):
        other = changed(config, "optim._target_", target)
        assert train_id(other, DIGESTS) not in ("", train_id(config, DIGESTS))  # the name of a class counts
