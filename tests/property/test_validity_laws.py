"""Laws of what is found in a run, over drawn documents; each fails if its rule is taken away."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.engine import validity
from sim.engine.validity import CODES, findings, judged

NAMES = st.sampled_from(["web", "web.2", "web/1", "web/2.7", "db", "db/saver", "db/saver.3"])
COUNT = st.integers(0, 50)
CODE = st.sampled_from([code for code in CODES if code != "not_as_expected"])
TIME_NS = st.integers(1, 10**13)


@st.composite
def processes(draw, ended=("exit 0", "exit 3", "oom-killed", "segfault", "failed: ENOMEM")):
    end_ns = draw(TIME_NS)
    return {
        "name": draw(NAMES), "ended": draw(st.sampled_from(ended)), "started_ns": 0,
        "ended_ns": end_ns, "cpu_ns": draw(st.integers(0, end_ns)),
    }  # fmt: skip


@st.composite
def events(draw):
    begun = draw(COUNT)
    ended = draw(st.integers(0, begun))
    return {
        "process": draw(st.sampled_from(["web", "db"])), "event": "save", "begun": begun,
        "ended": ended, "measured": draw(st.integers(0, begun)),
    }  # fmt: skip


@st.composite
def refusals(draw):
    count = draw(st.integers(1, 50))
    return {
        "process": draw(NAMES), "call": "mmap", "errno": "ENOMEM", "count": count,
        "by": draw(st.sampled_from(["argument", "promise", "limit", "memory"])),
        "failed": draw(st.integers(0, count)), "first_ns": draw(TIME_NS),
        "asked_bytes": 4096, "committed_bytes": 8192, "commit_limit_bytes": 8192,
    }  # fmt: skip


@st.composite
def loads(draw):
    first_ns = draw(TIME_NS)
    return {
        "process": draw(st.sampled_from(["web", "db"])), "begun": draw(COUNT),
        "waiting": draw(COUNT), "first_ns": first_ns, "last_ns": first_ns + draw(TIME_NS),
        "late_ns": draw(st.integers(0, 10**12)), "window_ns": (0, 100),
        "cpu_ns": [draw(st.integers(0, 100)) for _ in range(2)],
        "busiest": draw(st.sampled_from([None, ("web", 0.3), ("db", 1.0)])),
    }  # fmt: skip


@st.composite
def documents(draw):
    simulated_ns = draw(TIME_NS)
    ending = draw(st.sampled_from(["idle", "horizon", "deadlock"]))
    return {
        "ending": ending,
        "deadlock": "db waits" if ending == "deadlock" else None,
        "simulated_ns": simulated_ns,
        "metrics": {"memory_need_bytes": {"total": draw(st.integers(0, 2**40))}},
        "processes": draw(st.lists(processes(), max_size=6)),
        "evidence": {
            "events": draw(st.lists(events(), max_size=3)),
            "endless": draw(st.lists(st.sampled_from(["web", "db"]), unique=True)),
            "refusals": draw(st.lists(refusals(), max_size=3)),
            "memory_waits": draw(st.dictionaries(NAMES, st.integers(1, 9), max_size=2)),
            "arrivals": draw(st.lists(loads(), max_size=2)),
            "cpu_ns": [draw(st.integers(0, simulated_ns)) for _ in range(2)],
        },
    }  # fmt: skip


@st.composite
def scenarios(draw, expect=True):
    return {
        "run": {
            "warmup": draw(st.integers(0, 10**12)),
            "expect": draw(st.lists(CODE, unique=True, max_size=3)) if expect else [],
        },
        "host": {
            "cpus": 2,
            "kernel": draw(st.sampled_from(["4.19", "6.18"])),
            "overcommit": {"mode": draw(st.sampled_from([0, 2]))},
        },
        "processes": {
            "web": {"cpu": None, "program": "prefork_web"},
            "db": {"cpu": 1, "program": "mine"},
        },
    }


def codes(document, scenario):
    return {finding.code for finding in findings(document, scenario)}


def law_of_kills(document, scenario, victim):
    """Whoever is killed is found, and the need is cut off; without `expect` there is no answer."""
    document = copy.deepcopy(document)
    before = sum(f.count for f in findings(document, scenario) if f.code == "killed")
    document["processes"].append({**victim, "ended": "oom-killed"})
    found = findings(document, scenario)
    assert sum(f.count for f in found if f.code == "killed") == before + 1
    assert "need_cut_off" in {f.code for f in found}
    if not scenario["run"]["expect"]:
        assert not judged(document, scenario)["answered"]


def law_of_events(document, scenario, count, until_ns):
    """An event under way when the horizon cuts a run off is found, wherever the horizon lies."""
    document = copy.deepcopy(document)
    document |= {"ending": "horizon", "deadlock": None, "simulated_ns": until_ns}
    document["evidence"]["events"].append({**count, "begun": count["ended"] + 1})
    found = [f for f in findings(document, scenario) if f.code == "unfinished"]
    assert count["process"] in {f.where for f in found}


def law_of_answers(document, scenario):
    """A run answers exactly if nothing that was found is an error; a code expected is none."""
    told = judged(document, scenario)
    errors = {f["code"] for f in told["validity"] if f["severity"] == "error"}
    assert told["answered"] == (not errors)
    assert not errors & set(scenario["run"]["expect"])
    missing = set(scenario["run"]["expect"]) - {f["code"] for f in told["validity"]}
    assert ("not_as_expected" in errors) == bool(missing)


def law_of_lines(document, scenario):
    """One line a code and kind of process, in the order of the codes, and every line complete."""
    found = findings(document, scenario)
    killed = [f.where for f in found if f.code in ("killed", "crashed")]
    assert all(killed.count(where) <= 2 for where in killed)
    order = [list(CODES).index(f.code) for f in found]
    assert order == sorted(order)
    assert all(f.count >= 1 and f.what and f.remedy and f.where for f in found)


@given(documents(), scenarios(), processes())
def test_kills(document, scenario, victim):
    law_of_kills(document, scenario, victim)


@given(documents(), scenarios(), events(), TIME_NS)
def test_events_under_way(document, scenario, count, until_ns):
    law_of_events(document, scenario, count, until_ns)


@given(documents(), scenarios())
def test_answers(document, scenario):
    law_of_answers(document, scenario)


@given(documents(), scenarios())
def test_lines(document, scenario):
    law_of_lines(document, scenario)


@given(documents(), scenarios(expect=False))
def test_judging_changes_nothing_and_looks_at_nothing_else(document, scenario):
    kept = copy.deepcopy((document, scenario))
    told = judged(document, scenario)
    assert (document, scenario) == kept
    assert judged({**document, "series": {}, "marks": [1]}, {**scenario, "name": "x"}) == told


GOOD = {
    "ending": "idle", "deadlock": None, "simulated_ns": 10**9,
    "metrics": {"memory_need_bytes": {"total": 4096}}, "processes": [],
    "evidence": {"events": [], "endless": [], "refusals": [], "memory_waits": {}, "arrivals": [],
                 "cpu_ns": [0, 0]},
}  # fmt: skip
PLAIN = {"run": {"warmup": 0, "expect": []},
         "host": {"cpus": 2, "kernel": "6.18", "overcommit": {"mode": 0}},
         "processes": {"web": {"cpu": None, "program": "steps"},
                       "db": {"cpu": None, "program": "redis"}}}  # fmt: skip
VICTIM = {"name": "web/1", "started_ns": 0, "ended_ns": 5, "cpu_ns": 1}
SAVE = {"process": "db", "event": "save", "begun": 1, "ended": 1, "measured": 1}
BROKEN = {
    "ended_badly": lambda: law_of_kills(GOOD, PLAIN, VICTIM),
    "need_cut_off": lambda: law_of_kills(GOOD, PLAIN, VICTIM),
    "_unfinished": lambda: law_of_events(GOOD, PLAIN, SAVE, 10**9),
    "_missing": lambda: law_of_answers(GOOD, {**PLAIN, "run": {"warmup": 0, "expect": ["killed"]}}),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_rule_that_is_taken_away_is_missed(rule, monkeypatch):
    """Negative control: each law notices when its rule finds nothing."""
    BROKEN[rule]()
    monkeypatch.setattr(validity, rule, lambda *_: ())
    with pytest.raises(AssertionError):
        BROKEN[rule]()
