"""Whose mistake it is that a run broke off: the plug-in's, where its code is to be seen in it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import Refused, ScenarioError, SimError
from sim.base.text import told

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULE_PREFIX: Final = "cowpool_plugin_"
"""Begins the name of the module that a plug-in's code runs in."""


def is_of_plugin(thing: Any) -> bool:
    """Whether a function or class was written in a plug-in."""
    return str(getattr(_plain(thing), "__module__", "")).startswith(MODULE_PREFIX)


def complaint(thing: Any, message: str) -> ScenarioError:
    """Return the error that says `message` about a function or class of a plug-in."""
    thing = _plain(thing)
    code = getattr(thing, "__code__", None) or getattr(thing.__init__, "__code__", None)
    file = None if code is None else code.co_filename
    line = None if code is None else code.co_firstlineno
    return ScenarioError(message, file, line)


def fault_of_plugin(error: BaseException, source: Any = None) -> ScenarioError | None:
    """Return the error that names the line of a plug-in that `error` came from; else ``None``.

    `source` is the function or class that was being run: it is named where no line of it is in
    the traceback, as when it is called with other arguments than it takes.  A `GeneratorExit` is
    taken for one that was raised, not for a generator being closed: ask of no such.
    """
    if not _is_a_mistake(error):
        return None
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        place = _place(cause)
        if place is not None:
            return ScenarioError(_what(cause), *place)
        cause = cause.__cause__ or cause.__context__
    return complaint(source, _what(error)) if is_of_plugin(source) else None


@contextmanager
def blaming(source: Any = None) -> Iterator[None]:
    """Raise `ScenarioError` for an exception of the block that came from a plug-in's code."""
    try:
        yield
    except BaseException as error:
        fault = fault_of_plugin(error, source)
        if fault is None:
            raise
        raise fault from error


def _is_a_mistake(error: BaseException) -> bool:
    if isinstance(error, ScenarioError):
        return error.file is None  # else it says where it comes from
    if isinstance(error, SimError):
        return isinstance(error, Refused)
    own = type(error).__module__.startswith(MODULE_PREFIX)
    kinds = Exception | SystemExit | GeneratorExit
    return own or (isinstance(error, kinds) and not isinstance(error, MemoryError))


def _place(error: BaseException) -> tuple[str, int] | None:
    """Return file and line of the innermost code of a plug-in that an exception passed through."""
    place = None
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__")).startswith(MODULE_PREFIX):
            place = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    return place


def _what(error: BaseException) -> str:
    if isinstance(error, ScenarioError):
        return str(error)
    if isinstance(error, SystemExit | GeneratorExit):
        return f"{told(error)}; a program ends with `yield from task.exit(status)`"
    return told(error)


def _plain(thing: Any) -> Any:
    while hasattr(thing, "func") or hasattr(thing, "__wrapped__"):
        thing = getattr(thing, "func", None) or thing.__wrapped__
    return thing
