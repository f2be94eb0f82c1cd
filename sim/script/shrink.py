"""Making a script that fails smaller, so that people can read it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sim.script.grammar import (
    MAPPING_VERBS,
    SIZING_VERBS,
    Operation,
    Verb,
)
from sim.script.random import process_names
from sim.script.validity import (
    World,
    is_valid,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def shrink(
    script: Sequence[Operation],
    fails: Callable[[list[Operation]], bool],
    *,
    max_trials: int = 3000,
) -> list[Operation]:
    """Return a shortest valid script found on the way down from `script` for which `fails` holds.

    Removes lines (delta debugging: Zeller and Hildebrandt, 2002), then narrows ranges and sizes,
    until neither helps or `max_trials` scripts have been tried.
    """
    return _Shrinker(fails, max_trials).run(list(script))


class _Shrinker:
    def __init__(self, fails: Callable[[list[Operation]], bool], max_trials: int) -> None:
        self._fails = fails
        self._left = max_trials
        self._seen: set[tuple[Operation, ...]] = set()

    def run(self, script: list[Operation]) -> list[Operation]:
        while True:
            before = script
            script = self._fewer_lines(script)
            script = self._smaller_numbers(script)
            script = self._fewer_names(script)
            if script == before:
                return script

    def _try(self, candidate: list[Operation]) -> bool:
        key = tuple(candidate)
        if not candidate or self._left <= 0 or key in self._seen or not is_valid(candidate):
            return False
        self._seen.add(key)
        self._left -= 1
        return self._fails(candidate)

    def _fewer_lines(self, script: list[Operation]) -> list[Operation]:
        size = max(1, len(script) // 2)
        while True:
            start = len(script) - size
            while start > -size:
                low = max(start, 0)
                candidate = drop_impossible(script[:low] + script[start + size :])
                if len(candidate) < len(script) and self._try(candidate):
                    script = candidate
                start -= size
            if size == 1:
                return script
            size //= 2

    def _smaller_numbers(self, script: list[Operation]) -> list[Operation]:
        for at in range(len(script) - 1, -1, -1):
            for smaller in self._variants(script[at]):
                candidate = [*script[:at], smaller, *script[at + 1 :]]
                if smaller.verb in SIZING_VERBS:
                    candidate = clip(candidate)
                if self._try(candidate):
                    script = candidate
                    break
        return script

    @staticmethod
    def _variants(operation: Operation) -> Iterable[Operation]:
        """Yield simpler forms of an operation, the simplest first."""
        if operation.behind:
            yield replace(operation, behind="")
        if operation.below:
            yield replace(operation, below="")
        if operation.mode in ("populate", "noreserve"):
            yield replace(operation, mode="")
        if operation.verb in MAPPING_VERBS and operation.verb is not Verb.MAP:
            yield replace(operation, verb=Verb.MAP)
        if operation.whole:
            return
        if operation.verb in SIZING_VERBS:
            pages = operation.end
            for fewer in sorted({1, 2, 16, 17, 512, 513, pages // 2, pages - 1}):
                if 0 < fewer < pages:
                    yield replace(operation, end=fewer)
            return
        first, end = operation.first, operation.end
        for low, high in (
            (0, 1),
            (first, first + 1),
            (end - 1, end),
            (first, (first + end) // 2),
            ((first + end) // 2, end),
            (first, end - 1),
            (first + 1, end),
            (0, end - first),
            (first - 1, end - 1),
        ):
            if 0 <= low < high and (high - low, low) < (end - first, first):
                yield replace(operation, first=low, end=high)

    def _fewer_names(self, script: list[Operation]) -> list[Operation]:
        candidate = tidy_names(script)
        return candidate if candidate != script and self._try(candidate) else script


def drop_impossible(script: Iterable[Operation]) -> list[Operation]:
    """Return `script` without the operations that cannot happen any more."""
    world = World()
    kept = []
    for operation in script:
        try:
            world.apply(operation)
        except ValueError:
            continue
        kept.append(operation)
    return kept


def clip(script: Iterable[Operation]) -> list[Operation]:
    """Return `script` with ranges cut to the regions they lie in, and impossible lines dropped."""
    world = World()
    kept = []
    for operation in script:
        process = world.processes.get(operation.process)
        view = process.regions.get(operation.region) if process is not None else None
        now = operation
        if view is not None and operation.verb not in SIZING_VERBS and not operation.whole:
            now = replace(operation, end=min(operation.end, view.pages))
            if now.first >= now.end:
                continue
        try:
            world.apply(now)
        except ValueError:
            continue
        kept.append(now)
    return kept


def tidy_names(script: Sequence[Operation]) -> list[Operation]:
    """Return `script` with processes and regions named in order of appearance."""
    children = iter(process_names())
    processes = {"P": "P"}
    regions: dict[str, str] = {}
    tidy = []
    for operation in script:
        if operation.child and operation.child not in processes:
            processes[operation.child] = next(children)
        if operation.region and operation.region not in regions:
            regions[operation.region] = chr(ord("A") + len(regions))
        tidy.append(
            replace(
                operation,
                process=processes[operation.process],
                child=processes.get(operation.child, ""),
                region=regions.get(operation.region, ""),
                behind=regions.get(operation.behind, ""),
                below=regions.get(operation.below, ""),
            )
        )
    return tidy
