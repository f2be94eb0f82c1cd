"""Whatever is written as steps is either refused by name or has a normal form."""

import json

from hypothesis import given
from hypothesis import strategies as st

from sim.base.units import in_base_units
from sim.program.steps.grammar import VERBS
from sim.program.steps.runner import StepsError, normal_steps

words = st.sampled_from(
    [
        *VERBS,
        *("A", "B", "name", "size", "region", "first", "pages", "pattern", "arrivals", "steps"),
        *("cpu", "time", "times", "grow", "shrink", "uniform", "listed", "every", "at", "poisson"),
        *("1 ms", "64 KiB", "10/s", "sequential", "", "-1"),
    ]
)
scalars = st.none() | st.booleans() | st.integers(-2, 70) | st.floats(-1, 2) | words
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)

ranges = st.fixed_dictionaries(
    {"region": st.sampled_from("AB")},
    optional={"first": st.integers(0, 20), "pages": st.integers(0, 20)},
)
plausible = st.deferred(
    lambda: st.lists(
        st.one_of(
            st.fixed_dictionaries(
                {"mmap": st.fixed_dictionaries({"name": st.just("A"), "size": st.just("64 KiB")})}
            ),
            st.fixed_dictionaries({"write": ranges | st.just("A")}),
            st.fixed_dictionaries({"read": ranges}),
            st.fixed_dictionaries({"dontneed": ranges}),
            st.fixed_dictionaries({"fork": plausible}),
            st.fixed_dictionaries(
                {"repeat": st.fixed_dictionaries({"times": st.just(2), "steps": plausible})}
            ),
            st.fixed_dictionaries({"compute": st.just("1 ms")}),
            st.just("exit"),
        ),
        max_size=4,
    )
)


def check_message(refused):
    path, what = refused.args
    assert isinstance(path, tuple)
    assert what
    assert "\n" not in str(refused)


def refused_or_normal(steps):
    try:
        normal = normal_steps(steps)
    except StepsError as refused:
        check_message(refused)
        return False
    assert normal_steps(in_base_units(json.loads(json.dumps(normal)))) == normal
    return True


@given(anything)
def test_nothing_else_is_ever_raised(steps):
    refused_or_normal(steps)


@given(plausible)
def test_a_normal_form_is_its_own_normal_form(steps):
    refused_or_normal(steps)


def test_the_law_is_about_lists_that_can_be_run_too():
    mapped = {"mmap": {"name": "A", "size": "64 KiB"}}
    assert refused_or_normal(
        [mapped, {"fork": [{"write": "A"}]}, {"repeat": {"times": 2, "steps": [mapped]}}]
    )
