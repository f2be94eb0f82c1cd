"""Each rule of page faults, by the shortest script that shows it."""

import pytest

from sim.script.grammar import TOUCHING_VERBS, Verb
from sim.script.validity import parse_script
from sim.walk.tell.calls import ABOUT
from sim.walk.tell.story import MachineChoice, tell
from sim.walk.tell.tale import chapter_reasons, why_lines

HUGE = "P map A 512\nP hugepage A\n"
COLD = "P mapfile D 4\nP random D\nP drop D\n"

RULES = [  # script, rule of its last line's last page, function, faults of that page
    ("P map A 1\nP write A 0 1", "zero_fill", "do_anonymous_page", 1),
    ("P map A 1\nP read A 0 1", "zero_page", "do_anonymous_page", 1),
    ("P map A 1\nP read A 0 1\nP write A 0 1", "zero_page_written", "wp_page_copy", 1),
    ("P map A 1\nP write A 0 1\nP write A 0 1", "write_present", "none", 0),
    ("P map A 1\nP write A 0 1\nP fork C\nC read A 0 1", "read_present", "none", 0),
    ("P map A 1\nP write A 0 1\nP fork C\nC write A 0 1", "cow_copy", "wp_page_copy", 1),
    ("P map A 1\nP write A 0 1\nP fork C\nC exit\nP write A 0 1", "cow_reuse", "wp_page_reuse", 1),
    ("P mapfile D 4\nP read D 0 1", "cache_mapped", "do_read_fault", 1),
    ("P mapfile D 4\nP write D 0 1", "cache_copied", "do_cow_fault", 1),
    ("P mapfile D 4\nP read D 0 1\nP write D 0 1", "mapped_cache_copied", "wp_page_copy", 1),
    ("P mapshfile D 4\nP write D 0 1", "cache_mapped_writable", "do_shared_fault", 1),
    ("P mapshfile D 4\nP read D 0 1\nP write D 0 1", "clean_shared_written", "wp_page_shared", 1),
    ("P shmap B 4\nP write B 0 1", "shmem_fill", "do_shared_fault", 1),
    ("P shmap B 4\nP read B 0 1", "shmem_fill", "do_read_fault", 1),
    ("P map A 2\nP unmap A 0 1\nP write A 0 1", "no_area", "bad_area_nosemaphore", 0),
    ("P map A 1\nP protect A 0 1 r\nP write A 0 1", "not_permitted", "bad_area_access_error", 0),
    (f"{COLD}P read D 0 1", "read_in", "do_read_fault", 1),
    (f"{COLD}P write D 0 1", "read_in", "do_cow_fault", 1),
    (f"{COLD.replace('mapfile', 'mapshfile')}P write D 0 1", "read_in", "do_shared_fault", 1),
    (f"{HUGE}P write A 0 1", "huge_zero_fill", "do_huge_pmd_anonymous_page", 1),
    (f"{HUGE}P read A 0 1", "huge_zero_page", "do_huge_pmd_anonymous_page", 1),
    (f"{HUGE}P read A 0 1\nP write A 0 1", "huge_zero_page_written", "do_huge_zero_wp_pmd", 1),
    (
        f"{HUGE}P write A 0 1\nP fork C\nC exit\nP write A 0 1",
        "huge_reuse",
        "do_huge_pmd_wp_page",
        1,
    ),
    (f"{HUGE}P write A 0 1\nP fork C\nP write A 0 1", "cow_copy", "wp_page_copy", 1),
]


def last_reasons(text):
    story = tell(parse_script(text), MachineChoice())
    return chapter_reasons(story.chapters[-1], story), why_lines(story.chapters[-1], story)


@pytest.mark.parametrize(("text", "rule", "function", "faults"), RULES, ids=[r[1] for r in RULES])
def test_a_page_is_told_by_the_rule_it_went_by(text, rule, function, faults):
    reasons, _ = last_reasons(text)
    found = reasons[-1]
    assert (found.rule, found.faults) == (rule, faults)
    assert found.function.split(":")[0] == function
    if faults:
        assert function in found.text


def test_a_split_is_told_before_the_copy():
    reasons, _ = last_reasons(f"{HUGE}P write A 0 1\nP fork C\nP write A 0 1")
    assert "`do_huge_pmd_wp_page` first splits the huge entry" in reasons[-1].text


def test_a_page_alone_in_a_folio_that_is_shared_is_copied_for_the_folios_sake():
    reasons, _ = last_reasons(f"{HUGE}P write A 0 1\nP fork C\nC write A 0 1\nP write A 0 1")
    assert "is part of a large folio that is mapped elsewhere as well: copied" in reasons[-1].text
    assert "has no owner any more" in reasons[-1].text


@pytest.mark.parametrize(
    ("text", "release", "before", "now"),
    [
        (f"{HUGE}P write A 0 1\nP fork C\nC write A 0 1", "5.7", "copies all 2 MiB", "splits"),
        (
            "P map A 1\nP write A 0 1\nP protect A 0 1 r\nP protect A 0 1 rw",
            "5.19",
            "all others (before 6.0)",
            "whose page is exclusive",
        ),
        (
            f"{HUGE}P write A 0 1\nP free A 3 4",
            "6.11",
            "all of them stay (before 6.12)",
            "become the zero page",
        ),
    ],
)
def test_what_changed_with_a_release_is_told_by_its_rules(text, release, before, now):
    for kernel, said in ((release, before), ("6.18", now)):
        story = tell(parse_script(text), MachineChoice(kernel=kernel))
        assert any(said in line for line in why_lines(story.chapters[-1], story))


@pytest.mark.parametrize(
    ("text", "frames", "said"),
    [
        (f"{HUGE}P write A 0 1", 64, "no block of 512 frames is free"),
        (f"{HUGE}P write A 0 1", 2048, "maps 2 MiB with one entry"),
        ("P map A 512\nP write A 0 1\nP hugepage A\nP write A 1 2", 2048, "a leaf table already"),
        ("P map A 600\nP hugepage A\nP write A 512 513", 2048, "does not contain all of its 2 MiB"),
    ],
)
def test_why_a_page_is_small_where_huge_ones_are_wanted(text, frames, said):
    story = tell(parse_script(text), MachineChoice(frames))
    (line,) = why_lines(story.chapters[-1], story)
    assert said in line


def test_equal_faults_in_a_row_are_folded():
    reasons, _ = last_reasons("P map A 32\nP write A 0 32")
    (only,) = reasons
    assert (only.pages, only.faults) == ("A0 to A31", 32)
    assert "A1 to A31 likewise" in only.text


def test_faults_that_differ_are_told_apart():
    reasons, _ = last_reasons("P map A 8\nP write A 0 4\nP fork C\nC write A 1 2\nP write A 0 5")
    assert [(r.pages, r.rule) for r in reasons] == [
        ("A0", "cow_copy"),
        ("A1", "cow_reuse"),
        ("A2 to A3", "cow_copy"),
        ("A4", "zero_fill"),
    ]


def test_pages_mapped_around_a_fault_are_no_faults():
    reasons, _ = last_reasons("P mapfile D 20\nP read D 0 20")
    assert [(r.pages, r.rule, r.faults) for r in reasons] == [
        ("D0", "cache_mapped", 1),
        ("D1 to D15", "read_present", 0),
        ("D16", "cache_mapped", 1),
        ("D17 to D19", "read_present", 0),
    ]
    assert "15 pages more" in reasons[0].text


def test_owners_are_named():
    reasons, _ = last_reasons("P map A 1\nP write A 0 1\nP fork C\nP fork D\nD write A 0 1")
    assert "has 3 references" in reasons[0].text
    assert "stays with P and C" in reasons[0].text


def test_a_shared_leaf_table_is_copied_before_the_page():
    story = tell(
        parse_script("P map A 4\nP write A 0 4\nP fork C\nC write A 1 2"),
        MachineChoice(fork="on_demand"),
    )
    (reason,) = chapter_reasons(story.chapters[-1], story)
    assert "it is copied first" in reason.text
    assert "has 2 references" in reason.text
    assert story.chapters[-1].effects.taken == {"data": 1, "page tables": 1}


def test_every_call_is_explained():
    other = {Verb.FORK, Verb.PROTECT, Verb.FREE}  # these depend on the machine
    assert set(Verb) == ABOUT.keys() | TOUCHING_VERBS | other


@pytest.mark.parametrize("kind", ["eager", "on_demand", "async"])
def test_other_ways_to_fork_are_explained_as_what_they_are(kind):
    story = tell(parse_script("P map A 4\nP write A 0 4\nP fork C"), MachineChoice(fork=kind))
    (first, *_) = why_lines(story.chapters[-1], story)
    assert not first.startswith("Page tables are copied")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("P map A 8", "No frame, no page table, no entry"),
        ("P map A 1\nP write A 0 1\nP fork C", "Page tables are copied, pages are not"),
        ("P map A 1\nP fork C", "never written privately"),
        ("P map A 1\nP write A 0 1\nP dontfork A\nP fork C", "C has no such area"),
        ("P vfork C", "no table and no entry is copied"),
        ("P map A 1\nP write A 0 1\nP exec", "nothing is copied. The one fault is the kernel's"),
        ("P map A 2\nP write A 0 2\nP unmap A 0 1", "Back in the pool: 1 data"),
        ("P map A 1\nP unmap A 0 1", "Back in the pool: nothing"),
        ("P map A 2\nP unmap A 0 1\nP dontneed A 0 2", "ENOMEM"),
        (f"{COLD}P read D 0 1\nP drop D", "who touches one again takes a major fault"),
        (f"{COLD}P willneed D 0 3", "is read from the device (3 frames)"),
        (f"{COLD}P sequential D", "(sequential); no page is touched"),
    ],
)
def test_what_is_no_fault_is_explained_as_well(text, said):
    assert any(said in line for line in last_reasons(text)[1])
