"""`python -m paa.runs prune`: what it removes, and that nothing goes without a confirmation."""

from __future__ import annotations

import pytest
import yaml
from records import config, write_run

from paa.commands.runs import main
from paa.files import ASIDE
from paa.planning.prune import CHECKPOINTS, LEFTOVERS, WEIGHTS, WHOLE, pieces, remove
from paa.store.errors import RunError, RunNotFound
from paa.store.lock import acquire
from paa.store.paths import RunPaths


@pytest.fixture
def finished(tmp_path) -> RunPaths:
    """A finished run with weights, a checkpoint that it no longer needs, and a file of a killed process."""
    paths = write_run(tmp_path, 1)
    fill(paths)
    paths.weights.write_bytes(b"w" * 1000)
    return paths


@pytest.fixture
def interrupted(tmp_path) -> RunPaths:
    """A run that was interrupted, with a checkpoint and a file of a killed process."""
    paths = RunPaths(tmp_path, "t7")
    paths.folder.mkdir()
    paths.config.write_text(yaml.safe_dump(config()))
    fill(paths)
    return paths


def fill(paths: RunPaths) -> None:
    paths.checkpoints.mkdir()
    (paths.checkpoints / "00000010.pt").write_bytes(b"c" * 500)
    (paths.folder / f".log.123{ASIDE}").write_bytes(b"l" * 50)


def found(runs_dir, *ids, **flags):
    return [(one.run.train_id, one.what, one.bytes) for one in pieces(runs_dir, ids, **flags)]


def test_each_flag_removes_its_files_and_no_other(finished, interrupted, tmp_path):
    leftovers = [("t0000000001", LEFTOVERS, 550), ("t7", LEFTOVERS, 50)]
    weights, checkpoints = ("t0000000001", WEIGHTS, 1000), ("t7", CHECKPOINTS, 500)
    assert found(tmp_path) == leftovers
    assert found(tmp_path, weights=True) == [leftovers[0], weights, leftovers[1]]
    assert found(tmp_path, checkpoints=True) == [*leftovers, checkpoints]
    assert found(tmp_path, "t0", weights=True) == [leftovers[0], weights]
    assert remove(pieces(tmp_path)) == 600
    assert finished.weights.exists()
    assert not finished.checkpoints.exists()
    assert [path.name for path in interrupted.checkpoints.iterdir()] == ["00000010.pt"]
    assert found(tmp_path) == []
    assert remove(pieces(tmp_path, weights=True, checkpoints=True)) == 1500
    assert finished.finished
    assert not finished.weights.exists()
    assert not any(interrupted.checkpoints.iterdir())


def test_a_named_run_goes_as_a_whole(finished, interrupted, tmp_path):
    with pytest.raises(RunNotFound, match=r"^run=tz: "):
        pieces(tmp_path, ["tz"])
    assert [(name, what) for name, what, _ in found(tmp_path, "t7")] == [("t7", WHOLE)]
    assert remove(pieces(tmp_path, ["t7"])) > 550
    assert [path.name for path in tmp_path.iterdir()] == ["t0000000001"]


def test_a_locked_run_stays(finished, tmp_path):
    every = pieces(tmp_path, weights=True)
    with acquire(finished.lock):
        assert pieces(tmp_path, weights=True) == []
        with pytest.raises(RunError, match=f"^{finished.train_id}: locked by "):
            pieces(tmp_path, [finished.train_id])
        assert remove(every) == 0
    assert finished.weights.exists()


def test_a_training_that_finished_since_keeps_its_files(interrupted, tmp_path):
    every = pieces(tmp_path, checkpoints=True)
    interrupted.record.write_text("{}")
    assert remove([one for one in every if one.what == CHECKPOINTS]) == 0


def test_imported_weights_stay(finished, tmp_path):
    imported = finished.folder.rename(tmp_path / "x0000000000")
    assert (imported / "weights.pt").exists()
    assert [what for _, what, _ in found(tmp_path, weights=True)] == [LEFTOVERS]


def test_the_command_asks_for_confirmation(finished, tmp_path, capsys, monkeypatch):
    words = ["prune", f"runs_dir={tmp_path}", "--weights"]
    assert main(words) == 0  # nobody can answer
    assert "final weights  1 kB" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert main(words) == 0
    assert finished.weights.exists()
    monkeypatch.setattr("builtins.input", lambda question: "y")
    assert main(words) == 0
    assert not finished.weights.exists()
    fill_again = finished.folder / f".x{ASIDE}"
    fill_again.touch()
    assert main(["prune", f"runs_dir={tmp_path}", "--yes"]) == 0
    assert not fill_again.exists()
