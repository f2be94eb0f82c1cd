"""How a command ends before its time: signals that raise, so that all that was begun is ended."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sim.base.limits import may_raise

if TYPE_CHECKING:
    from collections.abc import Iterator

SOON_S: Final = 0.02
"""When to try again where nothing may be raised."""

ENDING: Final = ("SIGTERM", "SIGHUP")
"""Signals that end a command as Ctrl-C does, where the system has them."""


class Stopped(BaseException):
    """A signal has asked for the end; like `KeyboardInterrupt`, nothing should catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def stopping_by_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise `Stopped` in the block, unless they are ignored.

    Only the first: a second one ends the process at once.  Whatever a library makes of that, or of
    Ctrl-C, the block ends with what was asked for: it is raised a moment later where nothing may be
    raised (`sim.base.limits.may_raise`), and again where Python could not pass it on.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    changed = [n for n in numbers if signal.getsignal(n) is signal.SIG_DFL]

    interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    asked: BaseException | None = None
    timed = hasattr(signal, "setitimer")
    alarm = signal.getsignal(signal.SIGALRM) if timed else None

    def end(number: int, frame: Any) -> None:
        if asked is None:
            return
        if timed and not may_raise(frame):
            soon()
        else:
            raise asked

    def soon() -> None:
        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, SOON_S)

    def lost(unraisable: Any) -> None:
        if timed and asked is not None and unraisable.exc_value is asked:
            soon()
        else:
            told(unraisable)

    def stop(number: int, frame: Any) -> None:
        nonlocal asked
        for n in changed:
            signal.signal(n, signal.SIG_DFL)
        asked = Stopped(number)
        end(number, frame)

    def interrupt(number: int, frame: Any) -> None:
        nonlocal asked
        asked = KeyboardInterrupt()
        end(number, frame)

    told, sys.unraisablehook = sys.unraisablehook, lost
    ours = dict.fromkeys(changed, stop) | ({signal.SIGINT: interrupt} if interruptible else {})
    before = {number: signal.signal(number, own) for number, own in ours.items()}
    try:
        yield
    except Exception as error:
        if asked is None:
            raise
        raise asked from error
    else:
        if asked is not None:  # caught, or put off until it was too late
            raise asked
    finally:
        sys.unraisablehook = told
        if asked is not None and timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm)
        for number, handler in before.items():
            signal.signal(number, handler)
