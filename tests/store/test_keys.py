"""Dotted keys of nested mappings."""

from paa.store import keys

TREE = {"a": {"b": {"c": 1}, "d": None}, "e": [1]}


def test_get():
    assert (keys.get(TREE, "a.b.c"), keys.get(TREE, "a.b"), keys.get(TREE, "e")) == (1, {"c": 1}, [1])
    assert keys.get(TREE, "a.d", "default") is None
    assert [keys.get(TREE, key, "default") for key in ("x", "a.x.y", "e.0", "a.d.x")] == ["default"] * 4


def test_put_and_drop_leave_the_tree_as_it_is():
    assert keys.put(TREE, "a.b.c", 2) == {"a": {"b": {"c": 2}, "d": None}, "e": [1]}
    assert keys.put(TREE, "f.g", 2) == {**TREE, "f": {"g": 2}}
    assert keys.drop(TREE, "a.b.c") == {"a": {"b": {}, "d": None}, "e": [1]}
    assert keys.drop(TREE, "a.x.y") == keys.drop(TREE, "e.x") == TREE
    assert TREE == {"a": {"b": {"c": 1}, "d": None}, "e": [1]}


def test_flatten():
    assert keys.flatten({**TREE, "empty": {}}) == {"a.b.c": 1, "a.d": None, "e": [1], "empty": {}}
