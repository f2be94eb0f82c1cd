"""How cowpool compiles: Numba, with a disk cache that notices every edit.

Numba's own cache looks at the file of the compiled function only; an edit in a function
that it calls, in another file, goes unseen.  So the cache lives in a folder named after a hash of
every source file that is compiled and of the versions of Numba and NumPy.  Importing this
module imports Numba: only packages that compile may do so.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

from sim import BEGAN_NS
from sim.base.cache import CHECKED, VARIABLE, cache_folder, wanted_folder, writable
from sim.base.link import Compiled
from sim.base.rare import Rare

F = TypeVar("F", bound=Callable[..., Any])


COMPILED_PARTS = (
    "base/jit.py",
    "base/cache.py",
    "base/link.py",
    "base/garbage.py",
    "base/rare.py",
    "base/way_out.py",
    "base/errors.py",
    "base/numbered.py",
    "machine",
    "kernel",
    "observe",
    "cost/draw.py",
    "engine/burst.py",
    "engine/direct.py",
    "engine/queues.py",
    "engine/runqueue.py",
    "engine/timers.py",
    "policy/schedulers",
    "stats/quantile.py",
)
"""What of this package is compiled, and what compiled code has its constants from."""


def compiled_files(package: Path) -> list[Path]:
    """Return the source files below `package` that decide what compiled code does, in order."""
    parts = [package / part for part in COMPILED_PARTS]
    return sorted(f for part in parts for f in (part.rglob("*.py") if part.is_dir() else [part]))


def source_digest(package: Path) -> str:
    """Return a hash of the compiled sources below `package` and of what compiles them."""
    how = "checked" if CHECKED else ""
    digest = hashlib.sha256(f"{numba.__version__} {np.__version__} {sys.version}{how}".encode())
    for path in compiled_files(package):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


_PACKAGE = Path(__file__).parents[1]
_digest = cache(lambda: source_digest(_PACKAGE))
"""Of the sources, as this process began to compile."""


def as_read() -> bool:
    """Whether the compiled sources are still those that this process has read.

    Else what it compiles is neither the one version nor the other: records lie where the old one
    has them, say, and functions are the new ones.  Nobody else may get that.
    """
    try:
        newest_ns = max(file.stat().st_mtime_ns for file in compiled_files(_PACKAGE))
        same = newest_ns <= BEGAN_NS and source_digest(_PACKAGE) == _digest()
    except OSError:  # a file is gone
        same = False
    if not same:
        _say_once("its source was edited since this began: compiled code is not kept")
    return same


@cache
def _code_folder() -> str | None:
    """Return where machine code is kept, "" where Numba has been told; ``None``: nowhere.

    Numba itself, asked to use a folder that it cannot write, would write into the package.
    """
    own = os.environ.get("NUMBA_CACHE_DIR")
    if own and writable(Path(own)):
        return ""
    if own:
        del os.environ["NUMBA_CACHE_DIR"]  # for processes that are started later
    wanted = Path(own) if own else wanted_folder()
    folder = cache_folder()
    why = "there is no home" if wanted is None else f"{wanted} cannot be written"
    if folder is None:
        _say(f"{why}: each start compiles anew; {VARIABLE} may name a folder")
        return None
    if folder != wanted:
        _say(f"{why}: compiled code goes to {folder}; {VARIABLE} may name another folder")
    code = folder / _digest()
    return str(code) if writable(code) else None


def _say(what: str) -> None:
    sys.stderr.write(f"cowpool: {what}\n")


_say_once = cache(_say)

_made: list[str] = []
"""What was to be compiled so far in this process."""


def stay_plain() -> bool:
    """Have this process compile nothing, unless it began to; return whether nothing is compiled.

    For a process that has so little to do that plain Python is through before compiled code is
    loaded, let alone made.  What comes out is the same (A48).
    """
    if not _made:
        numba.config.DISABLE_JIT = True  # type: ignore[attr-defined]  # made at run time
    return bool(numba.config.DISABLE_JIT)  # type: ignore[attr-defined]  # made at run time


def compiled(function: F) -> F:
    """Compile `function` on first use and keep the machine code on disk (`sim.base.link`)."""
    return _made_of(function, forceinline=False)  # else that of the caller would hold


def inlined(function: F) -> F:
    """Compile `function` into each of its callers: for the few that every step goes through."""
    return _made_of(function, forceinline=True)


def rare(function: F) -> F:
    """Compile `function` by itself, when it is first called: for what few runs need.

    Its annotations say of which types it is: `int`, `bool`, `None`, `Arrays`, tuples of these
    (`sim.base.rare`).
    """
    return _made_of(function, Rare, forceinline=False)


def plain(function: F) -> F:
    """Return a compiled function as Python runs it: for rare calls that no compiler is to delay."""
    return cast("F", getattr(function, "py_func", function))


def _made_of(function: F, kind: type[Compiled] = Compiled, **options: Any) -> F:
    _made.append(function.__name__)
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # made at run time
        return function
    folder = _code_folder()
    if folder:
        numba.config.CACHE_DIR = folder  # type: ignore[attr-defined]  # made at run time
    how = {"nopython": True, "error_model": "numpy", **options}
    return cast("F", kind(function, how, keep=as_read if folder is not None else None))
