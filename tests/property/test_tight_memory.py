"""Scenarios that are short of memory end as they should, and lose nothing."""

import json
from collections import Counter
from functools import cache
from typing import Any

import pytest
from support.samples import sample
from support.tight_runs import Ran, run_tight, what_is_wrong
from support.tight_scenarios import LIMITS, tight

from sim.engine.task import Wait
from sim.machine.groups import page_counter_charge
from sim.machine.slab import count_slab

WHOLE = 10_000
PARTS = 20
"""Tests that the whole list is cut into, so that processes can share it."""
CHECKED_EVERY = 25
"""One of so many runs is audited at every event."""


SHOWN = 50
"""Runs, from the first on, of which is known what they show."""


def run(number: int) -> Ran:
    return run_tight(tight(number), check=number % CHECKED_EVERY == 0)


def wrong_and_document(number: int) -> tuple[list[str], dict[str, Any]]:
    """Return what is wrong with a run of the list, and its document; its machine is let go."""
    ran = run(number)
    wrong = what_is_wrong(ran)
    ran.simulation.machine.release()
    return wrong, ran.document


shown = cache(wrong_and_document)
"""The same for runs that two tests look at."""


@pytest.mark.stress
@pytest.mark.parametrize("part", range(PARTS))
def test_tight_runs_end_well_and_lose_no_page(part: int) -> None:
    wrong = {}
    for number in range(part, sample(SHOWN, WHOLE), PARTS):
        told, _ = (shown if number < SHOWN else wrong_and_document)(number)
        if told:
            wrong[number] = told
    assert not wrong, wrong


FOUND = {
    22: "the flusher was not woken that a refused step had asked for",
    89: "a full group with nobody to kill was not tried again",
    105: "who was killed before it had a stack gave one back",
    149: "the queue stood still behind a task that had met the limit of its group",
    764: "a writer waited for writes when the flusher saw no more reason for any",
    899: "a child had what its parent had left when the child began to run",
    1329: "the queue did not hear of frames set aside for a fork that it had not needed",
    2810: "reclaim went on through nodes with shadows when the last had gone with another",
    4130: "an attempt that only brought a CPU's batch of pages to the lists was taken for the last",
    6169: "the same, in another group",
    8546: "a task waited for a page that had become dirty when the flusher had gone by",
}
"""What scenarios of the list showed once, by number."""


@pytest.mark.parametrize("number", FOUND)
def test_what_was_found_is_mended(number: int) -> None:
    assert what_is_wrong(run(number)) == []


def test_a_panic_stays_one_though_pages_come_free_later() -> None:
    """Of the first in line, too: the one who is left gives some back when a device has written."""
    ran = run(79)
    assert what_is_wrong(ran) == []
    assert ran.document["ending"] == "deadlock"
    assert "Linux would panic" in ran.document["deadlock"]


@pytest.mark.parametrize("number", [7079, 8365])
def test_who_reclaims_in_vain_has_not_been_served(number: int) -> None:
    """It was sent to the end of the queue, tried again, and so on: no deadlock was ever told."""
    ran = run(number)
    assert what_is_wrong(ran) == []
    assert ran.document["ending"] == "deadlock"


def test_they_are_short_in_every_way() -> None:
    """The draws reach what they are for: else the test above would prove little."""
    seen: Counter[str] = Counter()
    for number in range(SHOWN):
        _, document = shown(number)
        seen[document["ending"]] += 1
        seen["kills"] += len(document["kills"]) > 0
        seen["kills in groups"] += any(kill["limit_of"] for kill in document["kills"])
        seen["direct reclaim"] += document["metrics"]["allocation_stalls"] > 0
        seen["limits met"] += any(g["events"]["max"] > 0 for g in document["groups"].values())
        seen["writes"] += document["disk"]["writes"] > 0
        seen["refaults"] += document["metrics"]["refaults"] > 0
    assert min(seen.values()) >= 3, seen
    assert len(seen) == 9, seen


def test_their_scenarios_are_of_every_kind() -> None:
    scenarios = [tight(number) for number in range(500)]
    text = json.dumps(scenarios)
    for word in ("oom_group", "hugetlb", "thread", "vfork", "posix_spawn", "lock", "mremap"):
        assert f'"{word}"' in text
    for key, values in {"cgroup": 2, "kernel": 12, "nr_hugepages": 3}.items():
        assert len({s["host"][key] for s in scenarios}) == values
    limits = {g["memory_max"] for s in scenarios for g in s["groups"].values()}
    assert limits == set(LIMITS)
    assert any(len(s["groups"]) == 5 for s in scenarios)


# -- negative controls ---------------------------------------------------------------------------


def first_that(ending: str, start: int = 0) -> Ran:
    for number in range(start, SHOWN):
        ran = run_tight(tight(number))
        if ran.document["ending"] == ending and ran.document["groups"]:
            return ran
    raise AssertionError(f"no run ends in {ending}")


def test_a_page_too_many_would_be_noticed() -> None:
    ran = first_that("idle")
    assert what_is_wrong(ran) == []
    m = ran.simulation.machine.arrays
    count_slab(m, 1, 1)
    assert what_is_wrong(ran) == ["group 1 has 1 B in 0 pages of slab"]
    page_counter_charge(m, 1, 1)
    with pytest.raises(Exception, match="charge"):
        what_is_wrong(ran)


def test_who_could_go_on_would_be_noticed() -> None:
    ran = first_that("deadlock")
    assert what_is_wrong(ran) == []
    living = list(ran.simulation.system.table.living())
    living[0].wait = Wait("something")
    assert f"{living[0].name} waits for something, which nobody has" in what_is_wrong(ran)
    living[0].wait = None
    assert f"{living[0].name} waits for nothing" in what_is_wrong(ran)
