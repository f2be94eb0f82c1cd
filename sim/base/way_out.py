"""How errors of rare functions leave compiled code: at once, past all that lies in between.

Numba has every caller see whether what it called went well, and else return.  Where a call may fail
(a rare function may have to be compiled, and that be interrupted), all that leads there would look,
in each step of each run.  So the code behind an entry is called with a place to return to (C's
`setjmp`), and an error goes straight there (`longjmp`).  Nothing in between needs to know: compiled
code holds nothing that is to be given back.
"""

from copy import copy
from ctypes import addressof, c_int64
from typing import Any, Final

from llvmlite import ir
from llvmlite.binding import add_symbol
from numba.core import cgutils

ENTERED: Final = ".entered"
"""Ends the name of the function that has a place to return to, and calls the one named so."""
_BUFFER_BYTES: Final = 1024
"""More than any C library's `jmp_buf` takes."""
_WORD: Final = ir.IntType(64)
_BYTES: Final = ir.IntType(8).as_pointer()
_RECORD: Final = ir.ArrayType(_WORD, 3)
_record = (c_int64 * 3)()
"""Where to return to (0: Python has not called in), the error's code, what describes it."""
add_symbol("cowpool.way_out", addressof(_record))


def _words(builder: Any) -> list[Any]:
    known = builder.module.globals
    record = known.get("cowpool.way_out") or ir.GlobalVariable(
        builder.module, _RECORD, "cowpool.way_out"
    )
    return [cgutils.gep_inbounds(builder, record, 0, at) for at in range(3)]


def entered(described: Any) -> Any:
    """Describe the function that `enter` makes for the one `described`."""
    outer = copy(described)
    outer.mangled_name = described.llvm_func_name + ENTERED
    return outer


def left(described: Any) -> str:
    """Return the name of the function for which `enter` made the one `described`."""
    return str(described.llvm_func_name).removesuffix(ENTERED)


def enter(context: Any, library: Any, described: Any) -> None:
    """Add to `library`, which calls it already, a function that does as the one `described`."""
    module = context.create_module("entered")
    kind = context.call_conv.get_function_type(described.restype, described.argtypes)
    inner = ir.Function(module, kind, described.llvm_func_name)
    outer = ir.Function(module, kind, entered(described).llvm_func_name)
    outer.linkage = "linkonce_odr"
    builder = ir.IRBuilder(outer.append_basic_block())
    place, code, what = _words(builder)
    setjmp = ir.Function(module, ir.FunctionType(ir.IntType(32), [_BYTES]), "_setjmp")
    setjmp.attributes.add("returns_twice")
    buffer = builder.alloca(ir.IntType(8), _BUFFER_BYTES)
    buffer.align = 16
    before = builder.load(place)
    again = builder.call(setjmp, [buffer])
    with builder.if_then(cgutils.is_not_null(builder, again), likely=False):
        builder.store(before, place)
        described_by = builder.inttoptr(builder.load(what), outer.args[1].type.pointee)
        builder.store(described_by, outer.args[1])
        builder.ret(builder.trunc(builder.load(code), ir.IntType(32)))
    builder.store(builder.ptrtoint(buffer, _WORD), place)
    status = builder.call(inner, outer.args, attrs=("noinline",))
    builder.store(before, place)
    builder.ret(status)
    library.add_ir_module(module)


def here(builder: Any) -> Any:
    """Return where to return to now."""
    return builder.load(_words(builder)[0])


def stay(builder: Any, place: Any) -> None:
    """Return to `place` again: Python was called, which may have called in meanwhile."""
    builder.store(place, _words(builder)[0])


def leave(builder: Any, code: Any, described_by: Any) -> None:
    """Have the entry return an error of Numba's calling convention."""
    place, error, what = _words(builder)
    builder.store(builder.sext(code, _WORD), error)
    builder.store(builder.ptrtoint(described_by, _WORD), what)
    kind = ir.FunctionType(ir.VoidType(), [_BYTES, ir.IntType(32)])
    longjmp = cgutils.get_or_insert_function(builder.module, kind, "longjmp")
    longjmp.attributes.add("noreturn")
    builder.call(longjmp, [builder.inttoptr(builder.load(place), _BYTES), ir.IntType(32)(1)])
    builder.unreachable()
