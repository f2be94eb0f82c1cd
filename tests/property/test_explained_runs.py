"""What `explain` says before a run is what the run shows, within the tolerance that is printed.

Scenarios are drawn from all programs that ship, host settings, huge pages, releases and fork
strategies.  A form with chance in it allows five standard deviations: one false alarm in 1.7
million figures.
"""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from support.explained import KEYS, scenarios
from support.samples import sample

from sim.engine.run import simulate
from sim.program import PROGRAMS
from sim.program.signature import keyword_arguments
from sim.scenario.explain.warnings import warnings_section
from sim.scenario.forms import FORMS
from sim.scenario.forms.form import Form
from sim.scenario.forms.setting import setting_of
from sim.scenario.resolve import resolve


def forms_of(resolved: dict[str, Any]) -> list[Form]:
    process = resolved["processes"]["p"]
    arguments = keyword_arguments(PROGRAMS[process["program"]], process)
    return FORMS[process["program"]](arguments, setting_of(resolved["host"], resolved["policy"]))


def disagreements(resolved: dict[str, Any]) -> list[str]:
    """Return what a run shows otherwise than its forms say, or than it was warned of."""
    forms = forms_of(resolved)
    document = simulate(resolved, seed=resolved["run"]["seed"]).to_json()
    warnings = warnings_section(resolved, PROGRAMS)
    if warnings is not None and any(label == "p does not fit" for label, _ in warnings.lines):
        codes = {finding["code"] for finding in document["validity"]}
        return [] if "need_cut_off" in codes else ["it was to be too large, and fits"]
    assert document["ending"] == "idle"
    return differing(forms, document)


def differing(forms: list[Form], document: dict[str, Any]) -> list[str]:
    found = []
    for form in forms:
        if form.value is not None and form.seen is not None:
            shown = form.seen(document, "p")
            if not form.agrees(shown):
                found.append(f"{form.label}: {form.said()} ({form.value:g}), but {shown:g}")
    return found


@pytest.mark.stress
@settings(
    max_examples=sample(30, 3000), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(scenarios())
def test_a_run_shows_what_was_expected(document: dict[str, Any]) -> None:
    assert disagreements(resolve(document)) == []


SAVES = {
    "version": 1,
    "host": {"memory": "1 GiB", "cpus": 2},
    "processes": {
        "p": {"program": "redis", "dataset": "100 MiB", "save_every": "1 ms", "writes": "20000/s",
              "save_speed": "80 MiB/s"},
    },
    "run": {"horizon": "10 min"},
}  # fmt: skip


@pytest.mark.parametrize("label", ["a save takes", "a save copies", "page tables", "done"])
def test_a_form_that_is_wrong_by_a_tenth_is_noticed(label: str) -> None:
    """Negative control."""
    resolved = resolve(SAVES)
    document = simulate(resolved, seed=1).to_json()
    forms = forms_of(resolved)
    assert differing(forms, document) == []
    broken = [
        replace(form, value=form.value * 1.1) if form.label == label and form.value else form
        for form in forms
    ]
    assert [found.partition(":")[0] for found in differing(broken, document)] == [label]


def test_every_program_with_parameters_of_its_own_has_forms() -> None:
    assert set(FORMS) == set(KEYS) == set(PROGRAMS) - {"steps"}


def web(**keys: Any) -> dict[str, Any]:
    process = {"program": "prefork_web", "app": "16 MiB", "duration": "2 s", **keys}
    document = {**SAVES, "processes": {"p": process}}
    return resolve(document)


def test_collections_and_requests_hit_the_same_hot_pages() -> None:
    """Both begin at page 0: as if they were apart, what is copied comes out a tenth too large."""
    resolved = web(
        collect_every=10, collected_fraction=0.5, hot_fraction=0.5, hot_share=1.0,
        requests="60/s", request_cpu="1 ms", eroded_pages=100, workers=3,
    )  # fmt: skip
    document = simulate(resolved, seed=1).to_json()
    forms = forms_of(resolved)
    assert differing(forms, document) == []
    (eroded,) = [form for form in forms if form.label.startswith("eroded")]
    assert eroded.value == 2048
    assert differing([replace(eroded, value=2048 + 1024)], document)


@pytest.mark.parametrize(
    ("changes", "label", "why"),
    [
        ({"host": {"memory": "1 GiB", "cpus": 1}}, "a save copies", "with one CPU"),
        ({"host": {"memory": "1 GiB", "thp": "always", "kernel": "5.4"},
          "processes": {"p": {**SAVES["processes"]["p"], "version": "6.0"}}}, "a save copies",
         "before 5.8"),
    ],
)  # fmt: skip
def test_where_no_form_holds_it_says_so(changes: dict[str, Any], label: str, why: str) -> None:
    forms = {form.label: form for form in forms_of(resolve({**SAVES, **changes}))}
    assert forms[label].value is None
    assert forms[label].said().startswith(f"no closed form: {why}")


@pytest.mark.parametrize(("kernel", "writes"), [("5.4", 64), ("6.12", 0), ("6.12", 64)])
def test_a_parent_that_writes_splits_its_huge_pages(kernel: str, writes: int) -> None:
    """From 5.8 on a write copies one page, and the next fork copies 512 entries in its place."""
    storm = {"program": "build_storm", "parent": "10 MiB", "parent_writes": writes, "jobs": 7}
    host = {"memory": "1 GiB", "cpus": 2, "thp": "always", "kernel": kernel}
    resolved = resolve({**SAVES, "host": host, "processes": {"p": storm}})
    forms = {form.label: form for form in forms_of(resolved)}
    splits = kernel == "6.12" and writes > 0
    assert (forms["a start copies"].value is None) == splits
    assert disagreements(resolved) == []


def test_a_server_that_is_too_busy_has_no_forms_of_its_saves() -> None:
    process = {**SAVES["processes"]["p"], "writes": "200000/s"}  # type: ignore[index]
    forms = forms_of(resolve({**SAVES, "processes": {"p": process}}))
    assert "more than 70% of its time" in next(f.text for f in forms if f.label == "a save copies")
