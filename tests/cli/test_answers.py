"""Studies that have no answer, or less than the one asked for, say so and end with 1.

A figure is printed with the same calm whatever the runs behind it did: so each kind of run that
did not do what it was made for has a study here, and so have those that look like one and are not.
"""

import re
from pathlib import Path

import pytest
from support.commands import RUNS_HERE, cowpool_here

from sim.study.executor import InlineExecutor
from sim.study.run import run_study

FOLDER = Path(__file__).parent / "answers"


def assert_says(said, text, status):
    text = " ".join(text.split())
    assert re.search(said, text), text
    if status:
        assert not re.search(r"CI\)|% of simulated|chance moves", text)


def test_a_study_from_the_command_line(tmp_path):
    file = str(FOLDER / "no_save.yaml")
    done = cowpool_here("study", file, "--out", "out", *RUNS_HERE, cwd=tmp_path)
    assert done.returncode == 1, (done.stdout, done.stderr)
    said = (
        r"No answer \(writes 500/s\): redis: no save began before the end of the run, at 1 s "
        r"\(3 of 3 runs\)\."
    )
    assert_says(said, done.stdout, 1)


def answered(file, out):
    outcome = run_study(file, out, quiet=True, executors=lambda n: InlineExecutor())
    assert not outcome.failures
    return outcome.exit_status, " ".join(outcome.sentences)


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        (
            "censored",
            0,
            r"a Redis host \(writes 60000/s\) needs about 1\d\d MiB .*"
            r"In 5 of 5 runs on a host of 109 MiB memory ran out, so the need was measured on one "
            r"of twice that size\.",
        ),
        ("dead_at_start", 1, r"No answer .*mmap was refused with ENOMEM.*\(3 of 3 runs\)"),
        (
            "killed_workers",
            1,
            r"memory_need_bytes\.total \(workers 32\) is more than 9\d\d MiB: 3 of 3 runs ran out "
            r"of memory\.",
        ),
        (
            "overload",
            1,
            r"No answer .*requests that had arrived .*were not begun at the end.*no CPU was idle"
            r".*\(3 of 3 runs\)",
        ),
    ],
)
def test_a_study_of_a_file(tmp_path, name, status, said):
    ended, text = answered(str(FOLDER / f"{name}.yaml"), tmp_path / "out")
    assert ended == status, text
    assert_says(said, text, status)


FORKS = """
      - mmap: {name: A, size: 8 MiB}
      - write: A
      - fork: {name: child, steps: [{read: A}, {write: {region: A, pages: 1024}}]}
      - wait: child
"""
GROWS = """
      - mmap: {name: A, size: 200 MiB}
      - write: A
"""


def scenario(
    steps=FORKS,
    run="horizon: 10 s",
    host="memory: 256 MiB, cpus: 2, overcommit: {mode: 1}",
    policy="",
):
    return (
        f"version: 1\nname: base\nhost: {{{host}}}\n{policy}processes:\n"
        f"  p:\n    program: steps\n    steps:{steps}run: {{{run}}}\n"
    )


REDIS = """version: 1
name: base
host: {{memory: 128 MiB, cpus: 2}}
processes:
  redis: {{program: redis, dataset: 4 MiB, save_every: 50 ms, saves: 1, writes: {writes}}}
run: {{{run}}}
"""
STUDY = """version: 1
name: asked
base: base.yaml
axes: {{{axes}}}
seed: 1
one_at_a_time: 0
{more}
"""
NEED = "need: {set: {host.memory: 256 MiB}}\n"
THREE = "replications: 3\n"
CPUS = "host.cpus: [2]"
KILLED_BY_SIZE = "host.memory: [512 MiB, 64 MiB]"

CASES = {
    "all is well": (
        scenario(),
        CPUS,
        NEED + THREE,
        0,
        r"needs about .*\(36.8 % of simulated runs, ",
    ),
    "one run is one run": (
        scenario(),
        CPUS,
        NEED + "replications: 1",
        0,
        r"\(5 % of simulated runs, .* 1 run, largest value\)",
    ),
    "no replications named: as many as the bound takes": (
        scenario(),
        CPUS,
        NEED + "answer: {content: 0.9, confidence: 0.9}",
        0,
        r"\(90 % of simulated runs, .* 22 runs, order statistic\)",
    ),
    "equal runs are not normal, whatever is declared": (
        scenario(),
        CPUS,
        NEED + THREE + "answer: {normal_because: I hope so}",
        0,
        r"\(36.8 % of simulated runs, .* largest value: normal theory was declared and is contrad",
    ),
    "the horizon cuts the work off": (
        scenario(run="horizon: 2 ms"),
        CPUS,
        NEED + THREE,
        1,
        r"No answer .*cut off by the horizon.*\(3 of 3 runs\)",
    ),
    "nothing but warm-up": (
        scenario(run="horizon: 10 s, warmup: 5 s"),
        CPUS,
        NEED + THREE,
        1,
        r"No answer .*warm-up.*\(3 of 3 runs\)",
    ),
    "killed where the need is measured: a larger host": (
        scenario(GROWS),
        CPUS,
        "need: {set: {host.memory: 160 MiB}}\n" + THREE,
        0,
        r"needs about \d+ MiB of memory.* In 3 of 3 runs on a host of 160 MiB memory ran out",
    ),
    "a need that no host of the study holds": (
        scenario(GROWS.replace("200 MiB", "1 GiB")),
        CPUS,
        "need: {set: {host.memory: 64 MiB}}\n" + THREE,
        1,
        r"needs more than 512 MiB of memory: 3 of 3 runs ran out of memory on a host of that size",
    ),
    "killed on the host that the question is about": (
        scenario(GROWS),
        KILLED_BY_SIZE,
        THREE,
        1,
        r"memory_need_bytes.total \(memory 64 MiB\) is more than .*3 of 3 runs ran out of memory",
    ),
    "killed elsewhere, and the plan names the point": (
        scenario(GROWS),
        KILLED_BY_SIZE,
        THREE + "answer: {at: {host.memory: 512 MiB}}",
        0,
        r"memory_need_bytes.total \(memory 512 MiB\) is \d+ MiB",
    ),
    "a figure that a kill has spoilt": (
        scenario(GROWS),
        KILLED_BY_SIZE,
        THREE + "answer: {metric: minor_faults}",
        1,
        r"No answer \(memory 64 MiB\): .*killed because memory ran out.*\(3 of 3 runs\)",
    ),
    "a kill is what the scenario shows": (
        scenario(GROWS, run="horizon: 10 s, expect: [killed]"),
        "host.memory: [96 MiB, 64 MiB]",
        THREE + "answer: {metric: oom_kills}",
        0,
        r"oom_kills \(memory 96 MiB\) is 1, the same in all 3 runs",
    ),
    "a kill is shown, but the need is asked for": (
        scenario(GROWS, run="horizon: 10 s, expect: [killed]"),
        "host.memory: [96 MiB, 64 MiB]",
        THREE,
        1,
        r"memory_need_bytes.total \(memory 96 MiB\) is more than",
    ),
    "a kill that was to be shown and did not come": (
        scenario(run="horizon: 10 s, expect: [killed]"),
        CPUS,
        THREE + "answer: {metric: oom_kills}",
        1,
        r"No answer .*`killed` was to be shown and did not occur",
    ),
    "processes that wait for each other's memory": (
        scenario(GROWS + "      - sleep: 1 s\n", policy="policy: {memory: wait}\n"),
        "host.memory: [64 MiB]",
        THREE + "answer: {metric: minor_faults}",
        1,
        r"No answer .*nothing can go on",
    ),
    "a latency that nobody had": (
        scenario(GROWS),
        "host.memory: [512 MiB]",
        THREE + "answer: {metric: fork_latency_ns.mean}",
        1,
        r"No answer .*fork_latency_ns.mean has no value in some run",
    ),
    "a percentile of three forks": (
        scenario(),
        CPUS,
        THREE + "answer: {metric: fork_latency_ns.p999}",
        1,
        r"No answer .*fork_latency_ns.p999 needs 5,000 values, 3 runs have 3",
    ),
    "a percentile of many faults": (
        scenario(),
        CPUS,
        THREE + "answer: {metric: fault_latency_ns.p99}",
        0,
        r"fault_latency_ns.p99 \(cpus 2\) is [\d.]+ .s \(",
    ),
    "more writes than the server can take": (
        REDIS.format(writes="9000000/s", run="horizon: 10 s"),
        CPUS,
        NEED + THREE,
        1,
        r"No answer .*cut off by the horizon",
    ),
    "a save under way at the horizon": (
        REDIS.format(writes="1000/s", run="horizon: 70 ms"),
        CPUS,
        NEED + THREE,
        1,
        r"No answer .*cut off by the horizon",
    ),
    "the answer of one point, the other without a save": (
        REDIS.format(writes="1000/s", run="horizon: 10 s"),
        "processes.redis.save_every: [50 ms, 20 s]",
        NEED + THREE + "answer: {at: {processes.redis.save_every: 50 ms}}",
        0,
        r"\(save every 50 ms\) needs",
    ),
    "the largest of two points, one without a save": (
        REDIS.format(writes="1000/s", run="horizon: 10 s"),
        "processes.redis.save_every: [50 ms, 20 s]",
        NEED + THREE,
        1,
        r"No answer \(save every 20 s\): redis: no save began",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_study(tmp_path, case):
    base, axes, more, status, said = CASES[case]
    (tmp_path / "base.yaml").write_text(base)
    (tmp_path / "asked.yaml").write_text(STUDY.format(axes=axes, more=more))
    ended, text = answered(tmp_path / "asked.yaml", tmp_path / "out")
    assert_says(said, text, status)
    assert ended == status, text
