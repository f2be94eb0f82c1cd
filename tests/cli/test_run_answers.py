"""The sentences that `run` begins with: true of what was measured, silent where nothing was."""

import copy
import random

import pytest
from support.documents import run_document

from sim.base.units import GIB, MIB, MS, US, S
from sim.cli.answering import answer_of, done_in
from sim.cli.show import show_run

NOTHING = {"count": 0, **dict.fromkeys(("mean", "p50", "p90", "p99", "p999", "max"))}


def document(**changes):
    made = run_document(random.Random(1))
    made["provenance"]["scenario"]["name"] = "demo"
    made["metrics"] |= {
        "memory_need_bytes": {
            "total": GIB + 132 * MIB, "data": GIB, "cow_copies": 132 * MIB, "page_tables": 0,
            "kernel_stacks": 1, "page_cache": 0, "shared_memory": 0, "hugetlb": 0,
        },
        "fork_latency_ns": {**NOTHING, "count": 1, "mean": 14.2 * MS, "max": 14.2 * MS},
        "vfork_latency_ns": NOTHING,
        "request_latency_ns": NOTHING,
    }  # fmt: skip
    made["evidence"] = {"events": []}
    for key, value in changes.items():
        (made["metrics"] if key in made["metrics"] else made)[key] = value
    return made


def test_the_need_is_told_with_its_bill():
    first, second = answer_of(document())
    assert first == ("demo needs 1.13 GiB of memory at its peak: 1 GiB of data, 132 MiB of copies.")
    assert second == "Its fork takes 14.2 ms."


def test_a_peak_that_reclaim_has_cut_is_no_need():
    made = document(validity=[{"code": "peak_is_room", "severity": "warning"}])
    assert answer_of(made)[0].startswith("demo holds 1.13 GiB of memory at its peak: 1 GiB of data")


def test_a_run_that_answers_nothing_says_nothing():
    assert answer_of(document(answered=False)) == []


def test_a_need_that_was_cut_off_is_a_lower_bound():
    findings = [{"code": "need_cut_off", "severity": "note", "what": "", "where": "", "count": 1}]
    assert answer_of(document(validity=findings))[0].startswith("demo needs at least 1.13 GiB of")
    held = {"events": [], "held": {"short_bytes": GIB + 132 * MIB}}
    told = answer_of(document(validity=findings, evidence=held, pages_stolen=0))[0]
    assert told.startswith("demo needs more than 1.13 GiB of")
    findings.append({"code": "peak_is_room", "severity": "warning"})
    assert answer_of(document(validity=findings))[0].startswith("demo holds 1.13 GiB of memory")


def test_a_peak_after_the_warm_up_is_called_so():
    made = document()
    made["provenance"]["scenario"]["run"] = {"warmup": S}
    assert "at its peak after its warm-up: " in answer_of(made)[0]


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, []),
        (1, ["Its vfork holds the parent for 1.2 ms."]),
        (40, ["Its 40 vforks hold the parent for 1.2 ms on average, the longest for 3 ms."]),
    ],
)
def test_a_vfork_is_told_by_how_long_it_holds_the_parent(count, said):
    vforks = {**NOTHING, "count": count, "mean": 1.2 * MS, "max": 3 * MS} if count else NOTHING
    assert answer_of(document(vfork_latency_ns=vforks))[2:] == said


def test_several_forks_have_a_mean_and_a_longest():
    forks = {**NOTHING, "count": 1200, "mean": 3 * MS, "max": 9 * MS}
    assert answer_of(document(fork_latency_ns=forks))[1] == (
        "Its 1,200 forks take 3 ms on average, the longest 9 ms."
    )


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, None),
        (1, "Its request takes 20 us."),
        (499, "499 requests take 20 us on average, the slowest 5 ms."),
        (500, "500 requests take 20 us on average, 99 % of them at most 90 us, the slowest 5 ms."),
    ],
)
def test_a_percentile_of_requests_needs_enough_of_them(count, told):
    requests = {**NOTHING, "count": count, "mean": 20 * US, "p99": 90 * US, "max": 5 * MS}
    said = answer_of(document(request_latency_ns=requests if count else NOTHING))
    assert said[2:] == ([] if told is None else [told])


def test_what_several_processes_did_is_called_so():
    """Not what one did: forks and requests of a database and a server have nothing in common."""
    forks = {**NOTHING, "count": 5, "mean": 3 * MS, "max": 9 * MS}
    requests = {**NOTHING, "count": 9, "mean": 20 * US, "max": 5 * MS}
    made = document(fork_latency_ns=forks, vfork_latency_ns=forks, request_latency_ns=requests)
    made["marks"] = [
        {"kind": kind, "name": name, "t_ns": S}
        for kind, name in (
            ("fork", "r"), ("vfork", "w.1"), ("vfork", "w.2/3"), ("fork", "w/1"), ("exit", "x"),
        )
    ]  # fmt: skip
    loads = [
        {"process": name, "begun": begun}
        for name, begun in zip("rwxyz", (1, 2, 3, 4, 0), strict=True)
    ]
    made["evidence"]["arrivals"] = loads
    _, forks_told, vforks_told, requests_told = answer_of(made)
    assert forks_told.startswith("Its 5 forks, of r and w together, take 3 ms on average")
    assert vforks_told.startswith("Its 5 vforks hold the parent")
    assert requests_told.startswith("9 requests, of 4 processes together, take 20 us on average")
    made["provenance"]["scenario"]["run"] = {"warmup": 2 * S}
    assert answer_of(made)[1].startswith("Its 5 forks take")


def test_a_range_of_prices_stands_beside_the_mean():
    made = document()
    made["work"] = {"fork_pte": {"units": 1000, "ns": 14.2 * MS}}
    prices = made["provenance"]["scenario"]["host"]["prices"]
    prices["fork_pte"] = {"low_ps": 5_000_000, "high_ps": 30_000_000}
    said = answer_of(made)[1]
    assert said == "Its fork takes 14.2 ms (5 ms to 30 ms over the ranges of the prices)."


def test_nothing_needed_and_nothing_forked_is_no_sentence():
    need = dict.fromkeys(("total", "data", "cow_copies", "page_tables", "kernel_stacks"), 0)
    made = document(memory_need_bytes={**need, "page_cache": 0}, fork_latency_ns=NOTHING)
    assert answer_of(made) == []


def test_what_was_done_is_counted_over_all_processes():
    event = {"process": "a", "event": "save", "begun": 2, "ended": 1, "failed": 0}
    made = document()
    made["evidence"] = {"events": [event]}
    assert done_in(made) == "1 save"
    made["evidence"] = {"events": [event, {**event, "ended": 1200}, {**event, "event": "job"}]}
    assert done_in(made) == "1,201 saves, 1 job"
    made["evidence"] = {"events": [{**event, "ended": 0}]}
    assert done_in(made) == ""


def test_validity_comes_first_then_the_answer_then_the_tables(capsys):
    finding = {"code": "x", "severity": "note", "what": "seen", "where": "p", "count": 5000}
    made = document(validity=[finding])
    show_run(copy.deepcopy(made))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "note: x: p: seen (5,000 times)"
    assert lines[1].startswith("demo needs 1.13 GiB")
    assert lines[2] == "Its fork takes 14.2 ms."
    assert lines[3] == ""
    assert lines[4].startswith("demo: ")
    made = document(answered=False, validity=[{**finding, "severity": "error", "remedy": "mend"}])
    show_run(made)
    out = capsys.readouterr().out
    assert "demo needs" not in out
    assert "no answer: the figures below are not what was asked for" in out
