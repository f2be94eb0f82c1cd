"""Which call was refused, by what, and what was promised then: as Linux counts it."""

import pytest

from sim.base.units import KIB, MIB
from sim.engine.run import simulate
from sim.scenario import resolve

A64 = {"mmap": {"name": "A", "size": "64 MiB"}}


def refusals(*steps, **host):
    scenario = resolve({
        "version": 1,
        "host": {"memory": "256 MiB", "cpus": 1, **host},
        "processes": {"p": {"program": "steps", "steps": list(steps)}},
    })  # fmt: skip
    document = simulate(scenario, seed=1).document
    return scenario, document, document["evidence"]["refusals"]


NEVER = {"overcommit": {"mode": 2, "ratio": 50}}
CASES = {
    "fork": ([A64, {"fork": [{"exit": 0}]}], NEVER, "promise", "ENOMEM"),
    "mmap": ([{"mmap": {"name": "A", "size": "200 MiB"}}], NEVER, "promise", "ENOMEM"),
    "brk": ([{"sbrk": {"grow": "200 MiB"}}], NEVER, "promise", "ENOMEM"),
}


@pytest.mark.parametrize("call", CASES)
def test_a_promise_refused_is_named_with_its_sizes(call):
    steps, host, by, errno = CASES[call]
    scenario, document, found = refusals(*steps, **host)
    (refusal,) = found
    ram = scenario["host"]["memory"] - scenario["host"]["kernel_reserve"]
    assert (refusal["call"], refusal["by"], refusal["errno"]) == (call, by, errno)
    assert refusal["commit_limit_bytes"] == ram // 4096 * 50 // 100 * 4096
    assert refusal["failed"] == refusal["count"] == 1
    finding = next(f for f in document["validity"] if f["code"] == "refused")
    assert call in finding["what"]
    assert "Committed_AS" in finding["what"]
    assert "CommitLimit" in finding["what"]
    assert "vm.overcommit_memory 2" in finding["what"]


def test_what_was_promised_is_what_was_mapped_and_what_the_image_has():
    _, _, (before,) = refusals({"mmap": {"name": "A", "size": "200 MiB"}}, **NEVER)
    _, _, (after,) = refusals(A64, {"mmap": {"name": "B", "size": "200 MiB"}}, **NEVER)
    assert before["committed_bytes"] < 256 * KIB  # the image and the stack of the process
    assert after["committed_bytes"] == before["committed_bytes"] + 64 * MIB
    assert after["asked_bytes"] == before["asked_bytes"] == 200 * MIB


def test_before_5_2_a_request_may_be_too_large_for_what_is_free():
    held = {"mmap": {"name": "A", "size": "20 MiB"}}, {"write": "A"}
    more = {"mmap": {"name": "B", "size": "20 MiB"}}
    _, document, (refusal,) = refusals(*held, more, kernel="4.19", memory="32 MiB")
    assert refusal["by"] == "promise"
    finding = next(f for f in document["validity"] if f["code"] == "refused")
    assert "asked for 20 MiB" in finding["what"]
    assert "free memory and page cache at that" in finding["remedy"]


def test_mode_0_refuses_one_request_larger_than_memory():
    _, document, (refusal,) = refusals({"mmap": {"name": "A", "size": "1 GiB"}})
    assert refusal["by"] == "promise"
    finding = document["validity"][0]
    assert "vm.overcommit_memory 0" in finding["what"]
    assert "larger than it" in finding["remedy"]
    _, document, found = refusals({"mmap": {"name": "A", "size": "1 GiB"}}, overcommit={"mode": 1})
    assert found == []
    assert document["answered"]


def test_an_argument_is_no_matter_of_memory():
    _, document, (refusal,) = refusals({"wait": {}})
    assert (refusal["call"], refusal["errno"], refusal["by"]) == ("wait", "ECHILD", "argument")
    assert [finding["code"] for finding in document["validity"]] == ["refused"]


def test_a_pool_of_huge_pages_that_is_too_small_is_named_with_its_size():
    """It is outside of what is promised, and more memory is no help."""
    mmap = {"mmap": {"name": "A", "size": "6 MiB", "hugetlb": True}}
    _, document, (refusal,) = refusals(mmap, nr_hugepages=2)
    assert refusal["by"] == "hugetlb"
    finding, cut_off = document["validity"]
    assert "(asked for 6 MiB, the pool has 4 MiB)" in finding["what"]
    assert "Committed_AS" not in finding["what"]
    assert cut_off["code"] == "need_cut_off"
    assert "huge pages in the pool" in cut_off["remedy"]
