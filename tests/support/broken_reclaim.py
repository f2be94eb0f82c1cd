"""Kernels that break one rule of reclaim or swap-in each: do the tests of single rules notice?

As `support.broken_swap`, for what recorded scripts cannot notice: statistics that are flushed,
pages of files beside, groups in groups, devices that take time, slots that are kept.  Each is tried
by the test that is to notice it, in plain Python.  Prints a JSON object, as that does.

    python broken_reclaim.py [NAME ...]
"""

import json
import sys
from functools import partial
from pathlib import Path

from support.broken_kernels import Change, found_out

TESTS = Path(__file__).parents[1] / "unit" / "kernel"
BALANCE, PAGEOUT, VMSCAN, WORKINGSET = (
    f"kernel/reclaim/{name}.py" for name in ("balance", "pageout", "vmscan", "workingset")
)
SWAPIN, WINDOW = "kernel/fault/swapin.py", "kernel/fault/swap_window.py"
KSWAPD, MEMCG = "kernel/reclaim/kswapd.py", "kernel/reclaim/memcg.py"
SWAP, LRU, RMAP = "machine/swap.py", "machine/lru.py", "kernel/rmap.py"

WHICH = "which_lists_are_looked_at"
TINY = "files_are_tiny_where_they_and_what_is_free_are_at_the_high_watermark"
LONGER = "the_longer_list_is_looked_at_once_more"
PORTION = "a_portion_is_enough_but_for_the_machines_first_look"
TOO_MANY = "active_pages_become_inactive_used_or_not_once_statistics_say_they_are_too_many"
CAME_BACK = "pages_that_come_back_make_active_ones_inactive_for_one_reclaim"
NOTHING_ELSE = "where_nothing_else_goes_active_pages_have_to"
SOON_ENOUGH = "a_page_that_comes_back_soon_enough_is_activated"
TWICE = "what_is_used_twice_becomes_active_costs_as_kept_and_counts_as_time"
AREA_SAYS = "what_the_area_says_of_a_used_page"
WRITTEN = "what_is_being_written_is_kept_then_spared_and_goes_when_it_is_written"
HOW_MANY = "how_many_pages_are_read"
NEAR = "which_pages_lie_near_in_memory"
NEAR_ON_DEVICE = "which_slots_lie_near_on_the_device"
ALONE_AGAIN = "who_had_it_alone_has_it_alone_again"
LAST_WRITES = "a_write_by_the_last_one_copies_only_what_is_being_written"
IN_VAIN = "a_round_in_vain_goes_to_priority_1_and_is_a_failure"
TO_LISTS = "a_window_and_a_write_bring_pages_to_their_list"
CLEAN = "what_is_clean_goes_without_being_written_again"
HALF = "a_slot_is_kept_until_half_of_all_are_taken"
SHARED = "a_page_that_fork_shares_on_its_way_out_is_nobodys_alone"

Broken = dict[str, tuple[Change, str, str]]
"""By name: the change, and the test that notices it: its file and its name."""
ON_LISTS: Broken = {
    name: ((file, old, new), "anon_reclaim", test)
    for name, file, old, new, test in (
        ("nothing", VMSCAN, "SHRINK_BATCH: Final = 128", "SHRINK_BATCH: Final = 128", WHICH),
        (
            "memory is swapped where memory and swap are full together",
            BALANCE,
            "if scan.no_swap == 1 or mem",
            "if mem",
            WHICH,
        ),
        (
            "a group that wants no swap has it",
            BALANCE,
            "if scan.group != ROOT and swappiness == 0:",
            "if scan.group != ROOT and swappiness < 0:",
            WHICH,
        ),
        (
            "the machine swaps at swappiness 0 as a last resort",
            BALANCE,
            "if scan.priority == 0 and swappiness > 0:",
            "if scan.priority == 0:",
            WHICH,
        ),
        (
            "few files are no reason to swap",
            BALANCE,
            "return files + int(m.pool[0].free) <= high and",
            "return files < 0 and",
            TINY,
        ),
        (
            "few files are one in a group too",
            BALANCE,
            "if scan.group == ROOT and scan.may_deactivate & DEACTIVATE_ANON == 0:",
            "if scan.may_deactivate & DEACTIVATE_ANON == 0:",
            TINY,
        ),
        (
            "many inactive pages of files spare nothing",
            BALANCE,
            "scan.cache_trim = 1",
            "scan.cache_trim = 0",
            "inactive_pages_of_files_go_first_unless_some_came_back",
        ),
        (
            "cost is halved beyond half of the lists",
            LRU,
            "> pages // 4",
            "> pages // 2",
            "cost_is_halved_beyond_a_quarter_of_the_lists_and_all_around_pay",
        ),
        (
            "groups around do not pay",
            LRU,
            "v.file_cost //= 2\n        group = int(m.groups[group].parent)",
            "v.file_cost //= 2\n        group = NONE",
            "cost_is_halved_beyond_a_quarter_of_the_lists_and_all_around_pay",
        ),
        (
            "the longer list is left as it is",
            VMSCAN,
            "if left_anon == 0 or left_file == 0:\n            break",
            "break",
            LONGER,
        ),
        (
            "the longer list is looked at whole",
            VMSCAN,
            "if left_anon == 0 or left_file == 0:\n            break",
            "pass",
            LONGER,
        ),
        (
            "the machine's first look ends early",
            VMSCAN,
            "< scan.wanted or goes_on:",
            "< scan.wanted:",
            PORTION,
        ),
        (
            "each walk begins at the top",
            VMSCAN,
            "v.position = next_group(m, top, int(v.position))\n    if v.pos",
            "v.position = NONE\n    if v.pos",
            "groups_have_their_turn",
        ),
        (
            "no walk ends early",
            VMSCAN,
            "if scan.reclaimed >= scan.wanted:\n                return",
            "pass",
            "groups_have_their_turn",
        ),
        (
            "too many active pages stay",
            VMSCAN,
            "if total_swap_pages(m) != 0 and anon_is_low(m, group):",
            "if total_swap_pages(m) < 0:",
            TOO_MANY,
        ),
        (
            "statistics are never old",
            VMSCAN,
            "if total_swap_pages(m) != 0 and anon_is_low(m, group):",
            "if lru_pages(m, group, LRU_INACTIVE_ANON) < lru_pages(m, group, LRU_ACTIVE_ANON):",
            TOO_MANY,
        ),
        (
            "what becomes inactive is as used as it was",
            VMSCAN,
            "anon_referenced(m, pfn, int(scan.group))\n        else",
            "pass\n        else",
            TOO_MANY,
        ),
        ("nor was it ever active", VMSCAN, "& ~F_ACTIVE) | F_WORKINGSET", "& ~F_ACTIVE)", TOO_MANY),
        (
            "pages that come back change nothing",
            BALANCE,
            "if v.flushed_activated_anon == v.seen_activated_anon and not anon_is_low(",
            "if not anon_is_low(",
            CAME_BACK,
        ),
        (
            "pages that came back once do for ever",
            VMSCAN,
            "v.seen_activated_anon = v.flushed_activated_anon",
            "pass",
            CAME_BACK,
        ),
        (
            "active pages never have to go",
            VMSCAN,
            "scan.skipped_deactivate = 1",
            "pass",
            NOTHING_ELSE,
        ),
        (
            "not all groups are looked at again",
            VMSCAN,
            "if scan.full_walk == 0 and",
            "if scan.full_walk < 0 and",
            NOTHING_ELSE,
        ),
        (
            "no page comes back soon enough",
            WORKINGSET,
            "recent = target.nonresident_age - age <= workingset_size(m, evicted_for, anon)",
            "recent = False",
            SOON_ENOUGH,
        ),
        ("a page sooner", WORKINGSET, "- age <= workingset", "- age < workingset", SOON_ENOUGH),
        (
            "pages of files would have made no room",
            WORKINGSET,
            "if anon:\n        pages += int(v.flushed_inactive_file)",
            "pass",
            SOON_ENOUGH,
        ),
        (
            "its own list would have",
            WORKINGSET,
            "if not anon:\n            pages",
            "if True:\n            pages",
            SOON_ENOUGH,
        ),
        (
            "what comes back costs nothing",
            WORKINGSET,
            "lru_note_cost(m, group, anon, pages, 0)",
            "pass",
            SOON_ENOUGH,
        ),
        (
            "who leaves does not make others older",
            WORKINGSET,
            "workingset_age_nonresident(m, target, 1 << int(frame.order))\n    return",
            "return",
            SOON_ENOUGH,
        ),
        (
            "no more does who stays",
            VMSCAN,
            "workingset_age_nonresident(m, group, activated)",
            "pass",
            TWICE,
        ),
        (
            "who becomes active costs nothing",
            VMSCAN,
            "rotated = scanned - reclaimed\n",
            "rotated = scanned - reclaimed - activated\n",
            TWICE,
        ),
        (
            "use in other groups counts",
            RMAP,
            "int(m.spaces[int(a.space)].group), group):\n            entry",
            "int(m.spaces[int(a.space)].group), 0):\n            entry",
            "use_by_others_than_the_group_does_not_count",
        ),
        (
            "locked memory leaves",
            PAGEOUT,
            "if locked:",
            "if locked and pfn < 0:",
            AREA_SAYS,
        ),
        (
            "a page without a slot is inactive",
            PAGEOUT,
            "return activate(m, pfn)\n    if frame.bits & F_SWAPBACKED",
            "return KEPT\n    if frame.bits & F_SWAPBACKED",
            "a_page_that_gets_no_slot_becomes_active",
        ),
        (
            "so is one that is being written",
            PAGEOUT,
            "return activate(m, pfn)\n    if frame.maps > 0 and",
            "return KEPT\n    if frame.maps > 0 and",
            WRITTEN,
        ),
        (
            "what is being written is not enough",
            VMSCAN,
            "if scan.reclaimed + scan.written >= scan.wanted or",
            "if scan.reclaimed >= scan.wanted or",
            WRITTEN,
        ),
        ("what is written stays active", LRU, "frame.bits &= ~F_ACTIVE\n    row", "row", WRITTEN),
        (
            "a device is given as much as there is",
            PAGEOUT,
            "].writing >= NR_REQUESTS",
            "].writing > 9 * NR_REQUESTS",
            "no_more_is_given_to_a_device_that_has_enough_to_do",
        ),
    )
}
COMING_BACK: Broken = {
    name: ((file, old, new), "swap_in", test)
    for name, file, old, new, test in (
        ("a hit more is needed", WINDOW, "pages = hits + 2", "pages = hits + 1", HOW_MANY),
        (
            "neighbours are as others",
            WINDOW,
            "if page not in (before + 1, before - 1):",
            "if page > 0:",
            HOW_MANY,
        ),
        ("any number is read", WINDOW, "pages = enough", "pass", HOW_MANY),
        ("windows close at once", WINDOW, "most), last // 2)", "most), 0)", HOW_MANY),
        ("windows lie above", WINDOW, "vpn - (pages - 1) // 2", "vpn", NEAR),
        ("forwards is as anywhere", WINDOW, "if vpn == before + 1:", "if vpn < 0:", NEAR),
        ("so is backwards", WINDOW, "elif vpn == before - 1:", "elif vpn < 0:", NEAR),
        ("areas do not end windows", WINDOW, "min(end, int(a.end), base", "min(end, base", NEAR),
        ("nor do leaf tables", WINDOW, "int(a.start), base), ", "int(a.start)), ", NEAR),
        ("64 pages are read at once", WINDOW, "Final = 5", "Final = 6", NEAR),
        ("nothing is assumed of hits", SWAP, "HITS: Final = 4", "HITS: Final = 0", NEAR),
        ("slots are read from any on", WINDOW, "slot - slot % pages", "slot", NEAR_ON_DEVICE),
        ("hits of a device last", WINDOW, "        device.hits = 0\n", "", NEAR_ON_DEVICE),
        (
            "a hit counts each time",
            WINDOW,
            "m.swap[slot].ahead = 0\n    if",
            "if",
            "a_page_that_was_read_ahead_is_a_hit_once",
        ),
        (
            "who was alone is so no more",
            PAGEOUT,
            "1 if frame.bits & F_EXCLUSIVE != 0 else 0",
            "0",
            ALONE_AGAIN,
        ),
        (
            "what comes back was not used",
            SWAPIN,
            "bits = PTE_ACCESSED\n    if a",
            "bits = 0\n    if a",
            ALONE_AGAIN,
        ),
        (
            "the swap cache has exclusive pages",
            PAGEOUT,
            "frame.bits &= ~F_EXCLUSIVE\n    m.pool",
            "m.pool",
            SHARED,
        ),
        (
            "who is left alone copies",
            SWAPIN,
            "alone = frame.maps == 0 and",
            "alone = frame.maps < 0 and",
            LAST_WRITES,
        ),
        (
            "even what is being written is not copied",
            SWAPIN,
            "row.refs == 1 and frame.bits & F_WRITEBACK == 0",
            "row.refs == 1",
            LAST_WRITES,
        ),
        (
            "a window stays in the batch",
            SWAPIN,
            "if window_pages(m, area) > 1:",
            "if window_pages(m, area) < 0:",
            TO_LISTS,
        ),
        (
            "so does what is written",
            SWAPIN,
            "if write == 1 and frame",
            "if write > 1 and frame",
            TO_LISTS,
        ),
        (
            "who reads pays",
            SWAPIN,
            "charge_to_owner(m, cpu, near)",
            "pass",
            "each_page_of_a_window_is_charged_to_the_group_that_it_was_of",
        ),
        (
            "reading frees a slot",
            SWAPIN,
            "(write == 1 and frame.maps == 0)",
            "(frame.maps == 0)",
            CLEAN,
        ),
        (
            "a dirty entry is forgotten",
            PAGEOUT,
            "if m.tables[table, at] & PTE_DIRTY != 0:",
            "if m.tables[table, at] < 0:",
            CLEAN,
        ),
        (
            "writing frees none",
            SWAPIN,
            "(write == 1 and frame.maps == 0)",
            "(write > 1)",
            "a_write_gives_the_slot_back",
        ),
        ("slots are kept longer", SWAP, "if 2 * get_nr", "if 4 * get_nr", HALF),
        (
            "a page without copy is clean",
            SWAP,
            "pfn, 0)\n    frame.bits |= F_DIRTY",
            "pfn, 0)",
            HALF,
        ),
        (
            "locked memory keeps slots",
            SWAPIN,
            "or m.areas[area].vm_flags & A_LOCKED != 0",
            "",
            "what_is_locked_keeps_no_slot",
        ),
        (
            "what becomes active keeps its slot",
            PAGEOUT,
            "if mem_cgroup_swap_full(m, int(m.frames[pfn].group)):",
            "if pfn < 0:",
            "what_becomes_active_gives_its_slot_back_once_few_are_left",
        ),
        (
            "a slot goes while it is written",
            SWAP,
            "if frame.slot == 0 or frame.bits & F_WRITEBACK != 0 or",
            "if frame.slot == 0 or",
            "but_not_while_it_is_written",
        ),
        (
            "a group may fill its swap with copies",
            SWAP,
            "if 2 * g.swap >= g.swap_limit:",
            "if g.swap > g.swap_limit:",
            "so_it_is_with_what_a_group_of_version_2_may_have",
        ),
    )
}
IN_THE_BACKGROUND: Broken = {
    name: ((file, old, new), "kswapd_steps", test)
    for name, file, old, new, test in (
        ("kswapd looks at all", KSWAPD, "if o.at < DEF", "if o.at <= DEF", IN_VAIN),
        ("it never fails", KSWAPD, "if o.result == 0:", "if o.result < 0:", IN_VAIN),
        (
            "it fails where it has freed a page",
            KSWAPD,
            "o.result += scan.reclaimed",
            "o.result = scan.reclaimed",
            "a_round_that_freed_anything_is_none",
        ),
        (
            "it looks farther each time",
            KSWAPD,
            "if scan.reclaimed + scan.written > 0:",
            "if scan.written > 0:",
            "it_looks_farther_only_after_a_step_in_vain",
        ),
        (
            "it stops at the low watermark",
            KSWAPD,
            "if any_zone_has(m, True):",
            "if any_zone_has(m, False):",
            "it_looks_farther_only_after_a_step_in_vain",
        ),
        (
            "it gives up at once",
            "machine/pool.py",
            "KSWAPD_GIVES_UP = 16",
            "KSWAPD_GIVES_UP = 15",
            "it_gives_up_after_sixteen_rounds",
        ),
        (
            "it never tries again",
            MEMCG,
            "m.pool[0].kswapd_failures = 0",
            "pass",
            "it_gives_up_after_sixteen_rounds",
        ),
        (
            "it gives a device as much as there is",
            KSWAPD,
            "if is_congested(m):",
            "if False:",
            "it_waits_for_a_device_that_has_enough_to_do",
        ),
    )
}
IN_VAIN_AT_THE_LIMIT: Broken = {
    name: ((MEMCG, old, new), "make_room", "how_long_linux_sleeps")
    for name, old, new in (
        (
            "it sleeps though little is dirty",
            "if 2 * (root.dirty + root.writeback) <= reclaimable_pages(m):",
            "if 2 * (root.dirty + root.writeback) < 0:",
        ),
        (
            "it sleeps though kswapd has given up",
            "if m.pool[0].kswapd_failures >= KSWAPD_GIVES_UP:",
            "if m.pool[0].kswapd_failures < 0:",
        ),
        (
            "a group sleeps while pages are dirty",
            "if over != ROOT and (g.dirty > 0 or g.writeback == 0):",
            "if over != ROOT and g.writeback == 0:",
        ),
        (
            "old kernels sleep a jiffy",
            "if m.config[0].rules & R_RECLAIM_THROTTLE == 0:",
            "if m.config[0].rules < 0:",
        ),
        (
            "an old kernel's group sleeps as well",
            "// m.clock[0].tick_ns) if over == ROOT else 0",
            "// m.clock[0].tick_ns)",
        ),
        (
            "a group of version 1 does not wait for the device",
            "return NONE if g.dirty > 0 or g.writeback > 0 else 0",
            "return 0",
        ),
        (
            "a group of version 1 always waits for it",
            "return NONE if g.dirty > 0 or g.writeback > 0 else 0",
            "return NONE",
        ),
    )
}
BROKEN: Broken = ON_LISTS | COMING_BACK | IN_THE_BACKGROUND | IN_VAIN_AT_THE_LIMIT


def run_test(file: str, name: str) -> None:
    """Run a test with all its parameters; raise `AssertionError` if it fails."""
    import pytest

    test = f"{TESTS}/test_{file}.py::test_{name}"
    code = pytest.main(["-qx", "-p", "no:cacheprovider", test])
    if code == pytest.ExitCode.TESTS_FAILED:
        raise AssertionError(name)
    if code != pytest.ExitCode.OK:
        raise SystemExit(f"{test}: {code!r}")


if __name__ == "__main__":
    told = {
        name: found_out(change, partial(run_test, file, test))
        for name, (change, file, test) in BROKEN.items()
        if name in sys.argv[1:] or len(sys.argv) == 1
    }
    print(json.dumps(told, indent=1))  # noqa: T201
