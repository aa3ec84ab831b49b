"""A copy of the code for jobs that start later."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from paa.checks import OutOfRange
from paa.launch.snapshot import snapshot


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@x"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch) -> Path:
    """A repository with one commit; the current folder is one below its top."""
    folder = tmp_path / "checkout"
    (folder / "below").mkdir(parents=True)
    monkeypatch.chdir(folder)
    git("init", "-q")
    for name in ("changed", "deleted", "below/kept"):
        (folder / name).write_text("old\n")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.chdir(folder / "below")
    return folder


def test_it_has_the_commit_and_the_changes_to_tracked_files(checkout, tmp_path):
    (checkout / "changed").write_bytes(b"\0new")
    (checkout / "deleted").unlink()
    (checkout / "untracked").touch()
    (checkout / "added").write_text("new\n")
    git("-C", str(checkout), "add", "added")
    inner = snapshot(tmp_path / "copy")
    assert inner == tmp_path / "copy" / "below"
    assert (inner / "kept").read_text() == "old\n"
    copy = inner.parent
    assert (copy / "changed").read_bytes() == b"\0new"
    assert (copy / "added").exists()
    assert not (copy / "deleted").exists()
    assert not (copy / "untracked").exists()
    assert git("-C", str(copy), "rev-parse", "HEAD") == git("rev-parse", "HEAD")
    assert Path.cwd() == checkout / "below", "the folder of the process is not changed meanwhile"


def test_without_a_repository_it_is_rejected(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutOfRange) as error:
        snapshot(tmp_path / "copy")
    assert error.value.name == "hydra.launcher.snapshot"
