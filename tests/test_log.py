import io
import re
import subprocess
import sys

import pytest

from paa.log import console, log, print_line, run_log

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  "


def test_messages_by_level_on_the_console_and_in_the_file(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(log, "propagate", False)  # other tests leave handlers of the root logger behind
    with console(), run_log(tmp_path / "log"):
        log.info("at step %d", 3)
        log.warning("no server")
        log.error("failed")
        log.debug("a detail")
    log.info("after")
    out, err = capsys.readouterr()
    assert out == "at step 3\nwarning: no server\n"
    assert err == "failed\n"
    lines = (tmp_path / "log").read_text().splitlines()
    assert [re.sub(rf"^{STAMP}", "", line) for line in lines] == [
        "at step 3",
        "warning: no server",
        "failed",
        "a detail",
    ]
    assert all(re.match(STAMP, line) for line in lines)


def test_a_log_is_continued(tmp_path):
    for text in ("first", "second"):
        with run_log(tmp_path / "log"):
            log.info(text)
    assert [line[-6:] for line in (tmp_path / "log").read_text().splitlines()] == [" first", "second"]


def test_other_processes_than_the_main_one_show_errors_only(capsys):
    with console(main=False):
        log.info("at step 3")
        log.warning("no server")
        log.error("failed")
    assert capsys.readouterr() == ("", "failed\n")


def test_other_handlers_get_messages_where_the_console_is_not_ours(caplog):
    caplog.set_level("INFO", "paa")
    with console():
        log.info("shown once")
    log.info("of a library")
    assert [record.getMessage() for record in caplog.records] == ["of a library"]


def test_a_folder_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), run_log(tmp_path / "none" / "log"):
        pass


def test_print_line_to_a_stream():
    stream = io.StringIO()
    print_line("text", stream)
    assert stream.getvalue() == "text\n"


SCRIPT = """
import sys
from pathlib import Path
from paa.log import console, log, run_log
if sys.argv[1:] == ["close"]:
    sys.stdout.close()
with console(), run_log(Path("/dev/full")):
    for _ in range(3):
        log.info("lost")
sys.exit(7)
"""


@pytest.mark.parametrize("case", ["reader has gone", "disk is full", "closed"])
def test_what_cannot_be_written_is_lost_and_the_program_goes_on(case):
    words = [sys.executable, "-c", SCRIPT, *(["close"] if case == "closed" else [])]
    with open("/dev/full", "w") as full:
        out = full if case == "disk is full" else subprocess.PIPE
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.PIPE)
        if process.stdout is not None:
            process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
        assert process.wait(60) == 7
        process.stderr.close()
