"""What the arguments of a step mean together, and what it makes known to those behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import PAGE_BYTES
from sim.program.steps.errors import Path, StepsError

if TYPE_CHECKING:
    from sim.program.steps.readers import (
        Scope,
    )


HUGE_PAGES: Final = 512
"""Pages of a huge page, 2 MiB."""


def take_note(verb: str, arguments: dict[str, Any], path: Path, scope: Scope) -> None:
    """Check what arguments mean together, and note what the step makes known."""
    if verb in ("sbrk", *HEAP_VERBS):
        _take_note_of_break(verb, path, scope)
    if verb == "drop" and len(arguments) != 1:
        raise StepsError(path, "needs either `file` or `program`")
    if verb == "mmap":
        if "cold" in arguments and "file" not in arguments:
            raise StepsError((*path, "cold"), "only a file can be cold; add e.g. `file: data`")
        pages = -(-arguments["size"] // PAGE_BYTES)
        if arguments.get("hugetlb"):
            if "file" in arguments:
                raise StepsError((*path, "hugetlb"), "huge pages of the pool are no file's")
            pages = -(-pages // HUGE_PAGES) * HUGE_PAGES
        scope.regions[arguments["name"]] = pages
        scope.blocks.discard(arguments["name"])
    elif verb in ("malloc", "calloc", "realloc"):
        name = arguments["name" if verb != "realloc" else "block"]
        scope.regions[name] = (arguments["size"] - 1) // PAGE_BYTES + 2  # as it may lie
        scope.blocks.add(name)
    elif verb == "free":
        del scope.regions[arguments["block"]]
        scope.blocks.remove(arguments["block"])
    elif verb == "sbrk":
        if ("grow" in arguments) == ("shrink" in arguments):
            raise StepsError(path, "needs either `grow` or `shrink`")
        if "name" in arguments:
            if "shrink" in arguments:
                raise StepsError((*path, "name"), "only a heap that grows has a new region")
            scope.regions[arguments["name"]] = -(-arguments["grow"] // PAGE_BYTES)
            scope.blocks.discard(arguments["name"])
    elif verb in ("fork", "vfork", "posix_spawn"):
        if verb == "posix_spawn":
            _take_note_of_program(arguments, path)
        if "name" in arguments:
            scope.children.add(arguments["name"])
    elif verb == "thread":
        if "name" in arguments:
            scope.threads.add(arguments["name"])
    elif verb == "mremap":
        _check_region(arguments, path, scope)
        scope.regions[arguments["region"]] = -(-arguments["size"] // PAGE_BYTES)
    elif verb == "exec":
        settle_image(arguments, path)
        scope.regions.clear()
        scope.blocks.clear()
        scope.mover = ""
    elif "region" in arguments:
        if verb not in ("read", "write"):
            _check_region(arguments, path, scope)
        _check_range(arguments, path, scope)


def _check_region(arguments: dict[str, Any], path: Path, scope: Scope) -> None:
    """Check that a region is no block of malloc's."""
    if arguments["region"] in scope.blocks:
        raise StepsError(
            (*path, "region"),
            f"block {arguments['region']!r} is malloc's; it can be read, written and freed",
        )


def _take_note_of_program(arguments: dict[str, Any], path: Path) -> None:
    """Give `posix_spawn` its image: said as such, by the program's name, or nothing at all."""
    if "program" in arguments:
        if "image" in arguments:
            raise StepsError(path, "takes `program`, a name, or `image`, sizes; not both")
        arguments["image"] = {"program": arguments.pop("program")}
    elif "image" not in arguments:
        arguments["image"] = settle_image({}, path)


def settle_image(arguments: dict[str, Any], path: Path) -> dict[str, Any]:
    """Check that an image is either named or described; fill in what its description leaves out."""
    if "program" in arguments:
        others = [f"`{key}`" for key in arguments if key != "program"]
        if others:
            raise StepsError(path, f"`program` says it all; leave out {', '.join(others)}")
        return arguments
    for key, value in _NO_IMAGE.items():
        arguments.setdefault(key, value)
    return arguments


def _take_note_of_break(verb: str, path: Path, scope: Scope) -> None:
    """Check that only one moves the program break."""
    mover = "sbrk" if verb == "sbrk" else "malloc"
    if scope.mover not in ("", mover):
        raise StepsError(path, "a process uses either `sbrk` or malloc: both move its break")
    scope.mover = mover


def _check_range(arguments: dict[str, Any], path: Path, scope: Scope) -> None:
    region = arguments["region"]
    size = scope.regions[region]
    first = arguments["first"]
    if first > size:
        raise StepsError((*path, "first"), f"region {region!r} has {size} pages, not {first}")
    pages = arguments.setdefault("pages", size - first)
    if first + pages > size:
        raise StepsError(
            (*path, "pages"), f"region {region!r} has {size - first} pages from {first} on"
        )
    if "pattern" in arguments:
        _check_accesses(arguments, path, size)


def _check_accesses(arguments: dict[str, Any], path: Path, size: int) -> None:
    """Check that arrivals, if any, and requests can be brought together."""
    pattern = arguments["pattern"]
    accesses = arguments["pages"]
    if isinstance(pattern, dict):
        ((kind, said),) = pattern.items()
        accesses = said if kind == "uniform" else said["count"] if kind == "hot_cold" else len(said)
        if kind == "listed" and max(said, default=0) >= size:
            raise StepsError(
                (*path, "pattern", "listed"), f"the region has no page {max(said)}, only {size}"
            )
    requests, rest = divmod(accesses, arguments["per_request"])
    if rest:
        raise StepsError(
            (*path, "per_request"), f"must divide the number of accesses, which is {accesses}"
        )
    times = arguments.get("arrivals", {}).get("at")
    if times is not None and len(times) != requests:
        raise StepsError(
            (*path, "arrivals", "at"), f"needs a time for each of {requests}, got {len(times)}"
        )


_NO_IMAGE: Final = {"text": 0, "data": 0, "bss": 0, "stack": 0, "touched": 1.0}


HEAP_VERBS: Final = ("malloc", "calloc", "realloc", "free", "malloc_trim")
