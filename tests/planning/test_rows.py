"""Rows of tables: each composes under each recipe and means what its name says, and is found by its ids."""

import pytest
import yaml
from running import TINY

from paa.config.compose import Composer
from paa.config.errors import ConfigError
from paa.config.paths import conf_dir, experiments_dir
from paa.experiment.identify import identify
from paa.experiment.memo import Memo
from paa.experiment.parts import assemble
from paa.planning.rows import rows_of
from paa.store.columns import name_of

RECIPES = {"mini": ("smoke",), "coco_1.5x": ("coco_1x", "coco_2x")}
"""{recipe: those that differ from it only in values}."""
TABLES = ("table1", "table2", "table2_right", "table3", "table4")
NETWORKS = ("resnet101", "resnext101_64x4d", "resnet101_dcn", "resnext101_64x4d_dcn", "resnext152_32x8d_dcn")
SHARED = Memo()
"""Networks that several rows and recipes have in common."""
DIGESTS = {"data.train": "1" * 64, "data.val": "2" * 64}


def files() -> list[str]:
    return [f"{path.parent.name}={path.stem}" for path in sorted(experiments_dir().glob("*/*.yaml"))]


def test_every_row_of_the_paper_is_a_file():
    numbers = {"fnp": (3, 5, 10, 15, 20), "fsr": (0.1, 0.2, 0.3)}
    wanted = {f"table1={row}" for row in ("a", "b", "c", "d", "b_2020", "paa")}
    wanted |= {f"table1={kind}_{n}" for kind, every in numbers.items() for n in every}
    wanted |= {f"table2={a}_{x}" for a in ("max_iou", "atss", "paa") for x in ("none", "centerness", "iou")}
    wanted |= {"table2=paa_iou_p", "table2_right=resnet50", *(f"table2_right={net}" for net in NETWORKS)}
    wanted |= {f"table3={net}{scales}" for net in NETWORKS for scales in ("", "_ms")}
    wanted |= {f"table4=topk_{k}" for k in (3, 5, 7, 9, 11, 15, 20)} | {f"table4=scale_{s}" for s in range(2, 11)}
    assert wanted <= set(files())


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes_of_a_kind_differ_only_in_values(recipe):
    """So that a row that composes under one composes under the others."""

    def form(name):
        content = yaml.safe_load((conf_dir() / "recipe" / f"{name}.yaml").read_text())
        return content.pop("defaults"), {key: sorted(node) for key, node in content.items()}

    for other in RECIPES[recipe]:
        assert form(other) == form(recipe)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_row_of_every_table_under_each_kind_of_recipe(recipe):
    """All values are built. One training may be a row of several tables, and a row the evaluation of another's.

    Rows of Tables 1 and 4 that are like another but for a number are composed under one recipe only.
    """
    names, evaluations = {}, {}
    compose, coco = Composer(), recipe.startswith("coco")
    twice = {"table1=c", "table1=paa", "table1=fnp_3", "table1=fsr_0.3", "table4=topk_9", "table4=scale_8"}
    for row in files():
        if coco and row.startswith(("table1=", "table4=")) and row not in twice:
            continue
        # torchvision has no weights for one network; see below.
        words = [row, f"recipe={recipe}", "data.root=/data", "pretrained.resnext152_32x8d=null"]
        parts = assemble(compose.job(words).config, SHARED)
        says_what_it_is(row, parts.config)
        assert parts.config["recipe"]["name"] == recipe
        found = identify(parts.config, SHARED, DIGESTS)
        names[row] = found.train_id
        evaluations[row] = {one.voting: one.eval_id for one in found.evaluations}
    same = {row for row in names if names[row] == names["table1=paa"]}
    own = {"table4=scale_8", "table2_right=resnet50"} if coco else {"table4=scale_2"}  # what the recipe itself says
    assert same == {"table1=c", "table1=paa", "table2=paa_iou", "table2=paa_iou_p", "table4=topk_9"} | own
    for net in NETWORKS:
        assert len({names[f"table3={net}"], names[f"table3={net}_ms"], names[f"table2_right={net}"]}) == 1
        assert set(evaluations[f"table3={net}"].values()).isdisjoint(evaluations[f"table3={net}_ms"].values())
    assert len(set(names.values())) == len(names) - (len(same) - 1) - 2 * len(NETWORKS)
    plain, p = evaluations["table2=paa_iou"], evaluations["table2=paa_iou_p"]
    assert plain[False] == p[False]
    assert plain[True] != p[True]


def says_what_it_is(row, config):
    """Under any recipe the number and the network that the row is named after, and the loss weights of its modules."""
    table, _, name = row.partition("=")
    kind, _, value = name.rpartition("_")
    if table == "table4":
        assert config["assign"]["topk"] == (int(value) if kind == "topk" else 9)
        assert kind == "topk" or config["anchors"]["scale"] == float(value)
    if table in ("table2_right", "table3"):
        assert name_of(config["backbone"]) == name.removesuffix("_ms")
        assert config["detector"]["head"]["dcn"] == ("dcn" in name)
        assert bool(config["postprocess"]["multiscale"]) == name.endswith("_ms")
    boundary = name_of(config["assign"].get("boundary"))
    if table == "table1":
        assert boundary == {"c": "paa"}.get(name, kind if kind in ("fnp", "fsr") else name)
    if table == "table1" and kind in ("fnp", "fsr"):
        assert config["assign"]["boundary"]["n" if kind == "fnp" else "t"] == float(value)
    if table == "table2":
        assert (name_of(config["assign"]), boundary) in (
            (name.removesuffix("_p").rpartition("_")[0], None),
            ("paa", "paa"),
        )
        assert name_of(config["auxiliary"]) == name.removesuffix("_p").rpartition("_")[2]
        assert config["postprocess"]["voting"] == "both"
        alone = {"max_iou_none": 2.0, "atss_none": 2.0, "paa_none": 1.3}
        task = {"centerness": (2.0, 1.0), "iou": (1.3, 0.5), "p": (1.3, 0.5)}
        weights = (alone[name], None) if name in alone else task[value]
        assert (config["auxiliary"]["lambda_1"], config["auxiliary"].get("lambda_2")) == weights


def test_rows_carry_what_finds_their_records(tmp_path):
    found = rows_of("table1", [*TINY, f"runs_dir={tmp_path}", "seed=0,3"]).all
    names = list(dict.fromkeys(row.name for row in found))
    assert names[:5] == ["a", "b", "b_2020", "c", "d"]
    assert [n for n in names if n.startswith("f")] == [
        *("fnp_3", "fnp_5", "fnp_10", "fnp_15", "fnp_20"),
        *("fsr_0.1", "fsr_0.2", "fsr_0.3"),
    ]
    assert [row.seed for row in found] == [0, 3] * len(names)
    by_name = {(row.name, row.seed): row for row in found}
    assert by_name["c", 0].train_id == by_name["paa", 0].train_id != by_name["paa", 3].train_id
    one = by_name["fnp_5", 3]
    assert one.config["assign"]["boundary"]["n"] == 5
    assert "plan" not in one.config
    assert one.choices["assign.boundary"] == "fnp"
    assert one.overrides == ["table1=fnp_5", "recipe=smoke", *TINY[1:], f"runs_dir={tmp_path}", "seed=3"]
    assert one.paths.folder == tmp_path / one.train_id
    assert [(e.split, e.voting) for e in one.evaluations] == [("val", False), ("val", True)]
    assert not list(tmp_path.iterdir())


def test_what_is_no_table_or_row_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"^table9: .*table1, table2, table2_right, table3, "):
        rows_of("table9")
    with pytest.raises(ConfigError, match=r"^table1=fpn_5: .*fnp_5\?$"):
        rows_of("table1=a,fpn_5")
    with pytest.raises(ConfigError, match=r"^table2=paa_iou: "):
        rows_of("table1=a", ["table2=paa_iou"])


def test_a_row_that_cannot_be_does_not_hide_the_others():
    words = ["recipe=coco_2x", "data.root=/nowhere"]
    found = rows_of("table3=resnet101,resnext152_32x8d_dcn", words, digests=DIGESTS)
    assert [row.name for row in found.all] == ["resnet101"]
    assert list(found.problems) == ["resnext152_32x8d_dcn"]
    assert found.problems["resnext152_32x8d_dcn"].startswith("backbone.weights=torchvision: it has none for this")
    with pytest.raises(ConfigError, match=r"backbone\.weights=torchvision"):
        rows_of("table3=resnext152_32x8d_dcn", words, digests=DIGESTS)


def test_data_need_not_be_here_where_their_digests_are_known():
    first, again, other = (
        rows_of("table2=atss_none", ["recipe=coco_1x", "data.root=/nowhere"], digests=d).all[0].train_id
        for d in (DIGESTS, DIGESTS, {**DIGESTS, "data.train": "3" * 64})
    )
    assert first == again != other
