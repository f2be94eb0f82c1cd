"""What functions write of a machine's arrays, as their source says."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sim

PACKAGE = Path(sim.__file__).parent


@dataclass(frozen=True)
class Write:
    """An assignment to a row of `array`, or to its column `column`.

    `value` is what is put in its place; ``None`` where that only changes it, as ``+=`` does.
    """

    function: str
    array: str
    column: str
    value: ast.expr | None
    target: ast.expr

    @property
    def text(self) -> str:
        return ast.unparse(self.target)


def _array_of(node: ast.expr, names: dict[str, str]) -> str:
    """Return the array that an expression is a row of, or is, given what local names are."""
    while isinstance(node, ast.Subscript):
        node = node.value
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    return node.attr if isinstance(node, ast.Attribute) else ""


def _assigned(function: ast.FunctionDef) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Yield what a function assigns to, each with what it puts there as a whole."""
    for node in ast.walk(function):
        if isinstance(node, ast.AugAssign):
            yield node.target, None
        for target in node.targets if isinstance(node, ast.Assign) else ():
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(target.elts, node.value.elts, strict=True)
            elif isinstance(target, ast.Tuple):
                yield from ((part, node.value) for part in target.elts)
            else:
                yield target, node.value


def writes(source: str) -> Iterator[Write]:
    """Yield what the functions of a module write that may be of an array."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        assigned = [*_assigned(function)]
        names = {
            target.id: _array_of(value, {})
            for target, value in assigned
            if isinstance(target, ast.Name) and isinstance(value, ast.Subscript)
        }
        for target, value in assigned:
            row, column = target, ""
            if isinstance(target, ast.Attribute):
                row, column = target.value, target.attr
            elif not isinstance(target, ast.Subscript):
                continue
            yield Write(function.name, _array_of(row, names), column, value, target)


@cache
def modules() -> tuple[tuple[str, str], ...]:
    """Return the path of each module, below the package, and its source; read once a process."""
    return tuple(
        (path.relative_to(PACKAGE).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    )


@cache
def all_writes() -> dict[str, tuple[Write, ...]]:
    """Return what each module writes, by its path; the package is parsed once a process."""
    return {path: tuple(writes(source)) for path, source in modules()}
