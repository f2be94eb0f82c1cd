"""Errors survive being rebuilt from their arguments, by SimPy and by pickle."""

import pickle

import pytest
import simpy

from sim.base.errors import (
    Errno,
    InsufficientDataError,
    KernelPanicError,
    PartlyDoneError,
    Refused,
    ScenarioError,
    SimError,
)

EXAMPLES = [
    Refused(Errno.ENOMEM, "fork"),
    ScenarioError("is negative; write e.g. `16 GiB`", "a.yaml", 7, "host.memory"),
    ScenarioError("is empty"),
    InsufficientDataError("2 replications are needed, got 1"),
    PartlyDoneError("1 of 3 runs failed", ("point 2, replication 0: killed",)),
    KernelPanicError("frames are conserved", "leaked 3"),
    KernelPanicError("frames are conserved"),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_an_error_is_rebuilt_from_its_arguments(error):
    for twin in (type(error)(*error.args), pickle.loads(pickle.dumps(error))):
        assert isinstance(twin, SimError)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_an_error_raised_in_a_simpy_process_comes_out_whole(error):
    def program(env):
        yield env.timeout(1)
        raise error

    env = simpy.Environment()
    env.process(program(env))
    with pytest.raises(type(error)) as caught:
        env.run()
    assert str(caught.value) == str(error)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("m", "f.yaml", 3, "a.b"), "f.yaml:3: a.b: m"),
        (("m", "f.yaml", None, "a.b"), "f.yaml: a.b: m"),
        (("m", "f.yaml", 3), "f.yaml:3: m"),
        (("m", None, None, "a.b"), "a.b: m"),
        (("m",), "m"),
    ],
)
def test_a_scenario_error_says_where(arguments, text):
    assert str(ScenarioError(*arguments)) == text


def test_what_the_others_say():
    assert str(Refused(Errno.EAGAIN, "fork")) == "fork: EAGAIN (too many tasks)"
    assert str(KernelPanicError("law", "detail")) == "law: detail"
    assert str(KernelPanicError("law")) == "law"
    assert str(PartlyDoneError("two failed", ("a", "b"))) == "two failed\na\nb"
