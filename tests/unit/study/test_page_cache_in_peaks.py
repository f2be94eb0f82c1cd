"""A study says where its peaks are what there was room for, by the rule that runs go by."""

from types import SimpleNamespace

from sim.engine.shortfalls import besides_page_cache
from sim.study.doubts import page_cache_sentences

GIB = 2**30


def record(stolen, total, cache):
    need = {"total": total, "page_cache": cache}
    rest = besides_page_cache({"metrics": {"pages_stolen": stolen, "memory_need_bytes": need}})
    return SimpleNamespace(scalars={}, besides_bytes=rest)


def test_it_is_said_how_many_runs_and_what_their_peaks_were_without():
    runs = [record(0, 3 * GIB, GIB), record(7, 3 * GIB, GIB), record(9, 4 * GIB, GIB)]
    (told,) = page_cache_sentences(runs)
    assert told == (
        "In 2 of 3 runs reclaim dropped page cache: their peak is what there was room for, not "
        "what is needed; besides page cache at least 2 GiB to 3 GiB was in use."
    )


def test_nothing_is_said_where_nothing_was_dropped():
    assert page_cache_sentences([record(0, 3 * GIB, GIB)]) == []
    assert record(0, GIB, 0).besides_bytes is None


def test_a_peak_with_pages_on_the_swap_device_is_less_than_what_is_needed():
    runs = [record(7, 3 * GIB, GIB), record(7, 3 * GIB, 0)]
    runs[1].scalars["pages_swapped_out"] = 7
    (told,) = page_cache_sentences(runs)
    assert told.startswith("In 1 of 2 runs pages were swapped out: their peak is what there was")
    assert "what is needed is more" in told
