"""Nodes become objects; what is wrong with a node is told by the key as one types it."""

from dataclasses import dataclass
from typing import Any

import pytest

from paa import checks
from paa.config.errors import ConfigError
from paa.config.instantiate import build
from paa.config.user_code import OwnCodeError, place_of


@dataclass(frozen=True)
class Inner:
    size: int = 1

    def __post_init__(self) -> None:
        checks.integer("size", self.size, low=1)


@dataclass(frozen=True)
class Outer:
    inner: Inner
    factor: float
    coder: str = "none"


def anything(**values: Any) -> dict[str, Any]:
    return values


def fault(value: int) -> int:
    return [1][value]


HERE = f"{__name__}."
NODE = {"_target_": f"{HERE}Outer", "inner": {"_target_": f"{HERE}Inner", "size": 3}, "factor": 0.5}


def test_nodes_within_are_built_first():
    assert build(NODE, "assign") == Outer(Inner(3), 0.5)


def test_offers_go_where_there_is_a_parameter_of_that_name_and_the_node_wins():
    offers = {"coder": "box", "other": 1}
    assert build(NODE, "assign", offers) == Outer(Inner(3), 0.5, "box")
    assert build({**NODE, "coder": "own"}, "assign", offers).coder == "own"


def test_what_is_given_is_passed_always():
    assert build({"_target_": f"{HERE}anything", "a": 1}, "x", {"unused": 3}, b=2) == {"a": 1, "b": 2}


def test_keys_for_other_nodes_are_no_arguments():
    assert build({**NODE, "_lambda_alone_": 2.0}, "assign").factor == 0.5


def test_plain_mappings_stay_mappings():
    assert build({"_target_": f"{HERE}anything", "a": {"b": 1}}, "x") == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({**NODE, "inner": {"_target_": f"{HERE}Inner", "size": 0}}, "assign.inner.size=0 is out of range: must be an"),
        (
            {**NODE, "factr": 1},
            f"assign.factr: {HERE}Outer{place_of(Outer)} has no such argument. It has: coder, factor, inner. "
            "Did you mean factor?",
        ),
        ({"_target_": f"{HERE}Outer", "factor": 1}, f"assign.inner is missing: {HERE}Outer{place_of(Outer)} needs it"),
        ({"factor": 1}, "assign._target_=None: must be the dotted name of a class or function"),
        ({"_target_": 3}, "assign._target_=3: must be the dotted name of a class or function"),
        ({"_target_": f"{HERE}HERE"}, f"assign._target_={HERE}HERE: must be the dotted name of a class or function"),
        ({"_target_": "paa.nope.X"}, "assign._target_=paa.nope.X: cannot be imported (module 'paa' has no attribute"),
        ({"_target_": "no_such.X"}, "assign._target_=no_such.X: cannot be imported (No module named 'no_such')"),
    ],
)
def test_refusals(node, message):
    with pytest.raises(ConfigError) as error:
        build(node, "assign")
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_class_that_leaves_something_to_implement_is_refused_in_one_line():
    told = r"^assign\.boundary: paa\.assign\.boundary\.MixtureBoundary.* cannot be built: it must implement separate$"
    with pytest.raises(ConfigError, match=told):
        build({"_target_": "paa.assign.boundary.MixtureBoundary"}, "assign.boundary")


def test_a_fault_within_the_package_is_not_taken_for_the_user_s():
    with pytest.raises(TypeError):
        build({"_target_": "paa.structures.Targets.pad", "boxes": [1], "labels": [1]}, "assign")


def test_a_fault_within_code_of_one_s_own_is_told_with_its_place_and_its_traceback():
    with pytest.raises(OwnCodeError) as error:
        build({"_target_": f"{HERE}fault", "value": 3}, "assign")
    place = place_of(fault)
    line = int(place.removesuffix(")").split()[-1])
    place = place.replace(f"line {line}", f"line {line + 1}")
    assert str(error.value) == f"assign: {HERE}fault cannot be built: IndexError: list index out of range{place}"
    assert error.value.trace.splitlines()[0] == "Traceback (most recent call last):"
    assert "return [1][value]" in error.value.trace
    assert "/paa/cli/" not in error.value.trace
