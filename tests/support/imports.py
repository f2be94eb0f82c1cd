"""Which files of a package import which, types only included."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import sim


def imports_of(package: str) -> dict[str, set[str]]:
    """Return what each module below `package` imports of it, by full name."""
    top = Path(sim.__file__).parent.parent
    root = top.joinpath(*package.split("."))
    files = {_name(file.relative_to(top)): file for file in root.rglob("*.py")}
    return {name: set(_imported(name, file, files)) for name, file in files.items()}


def _name(file: Path) -> str:
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(name: str, file: Path, known: Mapping[str, Path]) -> Iterator[str]:
    """Yield modules that a file imports, wherever in it; a package is what its names are not."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                module = module if module in known else node.module
                if module in known and module != name:
                    yield module


def circle_in(imports: Mapping[str, set[str]]) -> list[str]:
    """Return modules that import each other in a ring, the first once more at the end; or none."""
    done: set[str] = set()

    def search(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for other in sorted(imports.get(module, ())):
            if ring := search(other, [*path, module]):
                return ring
        done.add(module)
        return []

    return next((ring for module in sorted(imports) if (ring := search(module, []))), [])
