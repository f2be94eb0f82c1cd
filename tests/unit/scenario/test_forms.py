"""Forms: what agrees with them, and how they are written."""

import pytest

from sim.scenario.forms.form import Form, no_form


@pytest.mark.parametrize(
    ("form", "agree", "differ"),
    [
        (Form("a", "b", 100, holds="exactly"), [100], [99, 101]),
        (Form("a", "b", 100, holds="about", within=0.1), [90, 110], [89, 111]),
        (Form("a", "b", 100, holds="about", within=0.1, beside=5), [85, 115], [84, 116]),
        (Form("a", "b", 100, holds="at most", beside=5), [0, 105], [106]),
        (Form("a", "b", 100, holds="at least", within=0.1), [90, 10**9], [89]),
        (Form("a", "b", 0, holds="about", beside=2), [2, -2], [3]),
        (no_form("a", "why"), [1, 10**9], []),
    ],
)
def test_what_agrees(form: Form, agree: list[float], differ: list[float]) -> None:
    assert all(form.agrees(found) for found in agree)
    assert not any(form.agrees(found) for found in differ)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Form("a", "5 s"), "5 s"),
        (Form("a", "5 s", 5.0), "5 s"),
        (Form("a", "5 s", 5.0, holds="about", within=0.02), "5 s, ±2 %"),
        (Form("a", "5 s", 5.0, holds="about", within=0.02, beside=0.06), "5 s, ±4 %"),
        (Form("a", "5 s", 5.0, holds="about", within=0.1231), "5 s, ±13 %"),
        (Form("a", "5 s", 5.0, holds="about", within=0.0005), "5 s"),
        (Form("a", "5 s", 5.0, holds="at most", within=0.5), "at most 5 s"),
        (Form("a", "5 s", 5.0, holds="at least"), "at least 5 s"),
        (Form("a", "nothing", 0.0, holds="about", beside=1), "nothing"),
        (no_form("a", "it depends"), "no closed form: it depends"),
    ],
)
def test_the_tolerance_is_printed_and_never_less_than_it_is(form: Form, text: str) -> None:
    assert form.said() == text
