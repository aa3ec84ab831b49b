"""Files appear whole or not at all."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from paa import files


def test_content_arrives(tmp_path):
    files.write_bytes(tmp_path / "new" / "a.bin", b"abc")
    files.write_text(tmp_path / "a.txt", "é\n")
    files.write_json(tmp_path / "a.json", {"b": 1, "a": [np.float32(0.5), np.int64(3), np.arange(2), tmp_path / "x"]})
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"abc"
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()
    assert files.read_json(tmp_path / "a.json") == {"b": 1, "a": [0.5, 3, [0, 1], str(tmp_path / "x")]}
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a.bin", "a.json", "a.txt", "new"]


def test_permissions_are_the_umask_s(tmp_path):
    before = os.umask(0o027)
    try:
        files.write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_failing_writer_leaves_the_old_file(tmp_path):
    path = tmp_path / "a"
    files.write_bytes(path, b"old")

    def half():
        with files.replacing(path) as file:
            file.write(b"half")
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        half()
    with pytest.raises(TypeError, match="set"):
        files.write_json(path, {"a": {1}})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_seen_before_it_is_on_the_disk(tmp_path, monkeypatch):
    order = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (order.append("fsync"), real_sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("rename"), real_replace(a, b))[1])
    files.write_bytes(tmp_path / "a", b"a")
    assert order == ["fsync", "rename", "fsync"]
    order.clear()
    files.write_bytes(tmp_path / "a", b"b", durable=False)
    assert order == ["rename"]


KILLED = """
import sys
from pathlib import Path
from paa import files
path, n = Path(sys.argv[1]), 0
while True:
    n += 1
    files.write_json(path, {"n": n, "fill": "x" * 200_000, "end": n})
    print(n, flush=True)
"""


def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    for wait in (0.0, 0.003, 0.011):
        path = tmp_path / "a.json"
        writer = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout.readline()
        time.sleep(wait)
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
        value = json.loads(path.read_text())
        assert value["n"] == value["end"]
    files.clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_are_cleared_and_nothing_else(tmp_path):
    aside = tmp_path / f".a.json.0123456789ab{files.ASIDE}"
    keep = [tmp_path / "a.json", tmp_path / ".hidden", tmp_path / "x.aside"]
    for path in [aside, *keep]:
        path.write_text("x")
    assert files.clear_leftovers(tmp_path) == 1
    assert files.clear_leftovers(tmp_path / "absent") == 0
    assert sorted(tmp_path.iterdir()) == sorted(keep)


def test_unreadable_json_names_the_file(tmp_path):
    (tmp_path / "torn.json").write_text('{"a": 1')
    with pytest.raises(ValueError, match=r"torn\.json: not JSON"):
        files.read_json(tmp_path / "torn.json")
    with pytest.raises(FileNotFoundError):
        files.read_json(tmp_path / "absent.json")


def test_npz_bytes_do_not_depend_on_time(monkeypatch):
    arrays = {"a": np.arange(5, dtype=np.int16), "b": np.ones((2, 3)).T, "c": np.float32(2)}
    first = files.npz_bytes(arrays)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert files.npz_bytes(arrays) == first
    import io

    with np.load(io.BytesIO(first)) as read:
        for name, array in arrays.items():
            assert read[name].dtype == np.asarray(array).dtype
            np.testing.assert_array_equal(read[name], array)


def test_paths_of_a_folder_that_cannot_be_opened_do_no_harm():
    assert not Path("/nonexistent/folder").exists()
    files.sync_folder(Path("/nonexistent/folder"))
    assert not Path("/nonexistent/folder").exists()
