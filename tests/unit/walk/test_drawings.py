"""Pictures show what is there, fit their frame, and are the same every time."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from sim.base.errors import ScenarioError
from sim.script.validity import parse_script
from sim.walk.draw.layout import blocks, changed_entries, changed_frames
from sim.walk.draw.pool import runs
from sim.walk.draw.svg import draw_svg
from sim.walk.draw.text import TextDrawing
from sim.walk.tell.state import Table, set_aside
from sim.walk.tell.story import MachineChoice, tell

ROOT = Path(__file__).parents[3]
SHARING = "P map A 4\nP write A 0 4\nP fork C\nC write A 1 2\nC exit\n"
SCRIPTS = {
    "sharing": SHARING,
    "zero page": "P map A 6\nP read A 0 4\nP fork C\nP write A 0 1\n",
    "files": "P mapfile F 20\nP read F 0 1\nP write F 1 2\nP fork C\nC unmap F 3 5\n",
    "shared": "P shmap B 4\nP write B 0 2\nP fork C\nC write B 1 3\n",
    "holes": "P map A 6\nP write A 0 6\nP protect A 1 2 r\nP unmap A 3 4\nP fork C\nP dontfork A\n",
    "vfork": "P map A 2\nP write A 0 2\nP vfork C\nC write A 0 1\nC exec\nP fork D\nD exit\n",
    "names again": "P map A 2\nP write A 0 2\nP map A 2\nP write A 0 2\nP fork C\n",
    "heap and stack": "P brk H 5\nP write H 0 3\nP stack S 9\nP write S 8 9\nP write S 4 5\n",
    "many": "P map A 12\nP map B 12\nP write A 0 12\nP write B 0 12\nP protect A 3 9 none\n",
    "huge zero page": "P map A 512\nP hugepage A\nP read A 0 1\n",
    "moved": "P map A 3\nP write A 0 3\nP move A\nP lock A 0 2\n",
    "killed": "P map A 40\nP fork C\nC write A 0 30\nP write A 0 30\n",
    "behind": "P map A 3\nP write A 0 3\nP resize A 1\nP shmap B 2 behind A\nP write B 0 1\n"
    "P fork C\nC brk H 2\nP brk K 2\nP write K 0 1\n",
    "huge": "P map A 1100\nP hugepage A\nP write A 0 1\nP write A 600 601\nP fork C\n"
    "C write A 3 4\nP unmap A 100 200\nP write A 700 1100\nC dontneed A 0 512\n",
    "everybody": "P exit\n",
}


def story_of(text, **choice):
    return tell(parse_script(text), MachineChoice(**{"frames": 64, **choice}))


def svg_of(text, **choice):
    return draw_svg(story_of(text, **choice), "A title & more", why=True)


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize(("policy", "frames"), [("oom", 64), ("wait", 64), ("oom", 2048)])
def test_a_picture_is_well_formed_and_inside_its_frame(text, policy, frames):
    root = ElementTree.fromstring(svg_of(text, policy=policy, frames=frames))
    width, height = int(root.get("width")), int(root.get("height"))
    for element in root.iter():
        if element.get("x") is None or element.get("y") is None:
            continue
        x, y = int(element.get("x")), int(element.get("y"))
        assert 0 <= x <= width
        assert 0 <= y <= height
        if element.tag.endswith("rect"):
            assert x + int(element.get("width")) <= width
            assert y + int(element.get("height")) <= height
        if element.tag.endswith("text") and "m" not in (element.get("class") or "").split():
            size = int(re.sub(r"\D", "", element.get("style") or "10"))
            at_end = "e" in (element.get("class") or "").split()
            assert at_end or x + len(element.text) * size * 0.57 <= width, element.text


def test_too_many_pages_are_refused():
    reads = "".join(f"P read A {n} {n + 1}\n" for n in range(0, 200, 2))
    with pytest.raises(ScenarioError, match="touches 201 pages or stretches .*, too many to draw"):
        svg_of(f"P map A 200\n{reads}")


def columns_of(story):
    return [column for block in blocks(story) for column in block.columns]


FILLED = "P map B 16\nP write B 0 16\n"
"""Takes the frames that the beginning has left scattered; the next ones lie in a row."""


def test_pages_that_always_look_alike_are_folded():
    text = f"{FILLED}P map A 40\nP write A 0 40\nP fork C\nC write A 20 21\n"
    story = story_of(text, frames=200)
    assert [(c.label, c.alike) for c in columns_of(story)[16:]] == [
        ("A0", False), ("A1", False),  # page tables came in between
        ("A2–19", True), ("A20", False), ("A21–39", True), ("stack", False),
    ]  # fmt: skip
    after = story.chapters[-1].after
    for column in columns_of(story):
        for space in after.spaces:
            first = space.entries[column.vpn]
            for vpn in range(column.vpn, column.end):
                entry = space.entries[vpn]
                assert entry.pfn - vpn == first.pfn - column.vpn
                assert entry.writable == first.writable
                assert after.frames[entry.pfn].refs == after.frames[first.pfn].refs


def test_an_area_that_ends_ends_a_fold():
    story = story_of(f"{FILLED}P map A 60\nP write A 0 60\nP lock A 0 30\n", frames=200)
    assert [c.label for c in columns_of(story)[18:]] == ["A2–29", "A30–59", "stack"]


HUGE = (ROOT / "docs" / "lecture" / "11_huge_page.txt").read_text()


def test_a_huge_entry_is_one_box_until_it_is_split():
    story = story_of(HUGE, frames=2048)
    picture = draw_svg(story, "t")
    child = next(c.after for c in story.chapters if str(c.operation) == "P fork C").spaces[1]
    first = min(e.pfn for e in child.entries.values() if e.huge)
    assert first % 512 == 0
    assert (
        picture.count(f">huge: {first}–{first + 511} w<") == 3
    )  # the legend's, written, written again
    assert picture.count(f">huge: {first}–{first + 511} r<") == 4  # P's, thrice, and C's
    assert picture.count(f">{first + 3}–{first + 511} r<") == 1
    assert ", set aside<" in picture


def test_a_split_puts_the_table_that_was_set_aside_to_use():
    story = story_of(HUGE, frames=2048)
    shared, split = (c.after.spaces[1] for c in story.chapters[3:5])
    ((start, table),) = set_aside(shared).items()
    assert set_aside(split) == {}
    assert Table(1, table.frame, start, start + 512) in split.tables
    assert {e.huge for v, e in split.entries.items() if start <= v < start + 512} == {False}
    changed = changed_entries(story.chapters[4].before, story.chapters[4].after)
    assert len(changed) == 512


@pytest.mark.parametrize("policy", ["oom", "wait"])
def test_frames_in_runs_are_all_frames(policy):
    for chapter in story_of(HUGE, frames=1600, policy=policy).chapters:
        changed = changed_frames(chapter.before, chapter.after)
        found = [run for block in runs(chapter.after, changed) for run in block]
        assert [run.first for run in found[1:]] == [run.end for run in found[:-1]]
        assert (found[0].first, found[-1].end) == (0, 1600)
        for run in found:
            for pfn in range(run.first, run.end):
                frame = chapter.after.frames[pfn]
                assert (frame.use, pfn in changed) == (run.frame.use, run.changed)
                assert frame.use != "data" or frame.refs == run.frame.refs


def test_text_has_huge_entries_in_capitals_and_frames_in_runs():
    story = story_of(HUGE, frames=2048)
    drawing = TextDrawing(story)
    text = "\n".join(drawing.lines(story.chapters[4].before, story.chapters[4].after))
    assert re.search(r"^P +512R  +513R  +514R  +515–1023R  +\d+r$", text, re.M)
    assert re.search(r"^C +512r\*  +513r\*  +\d+w\*  +515–1023r\*  +\d+r$", text, re.M)
    assert re.search(r"^ +512–1023 22 1\* 2×509$", text, re.M)
    assert "one huge entry" in drawing.legend[-1]


@pytest.mark.parametrize("fork", ["cow", "eager", "on_demand", "async"])
def test_a_picture_is_the_same_every_time(fork):
    assert svg_of(SHARING, fork=fork) == svg_of(SHARING, fork=fork)


def test_a_picture_needs_nothing_from_outside():
    picture = svg_of(SHARING)
    assert set(re.findall(r'(?:href|url)[=(]"?([^")]*)', picture)) <= {
        *re.findall(r'href="(#s\d+)"', picture), "#readonly", "#tip", "#newtip",
    }  # fmt: skip
    assert "A title &amp; more" in picture


def test_entries_and_references_are_those_of_the_machine():
    story = story_of(SHARING)
    copied = story.chapters[3]
    page = next(vpn for _, vpn in changed_entries(copied.before, copied.after))
    parent, child = copied.after.spaces
    assert parent.entries[page].pfn != child.entries[page].pfn
    assert (parent.entries[page].mode, child.entries[page].mode) == ("r", "w")
    assert changed_frames(copied.before, copied.after) == {
        parent.entries[page].pfn,
        child.entries[page].pfn,
    }
    old, new = parent.entries[page].pfn, child.entries[page].pfn
    picture = svg_of(SHARING)
    for sign in (f">{old} r<", f">{new} w<", ">×2→1<", ">new ×1<"):
        assert sign in picture


def test_text_drawing_shows_entries_frames_and_pool():
    story = story_of(SHARING)
    copied = story.chapters[3]
    lines = TextDrawing(story).lines(copied.before, copied.after)
    parent, child = (line.split() for line in lines if re.match(r"[PC] +\d", line))
    new = next(cell for cell in child if cell.endswith("w*"))
    old = parent[child.index(new)]
    assert old.endswith("r")
    assert f"{old[:-1]}x1*" in "".join(lines).split()
    (pool,) = [line for line in lines if line.startswith("pool")]
    assert len(pool.split()[1]) == 64
    assert pool.split()[1].count(".") == copied.free


def test_untouched_pages_are_folded():
    story = story_of("P map A 60\nP write A 2 3\n")
    labels = [column.label for block in blocks(story) for column in block.columns]
    assert labels == ["A0", "A1", "A2", "3–59", "stack"]


def test_regions_that_follow_each_other_have_their_own_columns():
    story = story_of(SCRIPTS["behind"])
    labels = [column.label for block in blocks(story) for column in block.columns]
    assert labels == ["A0", "B0", "B1", "H/K0", "H/K1", "stack"]


def test_on_demand_fork_shows_a_shared_table():
    story = story_of("P map A 2\nP write A 0 2\nP fork C\n", fork="on_demand")
    assert " ×2<" in draw_svg(story, "t")
    parent, child = story.chapters[-1].after.spaces
    assert {e.mode for e in parent.entries.values()} == {"r"}
    assert parent.tables[3].frame == child.tables[3].frame


def test_every_frame_in_use_belongs_to_somebody():
    for text in SCRIPTS.values():
        for chapter in story_of(text).chapters:
            state = chapter.after
            tables = {t.frame for s in state.spaces for t in s.tables}
            mapped = {e.pfn for s in state.spaces for e in s.entries.values()}
            for pfn, frame in enumerate(state.frames):
                assert (frame.use == "table") == (pfn in tables)
                assert frame.use != "data" or pfn in mapped
                assert frame.use != "stack" or frame.owner
