"""The status of a run, from the files in its folder."""

import os
import time

from records import write_run

from paa import files
from paa.store import failure
from paa.store.lock import acquire
from paa.store.paths import RunPaths
from paa.store.process import Process
from paa.store.status import RunStatus, run_status


def test_a_finished_run_is_done_when_its_evaluations_are(tmp_path):
    done = write_run(tmp_path, 1)
    assert run_status(done) == RunStatus("done", detail="weights removed")
    done.weights.touch()
    assert run_status(done, [path.stem for path in done.evals.glob("*.json")]) == RunStatus("done")
    assert run_status(done, ["e1234567890"]) == RunStatus("trained", detail="1 of 1 evaluations missing")
    with acquire(done.lock):
        assert run_status(done, ["e1234567890"]).kind == "running"
    failure.write(done, "disk full")
    assert (run_status(done, ["e1234567890"]).kind, run_status(done).kind) == ("failed", "done")


def test_an_unfinished_run_is_missing_running_interrupted_or_failed(tmp_path):
    paths, me = RunPaths(tmp_path, "t7"), f"{Process.current().host}, process {os.getpid()}"
    assert run_status(paths, steps=30) == RunStatus("missing", steps=30)
    paths.folder.mkdir()
    assert run_status(paths) == RunStatus("interrupted")
    paths.checkpoints.mkdir()
    (paths.checkpoints / "00000010.pt").touch()
    (paths.checkpoints / "00000020.pt").touch()
    assert run_status(paths, steps=30) == RunStatus("interrupted", 20, 30)
    with acquire(paths.lock):
        assert run_status(paths) == RunStatus("running", host=me)
        files.write_json(paths.progress, {"step": 25, "steps": 30, "time": time.time() - 60, "eta_s": 100.0})
        status = run_status(paths)
        assert (status.kind, status.step, status.steps, status.host) == ("running", 25, 30, me)
        assert 0 < status.seconds_left <= 40
        paths.progress.write_text('{"step": "')
        assert run_status(paths).step is None
    failure.write(paths, "Traceback\n  File\nRuntimeError: out of paper\n")
    assert run_status(paths, steps=30) == RunStatus("failed", 20, 30, me, "RuntimeError: out of paper")
    failure.clear(paths)
    assert run_status(paths).kind == "interrupted"


def test_an_owner_on_another_machine_is_alive_while_its_file_is_young(tmp_path, monkeypatch):
    paths, here = RunPaths(tmp_path, "t7"), Process.current()
    there = Process("elsewhere", "another-boot", here.space, 17, 4)
    with monkeypatch.context() as patch:
        patch.setattr(Process, "current", classmethod(lambda cls: there))
        lock = acquire(paths.lock, heartbeat_s=1000, stale_s=3000)
    assert run_status(paths) == RunStatus("running", host="elsewhere, process 17")
    old = time.time() - 600
    os.utime(paths.lock / "000001.json", (old, old))
    assert run_status(paths).kind == "interrupted"
    lock.release()


def test_text():
    running = RunStatus("running", 20, 30, "node7, process 17", seconds_left=42)
    assert str(running) == "running at step 20 of 30 on node7, process 17, 0:42 left"
    assert str(RunStatus("failed", None, 30, "node7", "out of memory")) == "failed: out of memory"
    assert str(RunStatus("done")) == "done"
