"""Machines to draw, and what a run of drawn programs on one comes to."""

import json
from typing import Any

from hypothesis import strategies as st

from sim.engine.groups import GroupSpec
from sim.machine.layout import (
    FOREVER,
    REPLACE_CLOCK,
    REPLACE_FIFO,
    REPLACE_LINUX,
    REPLACE_LRU,
    REPLACE_RANDOM,
    SWAP_IN_MEMORY,
    SWAP_ROTATING,
    SWAP_SOLID,
    ZERO_AT_FREE,
    ZERO_WHEN_IDLE,
)
from support.conservation import with_zones
from support.machines import run
from support.scripts import perform

STOCK = {"zero_stock_pages": 20, "zero_ns": 300}
swap = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "swap_pages": st.sampled_from([3, 60, 400]),
            "swap_kind": st.sampled_from([SWAP_IN_MEMORY, SWAP_SOLID, SWAP_ROTATING]),
            "swappiness": st.sampled_from([0, 60, 60, 200]),
            "page_cluster": st.sampled_from([0, 3]),
        }
    ),
)
"""A swap device, which is soon full, or none; beside one there are no huge pages."""


def with_parts(host: dict[str, Any]) -> dict[str, Any]:
    """Return a host whose parts have been drawn together, in one."""
    host = with_zones(host)
    swap, zeroing = host.pop("swap"), host.pop("zeroing")
    return {**host, **swap, **zeroing, **({"thp": 0} if swap else {})}


hosts = st.fixed_dictionaries(
    {
        "memory_pages": st.one_of(st.integers(70, 500), st.integers(2000, 3000)),
        "cpus": st.integers(1, 3),
        "kernel_pages": st.integers(1, 20),
        "min_free_pages": st.integers(0, 20),
        "percpu_batch_pages": st.sampled_from([0, 1, 7]),
        "percpu_high_pages": st.sampled_from([1, 20]),
        "queueing": st.booleans(),
        "fork_kind": st.sampled_from([0, 0, 1, 2, 3]),
        "eager_zero": st.sampled_from([False, False, True]),
        "overcommit": st.sampled_from([0, 1, 2]),
        "thp": st.sampled_from([0, 1, 2]),
        "kernel": st.sampled_from(["4.19", "6.3", "6.12", "6.18", "6.18"]),
        "commit_limit_pages": st.integers(100, 600),
        "read_ahead_pages": st.sampled_from([0, 4, 32, 32, 600]),
        "largest_read_pages": st.sampled_from([4, 320, 9000]),
        "dma_pages": st.sampled_from([0, 0, 30, 60]),
        "swap": swap,
        "zeroing": st.sampled_from(
            [{}, {}, {"zeroing": ZERO_AT_FREE}, {"zeroing": ZERO_WHEN_IDLE, **STOCK}]
        ),
        "replacement": st.sampled_from(
            [REPLACE_LINUX] * 4 + [REPLACE_FIFO, REPLACE_CLOCK, REPLACE_LRU, REPLACE_RANDOM]
        ),
    }
).map(with_parts)

_group = st.fixed_dictionaries(
    {
        "max_pages": st.sampled_from([FOREVER, 60, 100, 200, 400]),
        "high_pages": st.sampled_from([FOREVER, FOREVER, FOREVER, 50, 90, 190]),
        "low_pages": st.sampled_from([0, 0, 0, 40, 100, FOREVER]),
        "min_pages": st.sampled_from([0, 0, 0, 20, 60]),
    }
)
groups: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.builds(
        lambda outer, inner, members: {
            "groups": (GroupSpec("outer", None, **outer), GroupSpec("inner", "outer", **inner)),
            "groups_of": {f"p{n}": name for n, name in enumerate(members) if name},
        },
        outer=_group,
        inner=_group,
        members=st.lists(st.sampled_from(["inner", "outer", None]), min_size=3, max_size=3),
    ),
)
"""How programs are put into control groups, one in the other, that are limited and protected."""


def outcome(programs: list[Any], host: dict[str, Any], **how: Any) -> str:
    named = {
        f"p{n}": lambda task, steps=steps: perform(task, steps, [])
        for n, steps in enumerate(programs)
    }
    document = run(named, host=host, sample_every_ns=500_000, horizon_ns=200_000_000, **how)
    return json.dumps(document, sort_keys=True)
