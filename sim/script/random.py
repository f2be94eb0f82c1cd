"""Random conformance scripts, valid by construction.

A script is drawn operation by operation in a `World` that knows who lives and what is mapped, so
every line can happen.  Rules meet where operations overlap, so a script has few regions, and each
region has a handful of corners between which nearly all its ranges lie: some drawn anywhere, some
where Linux's rules change, around 16 pages (fault-around) and 512 (a leaf table, a huge page).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sim.script.grammar import (
    HUGE_PAGES,
    HUGETLB_VERBS,
    MAPPING_VERBS,
    MAX_STACK_PAGES,
    MODES,
    SHAPES,
    TOUCHING_VERBS,
    Operation,
    Shape,
    Verb,
)
from sim.script.validity import (
    PAGES_PER_TABLE,
    PLACED_VERBS,
    READABLE,
    WRITABLE,
    RegionView,
    World,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

MAX_PAGES_MAPPED: Final = 5000
"""Per process, so that a script takes a fraction of a second and of the host's memory."""

WEIGHTS: Final[dict[Verb, int]] = {
    Verb.WRITE: 26,
    Verb.READ: 22,
    Verb.MAP: 6,
    Verb.SHMAP: 3,
    Verb.MAPFILE: 4,
    Verb.MAPSHFILE: 3,
    Verb.FORK: 8,
    Verb.EXIT: 3,
    Verb.DONTNEED: 5,
    Verb.UNMAP: 4,
    Verb.PROTECT: 16,
    Verb.HUGEPAGE: 3,
    Verb.DONTFORK: 1,
    Verb.WIPEONFORK: 1,
    Verb.FREE: 4,
    Verb.POPULATEREAD: 3,
    Verb.POPULATEWRITE: 3,
    Verb.NOHUGEPAGE: 1,
    Verb.DOFORK: 1,
    Verb.KEEPONFORK: 1,
    Verb.LOCK: 3,
    Verb.UNLOCK: 2,
    Verb.RESIZE: 6,
    Verb.MOVE: 5,
    Verb.BRK: 3,
    Verb.STACK: 2,
    Verb.SYNC: 5,
    Verb.FILEREAD: 3,
    Verb.FILEWRITE: 6,
    Verb.FSYNC: 4,
    Verb.DROP: 6,
    Verb.WILLNEED: 2,
    Verb.RANDOM: 2,
    Verb.SEQUENTIAL: 1,
    Verb.NORMAL: 1,
    Verb.VFORK: 2,
    Verb.EXEC: 1,
    Verb.COLLAPSE: 4,
}
HUGETLB_WEIGHTS: Final = {Verb.MAPHUGETLB: 8, Verb.MAPSHHUGETLB: 5}
"""Verbs that are drawn only if they are asked for: the pool of huge pages is a host's own."""
CONTRACT_VERBS: Final = frozenset(tuple(WEIGHTS)[:14])
"""The verbs of the first set; `verbs` may keep to them."""
ALL_VERBS: Final = frozenset(WEIGHTS)
GROUP_VERBS: Final = frozenset(
    {
        *(Verb.MAP, Verb.SHMAP, Verb.MAPFILE, Verb.MAPSHFILE),
        *(Verb.READ, Verb.WRITE, Verb.POPULATEREAD, Verb.POPULATEWRITE),
        *(Verb.FORK, Verb.VFORK, Verb.EXEC),
        *(Verb.FILEREAD, Verb.FILEWRITE, Verb.FSYNC, Verb.SYNC, Verb.WILLNEED),
        *(Verb.RANDOM, Verb.SEQUENTIAL, Verb.NORMAL),
    }
)
"""In a control group: verbs that free nothing, but for exec where no memory is borrowed."""
SEGV_PERCENT: Final = 2
"""How many of a hundred accesses may go where they must not."""
ANYWHERE_PERCENT: Final = 10
"""How many of a hundred ranges keep to no corner."""
CORNERS: Final = (1, 2, 8, 15, 16, 17, 24, 32, 33, 48, 64, 511, 512, 513, 528, 1024, 1025, 1536)


def script_generator(seed: int, index: int) -> random.Random:
    """Return the generator for the script number `index` of a series."""
    return random.Random(f"cowpool conform {seed} {index}")


def random_script(
    rng: random.Random,
    *,
    operations: int | None = None,
    verbs: Iterable[Verb] = ALL_VERBS,
    folios: Collection[int] = (),
) -> list[Operation]:
    """Draw a valid script over `verbs`, of at most `operations` lines (default: 10 to 120).

    `folios` are sizes in pages that advised regions get: then most regions are, of all sizes.
    """
    return _Drawing(rng, verbs, tuple(folios)).script(
        operations or rng.choice((10, 20, 40, 80, 120))
    )


@dataclass(slots=True)
class _Drawing:
    """One script in the making: what is true of all its lines."""

    rng: random.Random
    verbs: Iterable[Verb]
    folios: tuple[int, ...] = ()
    world: World = field(default_factory=World)
    corners: dict[str, list[int]] = field(default_factory=dict)
    max_regions: int = 0
    max_processes: int = 0
    large: bool = False
    options: bool = False
    weights: dict[Verb, float] = field(default_factory=dict)
    next: Operation | None = None

    def script(self, length: int) -> list[Operation]:
        rng = self.rng
        self.max_regions = rng.choice((1, 1, 2, 3, 5))
        self.max_processes = rng.choice((2, 3, 4, 6))
        self.large = rng.random() < 0.4
        wanted = set(self.verbs)
        self.options = not wanted <= CONTRACT_VERBS
        factors = (0.3, 1.0, 1.0, 3.0)
        weights = WEIGHTS | HUGETLB_WEIGHTS
        self.weights = {v: w * rng.choice(factors) for v, w in weights.items() if v in wanted}
        if not self.large and not self.folios:
            self.weights.pop(Verb.HUGEPAGE, None)
            self.weights.pop(Verb.COLLAPSE, None)
        elif self.options and Verb.MAP in wanted and rng.random() < 0.6:
            self.weights[Verb.MAP] *= 5  # a script about huge pages
        if self.folios and Verb.MAP in wanted:
            self.weights[Verb.MAP] *= 5
        script: list[Operation] = []
        while length and self.world.processes:
            length -= 1
            operation = self._draw()
            try:
                if operation is not None:
                    self.world.apply(operation)
                    script.append(operation)
            except ValueError:
                continue
        return script

    def _draw(self) -> Operation | None:
        """Return an operation that can happen now, as far as one can easily see."""
        rng, world = self.rng, self.world
        if self.next is not None:
            operation, self.next = self.next, None
            return operation
        process = rng.choice(world.able())
        regions = world.processes[process].regions
        mapping = [verb for verb in self.weights if verb in MAPPING_VERBS]
        verb = rng.choices(list(self.weights), list(self.weights.values()))[0]
        if not regions and mapping:
            verb = rng.choice(mapping)
        shape = SHAPES[verb]
        if shape is Shape.CHILD:
            return self._draw_fork(process, verb)
        if shape is Shape.NOTHING:
            alone = verb is Verb.EXIT and len(world.processes) == 1
            return None if alone else Operation(process, verb)
        if verb in MAPPING_VERBS:
            return self._draw_mapping(process, verb)
        if verb is Verb.BRK:
            region = world.processes[process].heap or "H"
            self.corners.setdefault(region, [0, 8, 16, 17, 32, 50, 512, 600])
            return Operation(process, verb, region, 0, self._region_pages())
        if not regions:
            return None
        region = rng.choice(sorted(regions))
        view = regions[region]
        if verb is Verb.RESIZE:
            return Operation(process, verb, region, 0, rng.randint(1, view.room))
        if verb is Verb.DROP and not view.random and Verb.RANDOM in self.weights:
            self.next = Operation(process, verb, region)  # what is not read ahead is compared
            return Operation(process, Verb.RANDOM, region)
        if shape is Shape.WHOLE or (shape is Shape.WHOLE_OR_RANGE and rng.random() < 0.2):
            return Operation(process, verb, region)
        if verb in TOUCHING_VERBS:
            return self._draw_touch(process, verb, region, view)
        mode = rng.choice((*MODES, "rw")) if shape is Shape.PROTECT else ""
        first, end = self._range(region, view.pages)
        if view.made_by in HUGETLB_VERBS:
            first, end = first // HUGE_PAGES * HUGE_PAGES, -(-end // HUGE_PAGES) * HUGE_PAGES
        return Operation(process, verb, region, first, end, mode)

    def _draw_fork(self, process: str, verb: Verb) -> Operation | None:
        if len(self.world.processes) >= self.max_processes:
            return None
        used = set(self.world.processes) | set(self.world.ended)
        names = (name for name in process_names() if name not in used)
        return Operation(process, verb, child=next(names))

    def _draw_mapping(self, process: str, verb: Verb) -> Operation | None:
        regions = self.world.processes[process].regions
        pages = self._region_pages()
        if verb in HUGETLB_VERBS:
            pages = HUGE_PAGES * self.rng.choice((1, 1, 2, 3))
        if verb is Verb.STACK:
            pages = min(pages, MAX_STACK_PAGES)
        mapped = sum(view.pages for view in regions.values())
        if len(regions) >= self.max_regions or mapped + pages > MAX_PAGES_MAPPED:
            return None
        region = self.rng.choice("ABCDEFG"[: self.max_regions + 1])
        apart = not self.options or verb in HUGETLB_VERBS
        behind = "" if apart else self._neighbour(verb, region, regions)
        below = "" if behind or apart else self._upper(verb, region, regions)
        if behind:
            pages = min(pages, regions[behind].room - regions[behind].pages)
        if below:
            pages = min(pages, regions[below].below)
        inside = [corner for corner in CORNERS if corner < pages]
        anywhere = [self.rng.randrange(1, pages) for _ in range(2) if pages > 1]
        if self.folios:
            edge = self.rng.choice(self.folios) * self.rng.randint(1, 4)
            anywhere += [corner for corner in (edge - 1, edge, edge + 1) if corner < pages]
        few = self.rng.sample(inside, min(len(inside), self.rng.choice((1, 2, 3))))
        self.corners[region] = sorted({0, pages, *few, *anywhere})
        options = ("", "", "", "populate", "noreserve") if SHAPES[verb] is Shape.MAP else ("",)
        mode = self.rng.choice(options) if self.options else ""
        if verb in HUGETLB_VERBS:
            return Operation(process, verb, region, 0, pages, mode)
        huge = self.options and verb is Verb.MAP and pages >= PAGES_PER_TABLE
        huge = huge or (bool(self.folios) and verb is not Verb.STACK)
        if huge and Verb.HUGEPAGE in self.weights and self.rng.random() < 0.8:
            self.next = Operation(process, Verb.HUGEPAGE, region)
        return Operation(process, verb, region, 0, pages, mode, behind=behind, below=below)

    def _neighbour(self, verb: Verb, region: str, regions: dict[str, RegionView]) -> str:
        """Return a region behind which a new one may lie, to share a leaf table with it, or ""."""
        if verb is Verb.STACK or self.rng.random() < 0.5:
            return ""
        able = [
            name
            for name, view in sorted(regions.items())
            if name != region and view.made_by in PLACED_VERBS and view.room > view.pages
        ]
        return self.rng.choice(able) if able else ""

    def _upper(self, verb: Verb, region: str, regions: dict[str, RegionView]) -> str:
        """Return a region right below which a new one may lie, to be one area with it, or ""."""
        if verb is Verb.STACK or self.rng.random() < 0.4:
            return ""
        able = [
            name
            for name, view in sorted(regions.items())
            if name != region and view.made_by in PLACED_VERBS and view.below > 0
        ]
        return self.rng.choice(able) if able else ""

    def _draw_touch(
        self, process: str, verb: Verb, region: str, view: RegionView
    ) -> Operation | None:
        needed = WRITABLE if verb is Verb.WRITE else READABLE
        careless = self.rng.randrange(100) < SEGV_PERCENT
        for _ in range(8):
            first, end = self._range(region, view.pages)
            if careless or min(view.access[first:end]) >= needed:
                return Operation(process, verb, region, first, end)
        return None

    def _region_pages(self) -> int:
        rng = self.rng
        if self.large and rng.random() < 0.6:
            return rng.choice((511, 512, 513, 520, 600, 1024, 1025, 1100, 1536, 1600))
        return rng.choice((rng.randint(1, 20), rng.randint(1, 80), 16, 32, 64))

    def _range(self, region: str, pages: int) -> tuple[int, int]:
        """Return a range of [0, `pages`), nearly always from corner to corner."""
        rng = self.rng
        corners = [corner for corner in self.corners[region] if corner <= pages]
        if len(corners) < 2 or rng.randrange(100) < ANYWHERE_PERCENT:
            first = rng.randrange(pages)
            return first, first + rng.randint(1, min(pages - first, 40))
        at = rng.randrange(len(corners) - 1)
        steps = rng.choice((1, 1, 1, 2, 3, len(corners)))
        return corners[at], corners[min(at + steps, len(corners) - 1)]


def process_names() -> list[str]:
    """Return the names that processes of a script get after `P`, in order of birth."""
    letters = "CDEFGHIJKLMNOQRSTUVWXYZ"
    return [f"{letter}{number or ''}" for number in range(5) for letter in letters]
