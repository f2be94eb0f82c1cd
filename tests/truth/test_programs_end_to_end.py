"""Each program on a small simulated machine, against what closed forms expect of it."""

import statistics

import pytest

from sim.base.units import GIB, MIB, MS, S
from sim.engine.run import simulate
from sim.program.shipped.redis_expect import saved_copies
from sim.program.shipped.redis_heap import redis_heap
from sim.scenario import resolve
from sim.script.malloc.grammar import parse_script
from sim.script.malloc.predict import predict
from sim.stats.theory import distinct_pages_written


def run(program, *, replication=0, memory=GIB, cpus=4, horizon=60 * S, **keys):
    scenario = resolve(
        {
            "version": 1,
            "host": {"memory": memory, "cpus": cpus},
            "processes": {"p": {"program": program, **keys}},
            "run": {"horizon": horizon},
        }
    )
    result = simulate(scenario, seed=1, replication=replication).to_json()
    assert result["ending"] == "idle"
    assert not result["metrics"]["oom_kills"]
    return result


def recorded(result, process, key):
    return result["programs"][process][key]


# -- redis ------------------------------------------------------------------------------

REDIS = {"dataset": 32 * MIB, "writes": 20_000, "save_every": 100 * MS, "save_speed": 64 * MIB}


@pytest.mark.truth
@pytest.mark.parametrize(
    ("value_bytes", "version", "keys"),
    [
        (30, 7.2, "uniform"),
        (1900, 7.2, "uniform"),
        (1900, 7.2, "zipf"),
        (1030, "valkey 8.1", "uniform"),
        (1900, "valkey 8.1", "uniform"),
        (1900, "valkey 8.1", "zipf"),
        (5000, "valkey 8.1", "uniform"),
        (3900, 6.2, "uniform"),
        (3900, 7.2, "uniform"),
        (5000, 7.2, "uniform"),
        (20_000, 7.0, "uniform"),
        (20_000, 7.2, "uniform"),
    ],
)
def test_a_save_copies_as_many_pages_as_expected(value_bytes, version, keys):
    """Within 2 %: the closed form leaves out the time that faults add to a save."""
    heap = redis_heap(
        dataset_bytes=32 * MIB, value_bytes=value_bytes, key_bytes=16,
        fragmentation=1.0, version=version,
    )  # fmt: skip
    writes = 20_000 * heap.used_bytes / (64 * MIB)
    expected = saved_copies(
        heap,
        writes=writes,
        version=str(version),
        distribution=keys,
        s=0.99,
    )
    copies, extra = [], []
    for replication in range(5):
        result = run(
            "redis", **REDIS, value=value_bytes, version=version, key_distribution=keys,
            replication=replication,
        )  # fmt: skip
        copies += recorded(result, "p", "cow_pages_during_save")
        extra.append(result["metrics"]["memory_need_bytes"]["cow_copies"] / 4096)
        assert recorded(result, "p", "saves_failed") == [0]
        assert recorded(result, "p", "resident_pages") == [heap.pages]
        assert result["metrics"]["cow_copies"] == copies[-1]
    assert statistics.mean(copies) == pytest.approx(expected, rel=0.02)
    assert statistics.mean(extra) <= statistics.mean(copies) * 1.001


@pytest.mark.truth
def test_a_save_that_takes_longer_copies_more():
    """Negative control: half the speed is far outside the tolerance above."""
    fast = run("redis", **REDIS, value=1900)
    slow = run("redis", **(REDIS | {"save_speed": 32 * MIB}), value=1900)
    more = recorded(slow, "p", "cow_pages_during_save")[0]
    assert more > 1.2 * recorded(fast, "p", "cow_pages_during_save")[0]


@pytest.mark.truth
def test_redis_serves_everything_that_arrives():
    result = run("redis", **(REDIS | {"save_every": 500 * MS, "saves": 2}), arrivals="fixed")
    latency = result["metrics"]["request_latency_ns"]
    served_s = (result["simulated_ns"] - recorded(result, "p", "load_ns")[0]) / S
    assert latency["count"] == pytest.approx(20_000 * served_s, rel=0.01)
    assert latency["max"] >= max(recorded(result, "p", "fork_ns"))
    assert result["metrics"]["forks"] == 2


# -- the others -------------------------------------------------------------------------


@pytest.mark.truth
def test_workers_erode_what_they_share():
    """Each worker's copies are the pages it hits, uniformly: z limit at false alarm 1e-6."""
    keys = {"app": 8 * MIB, "workers": 3, "worker_heap": MIB, "requests": 100, "hot_share": 0.5}
    keys |= {"hot_fraction": 0.5, "eroded_pages": 10, "request_cpu": MS, "duration": 2 * S}
    result = run("prefork_web", **keys)
    total = 0.0
    variance = 0.0
    for slot in range(3):
        requests = recorded(result, f"p/{slot}.0", "requests")[0]
        assert requests == pytest.approx(200, abs=5 * 200**0.5)
        mean, var = distinct_pages_written(2048, 10 * requests)
        found = recorded(result, f"p/{slot}.0", "eroded_copies")[0]
        assert abs(found - mean) < 4.8916 * var**0.5
        total += mean
        variance += var
    copies = result["metrics"]["cow_copies"]
    assert abs(copies - total) < 4.8916 * variance**0.5
    assert result["metrics"]["request_latency_ns"]["count"] == sum(
        recorded(result, f"p/{slot}.0", "requests")[0] for slot in range(3)
    )


@pytest.mark.truth
def test_spawning_depends_on_the_parent_with_fork_only():
    spawn_ns = {}
    for method in ("fork_exec", "vfork_exec", "posix_spawn"):
        for parent in (8 * MIB, 128 * MIB):
            result = run(
                "build_storm", method=method, parent=parent, jobs=8, concurrency=2,
                job_heap=MIB, job_cpu=MS, parent_writes=0, image={},
            )  # fmt: skip
            spawn_ns[method, parent] = statistics.median(recorded(result, "p", "spawn_ns"))
            assert recorded(result, "p", "jobs_killed") == [0]
            assert result["metrics"]["execs"] == 8
            own = 1  # exec writes the arguments to the new stack
            own += method == "posix_spawn"  # which has its child run on a stack of its own
            assert result["metrics"]["zero_fills"] == parent // 4096 + 8 * (256 + own)
    assert spawn_ns["fork_exec", 128 * MIB] > 8 * spawn_ns["fork_exec", 8 * MIB]
    for method in ("vfork_exec", "posix_spawn"):
        assert spawn_ns[method, 128 * MIB] == pytest.approx(spawn_ns[method, 8 * MIB], rel=0.05)


@pytest.mark.truth
@pytest.mark.parametrize("method", ["sbrk", "mmap"])
def test_heaps_take_a_frame_a_touched_page(method):
    result = run(
        "heap_growth", method=method, processes=3, steps=4, cycles=2, step=MIB,
        touched_fraction=0.5, rewrites=50,
    )  # fmt: skip
    assert result["metrics"]["zero_fills"] == 3 * 2 * 4 * 128
    assert result["metrics"]["cow_copies"] == 0
    assert recorded(result, "p", "steps_refused") == [0]
    need = result["metrics"]["memory_need_bytes"]["data"] // 4096
    assert need <= 3 * 4 * 128 + 3


MALLOC_SCRIPT = """\
P malloc a 100KiB
P write a
P malloc b 300KiB
P write b
P calloc c 60KiB
P realloc b 900KiB
P write b
P fork C
C free a
C realloc c 200KiB
C malloc d 3000
C free b
C exit
P write a
P free a
P free b
P malloc e 200KiB
P write e
P trim
"""
"""As in the list of steps below, once more for the machine without a clock."""


@pytest.mark.truth
def test_malloc_in_steps_does_what_it_does_in_a_script():
    """The engine and the bare machine take the same frames, for the same library's sake."""
    child = [
        {"free": "a"},
        {"realloc": {"block": "c", "size": "200 KiB"}},
        {"malloc": {"name": "d", "size": 3000}},
        {"free": "b"},
    ]
    steps = [
        {"malloc": {"name": "a", "size": "100 KiB"}},
        {"write": "a"},
        {"malloc": {"name": "b", "size": "300 KiB"}},
        {"write": "b"},
        {"calloc": {"name": "c", "size": "60 KiB"}},
        {"realloc": {"block": "b", "size": "900 KiB"}},
        {"write": "b"},
        {"fork": child},
        "wait",
        {"write": "a"},
        {"free": "a"},
        {"free": "b"},
        {"malloc": {"name": "e", "size": "200 KiB"}},
        {"write": "e"},
        "malloc_trim",
    ]
    result = run("steps", steps=steps)
    faults = sum(record.minflt for record in predict(parse_script(MALLOC_SCRIPT), "glibc"))
    assert result["metrics"]["minor_faults"] == faults
    assert result["metrics"]["cow_copies"] > 0


@pytest.mark.truth
def test_jemallocs_dirty_pages_go_with_time():
    """Freed pages are used again at once; after the time of decay they are faulted in anew."""
    block = [{"malloc": {"name": "a", "size": "4 MiB"}}, {"write": "a"}, {"free": "a"}]
    small = {"malloc": {"name": "b", "size": "40 KiB"}}
    busy = {"repeat": {"times": 600, "steps": [small, {"free": "b"}]}}
    wait = [{"sleep": "15 s"}, busy]
    zero_fills = {}
    for name, steps in {
        "once": block,
        "twice": block * 2,
        "late": [*block, *wait, *wait, *block],
    }.items():
        metrics = run("steps", malloc="jemalloc", steps=steps)["metrics"]
        zero_fills[name] = metrics["zero_fills"]
    pages = 4 * MIB // 4096
    assert zero_fills["twice"] - zero_fills["once"] < 10
    assert zero_fills["late"] - zero_fills["once"] >= pages


@pytest.mark.truth
def test_malloc_grows_a_heap_by_the_break_once_its_threshold_has_risen():
    """The first cycle maps every step; freeing them raises the threshold above a step."""
    result = run("heap_growth", method="malloc", processes=1, steps=4, cycles=2, step=MIB)
    mapped = 4 * (MIB // 4096 + 1)  # a block begins behind its header: a page more
    on_heap = 1 + 4 * MIB // 4096  # one behind the other, the first behind the thread's cache
    assert result["metrics"]["zero_fills"] == mapped + on_heap


@pytest.mark.truth
def test_a_shell_starts_every_stage():
    result = run("shell_pipeline", pipelines=3, stages=3, stream=MIB)
    assert result["metrics"]["forks"] == result["metrics"]["execs"] == 9
    assert result["metrics"]["exits"] == 10
    expected_ns = 16 * MS
    for pipeline_ns in recorded(result, "p", "pipeline_ns"):
        assert expected_ns * 0.9 < pipeline_ns < expected_ns * 1.3


def handshake(task):
    """A parent and a child that wait for each other through SimPy events."""
    env = task.system.env
    ready, taken = env.event(), env.event()

    def child(task):
        yield from task.compute(MS)
        ready.succeed("made")
        yield taken
        task.record("taken_ns", task.now_ns)

    yield from task.fork(child, name="child")
    what = yield ready
    assert what == "made"
    yield env.timeout(5 * MS)
    task.record("woken_ns", task.now_ns)
    taken.succeed()
    yield from task.wait()


def test_a_program_may_wait_for_events_of_its_own():
    programs = {"handshake": handshake}
    scenario = resolve(
        {
            "version": 1,
            "processes": {"p": {"program": "handshake"}},
            "run": {"horizon": S},
        },
        programs=programs,
    )
    result = simulate(scenario, seed=1, check=True, programs=programs).to_json()
    assert result["ending"] == "idle"
    (woken_ns,) = recorded(result, "p", "woken_ns")
    assert woken_ns > 6 * MS
    assert recorded(result, "child", "taken_ns") == [woken_ns]
