"""What `run` says of control groups: what they held and met, on a terminal of 80 columns."""

from typing import Any

import pytest

from sim.cli.groups import tables_of_groups

MIB = 2**20
EVENTS = ("low", "high", "max", "oom", "oom_kill", "oom_group_kill", "failcnt")


def group(parent: str | None = None, **told: Any) -> dict[str, Any]:
    events = dict.fromkeys(EVENTS, 0) | told.pop("events", {})
    nothing = {
        "parent": parent, "max_bytes": None, "high_bytes": None, "low_bytes": 0, "min_bytes": 0,
        "current_bytes": MIB, "peak_bytes": 2 * MIB, "working_set_bytes": MIB,
        "inactive_file_bytes": 0, "high_sleeps": 0, "high_slept_ns": 0, "psi_memory_some": 0.0,
        "psi_memory_full": 0.0,
    }  # fmt: skip
    return {**nothing, **told, "events": events}


def printed(groups: dict[str, dict[str, Any]]) -> list[list[str]]:
    tables = [table.lines(80) for table in tables_of_groups(groups)]
    assert all(len(line) <= 80 for lines in tables for line in lines)
    return tables


def test_what_nobody_has_set_and_nobody_met_is_left_out() -> None:
    memory, met = printed({"pod": group(), "app": group("pod", max_bytes=MIB)})
    assert memory[0].split() == ["group", "max", "current", "peak"]
    assert memory[2].split() == ["pod", "max", "1", "MiB", "2", "MiB"]
    assert memory[3].split() == ["pod/app", "1", "MiB", "1", "MiB", "2", "MiB"]
    assert met[0].split() == ["events", "in", "group", "max", "oom", "oom_kill"]
    assert met[2].split() == ["pod", "0", "0", "0"]


def test_a_group_of_version_1_counts_refused_charges() -> None:
    groups = {"pod": group(events={"max": 35, "failcnt": 36, "oom": 1, "oom_kill": 2})}
    _, met = tables_of_groups(groups, "v1")
    heading, _, pod = met.lines(80)
    assert heading.split() == ["events", "in", "group", "failcnt", "oom_kill"]
    assert pod.split() == ["pod", "36", "2"]


def test_limits_events_and_sleeps_are_told_in_80_columns() -> None:
    told = {
        "max_bytes": 64 * MIB, "high_bytes": 32 * MIB, "low_bytes": None, "min_bytes": 8 * MIB,
        "inactive_file_bytes": MIB, "high_sleeps": 1234, "high_slept_ns": 2_500_000_000,
        "psi_memory_some": 0.5, "psi_memory_full": 0.25,
        "events": {"low": 3, "high": 20_978, "max": 12},
    }  # fmt: skip
    memory, met = printed({"pod": group(), "app": group("pod", **told)})
    assert memory[0].split() == [
        *("group", "max", "high", "low", "min", "current", "peak", "working", "set")
    ]
    assert memory[2].split()[:5] == ["pod", "max", "max", "0", "B"]
    assert memory[3].split()[:9] == ["pod/app", "64", "MiB", "32", "MiB", "max", "8", "MiB", "1"]
    text = "\n".join(met)
    assert "sleeps: times, in all" in text
    assert "1,234, 2.5 s" in text
    assert "50.00%, 25.00%" in text
    assert met[3].split()[:4] == ["pod/app", "3", "20,978", "12"]


@pytest.mark.parametrize(("name", "column"), [("high", 3), ("low", 3), ("oom_group_kill", 6)])
def test_events_that_occurred_have_a_column(name: str, column: int) -> None:
    _, met = printed({"pod": group(events={name: 1})})
    assert met[0].split()[column] == name


SWAPPED = {
    "swap_bytes": 5 * MIB, "swap_peak_bytes": 6 * MIB, "swap_max_bytes": 6 * MIB,
    "memsw_bytes": 26 * MIB, "events": {"swap_max": 85, "swap_fail": 86},
}  # fmt: skip
NOT_SWAPPED = {
    "swap_bytes": 0, "swap_peak_bytes": 0, "swap_max_bytes": None, "memsw_bytes": None,
    "events": {"swap_max": 0, "swap_fail": 0},
}  # fmt: skip


def test_swap_of_groups_has_a_table_where_any_was_swapped_out_or_refused() -> None:
    groups = {"pod": group(**NOT_SWAPPED), "app": group("pod", **SWAPPED)}
    _, swap, _ = printed(groups)
    assert swap[0].split() == [
        *("swap", "of", "group", "max", "current", "peak", "refused", "at", "max", "fail")
    ]
    assert swap[2].split() == ["pod", "max", "0", "B", "0", "B", "0", "0"]
    assert swap[3].split() == ["pod/app", "6", "MiB", "5", "MiB", "6", "MiB", "85", "86"]
    assert len(printed({"pod": group(**NOT_SWAPPED)})) == 2
    full = NOT_SWAPPED | {"events": {"swap_max": 0, "swap_fail": 1}}
    assert len(printed({"pod": group(**full)})) == 3


def test_version_1_has_a_limit_of_memory_and_swap_together() -> None:
    _, swap, _ = tables_of_groups({"app": group(**SWAPPED)}, "v1")
    heading, _, app = swap.lines(80)
    assert heading.split() == [
        "swap",
        "of",
        "group",
        "memory+swap",
        "max",
        "current",
        "peak",
        "fail",
    ]
    assert app.split() == ["app", "26", "MiB", "5", "MiB", "6", "MiB", "86"]
