"""What `sim.base.link` relies on in Numba, and what it promises."""

from types import SimpleNamespace

import numba
import pytest
from numba.core.compiler import DefaultPassBuilder
from numba.core.types.functions import BaseFunction

from sim.base.link import NEEDLESS, Compiled, Linked, Lowered, is_whole

pytestmark = pytest.mark.skipif(
    numba.config.DISABLE_JIT, reason="nothing is compiled with NUMBA_DISABLE_JIT"
)


def compiled(function):
    """Compile a function of these tests, and keep nothing on disk."""
    return Compiled(function, {"nopython": True, "forceinline": False})


def inlined(function):
    """Compile a function into its callers."""
    return Compiled(function, {"nopython": True, "forceinline": True})


def functions():
    """Return three functions, each of which calls the next, and the innermost is called twice."""

    @compiled
    def innermost(value: int) -> int:
        total = 0
        for at in range(value):
            total += total ^ at
        return total

    @compiled
    def middle(value: int) -> int:
        return innermost(value) + 1

    @compiled
    def outermost(value: int) -> int:
        return middle(value) + innermost(value)

    return innermost, middle, outermost


def defined(library):
    return [f.name for f in library._final_module.functions if not f.is_declaration]


def expected(value):
    total = 0
    for at in range(value):
        total += total ^ at
    return 2 * total + 1


def test_what_only_compiled_code_calls_is_lowered_alone_and_no_machine_code():
    innermost, middle, outermost = functions()
    assert outermost(10) == expected(10)
    for function, name in ((innermost, "innermost"), (middle, "middle")):
        assert function.entries == {}
        (lowered,) = function.overloads.values()
        assert isinstance(lowered.library, Lowered)
        (own,) = defined(lowered.library)
        assert name in own


def test_what_an_operator_is_between_the_same_types_is_looked_up_once(monkeypatch):
    asked = []
    look = BaseFunction.get_call_type

    def counted(self, context, args, kws):
        asked.append((self, tuple(args), tuple(kws.items())))
        return look(self, context, args, kws)

    monkeypatch.setattr(BaseFunction, "get_call_type", counted)
    *_, outermost = functions()
    assert outermost(10) == expected(10)
    assert len(asked) == len(set(asked)) > 3
    assert BaseFunction.get_call_type is counted


def test_an_entry_without_an_address_or_for_other_types_is_not_used():
    *_, outermost = functions()
    outermost(10)
    ((args, entry),) = outermost.entries.items()
    assert is_whole(entry, args)
    assert not is_whole(entry, (numba.float64,))
    nowhere = SimpleNamespace(llvm_cpython_wrapper_name="nowhere")
    assert not is_whole(entry._replace(fndesc=nowhere), args)


def test_every_pass_that_is_left_out_is_one_of_numbas():
    class State:
        func_ir = None

        class flags:  # noqa: N801  # as Numba names it
            no_rewrites = False
            enable_ssa = True

            class auto_parallel:  # noqa: N801
                enabled = False

    passes = DefaultPassBuilder.define_nopython_pipeline(State()).passes
    assert {p.name() for p, _ in passes} >= NEEDLESS


def test_an_entry_has_all_that_it_reaches_in_one_module():
    _, _, outermost = functions()
    outermost(10)
    (entry,) = outermost.entries.values()
    assert isinstance(entry.library, Linked)
    assert not [
        f.name
        for f in entry.library._final_module.functions
        if f.is_declaration and f.name.startswith("_ZN")
    ]
    external = [
        f.name
        for f in entry.library._final_module.functions
        if not f.is_declaration and f.linkage.name == "external"
    ]
    assert external == [entry.fndesc.llvm_cpython_wrapper_name]


def test_python_may_call_any_of_them_in_any_order():
    innermost, middle, outermost = functions()
    assert middle(10) == (expected(10) + 1) // 2
    assert innermost(10) == (expected(10) - 1) // 2
    assert outermost(10) == expected(10)
    assert middle(11) == (expected(11) + 1) // 2


def test_a_function_is_lowered_once_for_all_widths_and_constants():
    innermost, _, _ = functions()

    @compiled
    def caller(value: int) -> int:
        return innermost(value) + innermost(3) + innermost(True + 0)

    assert caller(5) == sum((expected(n) - 1) // 2 for n in (5, 3, 1))
    assert len(innermost.overloads) == 1


def test_what_is_inlined_leaves_no_call():
    @inlined
    def inner(value: int) -> int:
        return value * 3

    @compiled
    def outer(value: int) -> int:
        return inner(value) + 1

    assert outer(4) == 13
    assert inner(5) == 15  # Python may call it as well
    (entry,) = outer.entries.values()
    assert "inner" not in entry.library.get_llvm_str()


def test_an_error_passes_through_callers():
    @compiled
    def refuse(value: int) -> int:
        if value > 3:
            raise IndexError("too large")
        return value

    @compiled
    def caller(value: int) -> int:
        return refuse(value) + 1

    assert caller(3) == 4
    with pytest.raises(IndexError, match="too large"):
        caller(4)
