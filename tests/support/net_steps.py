"""Programs drawn for the net: lists of steps, and what the plug-in of the net does.

Drawn by `random.random` alone, whose numbers Python promises to keep from release to release: no
library decides what is drawn.
"""

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
Steps = list[Any]

FILES = {"a": 40, "b": 300, "c": 1100}
"""Names and pages; whoever names one first makes it."""
PROGRAMS = ("true", "cat", "ls", "sh", "static")
FILE_ADVICE = ("normal", "random", "sequential", "willneed", "dontneed")


class Dice:
    """Everything that is drawn, from one seed that is a text."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def below(self, end: int) -> int:
        return int(self._random() * end)

    def between(self, low: int, high: int) -> int:
        """Return a number in ``low .. high``, both included."""
        return low + self.below(high - low + 1)

    def chance(self, share: float) -> bool:
        return self._random() < share

    def one(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def weighted(self, weights: Mapping[T, int]) -> T:
        at = self.below(sum(weights.values()))
        for choice, weight in weights.items():
            at -= weight
            if at < 0:
                return choice
        raise AssertionError("the weights add up to what was drawn from")


def some_pages(dice: Dice) -> int:
    return dice.one((dice.between(1, 40), dice.between(1, 200), 16, 64, 512, 700))


# -- lists of steps ---------------------------------------------------------------------

STEP_WEIGHTS = {
    "mmap": 10, "write": 20, "read": 14, "munmap": 4, "dontneed": 4, "sbrk": 4, "malloc": 6,
    "calloc": 2, "realloc": 3, "free": 4, "malloc_trim": 1, "compute": 6, "sleep": 5,
    "sleep_until": 2, "fork": 8, "vfork": 3, "posix_spawn": 3, "exec": 2, "wait": 5, "thread": 5,
    "join": 2, "exit": 1, "repeat": 3, "mark": 2, "advise": 3, "read_file": 4, "write_file": 4,
    "fsync": 2, "drop": 2,
}  # fmt: skip
LATER_WEIGHTS = {
    **STEP_WEIGHTS, "fadvise": 3, "lock": 3, "mlock": 2, "munlock": 2, "mprotect": 3, "mremap": 4,
    "msync": 2, "nice": 1, "oom_score_adj": 1, "prctl": 1,
}  # fmt: skip
"""With the verbs that came after the first 200 draws, which must not change."""
REPEATED = (
    "write", "read", "dontneed", "compute", "sleep", "mark", "read_file", "write_file", "fsync",
    "drop",
)  # fmt: skip
"""Steps that can be done twice."""
BLOCK_BYTES = (24, 1000, 1000, 5000, 33_000, 150_000, 1_000_000)


class StepList:
    """A list of steps in the making, and what is known where its next step stands."""

    def __init__(
        self, dice: Dice, depth: int = 2, weights: Mapping[str, int] = STEP_WEIGHTS
    ) -> None:
        self.dice = dice
        self.depth = depth
        self.weights = weights
        self.regions: dict[str, int] = {}
        self.blocks: list[str] = []
        self.children: list[str] = []
        self.threads: list[str] = []
        self.mover = dice.one(("sbrk", "malloc"))  # of the program break
        self.grown = 0  # pages of the heap, as far as `sbrk` has moved the break
        self.is_thread = False
        self.names = itertools.count(1)  # no two of a process and its threads are alike

    def draw(self, length: int) -> Steps:
        """Return `length` steps, or a few less: what cannot be said where it was drawn is not."""
        steps = [self._map_file(file) for file in FILES] if self.depth == 2 else []
        steps += [self._mmap()] if not self.regions or self.dice.chance(0.5) else []
        steps += [self._step(self.dice.weighted(self.weights)) for _ in range(length)]
        return [step for step in steps if step is not None]

    def _step(self, verb: str) -> Any:
        if verb in ("calloc", "malloc"):
            return self._malloc(verb)
        return getattr(self, f"_{verb}")()

    def _name(self, letter: str) -> str:
        return f"{letter}{next(self.names)}"

    def _inner(self, length: int, *, inherits: bool = True, thread: bool = False) -> Steps:
        """Return what a child or a thread does."""
        inner = StepList(self.dice, self.depth - 1, self.weights)
        if inherits:
            inner.regions, inner.blocks = dict(self.regions), list(self.blocks)
            inner.names, inner.mover = self.names, self.mover
            inner.grown = 0 if thread else self.grown
        inner.is_thread = thread
        return inner.draw(self.dice.between(1, length))

    def _mapped(self) -> str | None:
        """Return a region that is no block of malloc."""
        names = [name for name in self.regions if name not in self.blocks]
        return self.dice.one(names) if names else None

    def _range(self, region: str) -> dict[str, Any]:
        if self.dice.chance(0.4):
            return {"region": region}
        first = self.dice.below(self.regions[region])
        return {
            "region": region,
            "first": first,
            "pages": self.dice.between(1, self.regions[region] - first),
        }

    def _mmap(self) -> Any:
        kind = self.dice.weighted({"anon": 7, "file": 3, "shared": 1})
        if kind == "file":
            return self._map_file(self._file())
        name, pages = self._name("R"), some_pages(self.dice)
        self.regions[name] = pages
        return {"mmap": {"name": name, "size": f"{pages} pages", "shared": kind == "shared"}}

    def _file(self) -> str:
        return self.dice.one(tuple(FILES))

    def _map_file(self, file: str) -> Any:
        name, dice = self._name("F"), self.dice
        self.regions[name] = FILES[file]
        how = {"file": file, "shared": dice.chance(0.5), "cold": dice.chance(0.6)}
        return {"mmap": {"name": name, "size": f"{FILES[file]} pages", **how}}

    def _access(self, verb: str) -> Any:
        dice = self.dice
        if not self.regions:
            return None
        region = dice.one(list(self.regions))
        block = region in self.blocks
        step = {"region": region} if block else self._range(region)
        pages = accesses = step.get("pages", self.regions[region])
        kind = dice.weighted({"sequential": 5, "uniform": 3, "hot_cold": 2, "listed": 1})
        if block:
            return {verb: step}
        if kind != "sequential":
            accesses = dice.one((4, 12, 40, 120))
        if kind == "uniform":
            step["pattern"] = {"uniform": accesses}
        elif kind == "hot_cold":
            hot = {"hot_fraction": dice.one((0.1, 0.25, 1.0)), "hot_share": dice.one((0.0, 0.9))}
            step["pattern"] = {"hot_cold": {"count": accesses, **hot}}
        elif kind == "listed":
            listed = [dice.below(self.regions[region]) for _ in range(accesses)]
            step = {"region": region, "pattern": {"listed": listed}}
        if kind in ("uniform", "hot_cold") and pages > 1 and dice.chance(0.2):
            step["span"] = 2
        if kind != "sequential" and dice.chance(0.3):
            step["per_request"] = dice.one((2, 4))
        if dice.chance(0.4):
            requests = accesses // step.get("per_request", 1)
            step["arrivals"] = self._arrivals(requests)
        if dice.chance(0.5):
            step["cpu"] = dice.one(("700 ns", "15 us"))
        if dice.chance(0.1):
            step["drop"] = True
        return {verb: step}

    def _arrivals(self, requests: int) -> Any:
        dice = self.dice
        kind = dice.one(("every", "poisson", "at"))
        if kind == "every":
            return {"every": dice.one(("3 us", "250 us"))}
        if kind == "poisson":
            return {"poisson": dice.one(("3000/s", "200000/s"))}
        return {"at": [f"{us} us" for us in sorted(dice.below(9000) for _ in range(requests))]}

    def _read(self) -> Any:
        return self._access("read")

    def _write(self) -> Any:
        return self._access("write")

    def _munmap(self) -> Any:
        region = self._mapped()
        if region is None or len(self.regions) < 2:
            return None
        step = self._range(region)
        if not self.dice.chance(0.03):  # or what is touched later may end it
            self.regions.pop(region)
        return {"munmap": step}

    def _dontneed(self) -> Any:
        region = self._mapped()
        return None if region is None else {"dontneed": self._range(region)}

    def _advise(self) -> Any:
        region = self._mapped()
        if region is None:
            return None
        advice = self.dice.one(("normal", "random", "sequential"))
        return {"advise": {**self._range(region), "advice": advice}}

    def _sbrk(self) -> Any:
        if self.mover != "sbrk":
            return None
        if self.grown and self.dice.chance(0.3):
            pages, self.grown = self.grown, 0
            for name in [name for name in self.regions if name.startswith("H")]:
                del self.regions[name]
            return {"sbrk": {"shrink": f"{pages} pages"}}
        pages, name = self.dice.between(1, 60), self._name("H")
        self.grown += pages
        self.regions[name] = pages
        return {"sbrk": {"name": name, "grow": f"{pages} pages"}}

    def _malloc(self, verb: str) -> Any:
        if self.mover != "malloc" or self.is_thread:
            return None
        name, size = self._name("B"), self.dice.one(BLOCK_BYTES)
        self.blocks.append(name)
        self.regions[name] = (size - 1) // 4096 + 1
        return {verb: {"name": name, "size": f"{size} B"}}

    def _realloc(self) -> Any:
        if not self.blocks or self.is_thread:
            return None
        block, size = self.dice.one(self.blocks), self.dice.one(BLOCK_BYTES)
        self.regions[block] = (size - 1) // 4096 + 1
        return {"realloc": {"block": block, "size": f"{size} B"}}

    def _free(self) -> Any:
        if not self.blocks or self.is_thread:
            return None
        block = self.blocks.pop(self.dice.below(len(self.blocks)))
        del self.regions[block]
        return {"free": block}

    def _malloc_trim(self) -> Any:
        return {"malloc_trim": {}} if self.mover == "malloc" and not self.is_thread else None

    def _compute(self) -> Any:
        return {"compute": self.dice.one(("3 us", "700 us", "9 ms"))}

    def _sleep(self) -> Any:
        return {"sleep": self.dice.one(("1 us", "400 us", "7 ms"))}

    def _sleep_until(self) -> Any:
        return {"sleep_until": self.dice.one(("1 ms", "20 ms", "60 ms"))}

    def _fork(self, verb: str = "fork") -> Any:
        if self.depth == 0:
            return None
        name = self._name("c")
        step = {"name": name, "steps": self._inner(8)}
        self.children.append(name)
        return {verb: step}

    def _vfork(self) -> Any:
        return self._fork("vfork")

    def _posix_spawn(self) -> Any:
        if self.depth == 0:
            return None
        step: dict[str, Any] = {"steps": self._inner(5, inherits=False)}
        step |= {"program": self.dice.one(PROGRAMS)} if self.dice.chance(0.6) else self._image()
        return {"posix_spawn": step}

    def _image(self) -> dict[str, Any]:
        sizes = {"text": "40 KiB", "data": "9 KiB", "bss": "20 KiB", "stack": "256 KiB"}
        return {"image": {**sizes, "touched": self.dice.one((0.0, 0.5, 1.0))}}

    def _exec(self) -> Any:
        if self.depth == 2 or self.is_thread:
            return None  # the first process goes on with what it has
        self.regions.clear()
        self.blocks.clear()
        self.mover, self.grown = "sbrk", 0
        if self.dice.chance(0.6):
            return {"exec": self.dice.one(PROGRAMS)}
        return {"exec": self._image()["image"]}

    def _wait(self) -> Any:
        if not self.children:
            return None
        name = self.children.pop(self.dice.below(len(self.children)))
        return {"wait": name}

    def _thread(self) -> Any:
        if self.depth == 0:
            return None
        name = self._name("t")
        step = {"name": name, "steps": self._inner(6, thread=True)}
        self.threads.append(name)
        return {"thread": step}

    def _join(self) -> Any:
        return {"join": self.threads.pop()} if self.threads else None

    def _exit(self) -> Any:
        return {"exit": self.dice.below(4)} if self.depth < 2 else None

    def _repeat(self) -> Any:
        steps = [self._step(self.dice.one(REPEATED)) for _ in range(3)]
        steps = [step for step in steps if step is not None]
        return {"repeat": {"times": self.dice.between(1, 4), "steps": steps}}

    def _mark(self) -> Any:
        return {"mark": self.dice.one(("here", "there"))}

    def _fadvise(self) -> Any:
        advice = self.dice.one(FILE_ADVICE)
        some = self._file_range() if self.dice.chance(0.4) else {"file": self._file()}
        return {"fadvise": {**some, "advice": advice}}

    def _lock(self) -> Any:
        """Return steps that are done with a lock held, and wait for nobody."""
        name = self.dice.one(("l", "m"))
        steps = [self._step(self.dice.one(REPEATED)) for _ in range(2)]
        steps = [step for step in steps if step is not None]
        return {"repeat": {"times": 1, "steps": [{"lock": name}, *steps, {"unlock": name}]}}

    def _mlock(self, verb: str = "mlock") -> Any:
        region = self._mapped()
        return None if region is None else {verb: self._range(region)}

    def _munlock(self) -> Any:
        return self._mlock("munlock")

    def _msync(self) -> Any:
        return self._mlock("msync")

    def _mprotect(self) -> Any:
        """Return a range that may not be written for a while; now and then it stays so."""
        region = self._mapped()
        if region is None:
            return None
        where = self._range(region)
        steps = [{"mprotect": {**where, "access": self.dice.one(("r", "r", "none"))}}]
        if not self.dice.chance(0.05):
            steps += [{"compute": "5 us"}, {"mprotect": {**where, "access": "rw"}}]
        return {"repeat": {"times": 1, "steps": steps}}

    def _mremap(self) -> Any:
        """Return a region of another size; behind the end of a file there is nothing to touch."""
        region = self._mapped()
        if region is None or self.is_thread:
            return None
        most = self.regions[region] if region.startswith("F") else 2 * self.regions[region]
        self.regions[region] = self.dice.between(1, most)
        return {"mremap": {"region": region, "size": f"{self.regions[region]} pages"}}

    def _nice(self) -> Any:
        return {"nice": self.dice.between(-3, 12)}

    def _oom_score_adj(self) -> Any:
        return {"oom_score_adj": self.dice.one((-900, -200, 0, 300, 1000))}

    def _prctl(self) -> Any:
        return {"prctl": {"option": "thp_disable", "value": self.dice.below(2)}}

    def _file_range(self) -> dict[str, Any]:
        file = self._file()
        first = self.dice.one((0, 0, self.dice.below(FILES[file])))
        return {"file": file, "first": first, "pages": self.dice.between(1, FILES[file] - first)}

    def _read_file(self) -> Any:
        return {"read_file": self._file_range()}

    def _write_file(self) -> Any:
        return {"write_file": self._file_range()}

    def _fsync(self) -> Any:
        return {"fsync": self._file()}

    def _drop(self) -> Any:
        if self.dice.chance(0.3):
            return {"drop": {"program": self.dice.one(PROGRAMS)}}
        return {"drop": self._file()}


# -- what the plug-in does --------------------------------------------------------------

DONE_WEIGHTS = {
    "mmap": 10, "populate": 3, "file": 6, "write": 20, "read": 12, "uniform": 5, "paced": 4,
    "mprotect": 7, "madvise": 12, "mlock": 3, "munlock": 2, "msync": 3, "mremap": 7, "munmap": 4,
    "dontneed": 3, "collapse": 2, "pread": 4, "pwrite": 4, "fsync": 2, "fadvise": 4, "drop": 2,
    "sbrk": 3, "compute": 4, "sleep": 4, "fork": 8, "vfork": 2, "spawn": 2, "thread": 4, "join": 1,
    "exec": 1, "wait": 4, "exit": 1, "stray": 1,
}  # fmt: skip
ADVICE = (
    "hugepage", "hugepage", "hugepage", "nohugepage", "collapse", "collapse", "free", "free",
    "dontneed", "populate_read", "populate_write", "dontfork", "dofork", "wipeonfork",
    "keeponfork", "random", "sequential", "normal",
)  # fmt: skip


def done(dice: Dice, length: int, depth: int = 2) -> Steps:
    """Return what the plug-in of the net does: lists of a verb, and what it takes.

    Any of it can be said anywhere; ranges are cut to what there is where it is done.
    """
    steps: Steps = [["mmap", dice.one((20, 60, 1100))], ["write", 0, 0, 2000]]
    for _ in range(dice.between(length // 2, length)):
        verb = dice.weighted(DONE_WEIGHTS)
        region, first = dice.below(6), dice.one((0, 0, 3, 15, 300))
        pages = dice.one((1, 7, 16, 40, 512, 2000))
        if verb in ("fork", "vfork", "spawn", "thread"):
            if depth == 0:
                continue
            steps.append([verb, dice.chance(0.5), done(dice, length // 2, depth - 1)])
        elif verb in ("mmap", "populate"):
            steps.append([verb, dice.one((1, 9, 40, 130, 600, 1100))])
        elif verb == "file":
            step = [verb, dice.one((5, 33, 150, 700)), dice.one(tuple(FILES))]
            steps.append([*step, dice.chance(0.5), dice.chance(0.5)])
        elif verb == "mprotect":
            steps.append([verb, region, dice.one(("r", "rw", "rw", "none")), first, pages])
        elif verb == "madvise":
            steps.append([verb, region, dice.one(ADVICE), first, pages])
        elif verb in ("uniform", "paced"):
            steps.append([verb, region, dice.between(1, 90), dice.one((300, 40_000))])
        elif verb == "mremap":
            steps.append([verb, region, dice.one((1, 20, 90, 520, 1200))])
        elif verb in ("pread", "pwrite"):
            steps.append([verb, dice.one(tuple(FILES)), dice.one((1, 8, 70, 400)), first])
        elif verb == "fadvise":
            steps.append([verb, dice.one(tuple(FILES)), dice.one(FILE_ADVICE)])
        elif verb in ("fsync", "drop"):
            steps.append([verb, dice.one(tuple(FILES))])
        elif verb == "sbrk":
            steps.append([verb, dice.between(-20, 50)])
        elif verb in ("compute", "sleep"):
            steps.append([verb, dice.one((2_000, 300_000, 8_000_000, 30_000_000))])
        elif verb == "exec":
            steps.append([verb, dice.one(PROGRAMS)])
        elif verb in ("collapse", "exit"):
            steps.append([verb, dice.below(3)])
        elif verb in ("wait", "join", "stray"):
            steps.append([verb])
        else:
            steps.append([verb, region, first, pages])
    return steps
