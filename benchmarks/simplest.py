"""The simplest simulator of the same faults: pages in a dict, one SimPy event a fault.

It is what `docs` of SimPy would lead to, and what cowpool's speed is compared with.  It does less:
no page tables, no per-CPU lists, no histograms; prices are drawn like cowpool's, from a lognormal.
"""

from collections.abc import Generator
from typing import Any

import numpy as np
import simpy


class SimplestSpace:
    """One address space: page -> [frame, writable]."""

    def __init__(self, env: simpy.Environment, seed: int) -> None:
        self.env = env
        self.pages: dict[int, list[Any]] = {}
        self.references: dict[int, int] = {}
        self.next_frame = 0
        self.faults = {"zero_fill": 0, "cow_copy": 0, "cow_reuse": 0}
        self.latency_ns: list[float] = []
        self._prices = np.random.default_rng(seed)

    def _fault(self, kind: str) -> simpy.Event:
        self.faults[kind] += 1
        price_ns = self._prices.lognormal(6.4, 0.6)
        self.latency_ns.append(price_ns)
        return self.env.timeout(price_ns)

    def _new_frame(self) -> int:
        self.next_frame += 1
        self.references[self.next_frame] = 1
        return self.next_frame

    def write(self, page: int) -> Generator[simpy.Event, Any, None]:
        """Write one page."""
        entry = self.pages.get(page)
        if entry is None:
            self.pages[page] = [self._new_frame(), True]
            yield self._fault("zero_fill")
        elif not entry[1]:
            if self.references[entry[0]] == 1:
                entry[1] = True
                yield self._fault("cow_reuse")
            else:
                self.references[entry[0]] -= 1
                self.pages[page] = [self._new_frame(), True]
                yield self._fault("cow_copy")

    def fork(self) -> None:
        """Share every page with a child."""
        for entry in self.pages.values():
            entry[1] = False
            self.references[entry[0]] += 1


def run_simplest(pages: int, order: Any, *, forked: bool, seed: int = 1) -> int:
    """Write `pages` pages, and if `forked` share them and write them again in `order`.

    Returns the number of faults of the last pass.
    """
    env = simpy.Environment()
    space = SimplestSpace(env, seed)
    if forked:
        space.pages = {page: [space._new_frame(), True] for page in range(pages)}
        space.fork()

    def program() -> Generator[simpy.Event, Any, None]:
        for page in order:
            yield from space.write(page)

    env.process(program())
    env.run()
    return sum(space.faults.values())
