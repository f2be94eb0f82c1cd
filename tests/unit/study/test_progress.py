import io
import itertools
from types import SimpleNamespace

from sim.study import progress
from sim.study.progress import ProgressBar


def lines_of(monkeypatch, play):
    """Return the lines that are said where there is no terminal, a run taking 11 s."""
    clock = itertools.count(0, 11)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    screen = io.StringIO()
    with ProgressBar(screen) as bar:
        play(bar)
    return screen.getvalue().splitlines()


def test_rounds_of_one_search_are_counted_together(monkeypatch):
    def search(bar):
        for n_runs in (1, 1, 3):
            bar.begin("looking for the size", n_runs, float(n_runs))
            for _ in range(min(n_runs, 2)):
                bar.advance(1.0)

    first, *others = lines_of(monkeypatch, search)
    assert first == "looking for the size: 1 run"
    assert [line.partition(",")[0] for line in others] == [
        "1 of 1 runs",
        "2 of 2 runs that are planned so far",
        "3 of 5 runs that are planned so far",
        "4 of 5 runs that are planned so far",
    ]


def test_another_round_starts_over(monkeypatch):
    def study(bar):
        for what in ("runs", "hosts"):
            bar.begin(what, 2, 2.0)
            bar.advance(1.0)

    told = lines_of(monkeypatch, study)
    assert told == [
        "runs: 2 runs",
        "1 of 2 runs, about 11 s left",
        "hosts: 2 runs",
        "1 of 2 runs, about 11 s left",
    ]
