"""The figure of memory over time: what a curve keeps of a run, and what its panels draw of it."""

from types import SimpleNamespace

import numpy as np
import pytest

from sim.report.figures import free_pages
from sim.study import curves

SAMPLES = 1000
MIB = 1 << 20


def result(*, grouped):
    free = [9000 - n % 500 for n in range(SAMPLES)]
    groups = {"app": 300 * MIB, "free": None} if grouped else {}
    return {
        "series": {
            "t_ns": list(range(0, SAMPLES * 10**7, 10**7)),
            "free_pages": free,
            "anon_pages": [10_000 + n for n in range(SAMPLES)],
            "page_cache_pages": [5000] * SAMPLES,
            "hugetlb_pages": [0] * SAMPLES,
            "groups": {name: {"current_pages": list(range(SAMPLES))} for name in groups},
        },
        "host": {"min_pages": 100, "low_pages": 130, "high_pages": 160},
        "groups": {name: {"max_bytes": limit} for name, limit in groups.items()},
    }


def curve(*, grouped):
    record = SimpleNamespace(
        key="k", memory_bytes=1 << 30, ran_out=False, place=SimpleNamespace(replication=0)
    )
    store = SimpleNamespace(result=lambda key: result(grouped=grouped))
    return curves._curve(store, record)


@pytest.mark.parametrize("grouped", [True, False])
def test_a_curve_keeps_the_same_points_of_every_state(grouped):
    found = curve(grouped=grouped)
    kept = [t_ns // 10**7 for t_ns in found["t_ns"]]
    assert len(kept) == curves.MOST_SAMPLES
    assert min(found["free_pages"]) == 9000 - 499, "lows stay"
    assert found["states"] == {
        "anon_pages": [10_000 + n for n in kept],
        "page_cache_pages": [5000] * len(kept),
    }, "huge pages were not used"
    of_app = {"app": {"current_pages": kept, "max_bytes": 300 * MIB}}
    assert found["groups"] == (of_app if grouped else {}), "groups with a limit"


@pytest.mark.parametrize("grouped", [True, False])
def test_panels_are_what_the_curve_says(monkeypatch, tmp_path, grouped):
    monkeypatch.setattr(free_pages, "drawn", lambda figure, folder, name, **words: figure)
    told = curve(grouped=grouped)
    figure = free_pages.draw_free_pages([told | {"marks": []}], tmp_path)
    titles = [axis.get_title("left") for axis in figure.axes]
    assert titles[:2] == ["Free pages, host of 1 GiB: held", "In use, by what for"]
    assert titles[2:] == (["Groups and their limits"] if grouped else [])
    assert list(figure.axes[0].lines[0].get_ydata()) == told["free_pages"]
    labels = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert labels == ["anonymous", "page cache"]
    top = max(path.get_extents().y1 for path in figure.axes[1].collections[1].get_paths())
    assert top == (max(told["states"]["anon_pages"]) + 5000) * 4096
    if grouped:
        usage, limit = figure.axes[2].lines
        assert np.array_equal(usage.get_ydata(), np.array(told["t_ns"]) // 10**7 * 4096)
        assert set(limit.get_ydata()) == {300 * MIB}
        assert usage.get_linestyle() != limit.get_linestyle()
        assert figure.axes[2].get_ylim()[1] > 300 * MIB
