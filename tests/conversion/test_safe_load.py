"""What a checkpoint may hold: tensors are read, known objects read past, code refused and never run."""

from __future__ import annotations

import argparse
import datetime
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from paa.conversion.errors import ConversionError
from paa.conversion.safe_load import load

STATE = {"a.weight": torch.arange(3.0), "b": torch.ones(2, dtype=torch.int64)}


def saved(folder: Path, value: Any, **more: Any) -> Path:
    path = folder / "in.pth"
    torch.save(value, path, **more)
    return path


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"model": s, "iteration": 3, "scheduler": {"milestones": (1, 2)}},
        lambda s: {"state_dict": s, "meta": {"epoch": 1}},
        lambda s: {"model": {f"module.{k}": v for k, v in s.items()}},
    ],
    ids=["plain", "maskrcnn-benchmark", "MMDetection", "parallel"],
)
def test_forms(tmp_path: Path, wrap: Any, legacy: bool) -> None:
    found = load(saved(tmp_path, wrap(STATE), _use_new_zipfile_serialization=not legacy))
    assert found.state.keys() == STATE.keys()
    assert all(torch.equal(found.state[name], STATE[name]) for name in STATE)
    assert (found.text, found.classes, found.skipped) == ("", None, ())


@pytest.mark.parametrize(
    "meta",
    [
        {"config": "type='PAAHead'", "CLASSES": ("cat", "dog")},
        {"cfg": "type='PAAHead'", "dataset_meta": {"classes": ["cat", "dog"]}},
        {"cfg": "type='PAAHead'", "dataset_meta": {"CLASSES": ["cat", "dog"]}},
    ],
    ids=["version 2", "version 3", "between"],
)
def test_the_description_of_mmdetection(tmp_path: Path, meta: Any) -> None:
    found = load(saved(tmp_path, {"state_dict": STATE, "meta": meta}))
    assert (found.text, found.classes) == ("type='PAAHead'", ("cat", "dog"))


class HistoryBuffer:
    def __init__(self) -> None:
        self.history = np.arange(3)


def test_objects_beside_the_weights_are_read_past_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a class that is not there where the file is read: nothing is imported for it."""
    module = types.ModuleType("mmengine.logging.history_buffer")
    module.HistoryBuffer = HistoryBuffer  # type: ignore[attr-defined]
    monkeypatch.setattr(HistoryBuffer, "__module__", module.__name__)
    with monkeypatch.context() as patch:
        for name in ("mmengine", "mmengine.logging", module.__name__):
            patch.setitem(sys.modules, name, module)
        value = {
            "model": STATE,
            "best": np.float64(40.4),
            "losses": np.arange(4.0),
            "args": argparse.Namespace(lr=0.1, out=Path("somewhere")),
            "when": datetime.datetime(2020, 8, 6),
            "hub": HistoryBuffer(),
        }
        path = saved(tmp_path, value)
    before, imported = torch.serialization.get_safe_globals(), module.__name__ in sys.modules
    found = load(path)
    assert torch.equal(found.state["a.weight"], STATE["a.weight"])
    names = {"argparse.Namespace", "datetime.datetime", "mmengine.logging.history_buffer.HistoryBuffer"}
    assert names <= set(found.skipped)
    assert any(name.endswith("multiarray.scalar") for name in found.skipped)
    assert set(torch.serialization.get_safe_globals()) == set(before)
    assert (module.__name__ in sys.modules) is imported


class Trap:
    """Leaves a file behind where it is unpickled by anyone who runs what a pickle says."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


class Unknown:
    pass


def test_code_is_refused_by_name_and_not_run(tmp_path: Path) -> None:
    path = saved(tmp_path, {"model": STATE, "what": Trap(tmp_path / "trap")})
    with pytest.raises(ConversionError, match=r"in\.pth: holds .*, which is code and is not read; where you trust it"):
        load(path)
    assert not (tmp_path / "trap").exists()
    path = saved(tmp_path, {"model": STATE, "what": Unknown()})
    with pytest.raises(ConversionError, match=r"in\.pth: holds test_safe_load\.Unknown, which is code"):
        load(path)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"epoch": 3}, "holds no state dict; must hold names and tensors, directly or below model or state_dict"),
        ([torch.ones(1)], "holds no state dict"),
        ({"model": {**STATE, "c": 3}}, "no tensors: c; a state dict holds only names and tensors"),
    ],
)
def test_what_is_no_state_dict(tmp_path: Path, value: Any, message: str) -> None:
    with pytest.raises(ConversionError) as refused:
        load(saved(tmp_path, value))
    assert str(refused.value).startswith(f"{tmp_path / 'in.pth'}: {message}")


def test_what_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"no such file; must be a checkpoint, \.pth or \.pkl"):
        load(tmp_path / "none.pth")
    for text in ("half", '"""A module."""'):  # of the second torch says that to execute it may succeed
        (tmp_path / "in.pth").write_text(text)
        with pytest.raises(ConversionError) as refused:
            load(tmp_path / "in.pth")
        reason = "no file of torch.save, or a damaged one"
        assert str(refused.value) == f"{tmp_path / 'in.pth'}: cannot be read as only tensors ({reason})"
