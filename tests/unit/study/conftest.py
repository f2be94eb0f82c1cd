import importlib.util
import sys
from pathlib import Path

import cloudpickle
import pytest
from support import quick_runs
from support.stores import rows_of

from sim.study.executor import InlineExecutor
from sim.study.run import run_study

STUDY = """\
version: 1
name: small
question: How much memory does it take?
base: redis_bgsave
set: {run.horizon: 60 s}
axes:
  processes.redis.dataset: [64 MiB, 256 MiB]
  processes.redis.writes: {quiet: 1000/s, busy: 40000/s}
labels: {processes.redis.dataset: data set}
replications: 4
seed: 7
baseline: {processes.redis.writes: quiet}
need: {set: {host.memory: {times: processes.redis.dataset, by: 8}}}
check:
  times: processes.redis.dataset
  by: [1.5, 6]
  around: [0.9, 1.0]
  replications: {least: 2, most: 5}
answer: {subject: a Redis host, event: saves, normal_because: the luck of the stand-in is normal}
metrics: [fork_latency_ns.mean]
"""


def _load_standin():
    """Load the stand-in simulator so that worker processes get it by value."""
    path = Path(__file__).parent / "standin.py"
    spec = importlib.util.spec_from_file_location("standin", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["standin"] = module
    spec.loader.exec_module(module)
    cloudpickle.register_pickle_by_value(module)
    return module


_STANDIN = _load_standin()


@pytest.fixture(scope="session")
def standin():
    return _STANDIN


@pytest.fixture(scope="session")
def study_text():
    return STUDY


@pytest.fixture
def study_file(tmp_path, study_text):
    path = tmp_path / "small.yaml"
    path.write_text(study_text)
    return path


@pytest.fixture(scope="module")
def lasting_study(study_text, tmp_path_factory):
    """Return the file of a study that nobody changes, for all tests of a module."""
    path = tmp_path_factory.mktemp("study") / "small.yaml"
    path.write_text(study_text)
    return path


@pytest.fixture(scope="module")
def rows_made_here(lasting_study):
    """Return the rows of that study, carried out in this process, a run after the other."""
    out = lasting_study.parent / "whole"
    inline = InlineExecutor(quick_runs.simulate)
    run_study(lasting_study, out, quiet=True, executors=lambda n: inline)
    return rows_of(out)
