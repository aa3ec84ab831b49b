"""The life of a job: what its signals do, what it waits for, and what it lets through."""

import errno
import os
import signal
import subprocess

import pytest
from fakes import sweep
from submitit.core.utils import UncompletedJobError

from paa.engine.signals import Interrupted, StopRequest
from paa.experiment.experiment import JobFailed
from paa.launch import preemption, task
from paa.launch.preemption import Preemption, RequeueRequested


@pytest.fixture
def submitits(monkeypatch):
    """submitit's handler in its place: what it was called with, and what it is to raise, in turn."""
    calls, raises = [], []

    def handler(signum, frame):
        calls.append(signum)
        raise raises.pop(0) if raises else SystemExit(-1)

    before = {one: signal.signal(one, handler) for one in (signal.SIGUSR2, signal.SIGTERM)}
    monkeypatch.setattr(preemption, "RETRY_S", 0.0)
    yield calls, raises
    for one, was in before.items():
        signal.signal(one, was)


def test_at_work_the_signal_only_asks_and_submitit_is_called_after_the_save(submitits):
    calls, _ = submitits

    def work() -> None:
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGUSR2)
            assert calls == []
            stop.check(4)

    with Preemption(True) as job:
        with pytest.raises(Interrupted) as stopped:
            work()
        assert stopped.value.signum == signal.SIGUSR2
        with pytest.raises(SystemExit) as left:
            job.requeue()
    assert calls == [signal.SIGUSR2]
    assert left.value.code == -1


def test_before_and_after_it_acts_immediately_and_is_no_failure(submitits):
    with Preemption(True):
        with pytest.raises(RequeueRequested):
            os.kill(os.getpid(), signal.SIGUSR2)
        with pytest.raises(SystemExit) as ended:
            os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == 143
    assert not issubclass(RequeueRequested, Exception)


def test_what_submitit_refuses_is_let_through(submitits):
    _, raises = submitits
    raises.append(UncompletedJobError("Job not requeued because: timed-out too many times."))
    with Preemption(True) as job, pytest.raises(UncompletedJobError, match="too many times"):
        job.requeue()


def test_a_controller_that_is_away_is_asked_again(submitits, capsys):
    calls, raises = submitits
    raises += [subprocess.CalledProcessError(1, "scontrol"), OSError(errno.ENOSPC, "full"), SystemExit(-1)]
    with Preemption(True) as job, pytest.raises(SystemExit):
        job.requeue()
    assert len(calls) == 3
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_of_several_processes_only_the_first_requeues_the_job(submitits, monkeypatch):
    calls, _ = submitits
    monkeypatch.setattr(preemption, "KILLED_S", 0.0)
    with Preemption(False) as job:
        os.kill(os.getpid(), signal.SIGUSR2)  # raises nothing here
        with pytest.raises(SystemExit) as end:
            job.requeue()
    assert calls == []
    assert end.value.code not in (137, 140), "the batch script would requeue the job"


def test_a_child_made_by_fork_takes_no_part(submitits):
    calls, _ = submitits
    with Preemption(True):
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGUSR2)
            os._exit(len(calls))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_the_outcome_of_an_earlier_attempt_is_removed(tmp_path, monkeypatch):
    left = tmp_path / "7_0_result.pkl"
    left.touch()
    environment = {"SUBMITIT_EXECUTOR": "slurm", "SUBMITIT_FOLDER": str(tmp_path), "SLURM_JOB_ID": "7"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    task.Task(sweep(tmp_path).folder, [])()
    assert not left.exists()


def failed(number: int) -> JobFailed:
    try:
        raise JobFailed("failed") from OSError(number, os.strerror(number))
    except JobFailed as error:
        return error


@pytest.fixture
def made(tmp_path):
    return sweep(tmp_path / "s", 4)


@pytest.fixture
def attempts(monkeypatch):
    """What each attempt at a run is to raise; at the end, none is left over."""
    errors, slept = [], []

    def attempt(entry, content, command):
        error = errors.pop(0)
        if error is not None:
            raise error

    monkeypatch.setattr("paa.launch.task._run", attempt)
    monkeypatch.setattr(task.time, "sleep", slept.append)
    yield errors, slept
    assert errors == []


def test_a_full_disk_is_waited_for(attempts, made, capsys):
    errors, slept = attempts
    errors += [failed(errno.ENOSPC), OSError(errno.ENOSPC, "No space left on device"), failed(errno.ESTALE), None]
    task.run_all(made, [0])
    assert slept == [5.0, 10.0, 20.0]
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_but_not_for_ever_and_not_where_several_processes_share_the_work(attempts, made):
    errors, slept = attempts
    errors += [failed(errno.ENOSPC)] * (len(task.WAITS_S) + 1)
    with pytest.raises(JobFailed):
        task.run_all(made, [0])
    assert len(slept) == len(task.WAITS_S)
    errors.append(failed(errno.ENOSPC))
    with pytest.raises(JobFailed):
        task.run_all(made, [0], single=False)


@pytest.mark.parametrize("error", [failed(errno.ENOENT), JobFailed("the loss is not finite")])
def test_other_failures_are_failures_and_keep_no_other_job_from_its_turn(attempts, made, error):
    errors, slept = attempts
    errors += [error, None, JobFailed("a later one"), None]
    with pytest.raises(JobFailed) as raised:
        task.run_all(made, range(4))
    assert raised.value is error
    assert errors == [], "all four had their turn"
    assert slept == []


def test_of_several_processes_the_first_failure_is_the_end(attempts, made):
    errors, _ = attempts
    errors.append(JobFailed("the loss is not finite"))
    with pytest.raises(JobFailed):
        task.run_all(made, [0, 1], single=False)


def test_the_process_of_a_job_with_several_ends_with_the_first_failure_on_its_last_line(attempts, made, capsys):
    errors, _ = attempts
    errors += [None, JobFailed("no room on the disk"), None]
    assert task.main([str(made.folder), "0", "1", "2"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "failed: no room on the disk"


def test_an_interruption_and_what_submitit_raises_pass(attempts, made):
    errors, _ = attempts
    for error in (Interrupted(signal.SIGUSR2, 3), UncompletedJobError("too many"), RequeueRequested()):
        errors.append(error)
        with pytest.raises(type(error)):
            task.run_all(made, [0])
