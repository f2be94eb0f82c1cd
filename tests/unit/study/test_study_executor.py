"""What the executor of a study does beside running: it notices Ctrl-C wherever that comes."""

import os
import signal

import pytest

from sim.study.executor import _interrupts_seen


def test_an_interrupt_that_somebody_swallows_is_seen() -> None:
    with _interrupts_seen() as seen:
        assert not seen.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        assert seen.is_set()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
