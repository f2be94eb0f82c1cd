"""How compiled code sees the machine: one pointer, and from it a pointer to every array.

Handing twenty NumPy arrays to every compiled function would pass 140 words by value and count
references on each; compiling that takes minutes and running it costs more than a page fault.  So
`Arrays` crosses as the address of a small table of base addresses, and ``m.frames[pfn]`` becomes
an address.  The source stays what plain Python runs too (``NUMBA_DISABLE_JIT=1``): the attribute is
then the array itself.

No index is checked or wrapped, unless ``COWPOOL_CHECK=indices`` says so (`sim.base.cache.CHECKED`):
then an index that is negative or too large raises `IndexError`, in compiled code too.  What is
handed around for an array is then the address of its row in the table, which has its length as
well.

The compiler sees addresses, and would have to take any write for one to whatever it has read.  So
each read and write is marked with what it is of (LLVM's type-based alias analysis): a field of a
record, the numbers of an array, or the table itself, which compiled code never changes.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    infer_global,
    signature,
)
from numba.extending import (
    NativeValue,
    lower_getattr_generic,
    lower_setattr_generic,
    models,
    register_model,
    unbox,
)
from numba.np import numpy_support

from sim.base.cache import CHECKED
from sim.machine.layout import COLUMNS, MACHINES, Arrays


class RowType(types.Record):
    """A record of one of the machine's arrays."""

    def __init__(self, column: str, record: Any) -> None:
        fields = [(name, field._asdict()) for name, field in record.fields.items()]
        super().__init__(fields, record.size, record.aligned)
        self.column = column
        self.name = f"Row({column})"


class RowsType(types.Type):
    """An array of records or integers, known by the address of its first element."""

    def __init__(self, column: str, dtype: np.dtype[Any], inner: tuple[int, ...]) -> None:
        self.column = column
        self.element = numpy_support.from_dtype(dtype)
        if isinstance(self.element, types.Record):
            self.element = RowType(column, self.element)
        self.item_bytes = dtype.itemsize
        self.inner = inner
        super().__init__(name=f"Rows({column}, {self.element}, {inner})")


class ArraysType(types.Type):
    """The machine: the address of the table of base addresses."""

    def __init__(self) -> None:
        super().__init__(name="Arrays")


ARRAYS = ArraysType()
ROWS = {name: RowsType(name, dtype, inner) for name, (dtype, inner) in COLUMNS.items()}
_WORD_BYTES = 8
_ORDER = {name: number for number, name in enumerate(COLUMNS)}


@register_model(RowsType)
class _RowsModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, ir.IntType(64))


register_model(RowType)(models.RecordModel)


@register_model(ArraysType)
class _ArraysModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, ir.IntType(64))


Arrays._numba_type_ = ARRAYS  # told here, `typeof` asks no Python


def arrays_at(address: int) -> Arrays:
    """Return the machine whose `Arrays.address` this is; compiled code begins with that alone.

    To hand over a number costs a fifth of handing over an object.
    """
    return MACHINES[address]


@infer_global(arrays_at)
class _ArraysAt(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(ARRAYS, types.int64)


@lower_builtin(arrays_at, types.int64)
def _lower_arrays_at(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return args[0]


@unbox(ArraysType)
def _unbox_arrays(typ: ArraysType, obj: Any, c: Any) -> NativeValue:
    address = c.pyapi.object_getattr_string(obj, "address")
    value = c.pyapi.long_as_longlong(address)
    c.pyapi.decref(address)
    return NativeValue(value, is_error=cgutils.is_not_null(c.builder, c.pyapi.err_occurred()))


@infer_getattr
class _ArraysAttributes(AttributeTemplate):
    key = ArraysType

    def generic_resolve(  # type: ignore[override]  # Numba: NotImplemented, until overridden
        self, typ: ArraysType, attr: str
    ) -> RowsType | None:
        return ROWS.get(attr)


def _marked(builder: Any, access: Any, what: str) -> Any:
    """Return a load or store, marked as one of `what`: it is none of anything else."""
    module = builder.module
    kind = module.add_metadata((what, module.add_metadata(("cowpool",)), ir.IntType(64)(0)))
    access.set_metadata("tbaa", module.add_metadata((kind, kind, ir.IntType(64)(0))))
    return access


def _field(context: Any, builder: Any, row: Any, address: Any, name: str) -> tuple[Any, int]:
    """Return the address of a field of a record, and how it is aligned."""
    kind = context.get_data_type(row.typeof(name))
    place = cgutils.get_record_member(builder, address, row.offset(name), kind)
    return place, context.get_abi_alignment(kind)


@lower_getattr_generic(RowType)
def _lower_get_field(context: Any, builder: Any, row: Any, address: Any, name: str) -> Any:
    place, align = _field(context, builder, row, address, name)
    return _marked(builder, builder.load(place, align=align), f"{row.column}.{name}")


@lower_setattr_generic(RowType)
def _lower_set_field(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:
    row, given = sig.args
    place, align = _field(context, builder, row, args[0], name)
    value = context.cast(builder, args[1], given, row.typeof(name))
    _marked(builder, builder.store(value, place, align=align), f"{row.column}.{name}")


@lower_getattr_generic(ArraysType)
def _lower_rows(context: Any, builder: Any, typ: Any, value: Any, attr: str) -> Any:
    word = ir.IntType(64)
    if CHECKED:
        return builder.add(value, word(_ORDER[attr] * 2 * _WORD_BYTES))
    table = builder.inttoptr(value, word.as_pointer())
    base = builder.load(builder.gep(table, [word(_ORDER[attr] * 2)]))
    base.set_metadata("invariant.load", builder.module.add_metadata(()))
    return _marked(builder, base, "table")


def _signature(rows: RowsType, index: Any, *rest: Any) -> Any:
    indices = index.types if isinstance(index, types.UniTuple | types.Tuple) else (index,)
    if len(indices) != 1 + len(rows.inner) or not all(
        isinstance(i, types.Integer) for i in indices
    ):
        return None
    return indices


@infer_global(operator.getitem)
class _GetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], RowsType) and _signature(*args) is not None:
            return signature(args[0].element, *args)
        return None


@infer_global(operator.setitem)
class _SetItem(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], RowsType) and _signature(*args) is not None:
            return signature(types.void, args[0], args[1], args[0].element)
        return None


def _address(
    context: Any,
    builder: Any,
    rows: RowsType,
    base: Any,
    index_type: Any,
    index: Any,
    *,
    check: bool = CHECKED,
) -> Any:
    word = ir.IntType(64)
    length = word(0)
    if CHECKED:
        entry = builder.inttoptr(base, word.as_pointer())
        base = builder.load(entry)
        length = builder.load(builder.gep(entry, [word(1)]))
    if isinstance(index_type, types.UniTuple | types.Tuple):
        values = cgutils.unpack_tuple(builder, index)
        kinds = index_type.types
    else:
        values, kinds = [index], [index_type]
    flat = word(0)
    for position, (value, kind) in enumerate(zip(values, kinds, strict=True)):
        wide = context.cast(builder, value, kind, types.int64)
        if check:
            most = word(rows.inner[position - 1]) if position else length
            beyond = builder.icmp_unsigned(">=", wide, most)  # so is what is negative
            with builder.if_then(beyond, likely=False):
                what = f"an index of {rows.column} is out of range"
                context.call_conv.return_user_exc(builder, IndexError, (what,))
        if position:
            flat = builder.mul(flat, word(rows.inner[position - 1]))
        flat = builder.add(flat, wide)
    return builder.add(base, builder.mul(flat, word(rows.item_bytes)))


@lower_builtin(operator.getitem, RowsType, types.Any)
def _lower_getitem(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    rows = sig.args[0]
    address = _address(context, builder, rows, args[0], sig.args[1], args[1])
    kind = context.get_value_type(rows.element)
    if isinstance(rows.element, types.Record):
        return builder.inttoptr(address, kind)
    return _marked(builder, builder.load(builder.inttoptr(address, kind.as_pointer())), rows.column)


@lower_builtin(operator.setitem, RowsType, types.Any, types.Any)
def _lower_setitem(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    rows = sig.args[0]
    address = _address(context, builder, rows, args[0], sig.args[1], args[1])
    kind = context.get_value_type(rows.element)
    store = builder.store(args[2], builder.inttoptr(address, kind.as_pointer()))
    _marked(builder, store, rows.column)
    return context.get_dummy_value()


def prefetch(rows: Any, index: Any) -> None:
    """Have the processor fetch ``rows[index]``, which is needed soon; changes no result."""


@infer_global(prefetch)
class _Prefetch(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        if isinstance(args[0], RowsType) and _signature(*args) is not None:
            return signature(types.void, *args)
        return None


@lower_builtin(prefetch, RowsType, types.Any)
def _lower_prefetch(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    byte, flag = ir.IntType(8).as_pointer(), ir.IntType(32)
    kind = ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    where = (sig.args[0], args[0], sig.args[1], args[1])
    address = _address(context, builder, *where, check=False)  # it is only a hint
    write, keep, data = flag(1), flag(3), flag(1)
    builder.call(fetch, [builder.inttoptr(address, byte), write, keep, data])
    return context.get_dummy_value()


def fls64(value: Any) -> int:
    """Return the number of the highest bit set in `value`, from 1 on; 0 for 0.

    >>> fls64(0), fls64(1), fls64(255)
    (0, 1, 8)
    """
    return int(value).bit_length()


@infer_global(fls64)
class _Fls64(AbstractTemplate):
    def generic(self, args: Any, kws: Any) -> Any:
        return signature(types.int64, types.int64)


@lower_builtin(fls64, types.int64)
def _lower_fls64(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return builder.sub(ir.IntType(64)(64), builder.ctlz(args[0], ir.IntType(1)(0)))


Compiled = Callable[..., Any]
