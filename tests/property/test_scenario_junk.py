"""Whatever is written in a scenario, it resolves or is refused: nothing else is ever raised."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.samples import sample

from sim.base.errors import ScenarioError
from sim.scenario import resolve
from sim.scenario.document import parse_document
from sim.scenario.explain import explain_scenario
from sim.scenario.overrides import apply_settings

pytestmark = pytest.mark.stress

WORDS = ["redis", "steps", "generic", "fifo", "4 GiB", "1 s", "5/s", "never", "6.12", "0.5 ns", "x"]
KEYS = [
    "version", "host", "memory", "cpus", "prices", "access", "value", "source", "zones", "name",
    "policy", "scheduler", "kind", "processes", "p", "program", "steps", "dataset", "writes", "run",
    "horizon", "seed", "mmap", "write", "fork", "published", "stages", "zero_fill", "trap",
]  # fmt: skip

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=8,
)

GOOD = {
    "version": 1,
    "host": {"memory": "4 GiB", "cpus": 2},
    "policy": {"scheduler": {"kind": "fifo"}},
    "processes": {
        "r": {"program": "redis", "dataset": "1 MiB"},
        "p": {"program": "steps", "steps": [{"mmap": {"name": "A", "size": 4096}}, {"write": "A"}]},
    },
    "run": {"horizon": "1 s"},
}
PATHS = [
    "version", "name", "host", "host.memory", "host.cpus", "host.zones", "host.prices",
    "host.prices.access", "host.stages", "host.profile", "host.published", "host.kernel",
    "host.min_free", "host.percpu_high", "policy", "policy.scheduler.kind", "processes",
    "processes.r", "processes.r.program", "processes.r.writes", "processes.r.start",
    "processes.r.cpu", "processes.p.steps", "processes.p.steps.0", "processes.p.steps.1.write",
    "run", "run.horizon", "run.sample_every",
]  # fmt: skip


def check_it_resolves_or_is_refused(data: dict) -> None:
    with contextlib.suppress(ScenarioError):
        resolved = resolve(data)
        json.dumps(resolved, allow_nan=False)
        assert resolve(resolved) == resolved


@settings(max_examples=sample(100, 20_000))
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), junk, max_size=5))
def test_junk(data):
    check_it_resolves_or_is_refused(data)


@settings(max_examples=sample(200, 20_000))
@given(st.sampled_from(PATHS), junk)
def test_junk_in_one_place_of_a_good_scenario(path, value):
    data = json.loads(json.dumps(GOOD))
    *way, last = path.split(".")
    node = data
    for part in way:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    node[int(last) if isinstance(node, list) else last] = value
    check_it_resolves_or_is_refused(data)


@settings(max_examples=sample(150, 20_000))
@given(st.text(alphabet="ab:-[]{}&*!|>'\"\n #?,%@\t1.~<", max_size=40))
def test_any_text_is_read_or_refused_in_one_line(text):
    refusals: list[ScenarioError] = []
    try:
        parse_document(text, "f")
    except ScenarioError as error:
        refusals.append(error)
    assert all("\n" not in str(error) and error.line is not None for error in refusals)


@settings(max_examples=sample(150, 20_000))
@given(st.text(alphabet="hostcpus.=[]{}1&*!:\n\t ", max_size=30))
def test_any_setting_is_applied_or_refused(setting):
    document = parse_document(json.dumps(GOOD), "f")
    with contextlib.suppress(ScenarioError):
        changed = apply_settings(document, [setting])
        check_it_resolves_or_is_refused(changed.data)


def test_the_good_one_is_good():
    assert explain_scenario(resolve(GOOD))
