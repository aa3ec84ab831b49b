"""One training per identity: processes that start at once, that are killed, that fall silent, that are slow."""

import errno
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict

import pytest

from paa.checks import OutOfRange
from paa.store import lock as module
from paa.store.errors import LockLost
from paa.store.lock import acquire, lock_owner
from paa.store.process import Process
from paa.store.settings import LockSettings

FAST = {"heartbeat_s": 0.05, "stale_s": 0.4, "poll_s": 0.02}

WORKER = """
import os, sys, time
from pathlib import Path
from paa.store.lock import acquire
folder, mode, hold = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
done = folder / "done"
print("ready", flush=True)
sys.stdin.readline()
lock = acquire(folder / "lock", if_locked=mode, heartbeat_s=0.05, stale_s=30, poll_s=0.02, is_done=done.exists)
if lock is None:
    print("none", flush=True)
    sys.exit()
with lock:
    inside = os.open(folder / "inside", os.O_CREAT | os.O_EXCL)  # raises where two are in here
    print("held", lock.generation, flush=True)
    time.sleep(hold)
    lock.check()
    os.close(inside)
    (folder / "inside").unlink()
    if mode != "again":
        done.touch()
print("released", flush=True)
"""


def worker(folder, mode="wait", hold=0.3, script=WORKER):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", script, str(folder), mode, str(hold)], text=True, **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def outcome(process):
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out.split()


@pytest.mark.parametrize("mode", ["wait", "skip"])
def test_of_eight_at_once_one_trains(tmp_path, mode):
    processes = [worker(tmp_path, mode) for _ in range(8)]
    for process in processes:
        go(process)
    outcomes = [outcome(process) for process in processes]
    assert sorted(o[0] for o in outcomes) == ["held"] + ["none"] * 7
    assert (tmp_path / "done").exists()
    assert lock_owner(tmp_path / "lock").released


def test_eight_that_all_want_their_turn_never_overlap(tmp_path):
    script = WORKER.replace('if mode != "again":', "if False:")
    processes = [worker(tmp_path, "wait", 0.02, script) for _ in range(8)]
    for process in processes:
        go(process)
    generations = sorted(int(outcome(process)[1]) for process in processes)
    assert generations == list(range(1, 9))
    # Only the last two generations stay, and nothing that was written aside.
    assert sorted(p.name for p in (tmp_path / "lock").iterdir()) == ["000007.json", "000008.json"]


def test_a_killed_holder_of_this_machine_is_replaced_at_once(tmp_path):
    first, second = worker(tmp_path, hold=60), worker(tmp_path)
    go(first)
    assert first.stdout.readline() == "held 1\n"
    go(second)
    time.sleep(0.1)
    (tmp_path / "inside").unlink()
    began = time.monotonic()
    first.send_signal(signal.SIGKILL)  # and not waited for: it stays a zombie, which must not count as alive
    assert outcome(second)[:2] == ["held", "2"]
    assert time.monotonic() - began < 15  # far below stale_s = 30
    first.communicate()


@pytest.fixture
def elsewhere(monkeypatch):
    """Gives a function that makes this process look like one of another machine to those that read its lock."""

    def move(boot="another-boot"):
        here = Process.current()
        there = Process("elsewhere", boot, here.space, here.pid, here.started)
        monkeypatch.setattr(Process, "current", classmethod(lambda cls: there))

    return move


def test_a_silent_holder_elsewhere_is_replaced_after_stale_s_and_learns_of_it(tmp_path, monkeypatch, elsewhere):
    elsewhere()
    with monkeypatch.context() as patch:
        patch.setattr(module.RunLock, "_send_heartbeats", lambda self: None)  # frozen: no beat gets out
        first = acquire(tmp_path, **FAST)
    monkeypatch.undo()
    waited = []
    began = time.monotonic()
    second = acquire(tmp_path, **FAST, on_wait=waited.append)
    assert time.monotonic() - began >= FAST["stale_s"]
    assert [str(h) for h in waited] == [f"elsewhere, process {os.getpid()}"]
    second.check()
    with pytest.raises(LockLost, match=f"taken by .*process {os.getpid()}"):
        first.check()
    first.release()  # must not touch what is no longer its own
    assert not lock_owner(tmp_path).released
    second.check()
    second.release()
    assert lock_owner(tmp_path).released


def test_a_slow_holder_elsewhere_that_beats_is_not_replaced(tmp_path, monkeypatch, elsewhere):
    elsewhere()
    first = acquire(tmp_path, **FAST)
    monkeypatch.undo()
    found = []
    patient = {**FAST, "stale_s": 1.0}  # twenty beats: a busy machine may delay some
    waiter = threading.Thread(target=lambda: found.append(acquire(tmp_path, **patient)))
    waiter.start()
    time.sleep(2.0)
    assert not found
    first.check()
    assert lock_owner(tmp_path).heartbeat > 5
    first.release()
    waiter.join(timeout=5)
    assert found[0].generation == 2
    found[0].release()


def test_a_freeze_of_the_waiter_says_nothing_about_the_holder(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    watch = module._Watch(poll_s=1.0)
    current = module.LockOwner(1, {}, b"beat 1")
    assert watch.still_for(current) == 0
    now[0] = 600.0
    assert watch.still_for(current) == 2.0
    now[0] = 601.0
    assert watch.still_for(current) == 3.0
    assert watch.still_for(module.LockOwner(1, {}, b"beat 2")) == 0


def test_leave_and_done_make_nothing(tmp_path):
    assert acquire(tmp_path / "a" / "lock", is_done=lambda: True) is None
    assert list(tmp_path.iterdir()) == []
    with acquire(tmp_path / "lock", **FAST):
        before = sorted(p.name for p in (tmp_path / "lock").iterdir())
        assert acquire(tmp_path / "lock", if_locked="skip", **FAST) is None
        assert sorted(p.name for p in (tmp_path / "lock").iterdir()) == before


def test_done_while_waiting_ends_the_wait(tmp_path):
    with acquire(tmp_path, **FAST):
        looks = iter([False, False, True])
        assert acquire(tmp_path, **FAST, is_done=lambda: next(looks)) is None


def test_done_between_look_and_claim_releases_it(tmp_path):
    looks = iter([False, True])
    assert acquire(tmp_path, **FAST, is_done=lambda: next(looks)) is None
    assert lock_owner(tmp_path).released


def test_an_exception_releases(tmp_path):
    with pytest.raises(RuntimeError, match="boom"), acquire(tmp_path, **FAST):
        raise RuntimeError("boom")
    assert lock_owner(tmp_path).released
    with acquire(tmp_path, if_locked="skip", **FAST) as second:
        assert second.generation == 2


def test_a_forked_child_neither_beats_nor_releases(tmp_path):
    lock = acquire(tmp_path, **FAST)

    def child():
        lock.check()
        beating = [t.name for t in threading.enumerate() if t.name == "lock heartbeat" and t.is_alive()]
        lock.release()
        os._exit(len(beating))

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(timeout=10)
    assert process.exitcode == 0
    lock.check()
    assert not lock_owner(tmp_path).released
    lock.release()


def test_a_removed_folder_or_a_foreign_first_generation_is_a_lost_claim(tmp_path):
    folder = tmp_path / "lock"
    lock = acquire(folder, heartbeat_s=60, stale_s=300)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with pytest.raises(LockLost, match="folder was removed"):
        lock.check()
    other = acquire(folder, **FAST)
    assert other.generation == lock.generation
    with pytest.raises(LockLost):
        lock.check()
    lock.release()
    other.check()
    other.release()


def test_heartbeat_outlives_a_full_disk(tmp_path, monkeypatch):
    with acquire(tmp_path, **FAST) as lock:
        real, failures = module.files.write_bytes, []

        def full(*arguments, **options):
            if len(failures) < 3:
                failures.append(1)
                raise OSError(errno.ENOSPC, "No space left on device")
            real(*arguments, **options)

        monkeypatch.setattr(module.files, "write_bytes", full)
        deadline = time.monotonic() + 5
        while lock_owner(tmp_path).heartbeat < 4 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(failures) == 3
        assert lock_owner(tmp_path).heartbeat >= 4
        lock.check()


def test_without_hard_links_still_one_holds(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    claims = []
    start = threading.Barrier(8)

    def run():
        start.wait()
        claims.append(acquire(tmp_path, if_locked="skip", **FAST))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [c for c in claims if c is not None]
    assert len(held) == 1
    held[0].check()
    held[0].release()


def test_a_link_that_was_made_but_reported_as_failed_counts(tmp_path, monkeypatch):
    real = os.link

    def twice(a, b):
        real(a, b)
        real(a, b)  # as an NFS client that did not hear the server's first answer

    monkeypatch.setattr(os, "link", twice)
    with acquire(tmp_path, if_locked="skip", **FAST) as lock:
        lock.check()


def test_a_taker_that_slept_through_generations_does_not_hold(tmp_path):
    (tmp_path / "000007.json").write_text(json.dumps({"state": "held", "token": "x"}))
    assert module._take(tmp_path, 2, 10) is None  # it saw generation 2, before 3 to 6 came and went
    assert [p.name for p in tmp_path.iterdir()] == ["000007.json"]


def test_a_torn_generation_is_given_up_after_stale_s(tmp_path):
    (tmp_path / "000001.json").write_text("")
    assert acquire(tmp_path, if_locked="skip", **FAST) is None
    with acquire(tmp_path, **FAST) as lock:
        assert lock.generation == 2


def test_a_pid_that_was_given_to_another_process_is_not_the_holder(tmp_path):
    here = Process.current()
    assert not here.dead
    assert Process(here.host, here.boot, here.space, here.pid, here.started + 1).dead
    assert not Process(here.host, "another-boot", here.space, here.pid, here.started + 1).dead
    assert not Process(here.host, here.boot, "another-space", here.pid, here.started + 1).dead
    assert not Process.parse({"pid": "nonsense"}).dead
    assert not Process.parse(None).dead
    assert Process.parse(asdict(here)) == here


def test_ranges_are_checked():
    with pytest.raises(OutOfRange, match="if_locked=steal"):
        LockSettings(if_locked="steal", heartbeat_s=10, stale_s=20)
    with pytest.raises(OutOfRange, match="stale_s=10"):
        LockSettings(if_locked="wait", heartbeat_s=10, stale_s=10)


def test_an_unwritable_folder_is_an_error_not_a_wait(tmp_path, monkeypatch):
    def denied(path, data):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(module, "_write_new", denied)
    with pytest.raises(PermissionError):
        acquire(tmp_path, **FAST)
