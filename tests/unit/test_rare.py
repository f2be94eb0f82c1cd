"""Functions with code of their own (`sim.base.rare`): when it is made, and how it is called."""

import importlib
import os
import pkgutil
import subprocess
import sys

import numba
import pytest

import sim.kernel
import sim.machine
from sim.base.link import Compiled
from sim.base.rare import Rare
from sim.machine.native import ARRAYS

pytestmark = pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="nothing is compiled with NUMBA_DISABLE_JIT"
)
OPTIONS = {"nopython": True, "forceinline": False}


def compiled(function):
    """Compile a function of these tests, and keep nothing on disk."""
    return Compiled(function, OPTIONS)


def rare(function):
    """Compile a function of these tests by itself, when it is first called."""
    return Rare(function, OPTIONS)


def functions():
    """Return a rare function, and one that calls it unless its argument is 0."""

    @rare
    def seldom(value: int, more: bool) -> tuple[int, int]:
        if value < 0:
            raise IndexError("too small")
        return value * 3 + more, value

    @compiled
    def caller(value: int) -> int:
        if value == 0:
            return 0
        triple, same = seldom(value, value > 10)
        return triple - same

    return seldom, caller


def test_nothing_is_compiled_of_it_until_it_is_called():
    seldom, caller = functions()
    assert caller(0) == 0
    assert seldom.overloads == seldom.entries == {}
    assert caller(5) == 10
    assert list(seldom.entries) == [(numba.int64, numba.boolean)]


def test_it_is_looked_for_once_and_no_part_of_its_callers_module():
    seldom, caller = functions()
    assert [caller(value) for value in (1, 4, 11, 20)] == [2, 8, 23, 41]
    assert sum(seldom.stats.cache_misses.values()) == 1
    (entry,) = caller.entries.values()
    (own,) = (f.name for f in entry.library._final_module.functions if "seldom" in f.name)
    assert own.startswith("cowpool.call.")


def test_python_may_call_it_before_and_after():
    seldom, caller = functions()
    assert seldom(4, True) == (13, 4)
    assert caller(4) == 8
    assert seldom(4, False) == (12, 4)
    assert len(seldom.entries) == 1


def test_its_errors_pass_through_callers():
    _, caller = functions()
    for _ in range(2):
        with pytest.raises(IndexError, match="too small"):
            caller(-1)
    assert caller(2) == 4


def test_who_interrupts_its_compilation_is_heard_and_may_call_again(monkeypatch):
    seldom, caller = functions()
    link = Rare._link

    def interrupted(self, args):
        if self is seldom:
            raise KeyboardInterrupt
        return link(self, args)

    monkeypatch.setattr(Rare, "_link", interrupted)
    with pytest.raises(KeyboardInterrupt):
        caller(5)
    monkeypatch.undo()
    assert caller(5) == 10


def test_python_may_call_in_again_while_one_is_looked_for(monkeypatch):
    """Each call from Python has its own errors, whatever else was called meanwhile."""
    seldom, caller = functions()
    link = Rare._link

    @rare
    def other(value: int) -> int:
        if value < 0:
            raise IndexError("too small")
        return value * 2

    @compiled
    def another(value: int) -> int:
        return other(value)

    def calls_in(self, args):
        if self is seldom:
            assert another(5) == 10
            with pytest.raises(IndexError, match="too small"):
                another(-1)
            raise KeyboardInterrupt
        return link(self, args)

    monkeypatch.setattr(Rare, "_link", calls_in)
    with pytest.raises(KeyboardInterrupt):
        caller(5)
    assert another(4) == 8
    monkeypatch.undo()
    assert [caller(5), another(5)] == [10, 10]


def test_it_may_call_others_that_are_rare_and_return_nothing():
    asked = []

    @rare
    def innermost(value: int) -> None:
        if value > 3:
            raise IndexError("innermost")

    @rare
    def middle(value: int) -> bool:
        innermost(value)
        return value > 1

    @compiled
    def outermost(value: int) -> int:
        return 7 if middle(value) else 8

    asked = [outermost(1), outermost(2)]
    assert asked == [8, 7]
    with pytest.raises(IndexError, match="innermost"):
        outermost(4)


def test_what_it_returns_is_of_the_type_it_is_annotated_with():
    @rare
    def as_number(value: int) -> int:
        return value > 3

    @compiled
    def caller(value: int) -> int:
        return as_number(value) + 1

    assert (caller(3), caller(4)) == (1, 2)
    assert as_number.annotated.return_type == numba.int64
    (entry,) = as_number.entries.values()
    assert entry.signature.return_type == numba.int64


CALLER = """
import sys
from sim.base.jit import compiled, rare

@rare
def seldom(value: int) -> int:
    return value + 1

@compiled
def caller(value: int) -> int:
    return 0 if value == 0 else seldom(value)

print(caller(int(sys.argv[1])), *(sum(f.stats.cache_hits.values()) for f in (caller, seldom)))
"""


def test_a_caller_on_disk_finds_what_is_compiled_later(tmp_path):
    (tmp_path / "caller.py").write_text(CALLER, encoding="utf-8")

    def ran(value: int) -> list[int]:
        places = {
            "COWPOOL_CACHE_DIR": str(tmp_path / "cache"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        done = subprocess.run(
            [sys.executable, "caller.py", str(value)],
            cwd=tmp_path,
            env={k: v for k, v in os.environ.items() if not k.startswith("NUMBA_")} | places,
            capture_output=True,
            text=True,
            check=True,
        )
        return [int(word) for word in done.stdout.split()]

    assert ran(0) == [0, 0, 0]
    assert ran(5) == [6, 1, 0]
    assert ran(7) == [8, 1, 1]


def rare_functions() -> list[Rare]:
    found = []
    for package in (sim.kernel, sim.machine):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            named = vars(importlib.import_module(module.name)).values()
            found += [f for f in named if isinstance(f, Rare) and f.__module__ == module.name]
    return found


def test_annotations_of_all_that_are_rare_say_of_which_types_they_are():
    rares = rare_functions()
    assert len(rares) > 50
    known = {ARRAYS, numba.int64, numba.boolean, numba.types.none}
    for function in rares:
        signature = function.annotated
        assert len(signature.args) == function.py_func.__code__.co_argcount
        results = getattr(signature.return_type, "types", (signature.return_type,))
        assert {*signature.args, *results} <= known, function.py_func.__name__
