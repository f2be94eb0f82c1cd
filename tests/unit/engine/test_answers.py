"""Runs that answer and runs that do not: what is found, where, and how often.

The studies of ``tests/cli/answers`` as single runs, then one small run for each way to go wrong
that a program, a host or a load has, and for each that looks like one and is none.
"""

from pathlib import Path

import pytest

from sim.base.errors import Refused
from sim.base.units import MIB, MS
from sim.engine.run import simulate
from sim.program.arrivals import arrival_stream
from sim.program.offer import program
from sim.scenario import load_scenario, resolve
from sim.scenario.programs import known_programs

FOLDER = Path(__file__).parents[2] / "cli" / "answers"


def found_in(scenario, programs=None):
    """Return the errors and warnings of a run: (severity, code, where, count), and its document."""
    document = simulate(scenario, seed=1, programs=programs).document
    found = [
        (f["severity"], f["code"], f["where"], f["count"])
        for f in document["validity"]
        if f["severity"] != "note"
    ]
    assert document["answered"] == all(severity != "error" for severity, *_ in found)
    return found, document


STUDIED = {
    "no_save": (
        "redis_bgsave",
        ["processes.redis.dataset=64 MiB", "processes.redis.save_every=5 s", "run.horizon=1 s",
         "processes.redis.writes=500/s", "host.memory=384 MiB"],
        [("nothing_happened", "redis", 1), ("unfinished", "redis", 1)],
    ),
    "censored": (
        "redis_bgsave",
        ["processes.redis.dataset=64 MiB", "processes.redis.save_every=500 ms",
         "processes.redis.writes=60000/s", "host.memory=109 MiB"],
        [("killed", "redis/1", 1), ("need_cut_off", "metrics.memory_need_bytes", 1)],
    ),
    "dead_at_start": (
        "redis_bgsave",
        ["processes.redis.dataset=256 MiB", "run.horizon=60 s", "host.memory=128 MiB",
         "host.overcommit.mode=2"],
        [("refused", "redis", 1), ("need_cut_off", "metrics.memory_need_bytes", 1),
         ("nothing_happened", "redis", 1)],
    ),
    "overload": (
        str(FOLDER / "overload_base.yaml"),
        ["host.memory=8 GiB", "host.cpus=4"],
        [("unfinished", "master", 1), ("not_served", "master", 1)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STUDIED)
def test_a_run_of_a_study_without_an_answer(name):
    base, settings, expected = STUDIED[name]
    found, _ = found_in(load_scenario(base, settings))
    assert found == [("error", *finding) for finding in expected]


def test_workers_that_are_started_again_and_killed_again_are_one_finding():
    settings = {
        "host.memory": "128 MiB", "processes.web.app": "16 MiB", "processes.web.workers": "16",
        "processes.web.worker_heap": "16 MiB", "processes.web.requests": "5/s",
        "processes.web.duration": "300 ms",
    }  # fmt: skip
    scenario = load_scenario("prefork_web", [f"{key}={value}" for key, value in settings.items()])
    found, document = found_in(scenario)
    killed = sum(process["ended"] == "oom-killed" for process in document["processes"])
    assert killed > 16
    assert found[:2] == [
        ("error", "killed", "web/*", killed),
        ("error", "need_cut_off", "metrics.memory_need_bytes", 1),
    ]


@program("server", endless=True)
def server(task, *, every_ns: int = 10 * MS):
    """Serve for ever."""
    data = yield from task.mmap(MIB)
    while True:
        yield from task.write(data, pages=4, cpu_ns=MS)
        yield from task.sleep(every_ns)


@program("ticker", events=("tick",), endless=True)
def ticker(task, *, tick_ns: int = 30 * MS, ticks: int = 1000):
    """Tick, for ever if need be."""
    for _ in range(ticks):
        task.begin("tick")
        yield from task.sleep(tick_ns)
        task.end("tick")
        yield from task.sleep(10 * MS)


@program("shy", events={"bow": "bows"})
def shy(task, *, bows: int = 1):
    """Never bow."""
    yield from task.compute(MS)


@program("stoic")
def stoic(task):
    """Have a call refused, and go on."""
    data = yield from task.mmap(MIB)
    yield from task.munmap(data)
    try:
        yield from task.mremap(data, 2 * MIB)
    except Refused:
        yield from task.compute(MS)


@program("single", events={"request": "requests_per_s"})
def single(task, *, requests_per_s: float = 1000.0, work_ns: int = 2 * MS):
    """Serve with one thread for 300 ms."""
    data = yield from task.mmap(MIB)
    end_ns = task.now_ns + 300 * MS
    stream = arrival_stream(
        "fixed", task.rng("arrivals"), rate_per_s=requests_per_s, first_ns=task.now_ns
    )
    task.offers(stream, end_ns)
    while task.now_ns < end_ns:
        due_ns = stream.take(min(end_ns, task.now_ns + 10 * MS), 10)
        if due_ns.size:
            yield from task.write(data, pages=int(due_ns.size), arrivals=due_ns, cpu_ns=work_ns)
        else:
            yield from task.sleep(10 * MS)


PLUGIN = {
    "server": server, "ticker": ticker, "shy": shy, "stoic": stoic, "single": single
}  # fmt: skip
PROGRAMS = {**known_programs(), **PLUGIN}
FULL = {"memory": "16 MiB", "cpus": 1}
NEVER = {"overcommit": {"mode": 2, "ratio": 50}}
CUT_OFF = ("error", "need_cut_off", "metrics.memory_need_bytes", 1)


def error(code, where="p", count=1):
    return ("error", code, where, count)


def of(*steps, **keys):
    return {"p": {"program": "steps", "steps": list(steps), **keys}}


def mmap(size, name="A"):
    return {"mmap": {"name": name, "size": size}}


BUSY = {"write": {"region": "A", "pattern": {"uniform": 400}, "arrivals": {"poisson": "1000/s"},
                  "cpu": "5 ms"}}  # fmt: skip
REDIS = {"program": "redis", "dataset": "4 MiB", "writes": "1000/s", "save_every": "50 ms",
         "save_speed": "40 MiB/s"}  # fmt: skip
WEB = {"program": "prefork_web", "app": "4 MiB", "workers": 2, "worker_heap": "1 MiB",
       "duration": "200 ms", "request_cpu": "1 ms"}  # fmt: skip
GREEDY = [mmap("640 KiB"), {"write": {"region": "A", "pages": 80}}, {"sleep": "1 ms"},
          {"write": "A"}]  # fmt: skip
TINY = {"memory": "1 MiB", "cpus": 1, "kernel_reserve": "0 B", "min_free": "0 B", "percpu_batch": 0}

CASES = {
    "all done": (of(mmap("1 MiB"), {"write": "A"}), {}, {}, []),
    "cut off in a write": (
        of(mmap("1 MiB"), {"write": {"region": "A", "cpu": "1 ms"}}), {}, {"horizon": "20 ms"},
        [error("unfinished")],
    ),
    "a child that outlives its parent is cut off": (
        of({"fork": [{"sleep": "1 s"}]}), {}, {"horizon": "20 ms"}, [error("unfinished")],
    ),
    "the same child ends where nothing cuts it off": (of({"fork": [{"sleep": "1 s"}]}), {}, {}, []),
    "a server without end": ({"p": {"program": "server"}}, {}, {"horizon": "55 ms"}, []),
    "a server cut off in an event": (
        {"p": {"program": "ticker"}}, {}, {"horizon": "55 ms"}, [error("unfinished")],
    ),
    "a server between two events": ({"p": {"program": "ticker"}}, {}, {"horizon": "35 ms"}, []),
    "a server whose only event is cut off": (
        {"p": {"program": "ticker", "tick": "10 s"}}, {}, {"horizon": "1 s"},
        [error("unfinished")],
    ),
    "an event that never begins": (
        {"p": {"program": "shy"}}, {}, {}, [error("nothing_happened")],
    ),
    "an event that nobody asked for": ({"p": {"program": "shy", "bows": 0}}, {}, {}, []),
    "one of two processes does nothing": (
        {"p": {"program": "shy"}, "q": {"program": "stoic"}}, {}, {}, [error("nothing_happened")],
    ),
    "events that ended within the warm-up": (
        {"p": {"program": "ticker", "ticks": 1}, **{"q": of({"sleep": "1 s"})["p"]}}, {},
        {"warmup": "500 ms", "horizon": "2 s"}, [error("nothing_happened")],
    ),
    "nothing but warm-up": (
        of({"sleep": "100 ms"}), {}, {"warmup": "500 ms"}, [error("all_warmup", "run.warmup")],
    ),
    "killed": (
        of(mmap("64 MiB"), {"write": "A"}), {**FULL, "overcommit": {"mode": 1}}, {},
        [error("killed"), CUT_OFF],
    ),
    "killed within the warm-up": (
        {**of(mmap("64 MiB"), {"write": "A"}), "q": of({"sleep": "1 s"})["p"]},
        {**FULL, "overcommit": {"mode": 1}}, {"warmup": "900 ms"}, [error("killed"), CUT_OFF],
    ),
    "one of three copies killed": (
        of(mmap("6 MiB"), {"write": "A"}, {"sleep": "1 s"}, copies=3), FULL, {},
        [error("killed", "p.2"), CUT_OFF],
    ),
    "a segmentation fault": (
        of(mmap("1 MiB"), {"munmap": "A"}, {"write": "A"}), {}, {}, [error("crashed")],
    ),
    "a fork refused": (
        of(mmap("90 MiB"), {"fork": [{"exit": 0}]}), {"memory": "256 MiB", **NEVER}, {},
        [error("refused"), CUT_OFF],
    ),
    "a save refused, and tried again too late": (
        {"p": {**REDIS, "dataset": "80 MiB"}}, {"memory": "256 MiB", **NEVER}, {},
        [error("refused"), CUT_OFF],
    ),
    "a call refused for its arguments, and expected": ({"p": {"program": "stoic"}}, {}, {}, []),
    "a call refused for its arguments, unexpected": (
        of({"wait": {}}), {}, {}, [error("refused")],
    ),
    "an exit status of its own": (of({"exit": 3}), {}, {}, []),
    "somebody waited for memory": (
        {"p": of(*GREEDY[:2], {"sleep": "9 ms"})["p"], "q": of(*GREEDY)["p"]},
        TINY, {}, [CUT_OFF],
    ),
    "both wait for ever": (
        {"p": of(*GREEDY)["p"], "q": of(*GREEDY)["p"]}, TINY, {},
        [error("deadlock", "run"), CUT_OFF],
    ),
    "more work than CPUs, cut off": (
        of(mmap("1 MiB"), BUSY), {"cpus": 1}, {"horizon": "400 ms"},
        [error("unfinished"), error("not_served")],
    ),
    "more work than CPUs, done late": (
        of(mmap("1 MiB"), BUSY), {"cpus": 1}, {}, [("warning", "not_served", "p", 1)],
    ),
    "more work than a thread can do, with a CPU idle": (
        {"p": {"program": "single"}}, {"cpus": 4}, {}, [error("not_served")],
    ),
    "more work than the CPU to which it is bound can do": (
        {"p": {"program": "single", "requests": "400/s", "cpu": 1},
         "q": {"program": "single", "requests": "400/s", "cpu": 1}}, {"cpus": 4}, {},
        [error("not_served"), error("not_served", "q")],
    ),
    "as much work as it can do": (
        {"p": {"program": "single", "requests": "300/s"}}, {"cpus": 4}, {}, [],
    ),
    "late because it slept": (
        of(mmap("1 MiB"), {"write": {"region": "A", "pages": 9, "arrivals": {"every": "1 us"}}},
           {"sleep": "1 s"}), {"cpus": 1}, {}, [],
    ),
    "a save": ({"p": REDIS}, {}, {}, []),
    "no save wanted": ({"p": {**REDIS, "saves": 0}}, {}, {}, []),
    "a save cut off": ({"p": REDIS}, {}, {"horizon": "70 ms"}, [error("unfinished")]),
    "no request wanted": ({"p": {**WEB, "requests": "0/s"}}, {}, {}, []),
    "requests served": ({"p": {**WEB, "requests": "50/s"}}, {}, {}, []),
    "workers cut off": (
        {"p": {**WEB, "requests": "50/s"}}, {}, {"horizon": "100 ms"}, [error("unfinished")],
    ),
    "jobs cut off": (
        {"p": {"program": "build_storm", "parent": "1 MiB", "jobs": 50, "job_heap": "64 KiB"}},
        {}, {"horizon": "50 ms"}, [error("unfinished")],
    ),
    "what is expected": (
        of(mmap("64 MiB"), {"write": "A"}), {**FULL, "overcommit": {"mode": 1}},
        {"expect": ["killed"]}, [],
    ),
    "what was expected does not occur": (
        of(mmap("1 MiB")), {}, {"expect": ["killed"]}, [error("not_as_expected", "run.expect")],
    ),
    "another thing than was expected": (
        of(mmap("1 MiB"), {"munmap": "A"}, {"write": "A"}), {}, {"expect": ["killed"]},
        [error("crashed"), error("not_as_expected", "run.expect")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_is_found(case):
    processes, host, run, expected = CASES[case]
    waits = host is TINY
    scenario = resolve(
        {
            "version": 1,
            "host": {"memory": "256 MiB", "cpus": 2, **host},
            "policy": {"memory": "wait"} if waits else {},
            "processes": processes,
            "run": run,
        },
        PROGRAMS,
    )
    found, _ = found_in(scenario, PROGRAMS)
    assert found == expected


TEXTBOOK = sorted((Path(__file__).parents[3] / "experiments" / "001_textbook").glob("*.yaml"))
SHOWN = {
    "2_short_killed": {"killed", "need_cut_off"},
    "2_short_waits": {"need_cut_off"},
    "6_no_fresh_page": {"crashed"},
}


@pytest.mark.parametrize("path", TEXTBOOK, ids=lambda path: path.stem)
def test_a_textbook_experiment_answers_and_says_what_it_is_there_to_show(path):
    document = simulate(load_scenario(path), seed=1).document
    assert document["answered"]
    assert document["ending"] == "idle"
    assert {finding["code"] for finding in document["validity"]} == SHOWN.get(path.stem, set())


@pytest.mark.parametrize("name", ["cold_start", "heap_growth", "shell_pipeline", "steps_demo"])
def test_a_scenario_that_ships_answers(name):
    assert found_in(load_scenario(name))[0] == []
