"""Functions lowered once each, and made machine code only where Python calls in.

Numba makes machine code of every function by itself, from a copy of the intermediate code of all
that it calls, and they of theirs: most of the first run went into functions that are called by
nothing but compiled code.  Here a function that compiled code calls is only *lowered*: to
intermediate code, once.  A function that Python calls is an *entry*: its own code and that of all
it reaches are linked into one module, which is optimised and made machine code as a whole, and kept
on disk.

What few runs need is no part of that (`sim.base.rare`).

This rests on how Numba works inside (its pipeline, its code libraries, its dispatcher), which may
change from release to release; `tests/unit/test_link.py` says what is relied on.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from llvmlite.binding import Linkage, parse_assembly
from numba.core import sigutils, types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, CompileResult, DefaultPassBuilder, _LowerResult
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import LoweringPass, PassManager, register_pass
from numba.core.funcdesc import PythonFunctionDescriptor
from numba.core.lowering import Lower
from numba.core.registry import CPUDispatcher, cpu_target
from numba.core.runtime import rtsys
from numba.core.typed_passes import NativeLowering
from numba.core.types.functions import BaseFunction
from numba.core.typing.templates import make_concrete_template

from sim.base.garbage import SELDOM, set_aside
from sim.base.way_out import enter, entered


class Lowered(JITCodeLibrary):
    """The intermediate code of one function, without that of what it calls."""

    def finalize(self) -> None:
        """Optimise nothing and make no machine code: that is the entry's."""
        self._finalized = True


class Linked(JITCodeLibrary):
    """The code of an entry and of all that it reaches."""

    own = ""
    """The function of this that others call beside its wrapper for Python."""

    def finalize(self) -> None:
        """Link what the entry reaches, each function once, and make machine code of it."""
        self._linking_libraries = list(reached(self._linking_libraries))
        super().finalize()

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if not function.is_declaration and function.linkage == Linkage.linkonce_odr:
                nobody_else = function.name != self.own  # calls it
                function.linkage = "internal" if nobody_else else "external"
        managers = self._passes()
        if not isinstance(managers, tuple):  # before Numba 0.62, with LLVM's old pass manager
            super()._optimize_final_module()
            return
        passes, builder = managers
        passes.run(self._final_module, builder)  # without those that Numba runs ahead, for arrays

    def _passes(self) -> Any:
        return self._codegen._module_pass_manager()

    def functions(self, prefix: str, *, declared: bool) -> list[str]:
        """Return the names that begin so of functions that others call, or that others define."""
        return [
            f.name
            for f in self._final_module.functions
            if f.is_declaration == declared
            and f.linkage == Linkage.external
            and f.name.startswith(prefix)
        ]

    def serialize_using_object_code(self) -> tuple[str, str, tuple[bytes, bytes]]:
        """Return the machine code, and for names' sake functions that do nothing.

        Numba keeps the intermediate code, for callers to inline: here there are none.
        """
        names = self.functions("", declared=False)
        empty = "".join(f'define void @"{name}"() {{\n unreachable\n}}\n' for name in names)
        return (
            self.name,
            "object",
            (self._get_compiled_object(), parse_assembly(empty).as_bitcode()),
        )


class Entry(CompileResult):
    """A function that Python can call."""

    __slots__ = ()

    def _find_referenced_environments(self) -> list[Any]:
        return []  # nothing that it calls touches objects


def is_whole(entry: Any, args: tuple[Any, ...]) -> bool:
    """Whether an entry is for arguments of these types, and has an address.

    Numba writes code and index one after the other: of two processes that compile for different
    types, one may find the other's code.  And where it finds no function it calls address 0.
    """
    name = entry.fndesc.llvm_cpython_wrapper_name
    return tuple(entry.signature.args) == args and entry.library.get_pointer_to_function(name) != 0


def start_runtime() -> None:
    """Get ready what code needs that makes arrays."""
    rtsys.initialize(cpu_target.target_context)


def reached(libraries: list[Any]) -> Iterator[Any]:
    """Yield the libraries and what they call, directly or not, each once."""
    seen: set[int] = set()
    to_do = list(libraries)
    while to_do:
        library = to_do.pop()
        if id(library) not in seen:
            seen.add(id(library))
            yield library
            if isinstance(library, Lowered):
                to_do += library._linking_libraries


class _LowerOnly(Lower):
    """Lowering without a place for an environment, which only code that touches objects needs."""

    def emit_environment_object(self) -> None:
        pass


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lowering(LoweringPass):
    """Lower a function into a library of its own, for linking."""

    _name = "lowering_for_linking"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        context = state.targetctx
        library = Lowered(context.codegen(), state.func_id.func_qualname)
        described = PythonFunctionDescriptor.from_specialized_function(
            state.func_ir,
            state.typemap,
            state.return_type,
            state.calltypes,
            mangler=context.mangler,
            inline=state.flags.forceinline,
            noalias=state.flags.noalias,
            abi_tags=[state.flags.get_mangle_string()],
        )
        with context.push_code_library(library):
            lower = _LowerOnly(context, library, described, state.func_ir, metadata=state.metadata)
            lower.lower()
        for function in library._final_module.functions:
            if not function.is_declaration:
                function.linkage = "linkonce_odr"
        key = object()
        context.insert_user_function(key, described, [library])
        state.library = library
        state["cr"] = _LowerResult(described, lower.call_helper, cfunc=key, env=lower.env)
        return True


NEEDLESS: Final = frozenset(
    (
        "with_lifting",
        "inline_closure_likes",
        "make_function_op_code_to_jit_function",
        "inline_inlinables",
        "inline_overloads",
        "find_literally",
        "literal_unroll",
        "LiteralPropagation",
        "rewrite_semantic_constants",
        "Rewrite dynamic raises",
        "dead_branch_prune",  # LLVM does
        "nopython_rewrites",  # of expressions with arrays
        "annotate_types",
        "dump_parfor_diagnostics",
    )
)
"""Numba's passes for what compiled code here has none of: closures, comprehensions, with blocks."""


class _LoweringCompiler(CompilerBase):
    """Numba's pipeline up to intermediate code, as far as it is needed."""

    def define_pipelines(self) -> list[PassManager]:
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.passes = [
            (_Lowering, "lowering for linking") if p is NativeLowering else (p, why)
            for p, why in passes.passes
            if p.name() not in NEEDLESS
        ]
        passes.finalize()
        return [passes]


@contextmanager
def _few_collections() -> Iterator[None]:
    """Look for garbage among new objects only, and less often: the compiler makes millions."""
    often = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        with set_aside():
            yield
    finally:
        gc.set_threshold(*often)


@contextmanager
def _asked_once() -> Iterator[None]:
    """Have Numba look but once for what an operator is, or a builtin, between the same types.

    It tries all that are registered for it, of sets and strings too, until one serves; that was a
    fifth of all lowering.
    """
    look, found = BaseFunction.get_call_type, dict[Any, Any]()

    def get_call_type(self: Any, context: Any, args: Any, kws: Any) -> Any:
        asked = self, tuple(args), tuple(kws.items())
        if asked not in found:
            found[asked] = look(self, context, args, kws)
        return found[asked]

    BaseFunction.get_call_type = get_call_type  # type: ignore[method-assign]  # for a while
    try:
        yield
    finally:
        BaseFunction.get_call_type = look  # type: ignore[method-assign]


def _with_room(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function` from a frame so large that Python gets room for all frames of its calls.

    It gets 16 KiB at a time else, and gives it back when the last frame there returns.  A call in a
    loop that needs new room each time costs two system calls; Numba makes 100,000 such calls.
    """
    return function(*args)


_FRAME_WORDS: Final = 1 << 16  # the next power of two is taken: as much again for what is called
_with_room.__code__ = _with_room.__code__.replace(co_stacksize=_FRAME_WORDS)


class Compiled(CPUDispatcher):
    """A function that compiled code and Python may call."""

    library = Linked

    def __init__(
        self,
        function: Callable[..., Any],
        options: dict[str, Any],
        *,
        keep: Callable[[], bool] | None = None,
    ) -> None:
        """Compile `function`; with `keep`, take code from disk, and put it there if it says so."""
        super().__init__(function, targetoptions=options, pipeline_class=_LoweringCompiler)
        self.entries: dict[tuple[Any, ...], Any] = {}
        self._keep = keep

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Have it lowered for compiled code: once, for 64-bit integers, not for every width."""
        wide = tuple(types.int64 if isinstance(a, types.Integer) else a for a in args)
        signature, folded = self._compiler.fold_argument_types(wide, kws)
        self.lower(tuple(folded))
        name = self.py_func.__name__
        template = make_concrete_template(name, name, self.nopython_signatures)
        return template, signature, folded, {}

    def lower(self, args: tuple[Any, ...]) -> Any:
        """Return the intermediate code for arguments of these types."""
        with global_compiler_lock, self._compiling_counter:
            if args not in self.overloads:
                self.overloads[args] = self._compiler.compile(args, self.returns())
            return self.overloads[args]

    def returns(self) -> Any:
        """Return the type that its result must have; none: whatever is found."""
        return None

    def called_as(self, described: Any) -> str:
        """Return the name by which others call its machine code; none: they have their own."""
        return ""

    def compile(self, sig: Any) -> Any:
        """Return the machine code for arguments of these types, for Python to call."""
        with global_compiler_lock:
            args, _ = sigutils.normalize_signature(sig)
            if args not in self.entries:
                entry = None
                if self._keep is not None:
                    self.enable_caching()  # which tries to write to its folder
                    entry = self._cache._load_overload(sig, self.targetctx)
                if entry is not None and is_whole(entry, args):
                    self._cache_hits[sig] += 1
                else:
                    self._cache_misses[sig] += 1
                    with _few_collections(), _asked_once():
                        entry = _with_room(self._link, args)
                    assert is_whole(entry, args), self.py_func.__name__
                    if self._keep is not None and self._keep():
                        self._cache.save_overload(sig, entry)
                self._insert([a._code for a in args], entry.entry_point, False)
                self.entries[args] = entry
            return self.entries[args].entry_point

    def _link(self, args: tuple[Any, ...]) -> Any:
        lowered = self.lower(args)
        described = lowered.fndesc
        context = lowered.target_context
        library = self.library(context.codegen(), described.qualname)
        library.enable_object_caching()
        library.own = self.called_as(described)
        library.add_linking_library(lowered.library)
        with context.push_code_library(library):
            outer = entered(described)
            context.create_cpython_wrapper(library, outer, lowered.environment, lowered.call_helper)
            enter(context, library, described)
        entry = context.get_executable(library, outer, lowered.environment)
        needed = [start_runtime] if library.functions("NRT_", declared=True) else []
        made = lowered._replace(
            library=library, fndesc=outer, entry_point=entry, reload_init=needed
        )
        return Entry(*made)
