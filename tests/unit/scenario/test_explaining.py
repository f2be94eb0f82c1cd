"""explain prints numbers that can be checked on paper."""

import pytest

from sim.base.resources import shipped
from sim.scenario import load_scenario
from sim.scenario.explain import explain_scenario


def told(name: str, *settings: str) -> dict[tuple[str, str], str]:
    sections = explain_scenario(load_scenario(name, settings))
    return {(s.title, label): text for s in sections for label, text in s.lines}


def test_the_numbers_of_redis():
    lines = told("redis_bgsave")
    memory = "Memory that is not for data"
    assert lines["Machine", "memory"] == "4 GiB (1,048,576 frames)"
    assert lines[memory, "kernel"].startswith("256 MiB")
    assert lines[memory, "page tables"].startswith("2.01 MiB per GiB")
    assert lines["Process redis", "writes"] == "5,000/s"
    assert "33,911 pages" in lines["Process redis", "→ a save copies"]
    assert "14 ms" in lines["Process redis", "→ its fork takes"]
    assert (
        "published 14 ms" in lines["Fork times at these prices, without waiting", "1 GiB resident"]
    )


def test_the_fork_takes_the_whole_resident_set():
    lines = told("redis_bgsave", "processes.redis.fragmentation=2.0")
    assert "27.9 ms" in lines["Process redis", "→ its fork takes"]


def test_what_was_chosen_is_said():
    lines = told(
        "heap_growth",
        "host.percpu_batch=0",
        "host.overcommit.mode=2",
        "policy={memory: wait, fork: eager, zeroing: eager, scheduler: {kind: fifo}}",
        "processes.growers.cpu=1",
        "processes.growers.start=1 ms",
        "processes.growers.copies=3",
        "processes.growers.oom_score_adj=-5",
        "run.burst=7",
    )
    assert lines["Watermarks and per-CPU lists", "per-CPU lists"].startswith("none")
    assert lines["Machine", "overcommit"] == (
        "mode 2: promises 944 MiB in all (CommitLimit: 50 % of the memory that is not the "
        "kernel's), of which 936 MiB (239,616 pages) to processes"
    )
    assert lines["Policies", "CPU"] == "fifo"
    assert lines["Policies", "short of memory"] == "processes wait in line"
    assert lines["Process growers", "program"] == (
        "heap_growth, 3 of them, from 1 ms on, on CPU 1 only, oom_score_adj -5"
    )
    assert lines["Run", "longest burst"] == "7 steps"


def test_guesses_are_counted_and_marked():
    lines = told("redis_bgsave")
    title = next(title for title, _ in lines if title.startswith("Prices"))
    marked = sum("; assumed" in text for (t, _), text in lines.items() if t == title)
    assert lines[title, "evidence"] == (
        f"{49 - marked} of 49 prices have a source, {marked} are assumed"
    )


@pytest.mark.parametrize("name", shipped("scenarios"))
def test_every_scenario_that_ships_can_be_explained(name):
    assert any(title.startswith("Process") for title, _ in told(name))


@pytest.mark.parametrize("method", ["mmap", "sbrk"])
def test_what_is_promised_is_in_whole_pages_as_what_is_filled(method):
    step = ["processes.growers.step=4097 B", f"processes.growers.method={method}"]
    lines = {label.strip(" →"): text for (_, label), text in told("heap_growth", *step).items()}
    filled = lines["frames when all are full"].removeprefix("at most ")
    assert filled.startswith(lines["promised when all are full"])
