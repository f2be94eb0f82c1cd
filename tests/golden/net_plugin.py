"""Programs and schedulers that the net's drawn scenarios use, as a user's plug-in would be."""

from __future__ import annotations

from typing import Annotated, Any

from sim.plugin import Every, HotCold, Image, Refused, Uniform, program, scheduler

PAGE_BYTES = 4096
IMAGE = Image(5 * PAGE_BYTES, 2 * PAGE_BYTES, 3 * PAGE_BYTES, 64 * PAGE_BYTES, touched=0.7)


@scheduler("last_come")
class LastCome:
    """Last come, first served."""

    def __init__(self, quantum_ns):
        self._quantum_ns = quantum_ns
        self._ready = []

    def enqueue(self, pid, now_ns):
        self._ready.append(pid)

    def pick(self, now_ns):
        return (self._ready.pop(), self._quantum_ns) if self._ready else None


@scheduler("least_often")
class LeastOften:
    """Who was picked least often, and a slice that depends on who it is."""

    def __init__(self, quantum_ns):
        self._quantum_ns = quantum_ns
        self._ready = []
        self._picked = {}

    def enqueue(self, pid, now_ns):
        self._ready.append(pid)

    def pick(self, now_ns):
        if not self._ready:
            return None
        pid = min(self._ready, key=lambda pid: (self._picked.get(pid, 0), pid))
        self._ready.remove(pid)
        self._picked[pid] = self._picked.get(pid, 0) + 1
        return pid, self._quantum_ns * (1 + pid % 3)


def as_said(steps: list[Any]) -> list[Any]:
    return steps


@program("does", events=("round",))
def does(task, *, steps: Annotated[list[Any], as_said], rounds: int = 1):
    """Do what a list of verbs says, as often as `rounds` says."""
    for _ in range(rounds):
        task.begin("round")
        yield from perform(task, steps, [], [])
        task.end("round")
    task.record("cow_copies", task.faults("cow_copy"))


@program("serves", endless=True)
def serves(task, *, pages: int = 50, every_ns: int = 1_000_000):
    """Write to some of its pages at fixed times, for ever."""
    data = yield from task.mmap(pages * PAGE_BYTES)
    yield from task.write(data)
    while True:
        pattern = HotCold(20, hot_fraction=0.2, hot_share=0.9)
        arrivals = Every(task.now_ns, every_ns)
        yield from task.write(data, pattern=pattern, arrivals=arrivals, cpu_ns=2000)


@program("rests")
def rests(task, *, pages: int = 1100, until_ns: int = 24_000_000_000):
    """Leave khugepaged something to do, and look later what it has done."""
    data = yield from small_pages(task, pages, 3)
    yield from task.sleep_until(until_ns)
    yield from task.write(data)


def small_pages(task, pages, every):
    """Map memory that has small pages here and there, where it might have huge ones."""
    data = yield from task.mmap(pages * PAGE_BYTES)
    yield from task.madvise(data, "nohugepage")
    for first in range(0, pages, 16 * every):
        yield from task.write(data, first=first, pages=min(16, pages - first))
    yield from task.madvise(data, "hugepage")
    return data


def perform(task, steps, regions, threads):
    """Do each step; one that is refused is counted, and passed over."""
    for verb, *said in steps:
        try:
            yield from globals()[f"do_{verb}"](task, regions, threads, *said)
        except Refused as refused:
            task.record(f"refused {verb} {refused.errno.name}", 1)


def part(regions, region, first, pages):
    """Return a region that there is, and a range that lies in it."""
    found = regions[region % len(regions)]
    first = min(first, found.pages - 1)
    return found, first, min(pages, found.pages - first)


def ranged(verb, *before):
    """Return how a verb is done that takes a region, something, and a range of it."""

    def do(task, regions, threads, region, *said):
        if regions:
            *what, first, pages = said
            found, first, pages = part(regions, region, first, pages)
            yield from getattr(task, verb)(found, *before, *what, first, pages)

    return do


def named(verb):
    """Return how a verb is done that takes what is said."""

    def do(task, regions, threads, *said):
        yield from getattr(task, verb)(*said)

    return do


do_mprotect = ranged("mprotect")
do_madvise = ranged("madvise")
do_mlock = ranged("mlock")
do_munlock = ranged("munlock")
do_msync = ranged("msync")
do_dontneed = ranged("dontneed")
do_pread = named("pread")
do_pwrite = named("pwrite")
do_fadvise = named("fadvise")
do_fsync = named("fsync")
do_drop = named("drop")
do_compute = named("compute")
do_sleep = named("sleep")
do_exit = named("exit")
do_wait = named("wait")


def do_mmap(task, regions, threads, pages):
    regions.append((yield from task.mmap(pages * PAGE_BYTES)))


def do_populate(task, regions, threads, pages):
    regions.append((yield from task.mmap(pages * PAGE_BYTES, populate=True)))


def do_file(task, regions, threads, pages, file, shared, cold):
    mapped = yield from task.mmap(pages * PAGE_BYTES, file=file, shared=shared, cold=cold)
    regions.append(mapped)


def touched(verb):
    def do(task, regions, threads, region, first, pages):
        if regions:
            found, first, pages = part(regions, region, first, pages)
            yield from getattr(task, verb)(found, first=first, pages=pages, cpu_ns=300)

    return do


do_write = touched("write")
do_read = touched("read")


def do_uniform(task, regions, threads, region, count, cpu_ns):
    if regions:
        found, _, _ = part(regions, region, 0, 1)
        yield from task.write(found, pattern=Uniform(count), cpu_ns=cpu_ns)


def do_paced(task, regions, threads, region, count, every_ns):
    if regions:
        found, _, _ = part(regions, region, 0, 1)
        arrivals = Every(task.now_ns, every_ns)
        yield from task.read(found, pattern=Uniform(count), arrivals=arrivals)


def do_munmap(task, regions, threads, region, first, pages):
    if regions:
        found, first, pages = part(regions, region, first, pages)
        yield from task.munmap(found, first, pages)
        regions.remove(found)
        if first:  # what is in front of the hole
            regions.append(type(found)(found.start_vpn, first))


def do_mremap(task, regions, threads, region, pages):
    if regions:
        at = region % len(regions)
        regions[at] = yield from task.mremap(regions[at], pages * PAGE_BYTES)


def do_sbrk(task, regions, threads, pages):
    grown = yield from task.sbrk(pages * PAGE_BYTES)
    if grown.pages:
        yield from task.write(grown)


def do_collapse(task, regions, threads, sparse):
    data = yield from small_pages(task, 1100, 1 + sparse)
    regions.append(data)
    yield from task.madvise(data, "collapse")


def do_fork(task, regions, threads, _, steps):
    yield from task.fork(perform, steps, list(regions), [])


def do_vfork(task, regions, threads, execs, steps):
    yield from task.vfork(borrow, execs, steps, list(regions))


def borrow(task, execs, steps, regions):
    """Write to what is the parent's, then exec or exit."""
    if regions:
        yield from task.write(regions[0])
    if execs:
        yield from task.exec("true")
        yield from perform(task, steps, [], [])


def do_spawn(task, regions, threads, known, steps):
    yield from task.posix_spawn("cat" if known else IMAGE, perform, steps, [], [])


def do_thread(task, regions, threads, _, steps):
    threads.append((yield from task.thread(perform, steps, list(regions), [])))


def do_join(task, regions, threads):
    if threads:
        yield from task.join(threads.pop())


def do_exec(task, regions, threads, name):
    yield from task.exec(name)
    regions.clear()


def do_stray(task, regions, threads):
    """Touch what was given back."""
    region = yield from task.mmap(PAGE_BYTES)
    yield from task.munmap(region)
    yield from task.write(region)
