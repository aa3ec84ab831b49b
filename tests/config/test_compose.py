"""Every choice and every pair of choices composes and builds; every mistake gets its one line."""

from __future__ import annotations

import itertools
import random
import re

import pytest
from running import TINY, call, run_cli

from paa.config.compose import Composer, ConfigError, parse, resolved
from paa.config.paths import experiments_dir
from paa.config.suggestions import TEMPLATE_NODES
from paa.experiment.parts import assemble

BACKBONES = ("tiny", "resnet50", "resnet50_dcn", "efficientnet_lite0")
"""One of each kind, for the pairs; tests/cli/test_backbone_choices.py has all."""
RECIPES = ("smoke", "mini", "coco_1x", "coco_1.5x", "coco_2x")


def groups_and_choices():
    compose = Composer()
    return {group: compose.options(group) for group in compose.groups() if not group.startswith("table")}


def contradicts(group, choice, other, other_choice):
    """Only PAA has a boundary."""
    chosen = {group: choice, other: other_choice}
    return "assign.boundary" in chosen and chosen.get("assign", "paa") != "paa"


def covering(choices):
    """Configurations, a choice or none for each group; every pair of choices is in one, but those that contradict."""
    draw = random.Random(0)
    pairs = {
        frozenset({(g, c), (h, d)})
        for g, h in itertools.combinations(choices, 2)
        for c in choices[g]
        for d in choices[h]
        if not contradicts(g, c, h, d)
    }
    while pairs:
        config = dict(draw.choice(sorted(map(sorted, pairs))))
        for group in draw.sample(sorted(choices), len(choices)):
            if group in config or (group == "assign.boundary" and config.get("assign", "paa") != "paa"):
                continue
            fitting = [c for c in choices[group] if not any(contradicts(group, c, h, d) for h, d in config.items())]
            gain = {c: sum(frozenset({(group, c), item}) in pairs for item in config.items()) for c in fitting}
            config[group] = max(fitting, key=lambda c: gain[c])
        pairs -= {frozenset(pair) for pair in itertools.combinations(config.items(), 2)}
        yield config


def test_there_are_the_groups_and_recipes_that_are_documented():
    found = groups_and_choices()
    wanted = {"assign", "assign.boundary", "anchors", "auxiliary", "compat", "postprocess", "backbone", "data", "optim"}
    assert wanted | {"postprocess.multiscale", "schedule", "recipe", "tracking", "debug"} == set(found)
    assert set(found["recipe"]) == set(RECIPES)
    assert {"a", "b", "b_2020", "c", "d", "paa", "fnp", "fsr"} <= set(found["assign.boundary"])
    assert set(found["compat"]) == {"modern", "paper", "official", "mmdet"}


def test_every_pair_of_choices_composes_resolves_and_builds():
    choices = groups_and_choices()
    choices["backbone"] = list(BACKBONES)
    configs = list(covering(choices))
    assert len(configs) < 120
    compose = Composer()
    for config in configs:
        overrides = [f"{group}={choice}" for group, choice in config.items()]
        if config["backbone"] == "efficientnet_lite0":  # its weights have an input of their own, and say so
            overrides.append("compat.input=weights")
        try:
            assemble(resolved(compose.compose([*overrides, "data.root=/data"])))
        except ConfigError as error:
            pytest.fail(f"{' '.join(overrides)}\n{error}")


def test_presets_reach_what_reads_them_and_keys_win_over_presets():
    compose = Composer()
    config = resolved(compose.compose(["compat=mmdet", "assign.iou_floor=0.2"]))
    assert config["anchors"]["center"] == 0.0
    assert config["assign"]["lambda_score"] == 1.3
    assert config["assign"]["iou_floor"] == 0.2
    one = resolved(compose.compose(["compat.iou_floor=0.3"]))
    assert one["assign"]["iou_floor"] == 0.3


@pytest.mark.parametrize(
    ("assign", "auxiliary", "weights"),
    [
        ("paa", "iou", (1.3, 0.5)),
        ("paa", "none", (1.3, None)),
        ("max_iou", "none", (2.0, None)),
        ("max_iou", "iou", (1.3, 0.5)),
        ("atss", "centerness", (2.0, 1.0)),
    ],
)
def test_loss_weights_are_those_of_the_table_rows(assign, auxiliary, weights):
    node = resolved(Composer().compose([f"assign={assign}", f"auxiliary={auxiliary}"]))["auxiliary"]
    assert (node["lambda_1"], node.get("lambda_2")) == weights


def test_jobs_are_split_as_hydra_splits_them():
    compose = Composer()
    assert compose.jobs(["seed=0,1", "assign=paa"], True) == [["seed=0", "assign=paa"], ["seed=1", "assign=paa"]]
    assert compose.jobs(["seed=range(0,3)"], True) == [["seed=0"], ["seed=1"], ["seed=2"]]
    table = sorted(f"table1={path.stem}" for path in (experiments_dir() / "table1").iterdir())
    assert sorted(job[0] for job in compose.jobs(["table1=glob(*)"], True)) == table
    assert compose.jobs(["evaluate.splits=[val,test]"], False) == [["evaluate.splits=[val,test]"]]


def test_flags_are_read_as_hydra_reads_them():
    command = parse(["-m", "seed=0,1", "--config-dir", "mine"])
    assert command.overrides == ("seed=0,1",)
    assert (command.multirun, command.config_dir, command.shows) == (True, "mine", False)
    assert parse(["--help"]).shows
    assert parse(["--cfg", "job"]).shows


def test_a_folder_of_one_s_own_adds_choices_and_rows(tmp_path):
    own = tmp_path / "mine"
    (own / "assign.boundary").mkdir(parents=True)
    (own / "assign.boundary" / "two.yaml").write_text("_target_: paa.assign.boundary.FNP\nn: 2\n")
    (own / "table1").mkdir()
    (own / "table1" / "own.yaml").write_text("# @package _global_\nassign: {topk: 4}\n")
    (own / "table1" / "typo.yaml").write_text("# @package _global_\ntrain: {batchsize: 4}\n")
    compose = Composer(str(own))
    assert "two" in compose.options("assign.boundary")
    assert resolved(compose.compose(["assign.boundary=two"]))["assign"]["boundary"]["n"] == 2
    assert resolved(compose.compose(["table1=own"]))["assign"]["topk"] == 4
    assert ["table1=own"] in compose.jobs(["table1=glob(*)"], True)
    with pytest.raises(
        ConfigError, match=r"^train\.batchsize: no such key. Keys of train: .* Did you mean batch_size\?"
    ):
        compose.compose(["table1=typo"])


ASSIGN_KEYS = (
    "alpha, boundary, gamma, giou, iou_floor, lambda_score, legacy, low_quality, low_quality_at_zero, roundtrip, topk"
)
CUSTOM = "a folder with images/, annotations/train.json, annotations/val.json and perhaps annotations/test.json"
ASSIGNERS, BOUNDARIES = (", ".join(Composer().options(group)) for group in ("assign", "assign.boundary"))
READ = "values with brackets or spaces want quotes"

MESSAGES = {
    # keys that are not there
    "assign.topkk=3": f"assign.topkk: no such key. Keys of assign: {ASSIGN_KEYS}. Did you mean assign.topk?",
    "train.lr=3": "train.lr: no such key. Keys of train: accumulate, aspect_grouping, batch_size, clip_norm, "
    "processes. Did you mean optim.lr?",
    "assign.bondary.n=4": f"assign.bondary.n: no such key. Keys of assign: {ASSIGN_KEYS}. "
    "Did you mean assign.boundary.n?",
    "assign.boundary.n=4": "assign.boundary.n: no such key. Keys of assign.boundary: "
    "em_dtype, empty_foreground, pos_peak, single.",
    "assign.topk.x=3": "assign.topk.x: no such key. assign.topk is a value, not a group of keys",
    "+train.foo=1": "train.foo: no such key. Keys of train: accumulate, aspect_grouping, batch_size, clip_norm, "
    "processes.",
    "+assign.zzz=3": "assign.zzz: paa.assign.PAA has no such argument. It has: "
    "alpha, boundary, coder, gamma, giou, iou_floor, lambda_score, legacy, low_quality, low_quality_at_zero, "
    "roundtrip, topk.",
    "assign=atss assign.lambda_score=1": "assign.lambda_score: no such key. Keys of assign: legacy, topk.",
    "auxiliary=none auxiliary.lambda_2=1": "auxiliary.lambda_2: no such key. Keys of auxiliary: lambda_1. "
    "Did you mean auxiliary.lambda_1?",
    "+seed=3": "Could not append to config. An item is already at 'seed'. Either remove + prefix: 'seed=3'",
    "hydra.foo=3": "Could not override 'hydra.foo'. To append to your config use +hydra.foo=3",
    "~assign": "~assign: deleting keys is not supported; say assign=VALUE",
    "~assign.topk": "~assign.topk: deleting keys is not supported; say assign.topk=VALUE",
    # choices that are not there
    "assign=foo": f"assign=foo: no such choice. Choices of assign: {ASSIGNERS}.",
    "assign=pa": f"assign=pa: no such choice. Choices of assign: {ASSIGNERS}. Did you mean paa?",
    "assign=null": f"assign=null: no such choice. Choices of assign: {ASSIGNERS}.",
    "assign.boundary=e": f"assign.boundary=e: no such choice. Choices of assign.boundary: {BOUNDARIES}.",
    "assign.boundary=[fnp,a]": "assign.boundary=[fnp,a]: one choice, not a list; "
    "-m assign.boundary=a,b is a sweep over two",
    "recipe=tiny": "recipe=tiny: no such choice. Choices of recipe: coco_1.5x, coco_1x, coco_2x, mini, smoke.",
    "assign=max_iou assign.boundary=fnp": "assign.boundary=fnp: assign=max_iou has no assign.boundary; "
    "it belongs to assign=paa",
    "assign.boundary=c assign=atss": "assign.boundary=c: assign=atss has no assign.boundary; it belongs to assign=paa",
    # what cannot be read
    "assign.topk=[": f"assign.topk=[: cannot be read as key=value (no viable alternative at input '['); {READ}",
    "topk": f"topk: cannot be read as key=value (Error parsing override 'topk'); {READ}",
    "=3": "=3: cannot be read as key=value",
    # sweeps
    "seed=1,2": "seed=1,2: several values are a sweep; add -m",
    "seed=range(3)": "seed=range(3): several values are a sweep; add -m",
    "-m assign.topk=3,0": "assign.topk=0 is out of range: must be an integer from 1",
    "-m assign.topk=3,5 seed=0,x": "seed=x: must be an integer from 0 to 2147483647",
    # flags
    "--config-name other": "--config-name: not here; --config-dir DIR adds groups and choices of your own",
    "--config-dir /nowhere": "--config-dir /nowhere: no such folder",
    "--cfg job assign=foo": f"assign=foo: no such choice. Choices of assign: {ASSIGNERS}.",
    # data
    "data=custom": "data.root is missing: add data.root=VALUE to the command",
    "data=custom data.root=/nowhere": f"data.root=/nowhere: no such folder; must be {CUSTOM}",
    "data=custom data.root=null": f"data.root=None: must be {CUSTOM}",
    "data=custom data.root=": f"data.root=: must be {CUSTOM}",
    "data.size=100": "data.size=100: must be a multiple of 32 from 64 to 1024",
    "data.train=0": "data.train=0 is out of range: must be an integer from 1 to 999999",
    # ranges
    "assign.topk=0": "assign.topk=0 is out of range: must be an integer from 1",
    "assign.lambda_score=-1": "assign.lambda_score=-1 is out of range: must be a number from 0",
    "assign.iou_floor=1.5": "assign.iou_floor=1.5 is out of range: must be a number from 0 to 1",
    "assign.boundary=fnp assign.boundary.n=0": "assign.boundary.n=0 is out of range: must be an integer from 1 to 1000",
    "assign.boundary=fsr assign.boundary.t=1": "assign.boundary.t=1 is out of range: must be a number above 0 below 1",
    "assign.boundary=fsr assign.boundary.over=boxes": "assign.boundary.over=boxes: must be one of anchors, candidates",
    "anchors.scale=0": "anchors.scale=0 is out of range: must be a number above 0",
    "anchors.strides=[8,16]": "anchors.strides=[8, 16]: must be the pyramid's [8, 16, 32, 64, 128]",
    "auxiliary.lambda_1=-1": "auxiliary.lambda_1=-1 is out of range: must be a number from 0",
    "criterion.alpha=2": "criterion.alpha=2 is out of range: must be a number from 0 to 1",
    "postprocess.sigma_t=0": "postprocess.sigma_t=0 is out of range: must be a number above 0",
    "postprocess.nms_iou=-0.1": "postprocess.nms_iou=-0.1 is out of range: must be a number from 0 to 1",
    "optim=sgd optim.lr=0": "optim.lr=0 is out of range: must be a number above 0 to 10",
    "optim.betas=3": "optim.betas=3: must be two numbers from 0 to below 1",
    "schedule.steps=0": "schedule.steps=0 is out of range: must be an integer from 1",
    "compat.length=images schedule=multistep": "compat.length=images: must be one of steps, epochs",
    "schedule=multistep schedule.milestones=[2]": "schedule.milestones=2 is out of range: "
    "must be a number above 0 to 1",
    "images.train.flip=2": "images.train.flip=2 is out of range: must be a number from 0 to 1",
    "images.test.short=0": "images.test.short=0 is out of range: must be an integer from 1",
    "images.resize=cubic": "images.resize=cubic: must be one of round, truncate, half_up",
    "train.batch_size=0": "train.batch_size=0 is out of range: must be an integer from 1",
    "train.batch_size=4 train.accumulate=5": "train.accumulate=5 is out of range: must be an integer from 1 to 4",
    "checkpoint.every=0": "checkpoint.every=0 is out of range: must be an integer from 1",
    "lock.if_locked=stay": "lock.if_locked=stay: must be one of wait, skip",
    "lock.stale_s=1": "lock.stale_s=1 is out of range: must be a number from 20",
    "tracking.log_every=0": "tracking.log_every=0 is out of range: must be an integer from 1",
    "detector.head.depth=-1": "detector.head.depth=-1 is out of range: must be an integer from 0",
    "detector.head.channels=24 detector.fpn.channels=32": "detector.head.channels=24: must be detector.fpn.channels=32",
    "backbone=resnet18 backbone.depth=19": "backbone.depth=19: must be one of 18, 34, 50, 101, 152",
    "backbone=resnet18 backbone.norm=frozen": "backbone.norm=frozen needs weights: random statistics cannot train; "
    "use batch or group",
    "backbone=resnet18 backbone.weights=/nowhere.pt backbone.norm=batch": "backbone.weights=/nowhere.pt: "
    "must be null, torchvision or the path of a file",
    "device=gpu": "device=gpu: must be one of auto, cpu, cuda",
    "evaluate.splits=[nope]": "evaluate.splits=[nope]: must be of train, val, test",
    "evaluate.splits=val": "evaluate.splits=val: must be a list, e.g. evaluate.splits=[val]",
    "evaluate.splits=[] evaluate.every=5": "evaluate.splits=[]: evaluate.every needs a split to evaluate on; "
    "or set evaluate.every=0",
    "train.accumulate=2 backbone=resnet18 backbone.norm=batch": "backbone.norm=batch with train.accumulate=2: "
    "its statistics are those of a part; take backbone.norm=group, or train.accumulate=1",
    # types
    "assign.topk=many": "assign.topk=many: must be an integer from 1",
    "assign.topk=2.5": "assign.topk=2.5: must be an integer from 1",
    "assign.topk=true": "assign.topk=True: must be an integer from 1",
    "assign.topk=null": "assign.topk=None: must be an integer from 1",
    "assign.topk=${nope}": "assign.topk: Interpolation key 'nope' not found",
    "seed=null": "seed=None: must be an integer from 0 to 2147483647",
    "runs_dir=null": "runs_dir=None: must be the path of a folder",
    "optim.lr=nan": "optim.lr=nan: must be a number above 0 to 1",
    "postprocess.voting=1": "postprocess.voting=1: must be true, false or both",
    "tracking.images=1": "tracking.images: is a node; set one of its keys: count, steps",
    "tracking.images=[1]": "tracking.images: is a node; set one of its keys: count, steps",
    "tracking=wandb tracking.images=2": "tracking.images=2: is a node; set one of its keys: steps, count",
    "criterion=null": "criterion: is a node; set one of its keys: "
    "alpha, carl, class_loss, epsilon, floor, gamma, giou, normalizer, normalizer_sync, roundtrip, zero_weights",
    "detector.fpn=3": "detector.fpn: is a node; set one of its keys: channels, init, p7_relu",
    "assign._target_=paa.assign.Nope": "assign._target_=paa.assign.Nope: cannot be imported "
    "(module 'paa.assign' has no attribute 'Nope')",
    "assign._target_=torch": "assign._target_=torch: must be the dotted name of a class or function",
}


def meaning(message):
    """The key (and value) that is rejected, and the names and values that would be right."""
    key = re.match(r".*?(?=: | is out of range| needs | is missing| with |$)", message.strip())
    right = re.split(r"must be|[Kk]eys of|its keys:|Choices of|It has|belongs to|Did you mean", message, maxsplit=1)[1:]
    return key[0], sorted(set(re.findall(r"[\w.=-]+", " ".join(right).replace("...", ""))))


@pytest.mark.parametrize("line", MESSAGES)
def test_a_mistake_gets_one_line_that_says_what_would_be_right(line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = call(capsys, "paa.train", *line.split())
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert meaning(ended.err.removeprefix("paa.train: ")) == meaning(MESSAGES[line])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("key", "meant"), [("sead", "seed"), ("topk", "assign.topk"), ("lr", "optim.lr"), ("zzz", None)]
)
def test_an_unknown_top_level_key_lists_keys_and_groups(capsys, key, meant):
    ended = call(capsys, "paa.train", f"{key}=3")
    assert ended.code == 2
    assert ended.err.startswith(f"paa.train: {key}: no such key. Keys and groups: anchors, assign, assign.boundary, ")
    assert ended.err.endswith(f", workers. Did you mean {meant}?\n" if meant else ", workers.\n")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("line", ["-m assign.boundary=paa,nope", "assign=max_iou assign.boundary=fnp"])
def test_as_a_process_it_shows_no_traceback_and_leaves_no_folder(line, tmp_path):
    ended = run_cli("paa.train", *line.split(), cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("paa.train: ")
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


BAD = (None, "abc", -1, 1e9, [], {}, True, float("nan"))


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("assign=atss", "auxiliary=centerness", "optim=sgd", "schedule=multistep"),
        ("assign=max_iou", "auxiliary=none", "backbone=resnet18"),
        ("assign.boundary=fnp",),
        ("assign.boundary=fsr",),
    ],
    ids=lambda o: ",".join(o) or "defaults",
)
def test_no_value_of_any_key_ends_in_a_traceback(overrides):
    """What cannot be is refused by a ConfigError that names the key; nothing else is ever raised."""
    base = resolved(Composer().compose([*TINY[:1], *overrides]))
    base = {name: node for name, node in base.items() if name not in (*TEMPLATE_NODES, "plan")}
    usual = (
        ()
        if not overrides
        else ("data", "images", "train", "lock", "evaluate", "checkpoint", "detector", "postprocess")
    )
    for path in leaves({name: node for name, node in base.items() if name not in usual}):
        refusals = [text for bad in BAD if (text := refusal(replaced(base, path, bad)))]
        assert refusals or path[-1].startswith("_"), f"{'.'.join(path)} takes whatever it is given"
        for text in refusals:
            assert "\n" not in text
            assert ".".join(path) in text or path[-1] in ("heartbeat_s", "weights")


def refusal(config):
    try:
        assemble(config)
    except ConfigError as error:
        return str(error)
    return None


def leaves(node, path=()):
    for key, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key)


def replaced(node, path, value):
    return {**node, path[0]: value if len(path) == 1 else replaced(node[path[0]], path[1:], value)}
