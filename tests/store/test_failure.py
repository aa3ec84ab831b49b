"""The trace of a failed attempt, and how the state of a run tells of it."""

import os

from paa.store import failure
from paa.store.lock import acquire
from paa.store.paths import RunPaths
from paa.store.process import Process
from paa.store.status import run_status


def test_the_last_line_of_the_reason_is_told_until_the_next_attempt(tmp_path):
    paths = RunPaths(tmp_path, "t1")
    assert failure.read(paths) is None
    failure.clear(paths)
    failure.write(paths, "Traceback\n  File\nRuntimeError: out of paper\n")
    assert failure.read(paths).line == "RuntimeError: out of paper"
    assert failure.read(paths).by == f"{Process.current().host}, process {os.getpid()}"
    assert str(run_status(paths)) == "failed: RuntimeError: out of paper"
    with acquire(paths.lock):
        assert run_status(paths).kind == "running"
    failure.clear(paths)
    assert run_status(paths).kind == "interrupted"


def test_a_trace_that_is_none_says_so(tmp_path):
    paths = RunPaths(tmp_path, "t1")
    paths.folder.mkdir()
    for text in ("{", "[]", '{"reason": "x"}', '{"reason": "x", "at": "y", "by": "z"}'):
        paths.failure.write_text(text)
        assert failure.read(paths).line == f"{paths.failure} cannot be read"
    failure.write(paths, "")
    assert failure.read(paths).line == "no reason was given"
