import hashlib
import inspect

import numpy as np
import pytest

from sim.base.errors import Errno
from sim.base.units import KIB, MIB, MS, S
from sim.program import PROGRAMS
from sim.program.patterns import HotCold, Listed
from sim.program.shipped.redis_expect import saved_copies
from sim.program.shipped.redis_heap import redis_heap
from sim.program.signature import parameters_of


def defaults(program):
    return {parameter.name: parameter.default for parameter in parameters_of(program)}


def test_the_programs_are_there():
    assert set(PROGRAMS) == {
        *("redis", "prefork_web", "build_storm", "heap_growth", "shell_pipeline", "steps")
    }
    assert len(PROGRAMS) == 6
    with pytest.raises(KeyError):
        PROGRAMS["postgres"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_parameter_is_explained(name):
    text = inspect.getdoc(PROGRAMS[name])
    for parameter in parameters_of(PROGRAMS[name]):
        assert parameter.name in text, parameter.name
        assert name == "steps" or not parameter.required


@pytest.mark.parametrize("name", [n for n in PROGRAMS if n != "steps"])
def test_defaults_make_a_sensible_run(name, fake_process):
    process = fake_process().run(PROGRAMS[name])
    assert process.records
    assert 100 * MS < process.now_ns < 120 * S


# -- redis ------------------------------------------------------------------------------


def run_redis(fake_process, refuse=(), **arguments):
    small = {"dataset_bytes": 8 * MIB, "save_speed_bytes_per_s": 4 * MIB, "save_every_ns": S}
    return fake_process(refuse=refuse).run(PROGRAMS["redis"], **(small | arguments))


def test_redis_loads_serves_and_saves(fake_process):
    process = run_redis(fake_process, saves=2, writes_per_s=1000)
    verbs = [call[0] for call in process.calls]
    assert verbs[0] == "prctl"
    assert verbs.count("fork") == verbs.count("wait") == 2
    loads = [call for call in process.said("write") if call[2]["arrivals"] is None]
    assert verbs[1 : 1 + 2 * len(loads)] == ["mmap", "write"] * len(loads)
    assert sum(call[2]["pages"] for call in loads) == process.records["resident_pages"][0]
    served = [call[2] for call in process.said("write") if call[2]["arrivals"] is not None]
    requests = sum(how["arrivals"].size for how in served)
    assert process.now_ns > 5 * S
    assert requests == pytest.approx(1000 * process.now_ns / S, rel=0.06)
    assert all(how["per_request"] == 3 for how in served)
    assert all((np.diff(how["arrivals"]) >= 0).all() for how in served)
    assert process.records["fork_ns"] == [0, 0]
    assert process.records["saves_failed"] == [0, 0]
    assert process.records["save_ns"][0] == pytest.approx(2 * S, rel=0.06)
    assert [kind for _, kind in process.marks] == ["save_start", "save_end"] * 2
    assert max(process.latencies_ns) < MS


def test_a_save_reads_everything_once(fake_process):
    process = run_redis(fake_process, version=6.2)
    (child,) = process.children
    read = [call[2] for call in child.said("read")]
    assert sum(how["pages"] for how in read) == process.records["resident_pages"][0]
    assert not any(how["drop"] for how in read)
    assert child.now_ns - process.marks[0][0] == pytest.approx(2 * S, rel=0.01)


def given_back(child):
    return sum(how["pattern"].pages.size for _, _, how in child.said("read") if how["drop"])


@pytest.mark.parametrize(
    ("version", "value_bytes", "share"),
    [(6.2, 3900, 0.0), (7.0, 3900, 1.0), (7.2, 1900, 0.0), (7.2, 5000, 0.4), (7.2, 20_000, 1.0)],
)
def test_from_version_7_a_save_gives_whole_pages_back(fake_process, version, value_bytes, share):
    process = run_redis(fake_process, version=version, value_bytes=value_bytes)
    (child,) = process.children
    heap = redis_heap(
        dataset_bytes=8 * MIB,
        value_bytes=value_bytes,
        key_bytes=16,
        fragmentation=1.0,
        version=version,
    )
    assert given_back(child) == pytest.approx(share * heap.values.pages, rel=0.01)
    read = sum(
        h["pattern"].pages.size if isinstance(h["pattern"], Listed) else h["pages"]
        for _, _, h in child.said("read")
    )
    assert read == heap.pages


def test_a_refused_save_is_tried_again_after_five_seconds(fake_process):
    process = run_redis(fake_process, refuse=[("fork", Errno.ENOMEM)], saves=2)
    assert process.records["saves_failed"] == [1, 0]
    assert len(process.children) == 1
    starts = [time_ns for time_ns, kind in process.marks if kind == "save_start"]
    assert starts[1] - starts[0] == pytest.approx(5 * S, rel=0.01)


def test_redis_without_writes_or_saves(fake_process):
    process = run_redis(fake_process, writes_per_s=0)
    assert all(call[2]["arrivals"] is None for call in process.said("write"))
    process = run_redis(fake_process, saves=0)
    assert not process.children


def saves_of(process):
    return [time_ns for time_ns, kind in process.marks if kind == "save_start"]


def test_copies_save_together_or_each_at_a_time_of_its_own(fake_process):
    firsts, ends = [], []
    for name in ("r.1", "r.2", "r.3", "r.4", "r.5", "r.6"):
        small = {"dataset_bytes": 8 * MIB, "save_speed_bytes_per_s": 80 * MIB, "save_every_ns": S}
        process = fake_process(name).run(PROGRAMS["redis"], phase="random", saves=2, **small)
        first, second = saves_of(process)
        firsts.append(first)
        assert S < second - first < 1.3 * S
        ends.append(process.now_ns)
    assert 0 < min(firsts) < 0.5 * S < max(firsts) < S
    assert max(ends) - min(ends) < 0.15 * S  # all are there while others save
    assert min(ends) >= 2 * S
    together = run_redis(fake_process, saves=1)
    assert saves_of(together)[0] == pytest.approx(S, rel=0.01)


def test_redis_replays_a_file(fake_process, tmp_path):
    file = tmp_path / "times"
    file.write_text("1 ms\n900 ms\n1500 ms\n")
    process = run_redis(
        fake_process,
        arrivals="file",
        arrivals_file=str(file),
        arrivals_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
    )
    writes = [call[2]["arrivals"] for call in process.said("write")]
    served = np.concatenate([times for times in writes if times is not None])
    assert served.tolist() == [MS, 900 * MS, 1500 * MS]


def test_expected_copies_agree_for_even_and_nearly_even_keys():
    for value_bytes in (10, 100, 1900, 3900, 5000, 20_000):
        heap = redis_heap(
            dataset_bytes=256 * MIB, value_bytes=value_bytes, key_bytes=16,
            fragmentation=1.0, version="7.2",
        )  # fmt: skip
        for version in ("6.2", "7.2", "valkey 8.1"):
            even, zipf = (
                saved_copies(heap, writes=20_000, version=version, distribution=d, s=0.0)
                for d in ("uniform", "zipf")
            )
            assert zipf == pytest.approx(even, rel=0.005)


# -- the others -------------------------------------------------------------------------


def run_web(fake_process, refuse=(), **arguments):
    small = {"app_bytes": MIB, "workers": 2, "worker_heap_bytes": 64 * KIB, "duration_ns": 10 * S}
    return fake_process(refuse=refuse).run(PROGRAMS["prefork_web"], **(small | arguments))


def test_workers_serve_until_the_end(fake_process):
    process = run_web(fake_process, requests_per_s=20)
    assert [child.name for child in process.children] == ["P/0.0", "P/1.0"]
    assert process.now_ns >= 10 * S
    for child in process.children:
        assert child.records["requests"][0] == pytest.approx(200, abs=75)
        (eroding,) = [c[2] for c in child.said("write") if c[2]["arrivals"] is not None]
        assert eroding["pattern"] == HotCold(50 * eroding["arrivals"].size, 0.1, 0.9)
    assert process.records["recycled"] == process.records["killed"] == [0]


def test_workers_are_recycled_and_lose_no_request(fake_process):
    steady = run_web(fake_process, requests_per_s=20)
    process = run_web(fake_process, requests_per_s=20, max_requests=50)
    assert process.records["recycled"][0] >= 4
    assert [c.records["requests"][0] for c in steady.children] == [
        sum(c.records["requests"][0] for c in process.children if c.name.startswith(f"P/{slot}."))
        for slot in (0, 1)
    ]


def test_collections_write_to_what_is_not_frozen(fake_process):
    process = run_web(fake_process, requests_per_s=20, collect_every=40, collected_fraction=0.25)
    for child in process.children:
        collected = [c[2] for c in child.said("write") if c[2]["pages"] == 64]
        assert len(collected) == child.records["requests"][0] // 40


def test_without_preloading_each_worker_loads_the_application_for_itself(fake_process):
    process = run_web(fake_process, preload=False, worker_heap_bytes=0)
    assert not process.said("mmap", "write")
    assert len(process.children) == 2
    for child in process.children:
        _, region, how = child.said("write")[0]
        assert (region.pages, how["pages"], how["arrivals"]) == (256, 256, None)
        assert all(where == region for _, where, _ in child.said("write"))


def test_workers_with_jitter_do_not_all_end_after_as_many_requests(fake_process):
    process = run_web(fake_process, requests_per_s=200, max_requests=100, max_requests_jitter=50)
    lives = [child.records["requests"][0] for child in process.children]
    full = [served for served in lives if served >= 100]
    assert len(full) > 15
    assert 100 <= min(full) < 110
    assert 140 < max(full) <= 150
    assert sum(full) / len(full) == pytest.approx(125, abs=12)


@pytest.mark.parametrize("leak_bytes", [100, 3000, 5000, 2 * MIB])
def test_a_leak_grows_with_the_requests(fake_process, leak_bytes):
    process = run_web(
        fake_process, leak_bytes=leak_bytes, worker_heap_bytes=0, max_requests=30, requests_per_s=9
    )
    for child in process.children:
        lost = [(r, how) for _, r, how in child.said("write") if how["arrivals"] is None]
        pages = [(r.start_vpn + h["first"], h["pages"]) for r, h in lost]
        written = [page + n for page, many in pages for n in range(many)]
        assert (
            len(set(written))
            == len(written)
            == -(-child.records["requests"][0] * leak_bytes // 4096)
        )


def test_a_refused_worker_is_tried_again(fake_process):
    process = run_web(fake_process, refuse=[("fork", Errno.EAGAIN)])
    assert process.records["forks_refused"] == [1]
    assert len(process.children) == 2


@pytest.mark.parametrize(
    ("method", "verb", "execs"),
    [("fork_exec", "fork", 1), ("vfork_exec", "vfork", 1), ("posix_spawn", "posix_spawn", 0)],
)
def test_a_build_starts_its_jobs_each_way(fake_process, method, verb, execs):
    process = fake_process(refuse=[(verb, Errno.ENOMEM)]).run(
        PROGRAMS["build_storm"], method=method, jobs=10, concurrency=3, parent_bytes=MIB
    )
    assert len(process.said(verb)) == len(process.children) == 9
    assert all(len(child.said("exec")) == execs for child in process.children)
    assert process.records["spawns_refused"] == [1]
    assert len(process.records["spawn_ns"]) == 9
    running = most = 0
    for call in process.calls:
        running += (call[0] == verb) - (call[0] == "wait")
        most = max(most, running)
    assert most == 3
    assert running == 0


@pytest.mark.parametrize(("method", "grow", "shrink"), [("sbrk",) * 3, ("mmap", "mmap", "munmap")])
def test_heaps_grow_and_shrink(fake_process, method, grow, shrink):
    process = fake_process().run(
        PROGRAMS["heap_growth"], method=method, processes=3, cycles=2, steps=4, step_bytes=MIB,
        touched_fraction=0.5,
    )  # fmt: skip
    assert len(process.children) == 2
    for one in (process, *process.children):
        assert [c[2]["pages"] for c in one.said("write")] == [128] * 8
        if method == "sbrk":
            assert sum(c[1] for c in one.said("sbrk")) == 0
        else:
            assert len(one.said(grow)) == len(one.said(shrink)) == 8


def test_a_pipelines_stages_stream_side_by_side(fake_process):
    process = fake_process().run(PROGRAMS["shell_pipeline"], pipelines=2, stages=3)
    assert len(process.children) == 6
    assert process.records["pipeline_ns"] == pytest.approx([63 * MS, 63 * MS], rel=0.05)
    for child in process.children:
        assert len(child.said("write")) == 1 + 64
