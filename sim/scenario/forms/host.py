"""What a host has room for, and what its kernel promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.base.units import PAGE_BYTES
from sim.machine.rules import rules_of
from sim.machine.rules.limits import R_GUESS_TOTAL
from sim.machine.watermarks import commit_reserves
from sim.scenario.hosts import (
    host_watermarks,
    huge_pool_pages,
    managed_pages,
    reserved_pages,
)
from sim.stats.theory import TABLE_ENTRIES

if TYPE_CHECKING:
    from collections.abc import Mapping


def data_pages(host: Mapping[str, Any]) -> int:
    """Return how many pages of data one process can have before memory is short, within 1 %."""
    managed = managed_pages(host["memory"], host["kernel_reserve"])
    free = managed - host_watermarks(host).min_pages - huge_pool_pages(host)
    return free * TABLE_ENTRIES // (TABLE_ENTRIES + 1)


def commit_limit_pages(host: Mapping[str, Any]) -> int:
    """Return ``CommitLimit``: in mode 2 no more is promised."""
    managed = managed_pages(host["memory"], host["kernel_reserve"]) - huge_pool_pages(host)
    return int(managed * host["overcommit"]["ratio"] // 100 + host["swap"] // PAGE_BYTES)


def largest_request_pages(host: Mapping[str, Any]) -> int | None:
    """Return the largest single request that is granted while nothing else runs; None: any.

    Within the few pages that a process has promised itself at its start, and in mode 2 within the
    reserve for the user's own recovery, which depends on what the process has mapped.
    """
    mode = host["overcommit"]["mode"]
    managed = managed_pages(host["memory"], host["kernel_reserve"])
    admin, _ = commit_reserves(managed)
    if mode == 1:
        return None
    if mode == 2:
        return max(0, commit_limit_pages(host) - admin)
    swap = host["swap"] // PAGE_BYTES
    if rules_of(host["kernel"]) & R_GUESS_TOTAL:
        return int(managed + swap)
    return int(max(0, managed + swap - huge_pool_pages(host) - admin - reserved_pages(host)))
