"""The state of submitted jobs, and what other shells do with them."""

from __future__ import annotations

import os
import pickle
import re

import pytest
from fakes import FakeSlurm, finish, result, slurm, sweep  # noqa: F401

from paa.launch import queue
from paa.launch.actions import NothingToDo, cancel, watch
from paa.launch.queue import NoAnswer
from paa.launch.status import look, rows, select
from paa.launch.sweep import wait
from paa.store.frame import UnreadableRecord


@pytest.fixture
def runs_dir(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def made(runs_dir):
    """Three runs that were submitted as 70_0, 70_1 and 70_2."""
    one = sweep(runs_dir / ".sweeps" / "s")
    one.submitted(one.plan([[0], [1], [2]]), "70")
    return one


def states(made, runs_dir):
    return look([(made, entry) for entry in made.entries], runs_dir)


def kinds(made, runs_dir):
    return [row.kind for row in states(made, runs_dir)]


def test_the_queue_is_read(slurm):  # noqa: F811
    slurm.queue(("70_0", "RUNNING"), ("70_1", "PENDING"), ("99", "RUNNING"))
    found = queue.look({"70_0", "70_1"})
    assert sorted(found) == ["70_0", "70_1"]
    assert (found["70_0"].nodes, found["70_0"].since, found["70_0"].restarts) == ("n1", "2026-11-25T02:00:00", 1)
    assert found["70_1"].pending
    assert (found["70_1"].reason, found["70_1"].since) == ("Priority", "")


def test_what_the_controller_has_forgotten_the_accounting_may_know(slurm):  # noqa: F811
    slurm.says("squeue", code=1, error="slurm_load_jobs error: Invalid job id specified\n")
    slurm.says("sacct", "70_0|CANCELLED by 0|None|n1|2026-11-25T02:00:00\n70_0.batch|CANCELLED||n1|x\n")
    assert {name: job.state for name, job in queue.look({"70_0", "70_1"}).items()} == {"70_0": "CANCELLED"}


def test_an_array_that_was_cancelled_before_it_started_is_listed_as_one(slurm):  # noqa: F811
    slurm.says("squeue", "70|CANCELLED|None|||0|x|\n70_3|RUNNING|None|n1|2026-11-25T02:00:00|0|x|\n")
    slurm.says("sacct", "71_[0-100%101]|CANCELLED by 0|None||None\n71_7|RUNNING|None|n1|2026-11-25T02:00:00\n")
    found = queue.look({"70_1", "70_3", "71_2", "71_7", "72_0"})
    expected = {"70_1": "CANCELLED", "70_3": "RUNNING", "71_2": "CANCELLED", "71_7": "RUNNING"}
    assert {name: job.state for name, job in found.items()} == expected
    assert all(job.id == name for name, job in found.items())


def test_no_answer_is_not_no_job(slurm, made, runs_dir):  # noqa: F811
    slurm.says("squeue", code=1, error="slurm_load_jobs error: Unable to contact slurm controller\n")
    with pytest.raises(NoAnswer):
        queue.look({"70_0"})
    assert kinds(made, runs_dir) == ["unknown"] * 3
    assert all(row.active for row in states(made, runs_dir))


def test_the_accounting_that_lags_is_not_asked_about_what_squeue_lists(slurm, made, runs_dir):  # noqa: F811
    slurm.queue(("70_0", "COMPLETED"), ("70_1", "FAILED"), ("70_2", "CANCELLED"))
    slurm.says("sacct", "70_0|RUNNING||n1|x\n70_1|RUNNING||n1|x\n70_2|RUNNING||n1|x\n")
    finish(runs_dir, made, 0)
    assert kinds(made, runs_dir) == ["done", "failed", "cancelled"]


def test_an_error_is_given_by_its_last_line_and_its_log(slurm, made, runs_dir):  # noqa: F811
    slurm.queue(("70_0", "FAILED"), ("70_1", "COMPLETED"), ("70_2", "FAILED"))
    result(
        made,
        "70_0",
        "error",
        "Traceback\npaa.experiment.experiment.JobFailed: the loss of step 7 is not finite\n",
    )
    (made.logs / "70_2_0_log.out").write_text("step 1\nsrun: error: n1: task 0: Killed\n\n")
    found = states(made, runs_dir)
    assert (found[0].kind, found[0].status.detail) == ("failed", "the loss of step 7 is not finite")
    assert found[0].log == made.logs / "70_0_0_log.out"
    assert found[1].kind == "interrupted", "SLURM's COMPLETED is no record"
    assert (found[2].kind, found[2].status.detail) == ("failed", "FAILED, srun: error: n1: task 0: Killed")


class Attack:
    """What a pickle in somebody else's runs folder may hold."""

    def __init__(self, target):
        self.target = str(target)

    def __reduce__(self):
        return os.mkdir, (self.target,)


@pytest.mark.parametrize("outcome", ["error", "success"])
def test_listing_a_folder_of_runs_executes_nothing_of_it(slurm, made, runs_dir, tmp_path, outcome):  # noqa: F811
    slurm.queue(("70_0", "FAILED"), ("70_1", "FAILED"), ("70_2", "FAILED"))
    result(made, "70_0", outcome, Attack(tmp_path / "executed"))
    assert pickle.dumps(Attack(tmp_path)), "it can be pickled at all"
    assert [row.kind for row in rows(runs_dir)] == ["failed"] * 3
    assert not (tmp_path / "executed").exists()


def test_a_job_that_is_requeued_after_an_error_is_not_failed(slurm, made, runs_dir):  # noqa: F811
    slurm.queue(("70_0", "PENDING"))
    result(made, "70_0", "error", "boom")
    assert kinds(made, runs_dir)[0] == "pending"


def test_a_job_that_is_cancelled_after_an_error_of_an_earlier_attempt_is_cancelled(slurm, made, runs_dir):  # noqa: F811
    slurm.queue(("70_0", "CANCELLED"), ("70_1", "PREEMPTED"))
    for name in ("70_0", "70_1"):
        result(made, name, "error", "connection closed by peer")
    assert kinds(made, runs_dir)[:2] == ["cancelled", "cancelled"]


def test_of_several_processes_the_first_error_in_time_is_the_cause(slurm, made, runs_dir):  # noqa: F811
    slurm.queue(("70_0", "FAILED"))
    result(made, "70_0", "error", "connection closed by peer")
    cause = made.logs / "70_0_3_result.pkl"
    cause.write_bytes(pickle.dumps(("error", "the loss of step 7 is not finite")))
    os.utime(cause, (1, 1))
    assert states(made, runs_dir)[0].status.detail == "the loss of step 7 is not finite"


def test_an_array_whose_number_nobody_noted_is_found_by_its_name(slurm, runs_dir):  # noqa: F811
    one = sweep(runs_dir / ".sweeps" / "s")
    array = one.plan([[0], [1]])
    slurm.says("squeue", f"81_1|RUNNING||n2|2026-11-25T02:00:00|0|{array.name}|\n")
    found = states(one, runs_dir)
    assert (found[1].kind, found[1].id) == ("running", "81_1")
    assert found[2].kind == "missing"


class Clock:
    """A time that passes only when `sleep` is called, which then plays the next scene of a story."""

    def __init__(self, *story):
        self.time, self.story = 0.0, list(story)

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.story:
            self.story.pop(0)()

    def wait(self, made, runs_dir):
        entries = [(made, entry) for entry in made.entries]
        found = wait(entries, runs_dir, 8.0, sleep=self.sleep, clock=lambda: self.time)
        return [found[entry.identity].kind for entry in made.entries]


def test_waiting_outlasts_a_failed_node_and_an_absent_controller(slurm, made, runs_dir, capsys):  # noqa: F811
    """It ends when the run is done, and not before: neither at the failure nor in the silence."""
    others = ("70_1", "CANCELLED"), ("70_2", "FAILED")

    def ends() -> None:
        slurm.queue(("70_0", "COMPLETED"), *others)
        finish(runs_dir, made, 0)

    clock = Clock(
        lambda: slurm.queue(("70_0", "NODE_FAIL"), *others),
        lambda: slurm.says("squeue", code=1, error="Unable to contact slurm controller"),
        lambda: slurm.queue(("70_0", "PENDING"), *others),
        lambda: slurm.queue(("70_0", "NODE_FAIL"), *others),
        lambda: slurm.queue(("70_0", "RUNNING"), *others),
        ends,
    )
    slurm.queue(("70_0", "RUNNING"), ("70_1", "RUNNING"), ("70_2", "RUNNING"))
    assert clock.wait(made, runs_dir) == ["done", "cancelled", "failed"]
    assert not clock.story
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "3 runs: 3 running"
    assert "3 runs: 3 unknown" in said
    assert said[-1] == "3 runs: 1 done, 1 failed, 1 cancelled"


def test_waiting_believes_in_an_end_that_lasts(slurm, made, runs_dir):  # noqa: F811
    slurm.queue(("70_0", "NODE_FAIL"), ("70_1", "CANCELLED"), ("70_2", "FAILED"))
    clock = Clock()
    assert clock.wait(made, runs_dir) == ["failed", "cancelled", "failed"]
    assert clock.time == 24.0


def test_a_run_is_shown_once_and_chosen_by_table_sweep_or_id(slurm, made, runs_dir):  # noqa: F811
    slurm.queue(("70_0", "RUNNING"), ("70_1", "FAILED"), ("70_2", "PENDING"))
    later = sweep(runs_dir / ".sweeps" / "t", 2)
    later.submitted(later.plan([[1]]), "80")
    found = rows(runs_dir)
    assert len(found) == 3
    assert {row.entry.number for row in select(found, "table1")} == {0, 1, 2}
    assert [row.id for row in select(found, "t0000000002")] == ["70_2"]
    assert select(found, "t000") == [], "an ambiguous prefix"
    assert select(found, "nothing") == []


def test_a_job_of_another_sweep_is_the_state_of_what_was_not_submitted_again(slurm, made, runs_dir):  # noqa: F811
    """As where a command is given twice: the second one waits for the jobs of the first, whatever becomes of them."""
    sweep(runs_dir / ".sweeps" / "t")
    for state, kind in (("RUNNING", "running"), ("FAILED", "failed")):
        slurm.queue(("70_0", state), ("70_1", state), ("70_2", state))
        assert [(row.kind, row.id) for row in rows(runs_dir)] == [(kind, f"70_{n}") for n in range(3)]


def test_cancel_names_the_jobs_to_slurm(slurm, made, runs_dir, capsys):  # noqa: F811
    slurm.queue(("70_0", "RUNNING"), ("70_1", "FAILED"), ("70_2", "PENDING"))
    cancel(runs_dir, "s")
    assert slurm.calls("scancel") == ["70_0 70_2"]
    assert "cancelled 2 jobs" in capsys.readouterr().out
    with pytest.raises(NothingToDo, match=r"^table9: .*; sweeps: s$"):
        cancel(runs_dir, "table9")
    with pytest.raises(NothingToDo, match=r"^t0000000001: "):
        cancel(runs_dir, "t0000000001")


def test_cancel_reaches_each_job_of_a_run_that_is_in_the_queue_twice(slurm, made, runs_dir, capsys):  # noqa: F811
    """It was submitted again while SLURM did not answer, say."""
    later = sweep(runs_dir / ".sweeps" / "t", 1)
    later.submitted(later.plan([[0]]), "80")
    slurm.queue(("70_0", "RUNNING"), ("70_1", "RUNNING"), ("80", "PENDING"))
    assert len(rows(runs_dir)) == 3
    for what in ("t0000000000", "t"):
        cancel(runs_dir, what)
        assert slurm.calls("scancel").pop() == "70_0 80"


def test_a_sweep_that_cannot_be_read_hides_no_other(slurm, made, runs_dir, capsys):  # noqa: F811
    torn = runs_dir / ".sweeps" / "r" / "submitted.json"
    torn.parent.mkdir()
    torn.write_text('{"command": "python')
    slurm.queue(("70_0", "RUNNING"), ("70_1", "FAILED"), ("70_2", "PENDING"))
    with pytest.warns(UnreadableRecord, match=re.escape(str(torn))):
        assert len(rows(runs_dir)) == 3
    with pytest.warns(UnreadableRecord) as said:
        watch(runs_dir, sleep=lambda seconds: slurm.queue(("70_0", "FAILED"), ("70_1", "FAILED"), ("70_2", "FAILED")))
    assert len(said) == 1, "watching warns once"
    assert "3 runs: 3 failed" in capsys.readouterr().out


def test_watching_ends_when_nothing_is_in_the_queue(slurm, made, runs_dir, capsys):  # noqa: F811
    slurm.queue(("70_0", "RUNNING"), ("70_1", "FAILED"), ("70_2", "PENDING"))
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        slurm.queue(("70_0", "FAILED"), ("70_1", "FAILED"), ("70_2", "CANCELLED"))

    watch(runs_dir, sleep=sleep)
    out = capsys.readouterr().out
    assert len(looks) == 1
    assert "3 runs: 1 running, 1 failed, 1 pending" in out
    assert "3 runs: 2 failed, 1 cancelled" in out


def test_watching_without_slurm_ends_with_an_error(made, runs_dir, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NothingToDo, match=r"^watch: "):
        watch(runs_dir, sleep=lambda seconds: pytest.fail("it looks again"))


def test_a_look_at_a_thousand_is_one_call(slurm, runs_dir):  # noqa: F811
    one = sweep(runs_dir / ".sweeps" / "s", 1000)
    for at in range(0, 1000, 100):
        one.submitted(one.plan([[n] for n in range(at, at + 100)]), str(500 + at))
    slurm.says("squeue", "".join(f"{500 + n // 100 * 100}_{n % 100}|PENDING|Priority||N/A|0|x|\n" for n in range(1000)))
    assert len([row for row in rows(runs_dir) if row.kind == "pending"]) == 1000
    assert len(slurm.calls("squeue")) == 1
