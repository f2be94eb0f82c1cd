"""The machine's policies against those of reference strings: the same pages leave.

A program touches the pages of a string one after the other, on a machine or in a group with few
frames; which of them are faults is compared with what `cowpool walk --reference` would say.
"""

from math import sqrt

import numpy as np
import pytest
from scipy import stats

from sim.base.rng import stream
from sim.engine.run import build_simulation
from sim.machine.work import MAJOR_FAULT
from sim.policy.replacement import play, policy_for
from sim.program.patterns import Listed
from sim.program.zipf import zipf_shares
from sim.scenario.resolve import resolve
from sim.stats.independent import product_form_hit_ratio

pytestmark = pytest.mark.truth

PAGES = 30
OWN = "its stack"
"""A page of every program: it comes first, and is not used again."""
IN_A_GROUP = {"memory": "4 MiB", "kernel_reserve": "1 MiB"}
ON_A_TINY_HOST = {
    "memory": "48 pages",
    "kernel_reserve": "16 pages",
    "min_free": 0,
    "watermark_scale_factor": 0,
    "percpu_batch": 0,
}


def played(policy, portions, device="zram", room=IN_A_GROUP, group="22 pages"):
    """Return the faults of each portion of pages that a program touches, and its frames."""
    host = {"cpus": 1, "swap": {"size": "4 MiB", "device": device}, "page_cluster": 0, **room}
    simulation = build_simulation(
        resolve(
            {
                "version": 1,
                "host": {"thp": "never", **host},
                "policy": {"replacement": policy},
                "groups": {"few": {"memory_max": group}},
                "processes": {"unused": {"program": "steps", "steps": [{"sleep": "1 ns"}]}},
            }
        ),
        seed=1,
        check=len(portions) < 1_000,
    )
    faults = []

    def program(task):
        data = yield from task.mmap(PAGES * 4096)
        for portion in portions:
            yield from task.write(data, pattern=Listed(np.array(portion, np.int64)))
            kinds = ("zero_fill", "swap_map")
            taken = sum(task.faults(kind) for kind in kinds)
            faults.append(taken + int(counts[task.task.row, MAJOR_FAULT]))

    counts = simulation.machine.arrays.counts
    simulation.add("p", program, group="few" if room is IN_A_GROUP else None)
    document = simulation.run()
    simulation.machine.release()
    (process,) = document["processes"]
    assert process["ended"] == "exit 0"
    first = faults[0] - 1  # the page of its own was a fault, too
    return np.diff([first, *faults]).tolist(), process["peak_rss_bytes"] // 4096


def string(number):
    """Return 300 references to a few pages that are popular, and others."""
    rng = stream(1, number, "reference string")
    return rng.choice(PAGES, 300, p=zipf_shares(PAGES, 0.9)).tolist()


def said(policy, frames, references):
    """Return what happens to a reference string, 1 at faults, once the program's page is there."""
    pages = [OWN, *references]
    return [int(step.fault) for step in play(policy_for(policy, frames, pages), pages)][1:]


PLACES = {f"{device}-group": (device, IN_A_GROUP) for device in ("zram", "ssd", "disk")} | {
    f"{device}-host": (device, ON_A_TINY_HOST) for device in ("ssd", "disk")
}  # zram takes frames: a host that keeps none in reserve has none for it


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("policy", ["fifo", "clock", "lru", "mglru_like"])
def test_the_same_references_are_faults(policy, place):
    device, room = PLACES[place]
    for number in range(2):
        references = string(number)
        found, frames = played(policy, [[page] for page in references], device, room)
        assert 4 < frames < len(set(references))
        assert found == said(policy, frames, references)


def test_one_frame_more_would_be_noticed():
    """Negative control; so would another policy."""
    references = string(0)
    found, frames = played("fifo", [[page] for page in references])
    assert found != said("fifo", frames + 1, references)
    assert found != said("clock", frames, references)
    found, frames = played("mglru_like", [[page] for page in references])
    assert found != said("clock", frames, references)


def test_beladys_anomaly_happens_on_the_machine():
    """More memory and more faults, with FIFO (Belady, Nelson and Shedler 1969)."""
    references = [int(page) for page in "123412512345"]
    counts = {}
    for limit in range(15, 19):
        found, frames = played("fifo", [[page] for page in references], group=f"{limit} pages")
        counts[frames] = sum(found)
        assert sum(found) == sum(said("fifo", frames, references))
    assert counts[4] > counts[3]


def hit_statistic(policy):
    """Return Student's t of hit ratios of 40 portions of a run against the product form.

    What memory held at the end of the portion before is nearly forgotten after 500 references.
    """
    shares = zipf_shares(PAGES, 0.8)
    drawn = stream(1, 0, "independent references").choice(PAGES, (41, 500), p=shares)
    found, frames = played(policy, drawn.tolist())
    hits = 1 - np.array(found[1:]) / 500
    expected = product_form_hit_ratio(shares, frames)
    return (hits.mean() - expected) / (hits.std(ddof=1) / sqrt(len(hits)))


@pytest.mark.parametrize("policy", ["fifo", "random"])
def test_fifo_and_random_hit_as_the_product_form_says(policy):
    """Of sound policies one in a million fails."""
    assert abs(hit_statistic(policy)) < stats.t.isf(0.5e-6, 39)


def test_the_test_notices_another_policy():
    """Negative control: LRU keeps popular pages longer."""
    assert hit_statistic("lru") > stats.t.isf(0.5e-6, 39)
