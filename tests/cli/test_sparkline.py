"""Memory over time in a line each: nothing is cut, and the line says its scale."""

import io
import itertools
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from sim.base.units import format_bytes
from sim.cli.sparkline import lines_over_time, shows_blocks, sparkline

MIB = 1 << 20
levels = st.lists(st.integers(0, 1000), min_size=1, max_size=300)


@given(levels, st.integers(1, 1200), st.integers(1, 120), st.booleans())
def test_each_character_is_the_highest_of_its_part(values, limit, columns, blocks):
    line = sparkline(values, limit, columns, blocks=blocks)
    assert len(line) == min(columns, len(values))
    heights = [(" ▁▂▃▄▅▆▇█" if blocks else "0123456789").index(c) for c in line]
    parts = [
        values[n * len(values) // len(line) : (n + 1) * len(values) // len(line)]
        for n in range(len(line))
    ]
    assert list(itertools.chain(*parts)) == values
    for height, part in zip(heights, parts, strict=True):
        share = min(max(part), limit) / limit
        if blocks:
            assert (height - 1) / 8 < share <= height / 8 or share == height == 0
        else:
            assert height == min(9, int(min(max(part), limit) * 10 // limit))


def document(*names):
    samples = 1000
    groups = {
        name: {"peak_bytes": 400 * MIB, "max_bytes": 500 * MIB} for name in names
    } | {"free": {"peak_bytes": 7, "max_bytes": None}}  # fmt: skip
    return {
        "series": {
            "t_ns": list(range(samples)),
            "free_pages": [262_144 - 200 * n for n in range(samples)],
            "groups": {name: {"current_pages": list(range(samples))} for name in groups},
        },
        "host": {"total_pages": 262_144},
        "metrics": {"free_pages": {"min": 1000}},
        "groups": groups,
        "simulated_ns": 30_000_000_000,
    }


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize("width", [40, 60, 80, 110])
@pytest.mark.parametrize("names", [(), ("app",), ("app", "a-group-with-a-rather-long-name/x")])
def test_host_and_groups_with_a_limit_have_a_line(names, width, blocks):
    told = lines_over_time(document(*names), width, blocks=blocks)
    text = "\n".join(told)
    assert all(cell_len(line) <= width for line in told[1:])
    assert "30 s" in told[0]
    assert ("block" if blocks else "tenths") in told[0]
    assert text.isascii() or blocks
    words = " ".join(text.split())
    assert f"peak {format_bytes(4096 * (262_144 - 1000))} of 1 GiB" in words
    assert words.count("peak 400 MiB of 500 MiB") == len(names)
    assert "free" not in words, "no limit, no line"
    if names == ("app",) and width >= 60:
        assert [line.split()[0] for line in told[1:]] == ["host", "app"]


def test_without_a_series_there_is_nothing_to_show():
    assert lines_over_time({"series": {"t_ns": []}, "host": {"total_pages": 1}}, 80) == []
    assert lines_over_time({}, 80) == []


@pytest.mark.parametrize(("encoding", "shown"), [("utf-8", True), ("ascii", False)])
def test_blocks_are_shown_where_stdout_takes_them(monkeypatch, encoding, shown):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert shows_blocks() is shown
