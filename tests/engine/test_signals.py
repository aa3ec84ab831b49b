import os
import signal
import threading

import pytest

from paa.engine.signals import Interrupted, StopRequest


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR2, 140)])
def test_a_signal_asks_and_does_not_end(signum, code):
    with StopRequest() as stop:
        stop.check(1)
        os.kill(os.getpid(), signum)
        assert stop.signum == signum
        with pytest.raises(Interrupted, match=f"stopped by {signum.name} after step 7; everything is saved") as stopped:
            stop.check(7)
    assert stopped.value.code == code


def test_a_second_ctrl_c_ends_at_once():
    with StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_second_sigterm_does_not():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signum == signal.SIGTERM


def test_of_two_signals_the_last_counts():
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGTERM)  # cancelled while it was being put back
        assert stop.signum == signal.SIGTERM


def test_handlers_go_back():
    every = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
    before = [signal.getsignal(one) for one in every]
    with StopRequest():
        assert all(signal.getsignal(one) != was for one, was in zip(every, before, strict=True))
    assert [signal.getsignal(one) for one in every] == before


def test_a_request_that_a_failure_came_before_is_handed_on():
    heard = []
    before = signal.signal(signal.SIGUSR2, lambda signum, frame: heard.append(signum))
    try:
        with pytest.raises(OSError, match="full"), StopRequest():
            os.kill(os.getpid(), signal.SIGUSR2)
            raise OSError("the disk is full")
        assert heard == [signal.SIGUSR2]
        with pytest.raises(Interrupted), StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGUSR2)
            stop.check(3)
        assert heard == [signal.SIGUSR2], "one that was heeded is over"
    finally:
        signal.signal(signal.SIGUSR2, before)


def test_a_forked_child_is_not_asked():
    with StopRequest() as stop:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0 if stop.signum is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert stop.signum is None


def test_outside_of_the_main_thread_there_is_no_request():
    seen = []

    def work():
        with StopRequest() as stop:
            seen.append(stop.signum)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
