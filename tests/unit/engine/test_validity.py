"""Whether a run answers: each code, what is expected, and that nothing else is looked at."""

import copy
import json

import pytest

from sim.engine.names import kind_of
from sim.engine.validity import CODES, findings, judged

GIB = 2**30


def process(name="p", ended="exit 0"):
    return {
        "name": name, "ended": ended, "started_ns": 0, "ended_ns": 10**10, "cpu_ns": 10**9
    }  # fmt: skip


def load(begun, waiting, late_ns=0, cpu_ns=(10**9, 10**9), busiest=("p", 0.5)):
    return {
        "process": "p", "begun": begun, "waiting": waiting, "first_ns": 0, "last_ns": 10**9,
        "late_ns": late_ns, "window_ns": (0, 10**9), "cpu_ns": cpu_ns, "busiest": busiest,
    }  # fmt: skip


def document(**changes):
    """Return a run in which all went well, with `changes`."""
    evidence = {
        "events": [],
        "endless": [],
        "refusals": [],
        "memory_waits": {},
        "arrivals": [],
        "cpu_ns": [10**10, 10**10],
        **changes.pop("evidence", {}),
    }
    good = {
        "ending": "idle",
        "deadlock": None,
        "simulated_ns": 10**10,
        "metrics": {"memory_need_bytes": {"total": GIB}, "cpu_busy_fraction": 1.0},
        "processes": [process()],
        "evidence": evidence,
    }
    return {**good, **changes}


def scenario(expect=(), warmup=0):
    run = {"expect": list(expect), "warmup": warmup, "horizon": 10**10}
    host = {"cpus": 2, "overcommit": {"mode": 2}}
    return {
        "run": run,
        "host": host,
        "processes": {name: {"cpu": None, "program": "redis"} for name in ("p", "redis")},
    }


def save(begun, ended, measured=None, name="redis"):
    measured = begun if measured is None else measured
    return {
        "process": name, "event": "save", "begun": begun, "ended": ended, "measured": measured
    }  # fmt: skip


def refusal(by="promise", failed=1, count=1):
    return {
        "process": "p", "call": "fork", "errno": "ENOMEM", "by": by, "count": count,
        "failed": failed, "first_ns": 5, "asked_bytes": GIB, "committed_bytes": 3 * GIB,
        "commit_limit_bytes": 2 * GIB,
    }  # fmt: skip


BAD = {
    "deadlock": document(ending="deadlock", deadlock="p waits for q"),
    "crashed": document(processes=[process(ended="segfault")]),
    "killed": document(processes=[process(ended="oom-killed")]),
    "evicted": document(processes=[process(ended="evicted")]),
    "refused": document(evidence={"refusals": [refusal()]}),
    "need_cut_off": document(evidence={"memory_waits": {"p": 2}}),
    "nothing_happened": document(evidence={"events": [save(0, 0)]}),
    "unfinished": document(ending="horizon", processes=[process(ended="running")]),
    "not_served": document(
        evidence={"arrivals": [load(90, 10)]},
    ),
}


def codes(run, **of_scenario):
    return [finding.code for finding in findings(run, scenario(**of_scenario))]


def test_a_run_in_which_all_went_well_answers():
    assert judged(document(), scenario()) == {"answered": True, "validity": []}


@pytest.mark.parametrize("code", BAD)
def test_each_code_is_found_and_is_no_answer(code):
    found = judged(BAD[code], scenario())
    assert code in [finding["code"] for finding in found["validity"]]
    assert not found["answered"]
    assert all(finding["remedy"] and finding["what"] for finding in found["validity"])


@pytest.mark.parametrize("code", BAD)
def test_what_is_expected_is_no_error(code):
    found = judged(BAD[code], scenario(expect=[code]))
    assert found["answered"]
    assert {finding["severity"] for finding in found["validity"]} == {"note"}


@pytest.mark.parametrize("code", [code for code in CODES if code != "not_as_expected"])
def test_an_expected_code_that_does_not_occur_is_an_error(code):
    found = judged(document(), scenario(expect=[code]))
    assert not found["answered"]
    assert [finding["code"] for finding in found["validity"]] == ["not_as_expected"]
    what = found["validity"][0]["what"]
    assert what == (
        f"`{code}` was to be shown and did not occur (it would have been said that {CODES[code]})"
    )


def test_need_cut_off_is_silent_only_if_all_its_causes_are_expected():
    run = document(
        processes=[process(ended="oom-killed")], evidence={"refusals": [refusal(failed=0)]}
    )
    assert not judged(run, scenario(expect=["killed"]))["answered"]
    assert judged(run, scenario(expect=["killed", "refused"]))["answered"]


def test_what_was_swapped_out_is_what_was_written():
    """Not what reclaim took: of pages that were back and clean nothing is written again."""
    need = {"total": 3 * GIB, "page_cache": 0}
    metrics = {"memory_need_bytes": need, "pages_stolen": 900, "pages_swapped_out": 256}
    swap = {"stolen_pages": 900, "peak_bytes": 2**20}
    (found,) = findings({**document(metrics=metrics), "swap": swap}, scenario())
    assert "reclaim swapped out 1 MiB: the peak" in found.what


def test_what_is_certainly_needed_leaves_out_page_cache_that_had_room():
    need = {"total": 3 * GIB, "page_cache": GIB}
    for stolen, least in ((0, "needed is more than 3 GiB"), (9, "left out, is more than 2 GiB")):
        metrics = {"memory_need_bytes": need, "pages_stolen": stolen}
        held = {"short_bytes": 3 * GIB, "short_besides_page_cache_bytes": 2 * GIB}
        run = document(
            metrics=metrics,
            processes=[process(ended="oom-killed")],
            evidence={"held": {"besides_page_cache_bytes": 2 * GIB, **held}},
        )
        found = {finding.code: finding.what for finding in findings(run, scenario())}
        assert f"{least}: 1 killed" in found["need_cut_off"]


def test_a_peak_that_nobody_was_short_at_may_be_all_that_is_needed():
    """Killed after the peak, or in a run of a version that did not keep what was in use then."""
    for held in ({}, {"short_bytes": GIB - 1}):
        run = document(processes=[process(ended="oom-killed")], evidence={"held": held})
        found = {finding.code: finding.what for finding in findings(run, scenario())}
        assert "needed is at least 1 GiB: 1 killed" in found["need_cut_off"]


def test_the_least_besides_page_cache_is_the_most_that_was_seen():
    need = {"total": 3 * GIB, "page_cache": 2 * GIB}
    held = {"besides_page_cache_bytes": 2 * GIB, "besides_page_cache_ns": 10**9}
    run = document(metrics={"memory_need_bytes": need, "pages_stolen": 9}, evidence={"held": held})
    (found,) = findings(run, scenario())
    assert found.what.endswith("besides page cache at least 2 GiB was in use, at 1 s")


def test_a_peak_that_reclaim_has_cut_is_told_without_its_page_cache():
    need = {"total": 3 * GIB, "page_cache": GIB}
    run = document(metrics={"memory_need_bytes": need, "pages_stolen": 256})
    (found,) = findings(run, scenario())
    assert (found.code, found.severity) == ("peak_is_room", "warning")
    assert "dropped 1 MiB of page cache: the peak, 3 GiB, is what there was room for" in found.what
    assert found.what.endswith("besides page cache at least 2 GiB was in use")
    assert judged(run, scenario())["answered"]
    run["metrics"]["pages_stolen"] = 0
    assert findings(run, scenario()) == []


def group(parent=None, high=None, sleeps=0):
    high_bytes = None if high is None else high * 2**20
    return {
        "parent": parent, "high_bytes": high_bytes, "high_sleeps": sleeps,
        "high_slept_ns": sleeps * 10**7,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ({"app": group(high=64)}, []),
        ({"app": group(sleeps=3, high=64)}, [("groups.app", 1, "3 times, 30 ms")]),
        ({"app": group(sleeps=1, high=64)}, [("groups.app", 1, "1 time, 10 ms")]),
        (
            {"pod": group(sleeps=5, high=64), "app": group("pod", sleeps=5, high=32)},
            [("groups.pod", 1, "5 times, 50 ms")],
        ),
        (
            {"pod": group(sleeps=5), "app": group("pod", 32, 5), "in": group("app", sleeps=5)},
            [("groups.app", 1, "5 times, 50 ms")],
        ),
        (
            {f"pod.{n}": group(sleeps=n, high=64) for n in (1, 2, 4)},
            [("groups.pod", 3, "7 times, 70 ms")],
        ),
    ],
)
def test_sleeps_above_memory_high_are_told_of_the_group_that_is_limited(groups, found):
    told = findings(document(groups=groups), scenario())
    assert [(each.where, each.count) for each in told] == [row[:2] for row in found]
    for each, (_, _, said) in zip(told, found, strict=True):
        assert (each.code, each.severity) == ("throttled", "warning")
        assert f"slept {said} in all" in each.what
        name = each.where.removeprefix("groups.")
        assert each.remedy.startswith(f"raise groups.{name}.memory_high")


def test_warm_up_takes_all():
    assert codes(document(simulated_ns=5), warmup=5) == ["all_warmup"]
    assert codes(document(simulated_ns=6), warmup=5) == []
    assert codes(document(simulated_ns=0), warmup=0) == []


def test_an_event_that_ended_within_the_warm_up_was_not_measured():
    assert codes(document(evidence={"events": [save(3, 3, measured=0)]})) == ["nothing_happened"]
    assert codes(document(evidence={"events": [save(3, 3, measured=1)]})) == []


def test_thousands_killed_are_one_finding_with_a_count():
    processes = [process(f"web/{n % 8}.{n}", "oom-killed") for n in range(5000)]
    found = findings(document(processes=processes), scenario())
    killed = [finding for finding in found if finding.code == "killed"]
    assert [(finding.where, finding.count) for finding in killed] == [("web/*", 5000)]


def test_a_server_without_end_may_be_cut_off_but_not_in_an_event():
    endless = {"endless": ["redis"]}
    running = [process("redis", "running"), process("redis/1", "running")]
    run = {"ending": "horizon", "processes": running}
    assert codes(document(**run)) == ["unfinished"]
    assert codes(document(**run, evidence=endless)) == []
    assert codes(document(**run, evidence={**endless, "events": [save(2, 1)]})) == ["unfinished"]


def test_refusals_that_a_program_handles_matter_where_they_are_about_memory():
    both = ["refused", "need_cut_off"]
    for by, expected in {"argument": [], "limit": [], "promise": both, "memory": both}.items():
        assert codes(document(evidence={"refusals": [refusal(by, failed=0)]})) == expected
    assert codes(document(evidence={"refusals": [refusal("argument", failed=1)]})) == ["refused"]
    assert codes(document(evidence={"refusals": [refusal("limit", failed=1)]})) == both


def test_few_that_wait_or_an_idle_cpu_are_served():
    assert codes(document(evidence={"arrivals": [load(95, 5)]})) == []
    idle = load(5, 95, cpu_ns=(10**9, 10**8))
    assert codes(document(evidence={"arrivals": [idle]})) == []


def test_cpus_that_are_idle_at_other_times_of_a_run_served_no_request():
    run = document(evidence={"arrivals": [load(5, 95)], "cpu_ns": [10**9, 10**9]})
    (found,) = findings(run, scenario())
    assert found.what.endswith("no CPU was idle: about 40 CPUs of work for 2")


def test_a_server_that_began_nothing_before_it_was_ended_says_little_of_cpus():
    """The CPUs were busy for as long as it was there: some microseconds."""
    for cpu_ns, found in ([10**9, 10**9], []), ([10**10, 10**10], ["not_served"]):
        assert codes(document(evidence={"arrivals": [load(0, 4)], "cpu_ns": cpu_ns})) == found


def test_a_thread_that_is_never_off_its_cpu_has_none_idle():
    for share, found in ((0.9, []), (0.95, ["not_served"])):
        idle = load(5, 95, cpu_ns=(10**9, 0), busiest=("p.2", share))
        assert codes(document(evidence={"arrivals": [idle]})) == found


def test_what_is_served_late_is_a_warning():
    found = judged(document(evidence={"arrivals": [load(100, 0, late_ns=10**9)]}), scenario())
    assert found["answered"]
    assert [finding["severity"] for finding in found["validity"]] == ["warning"]
    assert codes(document(evidence={"arrivals": [load(100, 0, late_ns=10**7)]})) == []


@pytest.mark.parametrize("code", BAD)
def test_judging_is_pure(code):
    run, asked = copy.deepcopy(BAD[code]), scenario(expect=["killed"])
    before = json.dumps([run, asked], sort_keys=True)
    first = judged(run, asked)
    assert judged(json.loads(json.dumps(run)), json.loads(json.dumps(asked))) == first
    assert json.dumps([run, asked], sort_keys=True) == before


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("web", "web"),
        ("web.3", "web"),
        ("web/1", "web/*"),
        ("a/b.2/3.4", "a/b/*"),
        ("app.1.12.3/child", "app/child"),
        ("v1.2x", "v1.2x"),
    ],
)
def test_processes_that_are_alike(name, kind):
    assert kind_of(name) == kind
