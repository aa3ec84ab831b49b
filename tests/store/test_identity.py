"""What an identity depends on, and what it does not."""

import copy
import json
import random
import subprocess
import sys

import pytest
from changing import DIGESTS, changed

from paa.datasets import Coco, Custom, Shapes, Voc
from paa.store import identity
from paa.store.errors import IdentityError
from paa.store.identity import canonical, eval_id, file_digest, train_id
from paa.store.settings import ALL, NODES, RunSettings


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
    "images.degenerate_boxes": "drop",
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
    "data._target_": "paa.datasets.Coco",
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
    "train.processes": 4,
    "evaluate": {"splits": ["test"]},
    "checkpoint.every": 1,
    "lock.if_locked": "skip",
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
    with pytest.raises(IdentityError, match=r"^backbone\.weights="):
        train_id(changed(config, "backbone.weights", str(file)), DIGESTS)
    with pytest.raises(IdentityError, match=r"backbone\.weights"):
        train_id(changed(config, "backbone.weights", "r50.pth"), DIGESTS)
    here = train_id(changed(config, "backbone.weights", str(file)), {**DIGESTS, "backbone.weights": file_digest(file)})
    there = train_id(changed(config, "backbone.weights", "b/c.pth"), {**DIGESTS, "backbone.weights": file_digest(file)})
    other = train_id(changed(config, "backbone.weights", str(file)), {**DIGESTS, "backbone.weights": "x"})
    assert here == there != other
    # The weights of a package count by the content of its file as well.
    package = changed(config, "backbone.weights", "package")
    with pytest.raises(IdentityError, match=r"^backbone\.weights=package"):
        train_id(package, DIGESTS)
    assert train_id(package, {**DIGESTS, "backbone.weights": file_digest(file)}) == here
    # A digest of a key that this configuration lacks says nothing about it.
    assert train_id(config, {**DIGESTS, "coder.weights_file": "x"}) == train_id(config, DIGESTS)


def test_raised_numerics_rename_everything(config, monkeypatch):
    before = ids(config)
    monkeypatch.setattr(identity, "NUMERICS", identity.NUMERICS + 1)
    after = ids(config)
    assert after[0] != before[0]
    assert after[1] != before[1]


def test_the_keys_that_do_not_count():
    """The full list, to be reviewed as a whole: what is not here changes IDs."""
    neutral = {node: dict(kind.NEUTRAL) for node, kind in NODES.items() if kind.NEUTRAL}
    assert neutral == {"criterion": {"class_loss": "focal", "carl": 0}, "postprocess": {"nms": "standard"}}
    left_out = {node: (kind.NOT_IN_TRAIN_ID, kind.NOT_IN_EVAL_ID, dict(kind.ONLY_IF)) for node, kind in NODES.items()}
    trains, neither = ((), ALL, {}), (ALL, ALL, {})
    voting = ("postprocess.voting", True)
    assert left_out == {
        **dict.fromkeys(("detector", "anchors", "assign", "auxiliary", "coder", "criterion"), trains),
        **dict.fromkeys(("optim", "schedule", "finetune"), trains),
        "backbone": (("expects",), ALL, {}),
        "images": (("test",), ("train", "boxes", "empty", "degenerate_boxes", "min_side"), {}),
        "train": (("accumulate",), ALL, {"processes": ("criterion.normalizer_sync", "per_process")}),
        "debug": (("profile",), ("profile",), {}),
        "postprocess": (ALL, (), {"voting_weight": voting, "sigma_t": voting, "voting_iou": voting}),
        **dict.fromkeys(("compat", "recipe", "pretrained", "evaluate", "checkpoint", "lock", "tracking"), neither),
    }
    assert set(RunSettings.KEYS) - set(RunSettings.NOT_IN_TRAIN_ID) == {"seed", "precision", "channels_last", "compile"}
    of_folders = ("root", "split", "on_invalid", "verify", "exif")
    assert Coco.NOT_IN_TRAIN_ID == Custom.NOT_IN_TRAIN_ID == of_folders
    assert (*of_folders, "train_list", "val_list", "test_list", "classes", "difficult") == Voc.NOT_IN_TRAIN_ID
    assert Shapes.NOT_IN_TRAIN_ID == ("root", "split", "train", "val", "test")
    for source in (Coco, Custom, Voc, Shapes):
        assert source.NOT_IN_EVAL_ID == source.NOT_IN_TRAIN_ID


def test_ids_are_computed_without_torch(config):
    code = (
        "import json, sys\nfrom paa.store.identity import eval_id, train_id\nconfig, digests = json.load(sys.stdin)\n"
    )
    code += "train_id(config, digests), eval_id(config, digests, 'val')\nprint('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps([config, DIGESTS]), capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
