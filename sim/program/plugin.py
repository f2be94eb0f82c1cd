"""Programs and policies from a file of the user's, named with ``--plugin``.

A file offers what it decorates: functions with `sim.plugin.program`, classes with
`sim.plugin.scheduler`.  Only the command line names such a file; a scenario cannot run code.
"""

from __future__ import annotations

import inspect
import re
import sys
import warnings
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import ScenarioError
from sim.base.files import read_whole
from sim.base.text import told
from sim.program.blame import MODULE_PREFIX, fault_of_plugin
from sim.program.signature import parameters_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sim.program.api import Program

MOST_BYTES: Final = 16 << 20
"""Of a plug-in's file."""


@dataclass(frozen=True, slots=True)
class Plugin:
    """What a file offers, by name; where it is, its bytes and their SHA-256."""

    programs: dict[str, Program] = field(default_factory=dict)
    schedulers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    sha256: str = ""
    path: str = ""
    content: bytes = b""


def load_plugin(path: str | Path, content: bytes | None = None) -> Plugin:
    """Run the file `path` and return what it offers.

    `content` is what the file held earlier: then it is not read again.

    Raises `ScenarioError`, one line with file and line, if the file cannot be read or run,
    offers nothing, offers one name twice, or a program whose parameters have no type.
    """
    file = Path(path)
    try:
        content = read_whole(file, MOST_BYTES) if content is None else content
    except OSError as error:
        raise ScenarioError(f"cannot read the plug-in: {error.strerror}", str(path)) from error
    digest = sha256(content).hexdigest()
    module = _run(file, content, f"{MODULE_PREFIX}{digest[:16]}")
    plugin = Plugin(sha256=digest, path=str(path), content=content)
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(value) and hasattr(value, "scheduler_name"):
            _offer(plugin.schedulers, value.scheduler_name, value, file)
        elif inspect.isfunction(value) and hasattr(value, "program_name"):
            _check_program(value, file)
            _offer(plugin.programs, value.program_name, value, file)
    if not plugin.programs and not plugin.schedulers:
        raise ScenarioError(
            "offers nothing; decorate a function with @program or a class with @scheduler",
            str(path),
        )
    return plugin


def _run(file: Path, content: bytes, name: str) -> ModuleType:
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module  # dataclasses and type hints look their module up
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:  # else somebody has said which warnings are to be seen
                warnings.filterwarnings("default", "", DeprecationWarning, re.escape(name))
            exec(compile(content, str(file), "exec"), vars(module))
    except SyntaxError as error:
        raise ScenarioError(f"is not Python: {error.msg}", str(file), error.lineno) from error
    except BaseException as error:
        fault = fault_of_plugin(error)
        if fault is None and isinstance(error, Exception):  # before any of its lines
            fault = ScenarioError(told(error), str(file))
        if fault is None:
            raise
        raise fault from error
    return module


def _check_program(function: Program, file: Path) -> None:
    line = function.__code__.co_firstlineno
    if not inspect.isgeneratorfunction(function):
        raise ScenarioError(
            f"{function.__name__} is no generator; a program enters verbs with `yield from`",
            str(file),
            line,
        )
    try:
        known = [parameter.name for parameter in parameters_of(function)]
    except TypeError as error:
        raise ScenarioError(str(error), str(file), line) from error
    except Exception as error:  # of a type that is written as text, and evaluated only now
        message = f"{function.__name__}: a type cannot be evaluated: {told(error)}"
        raise ScenarioError(message, str(file), line) from error
    for event, parameter in getattr(function, "program_events", {}).items():
        if parameter is not None and parameter not in known:
            raise ScenarioError(
                f"{function.__name__}: the event {event!r} names {parameter!r}, which is no "
                "parameter of the program",
                str(file),
                line,
            )


def _offer(offered: dict[str, Any], name: str, value: Any, file: Path) -> None:
    if name in offered and offered[name] is not value:
        raise ScenarioError(f"offers {name!r} twice", str(file))
    offered[name] = value
