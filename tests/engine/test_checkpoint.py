import io
import os
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from paa import files
from paa.engine import checkpoint
from paa.engine.checkpoint import Checkpoints, random_states, restore_random_states, weights_digest


def draws():
    return torch.rand(3).tolist(), np.random.rand(3).tolist(), np.random.randn(1).tolist(), random.random()


def test_every_random_generator_goes_back(tmp_path):
    np.random.randn(1)  # leaves numpy's generator with a cached second number
    random.gauss(0, 1)
    checkpoint.save(tmp_path / "states.pt", random_states())
    expected = draws()
    assert draws() != expected
    restore_random_states(checkpoint.load(tmp_path / "states.pt"))
    assert draws() == expected


def test_a_state_survives_the_disk_without_pickled_code(tmp_path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    state = {"step": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": random_states()}
    checkpoint.save(tmp_path / "a.pt", state)
    loaded = torch.load(tmp_path / "a.pt", weights_only=True)  # what `load` does: nothing in the file is executed
    assert loaded["step"] == 3
    assert all(torch.equal(loaded["model"][k], v) for k, v in model.state_dict().items())
    assert torch.equal(loaded["optimizer"]["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"])


SAVE = """
import resource, sys, torch
from pathlib import Path
from paa.engine import checkpoint
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
state = {"weights": torch.ones(50_000_000)}
checkpoint.save(Path(sys.argv[1]) / "small.pt", {"weights": torch.ones(1)})
before = peak()
checkpoint.save(Path(sys.argv[1]) / "large.pt", state)
print(peak() - before)
"""


def test_a_checkpoint_is_not_held_in_memory_a_second_time(tmp_path):
    done = subprocess.run([sys.executable, "-c", SAVE, str(tmp_path)], capture_output=True, text=True, check=True)
    assert (tmp_path / "large.pt").stat().st_size > 200e6
    assert float(done.stdout) < 50, "MiB more than before, for a checkpoint of 190"


class Payload:
    def __reduce__(self):
        return os.mkdir, ("executed",)


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "pickle"])
def test_a_corrupt_file_is_named_with_what_to_do(tmp_path, monkeypatch, damage):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "00000005.pt"
    checkpoint.save(path, {"step": 5, "weights": torch.rand(100)})
    if damage == "pickle":
        torch.save({"weights": Payload()}, path)
    else:
        data = path.read_bytes()
        path.write_bytes({"truncated": data[: len(data) // 2], "empty": b"", "text": b"hello\n"}[damage])
    with pytest.raises(ValueError, match="delete it to resume") as error:
        checkpoint.load(path)
    assert str(error.value).startswith(f"{path}: not a readable checkpoint (")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "executed").exists()


def test_the_last_k_stay_and_foreign_files_are_left_alone(tmp_path):
    kept = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert kept.latest is None
    for step in (3, 20, 100, 99):
        kept.save(step, {"step": step})
        (tmp_path / "checkpoints" / "notes.txt").write_text("mine")
    assert sorted(p.name for p in kept.folder.glob("*.pt")) == ["00000099.pt", "00000100.pt"]
    assert kept.latest == kept.folder / "00000100.pt"
    assert checkpoint.load(kept.latest)["step"] == 100
    assert (kept.folder / "notes.txt").exists()
    kept.clear()
    assert not kept.folder.exists()
    kept.clear()


def test_nothing_is_written_once_the_guard_says_no(tmp_path):
    def lost():
        raise RuntimeError("the lock is lost")

    with pytest.raises(RuntimeError, match="lost"):
        Checkpoints(tmp_path / "checkpoints", 2, lost).save(1, {})
    assert not (tmp_path / "checkpoints").exists()
    path = Checkpoints(tmp_path / "checkpoints", 2).save(1, {})
    with pytest.raises(RuntimeError, match="lost"):
        Checkpoints(tmp_path / "checkpoints", 2, lost).clear()
    assert path.exists()


@pytest.mark.parametrize("moment", ["in the middle of the bytes", "before the rename", "before the old are removed"])
def test_killed_while_saving_leaves_the_one_before(tmp_path, moment):
    """A child process kills itself amid the writing; what it leaves is a checkpoint that loads, never half of one."""
    kept = Checkpoints(tmp_path, keep=1)
    kept.save(1, {"step": 1, "weights": torch.zeros(1000)})
    child = os.fork()
    if child == 0:
        try:
            _die(moment)
            kept.save(2, {"step": 2, "weights": torch.ones(1000)})
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    step = 2 if moment == "before the old are removed" else 1
    assert checkpoint.load(kept.latest)["step"] == step
    assert files.clear_leftovers(tmp_path) == (0 if step == 2 else 1)
    kept.save(3, {"step": 3})
    assert [p.name for p in tmp_path.iterdir()] == ["00000003.pt"]


def _die(moment):
    def kill(*args, **kwargs):
        os.kill(os.getpid(), signal.SIGKILL)

    if moment == "before the rename":
        os.replace = kill
    elif moment == "before the old are removed":
        Checkpoints._all = kill
    else:
        whole = torch.save

        def half(state, file):
            whole(state, buffer := io.BytesIO())
            file.write(buffer.getvalue()[: len(buffer.getvalue()) // 2])
            file.flush()
            kill()

        torch.save = half


def test_the_digest_is_of_names_types_shapes_and_values():
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    first = weights_digest(model)
    assert first == weights_digest(model)
    assert weights_digest(model.to(memory_format=torch.channels_last)) == first
    assert weights_digest(model.double()) != first
    model = model.float()
    assert weights_digest(model) == first
    with torch.no_grad():
        model[0].weight[0, 0, 0, 0] += 1e-6
    assert weights_digest(model) != first


def test_the_digest_does_not_depend_on_the_order_of_definition():
    one, other = nn.Module(), nn.Module()
    one.a, one.b = nn.Parameter(torch.ones(2)), nn.Parameter(torch.zeros(3))
    other.b, other.a = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(2))
    assert weights_digest(one) == weights_digest(other)


def test_the_digest_tells_renamed_and_reshaped_weights_apart():
    one, other = nn.Module(), nn.Module()
    one.weight, other.scale = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2, 3))
    assert weights_digest(one) != weights_digest(other)
    other.weight = nn.Parameter(torch.ones(3, 2))
    del other.scale
    assert weights_digest(one) != weights_digest(other)
