import json
import os
import pty
import re
import subprocess
import sys
import time

import pytest

from paa.engine.progress import TrainProgress, describe, duration
from paa.log import console, run_log

VALUES = {
    "loss": 1.75,
    "loss_cls": 0.5,
    "loss_box": 1.0,
    "loss_aux": 0.25,
    "positives_per_gt": 5.125,
    "lr": 0.00125,
    "images_per_s": 39.96,
}


def test_duration():
    assert [duration(s) for s in (0, 5.4, 65, 3600, 36_061)] == ["0:00", "0:05", "1:05", "1:00:00", "10:01:01"]


def test_numbers_in_one_short_text():
    text = "loss 1.750 (cls 0.500  box 1.000  aux 0.250)  pos/GT 5.12  lr 0.0013  40.0 img/s"
    assert describe(VALUES) == text
    assert describe({k: v for k, v in VALUES.items() if k != "images_per_s"}) == text.removesuffix("  40.0 img/s")


def test_plain_lines_where_there_is_no_terminal(capsys, tmp_path):
    file = tmp_path / "log"
    with console(), run_log(file), TrainProgress("t123", 100, 0) as progress:
        for done in range(1, 41):
            progress.advance(done)
            if done % 20 == 0:
                progress.report(done, VALUES)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(
        r"t123  20/100  loss 1\.750 \(cls .*\)  pos/GT 5\.12  lr 0\.0013  40\.0 img/s  \d+:\d\d left", lines[0]
    )
    assert all("\x1b" not in line and "\r" not in line for line in lines)
    for said, logged in zip(lines, file.read_text().splitlines(), strict=True):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  " + re.escape(said), logged)


def test_time_left_counts_from_where_this_process_began(monkeypatch, tmp_path):
    now = [100.0]
    monkeypatch.setattr("paa.engine.progress.time.monotonic", lambda: now[0])
    state = tmp_path / "progress.json"
    with TrainProgress("t123", 100, 80, state=state) as progress:
        now[0] += 30
        progress.report(90, VALUES)
        said = json.loads(state.read_text())
        assert (said["step"], said["steps"], said["eta_s"]) == (90, 100, 30.0)
        assert said["time"] == pytest.approx(time.time(), abs=600), "Unix time, which means the same on every machine"
    assert not state.exists()


SCRIPT = """
import time
from test_progress import VALUES
from paa.engine.progress import TrainProgress
from paa.log import console, run_log
from paa.log import console, print_line
with console(), TrainProgress("t123", 100, 0) as progress:
    progress.report(50, VALUES)
    time.sleep(0.6)  # the bar is drawn four times a second
    print_line("a line above the bar")
    progress.report(100, VALUES)
print("after")
"""


@pytest.mark.parametrize("columns", [80, 200])
def test_a_bar_on_a_terminal(columns):
    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    seen = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        seen += piece
    assert process.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen.decode())
    assert re.search(r"t123 ━+.*━  50/100 -:--:--", text)
    assert re.search(r"t123 ━+ 100/100 0:00:00", text)
    assert "loss 1.750 (cls 0.500  box 1.000  aux 0.250)  pos/GT 5.12  lr 0.0013" in text
    assert "a line above the bar" in text
    assert text.rstrip().endswith("after")


def test_a_reader_that_has_gone_does_not_end_the_program():
    script = """
import sys, time
from paa.engine.progress import TrainProgress
from paa.log import console, run_log
from paa.log import console, print_line
from test_progress import VALUES
time.sleep(0.2)
with console(), TrainProgress("t123", 100, 0) as progress:
    progress.report(50, VALUES)
    print_line("more")
    progress.report(100, VALUES)
sys.exit(7)
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 7
    process.stderr.close()
