"""Functions that few runs need: code of their own, made or read when one is first called.

They are no part of the module of an entry (`sim.base.link`): nobody waits for what he needs not.
Compiled code calls one by an address, for which it asks Python once.  A caller may be compiled, and
read from disk, long before there is an address: it knows by name where that will be, and whom to
ask.

Less is inlined in them: most of what runs spend is elsewhere.
"""

from collections.abc import Callable
from ctypes import addressof, c_void_p
from functools import cached_property
from inspect import get_annotations
from typing import Any, Final, get_args

from llvmlite import ir
from llvmlite.binding import add_symbol, create_pass_builder, create_pipeline_tuning_options
from numba.core import cgutils, types, typing
from numba.core.callconv import RETCODE_EXC, RETCODE_OK
from numba.core.typing.templates import make_concrete_template

from sim.base.link import Compiled, Linked
from sim.base.way_out import here, leave, left, stay

OPTIMISED: Final = 3
"""LLVM's `-O`, as for an entry."""
INLINED_BELOW: Final = 100
"""The size of functions that are inlined, by LLVM's count: 225 in an entry."""


class LinkedRare(Linked):
    """The code of a rare function and of all that it reaches, but for rare ones."""

    def _passes(self) -> Any:
        managers = super()._passes()
        if not isinstance(managers, tuple):
            return managers
        options = create_pipeline_tuning_options(speed_level=OPTIMISED)
        options.inlining_threshold = INLINED_BELOW
        builder = create_pass_builder(self._codegen._tm, options)
        return builder.getModulePassManager(), builder


def numba_type(annotation: Any) -> Any:
    """Return what a parameter, or a result, that is annotated so is in compiled code."""
    if annotation is None:
        return types.none
    if items := get_args(annotation):
        return types.Tuple([numba_type(item) for item in items])
    known = {int: types.int64, bool: types.boolean}
    return known.get(annotation) or annotation._numba_type_


class Rare(Compiled):
    """A function that compiled code calls by an address; of the types it is annotated with."""

    library = LinkedRare

    def __init__(self, function: Callable[..., Any], *args: Any, **options: Any) -> None:
        """As `Compiled`; the function has annotations, and no keyword-only parameters."""
        super().__init__(function, *args, **options)
        self._address = c_void_p()
        self._ask = self.find  # an object that stays where it is
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._names = f"cowpool.address.{self._name}", f"cowpool.find.{self._name}"
        for symbol, at in zip(self._names, (addressof(self._address), id(self._ask)), strict=True):
            add_symbol(symbol, at)

    @cached_property
    def annotated(self) -> Any:
        """Its signature, from the annotations: whoever calls it goes by that."""
        *args, result = map(numba_type, get_annotations(self.py_func, eval_str=True).values())
        signature = typing.signature(result, *args)
        self.targetctx.insert_func_defn([(self._call, self, signature.args)])
        return signature

    def returns(self) -> Any:
        """Return the type of its result: that which callers go by."""
        return self.annotated.return_type

    def called_as(self, described: Any) -> str:
        """Return the name by which others call its code."""
        return str(described.llvm_func_name)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Promise compiled code what the annotations say, and lower nothing."""
        python, folded = self._compiler.fold_argument_types(args, kws)
        name = self.py_func.__name__
        return make_concrete_template(name, name, [self.annotated]), python, folded, {}

    def get_overload(self, sig: Any) -> Any:
        """Return what `_call` is registered for, whatever has been compiled."""
        return self

    def find(self) -> None:
        """Have its machine code, and its address where compiled code looks for it."""
        args = self.annotated.args
        self.compile(args)
        entry = self.entries[args]
        address = entry.library.get_pointer_to_function(left(entry.fndesc))
        assert address != 0, self.py_func.__name__
        self._address.value = address

    def _call(self, context: Any, builder: Any, sig: Any, args: Any) -> Any:
        """Have compiled code call it, and need not look whether that went well."""
        convention = context.call_conv
        called = self._stand_in(context, builder.module, convention)
        _, result = convention.call_function(builder, called, sig.return_type, sig.args, args)
        return result

    def _stand_in(self, context: Any, module: Any, convention: Any) -> Any:
        """Return what is called in its place in a module: it finds it, and calls it."""
        name = f"cowpool.call.{self._name}"
        if name in module.globals:
            return module.globals[name]
        kind = convention.get_function_type(self.annotated.return_type, self.annotated.args)
        called = ir.Function(module, kind, name)
        called.attributes.add("cold")  # what leads here is laid out of the way
        called.attributes.add("noinline")
        builder = ir.IRBuilder(called.append_basic_block())
        python = context.get_python_api(builder)
        address = ir.GlobalVariable(module, kind.as_pointer(), self._names[0])
        find = ir.GlobalVariable(module, python.pyobj.pointee, self._names[1])
        nothing = called.args[1].type.pointee(None)
        with cgutils.if_unlikely(builder, cgutils.is_null(builder, builder.load(address))):
            place = here(builder)
            found = python.call_function_objargs(find, ())
            stay(builder, place)
            with cgutils.if_unlikely(builder, cgutils.is_null(builder, found)):
                leave(builder, RETCODE_EXC, nothing)
            python.decref(found)
        code = builder.call(builder.load(address), called.args)
        status = convention._get_return_status(builder, code, builder.load(called.args[1]))
        with cgutils.if_unlikely(builder, status.is_error):
            leave(builder, code, status.excinfoptr)
        builder.ret(RETCODE_OK)
        return called
