"""Pictures show what is there, fit their frame, and are the same every time."""

import re
from xml.etree import ElementTree

import pytest

from sim.errors import ScenarioError
from sim.host.validity import parse_script
from sim.host.walk.draw_svg import draw_svg
from sim.host.walk.draw_text import TextDrawing
from sim.host.walk.layout import blocks, changed_entries, changed_frames
from sim.host.walk.story import MachineChoice, tell

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
    "everybody": "P exit\n",
}


def story_of(text, **choice):
    return tell(parse_script(text), MachineChoice(**{"frames": 64, **choice}))


def svg_of(text, **choice):
    return draw_svg(story_of(text, **choice), "A title & more", why=True)


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("policy", ["oom", "wait"])
def test_a_picture_is_well_formed_and_inside_its_frame(text, policy):
    root = ElementTree.fromstring(svg_of(text, policy=policy))
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
    with pytest.raises(ScenarioError, match="touches 201 pages, too many to draw"):
        svg_of("P map A 200\nP read A 0 200\n")


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
