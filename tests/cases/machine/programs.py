"""Small programs that show a fault of the machine; the scenarios beside this file name them."""

from __future__ import annotations

import numpy as np

from sim.plugin import Every, HotCold, Listed, Uniform, program

P = 4096


@program("mremap_down")
def mremap_down(task, *, grow_pages: int = 8):
    a = yield from task.mmap(4 * P)
    b = yield from task.mmap(4 * P)
    task.record("a", a.start_vpn)
    task.record("b", b.start_vpn)
    c = yield from task.mremap(b, grow_pages * P)
    task.record("c", c.start_vpn)
    yield from task.write(c)
    task.record("ok", 1)


@program("thread_faults")
def thread_faults(task, *, pages: int = 1000):
    r = yield from task.mmap(pages * P)

    def body(t):
        yield from t.write(r)

    th = yield from task.thread(body)
    yield from task.join(th)
    yield from task.sleep_until(2_000_000_000)
    task.record("at_end", task.faults("zero_fill"))


@program("willneed")
def willneed(task, *, pages: int = 30000):
    yield from task.mmap(pages * P, file="big", cold=True, shared=True)
    yield from task.fadvise("big", "willneed")
    yield from task.sleep(1_000_000_000)
    task.record("ok", 1)


@program("mlock_wait")
def mlock_wait(task, *, pages: int = 50000):
    """Lock a region while another thread faults and gives a page back, then maps one."""
    r = yield from task.mmap(pages * P)
    small = yield from task.mmap(16 * P)
    yield from task.write(small)
    begin_ns = 1_000_000

    def other(t):
        yield from t.sleep_until(begin_ns + 2_000_000)
        t0 = t.now_ns
        yield from t.dontneed(small)
        yield from t.write(small)
        task.record("reader_wait_ns", t.now_ns - t0)
        t0 = t.now_ns
        yield from t.mmap(P)
        task.record("mmap_wait_ns", t.now_ns - t0)

    th = yield from task.thread(other)
    yield from task.sleep_until(begin_ns)
    t0 = task.now_ns
    yield from task.mlock(r)
    task.record("mlock_ns", task.now_ns - t0)
    yield from task.join(th)


@program("populate_wait")
def populate_wait(task, *, pages: int = 50000):
    """Map and populate a region while another thread faults and gives pages back, then maps one."""
    small = yield from task.mmap(16 * P)
    yield from task.write(small)
    begin_ns = 1_000_000

    def other(t):
        yield from t.sleep_until(begin_ns + 2_000_000)
        t0 = t.now_ns
        yield from t.dontneed(small)
        yield from t.write(small)
        task.record("reader_wait_ns", t.now_ns - t0)
        t0 = t.now_ns
        yield from t.mmap(P)
        task.record("mmap_wait_ns", t.now_ns - t0)

    th = yield from task.thread(other)
    yield from task.sleep_until(begin_ns)
    t0 = task.now_ns
    yield from task.mmap(pages * P, populate=True)
    task.record("populate_ns", task.now_ns - t0)
    yield from task.join(th)


@program("fulltest")
def fulltest(task):
    small = yield from task.mmap(P)
    yield from task.write(small)

    def hog(t):
        r = yield from t.mmap(200 * 1024 * 1024)
        yield from t.write(r)

    yield from task.fork(hog)
    yield from task.sleep(500_000_000)
    now = task.now_ns
    yield from task.read(small, pattern=Uniform(50), arrivals=Every(now, 100_000_000))
    task.record("ok", 1)


@program("fullsleep")
def fullsleep(task):
    small = yield from task.mmap(P)
    yield from task.write(small)

    def hog(t):
        r = yield from t.mmap(200 * 1024 * 1024)
        yield from t.write(r)

    yield from task.fork(hog)
    yield from task.sleep(5_500_000_000)
    task.record("ok", 1)


@program("short_lived")
def short_lived(task, *, nap_ns: int = 1_000_000_000):
    yield from task.sleep(nap_ns)


@program("wants_huge")
def wants_huge(task, *, size_bytes: int = 32 * 1024 * 1024):
    r = yield from task.mmap(size_bytes)
    yield from task.madvise(r, "nohugepage")
    yield from task.write(r)
    yield from task.madvise(r, "hugepage")
    for _ in range(50):
        yield from task.sleep(1_000_000_000)
        yield from task.read(r)


@program("warm_delta")
def warm_delta(task):
    r = yield from task.mmap(1000 * P)
    yield from task.write(r)
    before = task.faults("zero_fill")
    yield from task.sleep_until(2_000_000_000)
    s = yield from task.mmap(10 * P)
    yield from task.write(s)
    task.record("faults_since", task.faults("zero_fill") - before)


@program("hotspan")
def hotspan(task):
    r = yield from task.mmap(10 * P)
    yield from task.write(r, pattern=HotCold(200, hot_fraction=0.9, hot_share=0.5), span=4)
    task.record("ok", 1)


@program("adj_thread")
def adj_thread(task, *, by_thread: bool = True):
    def hog(t):
        r = yield from t.mmap(200 * 1024 * 1024)
        yield from t.write(r)

    def body(t):
        c = yield from t.fork(hog)
        yield from t.wait(c)

    if by_thread:
        th = yield from task.thread(body)
        yield from task.join(th)
    else:
        yield from body(task)


@program("listed_out")
def listed_out(task):
    yield from task.mmap(4 * P)
    b = yield from task.mmap(4 * P)
    yield from task.write(b, pattern=Listed(np.array([5], dtype=np.int64)))
    task.record("ok", 1)
