"""The command line: parse, call, print; nothing else is done here.

Results go to stdout, everything else to stderr.  What a command needs is imported when it runs, so
that ``cowpool --help`` is quick.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from sim.base.errors import InsufficientDataError, PartlyDoneError, ScenarioError
from sim.base.garbage import look_seldom
from sim.base.limits import LimitReachedError
from sim.base.stopping import Stopped, stopping_by_signals
from sim.base.text import printable, shorten_middle
from sim.cli import (  # noqa: F401  # their commands
    comparing,
    planning,
    reference,
    results,
    script_commands,
)
from sim.cli.commands import app
from sim.cli.reading import outlive_the_reader, throw_away
from sim.cli.stopping import what_is_kept

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE: Final = 0
ANSWER_IS_NO: Final = 1
BAD_INPUT: Final = 2
PARTLY_DONE: Final = 3
DEFECT: Final = 70
INTERRUPTED: Final = 130
BY_SIGNAL: Final = 128
"""Added to the number of the signal that ended a command; 2 is Ctrl-C."""

RECORDS: Final = Path("/run/cowpool")
"""Not empty while the kernel is changed (`sim.host.records`)."""

NOT_OURS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENOMEM})
"""What the operating system may refuse through no fault of cowpool's or of its input."""

UNREACHABLE: Final = frozenset({errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP})
"""What it says of a name that cannot be, or that lies where this user may not look."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status.

    0 done; 1 the answer is "no"; 2 bad input, told in one line; 3 partly done; 70 a defect of
    cowpool, its traceback kept in a file that is named; 130 interrupted; 143 and 129 ended by
    SIGTERM and SIGHUP.
    """
    if arguments is None:  # the process is this command's
        look_seldom()
        if not sys.warnoptions:
            warnings.simplefilter("ignore")  # what libraries have to say to programmers
    try:
        outlive_the_reader()
        with stopping_by_signals():
            _put_back_settings()
            return _carried_out(arguments)
    except ScenarioError as error:
        return _say(_in_one_line(error), BAD_INPUT)
    except InsufficientDataError as error:
        return _say(str(error), ANSWER_IS_NO)
    except LimitReachedError as error:
        return _say(f"{error}{what_is_kept(arguments)}", ANSWER_IS_NO)
    except PartlyDoneError as error:
        return _say(str(error), PARTLY_DONE)
    except (KeyboardInterrupt, typer.Abort):
        return _say(f"interrupted{what_is_kept(arguments)}", INTERRUPTED)
    except Stopped as stopped:
        name = signal.Signals(stopped.number).name
        return _say(f"ended by {name}{what_is_kept(arguments)}", BY_SIGNAL + stopped.number)
    except MemoryError:
        return _say("this machine has too little memory; simulate a smaller host", BAD_INPUT)
    except BrokenPipeError:
        return _reader_has_gone()
    except OSError as error:
        if error.errno in UNREACHABLE and isinstance(error.filename, str):
            name = shorten_middle(error.filename)
            return _say(f"{name}: cannot be looked at ({error.strerror}); check it", BAD_INPUT)
        if error.errno not in NOT_OURS:
            return _defect(error)
        if error.errno == errno.ENOMEM:
            return _say("this machine has too little memory; simulate a smaller host", BAD_INPUT)
        if error.filename is None:  # what was printed
            _reader_has_gone()
        name = "" if error.filename is None else f"{error.filename}: "
        return _say(f"{name}cannot be written ({error.strerror}); check room there", BAD_INPUT)
    except SystemExit as ending:  # how typer takes a broken pipe
        if isinstance(ending.__context__, BrokenPipeError):
            return _reader_has_gone()
        raise
    except Exception as error:
        if hasattr(error, "format_message"):  # how typer's errors of usage are told apart
            if type(error).__name__ == "NoArgsIsHelpError":
                return _say(error.format_message(), BAD_INPUT)
            message = shorten_middle(error.format_message()).rstrip(".")
            context = getattr(error, "ctx", None)
            command = "cowpool" if context is None else context.command_path
            return _say(f"{command}: {message}; see `{command} --help`", BAD_INPUT)
        return _defect(error)


def _put_back_settings() -> None:
    """Put back what a killed `conform` has left changed in this kernel: only root can."""
    if not any(RECORDS.glob("*")) or os.geteuid() != 0:
        return
    from sim.host.pressure.swap import switch_off_what_was_left
    from sim.host.settings import put_back_what_was_left

    for name in put_back_what_was_left():
        _say(f"cowpool: put back {name}, which one that was killed had changed", DONE)
    for name in switch_off_what_was_left():
        _say(f"cowpool: switched off {name}, to which one that was killed had swapped", DONE)


def _carried_out(arguments: Sequence[str] | None) -> int:
    status = typer.main.get_command(app)(
        args=None if arguments is None else list(arguments),
        prog_name="cowpool",
        standalone_mode=False,
    )
    sys.stdout.flush()
    if status == INTERRUPTED:  # what typer makes of Ctrl-C
        raise KeyboardInterrupt
    return status if isinstance(status, int) else DONE


def _in_one_line(error: ScenarioError) -> str:
    """Return what is wrong, each part of it short, in one line."""
    file, key = (None if text is None else shorten_middle(text) for text in (error.file, error.key))
    return str(ScenarioError(shorten_middle(error.message), file, error.line, key))


def _defect(error: Exception) -> int:
    from sim.cli.defect import keep_traceback

    return _say(keep_traceback(error), DEFECT)


def _reader_has_gone() -> int:
    """Throw the rest of the output away: whoever read it has seen enough."""
    throw_away()
    return DONE


def _say(message: str, status: int) -> int:
    sys.stderr.write(f"{printable(message)}\n")
    return status
