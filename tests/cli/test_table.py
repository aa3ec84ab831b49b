"""Rows of tables: found by their ids, in the order of their names."""

import pytest
from running import TINY

from paa.cli.messages import ConfigError
from paa.cli.table import rows


def test_rows_carry_what_finds_their_records(tmp_path):
    found = rows("table1", "smoke", [*TINY[1:], f"runs_dir={tmp_path}"], seeds=(0, 3))
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
    assert one.choices["assign.boundary"] == "fnp"
    assert one.overrides == ["table1=fnp_5", "recipe=smoke", *TINY[1:], f"runs_dir={tmp_path}", "seed=3"]
    assert one.paths.folder == tmp_path / one.train_id
    assert [(e.split, e.voting) for e in one.evaluations] == [("val", False), ("val", True)]
    assert one.eval_id(True) == one.eval_id(True, "val") == one.evaluations[1].eval_id
    assert one.eval_id(True, "test") is None
    assert not list(tmp_path.iterdir())


def test_an_unknown_table_is_refused_with_those_that_there_are():
    with pytest.raises(ConfigError, match=r"^table9: no such table\. Tables: table1, table2"):
        rows("table9")


def test_data_need_not_be_here_where_their_digests_are_known():
    digests = {"data.train": "1" * 64, "data.val": "2" * 64}
    first, again, other = (
        rows("table2", "coco_1x", ["data.root=/nowhere"], digests=d)[0].train_id
        for d in (digests, digests, {**digests, "data.train": "3" * 64})
    )
    assert first == again != other
