from __future__ import annotations

import os
import signal

import pytest

from wenlu.errors import Interrupted, Preempted
from wenlu.training.stop import StopSignal


@pytest.mark.parametrize(
    ("number", "kind", "code"), [(signal.SIGINT, Interrupted, 130), (signal.SIGTERM, Preempted, 75)]
)
def test_the_first_signal_only_asks_to_stop(number: signal.Signals, kind: type[Preempted], code: int) -> None:
    with StopSignal() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop
    error = stop.error("stopped")
    assert type(error) is kind
    assert error.exit_code == code


def test_the_second_signal_acts_at_once() -> None:
    with StopSignal():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_afterwards_signals_act_as_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StopSignal():
        pass
    assert signal.getsignal(signal.SIGINT) is before
