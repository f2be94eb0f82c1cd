"""Programs drawn at random by Hypothesis: nested lists of verbs, and how a task performs them."""

from collections.abc import Generator
from typing import Any

from hypothesis import strategies as st

from sim.base.errors import Refused
from sim.base.units import PAGE_BYTES
from sim.engine.verbs.process import Process
from sim.program.api import Image, Region
from sim.program.patterns import Every, HotCold, Uniform

Step = tuple[Any, ...]

_pages = st.integers(1, 40)
_first = st.integers(0, 20)
_ns = st.integers(1, 9_000_000)
_region = st.integers(0, 5)

_patterns = st.one_of(
    st.just(None),
    st.builds(Uniform, count=st.integers(1, 60)),
    st.builds(
        HotCold,
        count=st.integers(1, 60),
        hot_fraction=st.floats(0.1, 1.0),
        hot_share=st.floats(0, 1),
    ),
)
_pace = st.one_of(st.none(), st.integers(1, 400_000))

_simple = st.one_of(
    st.tuples(st.just("mmap"), _pages),
    st.tuples(st.just("map"), _pages, st.booleans(), st.sampled_from([None, "a", "b"])),
    st.tuples(st.just("map"), st.sampled_from([512, 700]), st.just(False), st.none()),
    st.tuples(
        st.just("mprotect"), _region, st.sampled_from(["r", "rw", "rw", "none"]), _first, _pages
    ),
    st.tuples(
        st.just("madvise"),
        _region,
        st.sampled_from(
            [
                *("hugepage", "hugepage", "dontfork", "wipeonfork", "dofork", "free", "collapse"),
                *("populate_read", "populate_write", "random", "sequential", "normal"),
            ]
        ),
    ),
    st.tuples(
        st.sampled_from(["mlock", "munlock", "msync", "free_pages"]), _region, _first, _pages
    ),
    st.tuples(st.just("mremap"), _region, _pages),
    st.tuples(st.sampled_from(["pread", "pwrite", "fsync"]), st.sampled_from("abcd"), _pages),
    st.tuples(
        st.just("direct"), st.sampled_from(["pread", "pwrite"]), st.sampled_from("abcd"), _pages
    ),
    st.tuples(st.just("cold"), _pages, st.booleans(), st.sampled_from("cd")),
    st.tuples(st.just("cold"), st.sampled_from([150, 400]), st.booleans(), st.sampled_from("cd")),
    st.tuples(st.just("pread"), st.sampled_from("cde"), st.sampled_from([600, 1500])),
    st.tuples(st.just("populate"), _pages),
    st.tuples(st.just("drop"), st.sampled_from("abcd")),
    st.tuples(
        st.just("fadvise"),
        st.sampled_from("abcd"),
        st.sampled_from(["normal", "random", "sequential", "willneed", "dontneed"]),
    ),
    st.tuples(st.just("write"), _region, _patterns, _pace, st.integers(1, 3)),
    st.tuples(st.just("write"), _region, _patterns, st.none(), st.just(1)),
    st.tuples(st.just("read"), _region, _patterns, _pace, st.integers(1, 2)),
    st.tuples(st.just("read_and_drop"), _region),
    st.tuples(st.just("compute"), _ns),
    st.tuples(st.just("sleep"), _ns),
    st.tuples(st.just("munmap"), _region, _first, _pages),
    st.tuples(st.just("dontneed"), _region, _first, _pages),
    st.tuples(st.just("sbrk"), st.integers(-30, 40)),
    st.tuples(st.just("wait")),
    st.tuples(st.just("exit"), st.integers(0, 3)),
    st.tuples(st.just("stray")),
)


def scripts(depth: int = 2) -> st.SearchStrategy[list[Step]]:
    """Return a strategy for programs whose children nest up to `depth`."""
    steps: st.SearchStrategy[Step] = _simple
    if depth > 0:
        child = scripts(depth - 1)
        steps = st.one_of(
            _simple,
            st.tuples(st.just("fork"), child),
            st.tuples(st.just("fork"), child),
            st.tuples(st.just("vfork"), st.booleans(), child),
            st.tuples(st.just("spawn"), child),
            st.tuples(st.just("thread"), child),
        )
    opening = st.tuples(
        st.tuples(st.just("mmap"), _pages),
        st.tuples(st.just("write"), st.just(0), st.none(), st.none(), st.just(1)),
    )
    return st.builds(lambda head, rest: [*head, *rest], opening, st.lists(steps, max_size=9))


_IMAGE = Image(8192, 4096, 4096, 64 * 4096)


def perform(task: Process, steps: list[Step], regions: list[Region]) -> Generator[Any, Any, None]:
    """Carry out a drawn program; refused calls are passed over."""
    for verb, *arguments in steps:
        try:
            yield from _perform(task, verb, arguments, regions)
        except Refused:
            continue


def _perform(task: Process, verb: str, a: list[Any], regions: list[Region]) -> Any:
    if verb == "mmap":
        regions.append((yield from task.mmap(a[0] * PAGE_BYTES)))
    elif verb == "populate":
        regions.append((yield from task.mmap(a[0] * PAGE_BYTES, populate=True)))
    elif verb in ("read", "write", "read_and_drop"):
        yield from _touch(task, verb, a, regions)
    elif verb == "compute":
        yield from task.compute(a[0])
    elif verb == "sleep":
        yield from task.sleep(a[0])
    elif verb == "map":
        regions.append((yield from task.mmap(a[0] * PAGE_BYTES, shared=a[1], file=a[2])))
    elif verb == "cold":
        pages = a[0] * 4
        regions.append(
            (yield from task.mmap(pages * PAGE_BYTES, shared=a[1], file=a[2], cold=True))
        )
    elif verb in ("drop", "fadvise"):
        yield from getattr(task, verb)(*a)
    elif verb == "madvise":
        if regions:
            yield from task.madvise(regions[a[0] % len(regions)], a[1])
    elif verb == "mprotect":
        if regions:
            region = regions[a[0] % len(regions)]
            first = min(a[2], region.pages - 1)
            yield from task.mprotect(region, a[1], first, min(a[3], region.pages - first))
    elif verb == "mremap":
        if regions:
            region = regions[a[0] % len(regions)]
            regions[a[0] % len(regions)] = yield from task.mremap(region, a[1] * PAGE_BYTES)
    elif verb in ("pread", "pwrite"):
        yield from getattr(task, verb)(*a)
    elif verb == "direct":
        call, file, pages = a
        yield from getattr(task, call)(file, pages, direct=True)
    elif verb == "fsync":
        yield from task.fsync(a[0])
    elif verb in ("mlock", "munlock", "msync", "free_pages"):
        if regions:
            region = regions[a[0] % len(regions)]
            first = min(a[1], region.pages - 1)
            pages = min(a[2], region.pages - first)
            if verb == "free_pages":
                yield from task.madvise(region, "free", first, pages)
            else:
                yield from getattr(task, verb)(region, first, pages)
    elif verb in ("munmap", "dontneed"):
        if regions:
            region = regions[a[0] % len(regions)]
            first = min(a[1], region.pages - 1)
            pages = min(a[2], region.pages - first)
            yield from getattr(task, verb)(region, first, pages)
            if verb == "munmap":  # what is left in front of the hole
                regions[a[0] % len(regions)] = Region(region.start_vpn, first)
                regions[:] = [r for r in regions if r.pages > 0]
    elif verb == "sbrk":
        grown = yield from task.sbrk(a[0] * PAGE_BYTES)
        if grown.pages and a[0] > 0:
            yield from task.write(grown)
    elif verb == "wait":
        yield from task.wait()
    elif verb == "exit":
        yield from task.exit(a[0])
    elif verb == "stray":
        yield from task.write(Region(99, 1))
    elif verb == "fork":
        yield from task.fork(perform, a[0], list(regions))
    elif verb == "thread":
        yield from task.thread(perform, a[0], list(regions))
    elif verb == "spawn":
        yield from task.posix_spawn(_IMAGE, perform, a[0], [])
    elif verb == "vfork":
        yield from task.vfork(_borrower, a[0], a[1], list(regions))


def _borrower(task: Process, execs: bool, steps: list[Step], regions: list[Region]) -> Any:
    if regions:
        yield from task.write(regions[0])
    if execs:
        yield from task.exec(_IMAGE)
        yield from perform(task, steps, [])


def _touch(task: Process, verb: str, a: list[Any], regions: list[Region]) -> Any:
    if not regions:
        return
    region = regions[a[0] % len(regions)]
    if verb == "read_and_drop":
        yield from task.read(region, drop=True)
        return
    _, pattern, interval, span = a
    how: dict[str, Any] = {} if pattern is None else {"pattern": pattern}
    if interval is not None:
        how["arrivals"] = Every(task.now_ns, interval)
    yield from getattr(task, verb)(region, span=span, cpu_ns=700, **how)
