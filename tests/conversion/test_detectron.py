"""Detectron's pickles: arrays and containers alone, and the names of their blobs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron_blobs import FILES, blobs
from running import call

from paa.conversion import detectron, network_spec
from paa.conversion.errors import ConversionError
from paa.detector import ResNet


@pytest.mark.parametrize("name", FILES)
def test_every_blob_has_its_place(name: str) -> None:
    form = FILES[name]
    state = {key: torch.empty(shape, device="meta") for key, shape in blobs(*form)}
    renamed = detectron.convert(state)
    assert network_spec.backbone_spec(renamed.state) == network_spec.BackboneSpec(*form[:3], ())
    with torch.device("meta"):
        own = ResNet(form[0], "x", "frozen", convention="caffe", groups=form[1], width_per_group=form[2]).state_dict()
    assert {key: value.shape for key, value in own.items()} == {k: v.shape for k, v in renamed.state.items()}
    assert sorted(renamed.unused) == [f"{form[3]}_b", f"{form[3]}_w"]
    assert not renamed.left_over


@pytest.fixture(scope="module")
def r50(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pickle as Python 2 wrote it; each blob holds a number of its own."""
    values: dict[str, Any] = {
        name: np.full(shape, 1 + i / 1024, dtype=np.float32)
        for i, (name, shape) in enumerate(blobs(*FILES["MSRA/R-50"]))
    }
    values |= {"conv1_b": np.zeros(64, np.float32), "conv1_w_momentum": np.zeros(1, np.float32)}
    path = tmp_path_factory.mktemp("detectron") / "R-50.pkl"
    path.write_bytes(pickle.dumps({"blobs": values, "cfg": "text"}, protocol=2))
    return path


def test_a_file_becomes_the_weights_of_a_backbone(
    r50: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r50.pth"
    ended = call(capsys, "paa.convert", str(r50), str(out))
    assert ended.code == 0, ended.err
    assert "left out, not needed: conv1_b, conv1_w_momentum, fc1000_b, fc1000_w\n" in ended.out
    assert "ResNet-50 of Detectron, 265 tensors, for BGR from 0 to 255" in ended.out
    network = ResNet(50, weights=str(out), bn_eps=0.0)
    assert (network.order, network.scale, network.resolved_defaults["stride_in_1x1"]) == ("bgr", 255, True)
    number = {name: 1 + i / 1024 for i, (name, _) in enumerate(blobs(*FILES["MSRA/R-50"]))}
    for ours, theirs in {
        "conv1.weight": "conv1_w",
        "bn1.weight": "res_conv1_bn_s",
        "bn1.bias": "res_conv1_bn_b",
        "layer1.0.downsample.0.weight": "res2_0_branch1_w",
        "layer1.0.downsample.1.bias": "res2_0_branch1_bn_b",
        "layer3.5.conv2.weight": "res4_5_branch2b_w",
        "layer3.5.bn1.weight": "res4_5_branch2a_bn_s",
        "layer4.2.conv3.weight": "res5_2_branch2c_w",
        "layer4.2.bn3.bias": "res5_2_branch2c_bn_b",
    }.items():
        assert torch.unique(network.state_dict()[ours]).tolist() == [number[theirs]], ours
    assert torch.unique(network.layer4[2].bn3.running_mean).tolist() == [0]
    assert torch.unique(network.layer4[2].bn3.running_var).tolist() == [1]


def test_it_is_no_run_and_takes_no_keys(r50: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ended = call(capsys, "paa.convert", str(r50), str(tmp_path / "runs"))
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert (
        "holds a backbone and no detector; OUT must be a file, R-50.pth say, for backbone.weights=R-50.pth" in ended.err
    )
    ended = call(capsys, "paa.convert", str(r50), str(tmp_path / "out.pth"), "seed=1")
    assert "seed=1: the weights of a backbone have no configuration" in ended.err
    assert list(tmp_path.iterdir()) == []


class Trap:
    """Leaves a file behind where it is unpickled by anyone who runs what a pickle says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_code_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "in.pkl"
    path.write_bytes(pickle.dumps({"conv1_w": np.ones(3), "what": Trap(tmp_path / "trap")}))
    with pytest.raises(
        ConversionError, match=r"in\.pkl: holds .*, which is code and is not read; must hold only arrays"
    ):
        detectron.read(path)
    assert not (tmp_path / "trap").exists()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "numpy.load", "torch.load", "numpy.f2py.os.system"])
def test_no_other_name_is_found(tmp_path: Path, name: str) -> None:
    module, _, attribute = name.rpartition(".")
    path = tmp_path / "in.pkl"
    path.write_bytes(f"c{module}\n{attribute}\n(Vx\ntR.".encode())
    with pytest.raises(ConversionError, match=rf"holds {name}, which is code"):
        detectron.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            pickle.dumps({"model": {"stem.conv1.weight": np.ones(3)}, "__author__": "detectron2"}),
            "holds no arrays by name",
        ),
        (pickle.dumps([1]), "holds no arrays by name; must be a file of Detectron's"),
        (b"half", "cannot be read as a pickle of arrays"),
    ],
)
def test_what_is_no_file_of_detectrons(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "in.pkl"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match=message):
        detectron.read(path)


def test_missing_and_misshapen_blobs_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {name: np.zeros(shape, np.float32) for name, shape in blobs(*FILES["MSRA/R-50"]) if "branch2a" not in name}
    values |= {name: np.zeros(shape, np.float32) for name, shape in blobs(*FILES["MSRA/R-50"]) if "branch2a" in name}
    del values["res3_1_branch2c_w"]
    values["res_conv1_bn_s"] = np.zeros(7, np.float32)
    values["res_conv1_bn_rm"] = values["res_conv1_bn_riv"] = np.zeros(64, np.float32)
    values["fpn_res5_2_sum_w"] = np.zeros(3, np.float32)
    path = tmp_path / "in.pkl"
    path.write_bytes(pickle.dumps(values, protocol=2))
    ended = call(capsys, "paa.convert", str(path), str(tmp_path / "out.pth"))
    assert ended.code == 2
    assert ended.err.splitlines() == [
        f"paa.convert: {path}: not the weights of this network",
        "  missing, by paa's names: layer2.1.conv3.weight",
        "  of another shape: res_conv1_bn_s [7], must be [64]",
        "  left over: fpn_res5_2_sum_w",
    ]
    assert not (tmp_path / "out.pth").exists()
