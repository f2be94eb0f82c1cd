"""Sentences, captions and findings claim what the runs support, and nothing that was not tried."""

import csv
import json
import re
from html import unescape

import pandas as pd
import pytest

from sim.base.errors import ScenarioError
from sim.report.figures.maps import bound_words
from sim.report.page import write_report
from sim.study.answer import metric_sentence
from sim.study.executor import InlineExecutor
from sim.study.run import run_study
from sim.study.summary import Summary

HEAD = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s}
axes:
  processes.redis.dataset: [64 MiB, 256 MiB]
  processes.redis.writes: [1000/s, 40000/s]
seed: 7
one_at_a_time: 0
"""
NEED = "need: {set: {host.memory: 4 GiB}}\n"
MAX = "request_latency_ns.max"


@pytest.fixture
def told(tmp_path, standin):
    """Return what carries out a study: its sentences, findings, and the text of its page."""

    def told(text, head=HEAD):
        path = tmp_path / "small.yaml"
        path.write_text(head + text)
        outcome = run_study(
            path,
            tmp_path / "out",
            quiet=True,
            report=write_report,
            executors=lambda n: InlineExecutor(standin.simulate),
        )
        facts = json.loads((tmp_path / "out/findings.json").read_text())
        page = unescape((tmp_path / "out/report.html").read_text())
        return outcome.sentences, facts, re.sub(r"\s+", " ", page)

    return told


def test_a_bound_covers_what_its_runs_support_wherever_it_is_told(told, tmp_path):
    sentences, facts, page = told(NEED + "replications: 10\nanswer: {event: saves}\n")
    with (tmp_path / "out/tables/need.csv").open(newline="") as table:
        (content,) = {float(row["content"]) for row in csv.DictReader(table)}
    words = f"{100 * content:.3g} % of saves at 95 % confidence"
    assert words.startswith("74.1 % of saves")
    assert "(74.1 % of simulated saves, 95 % confidence" in sentences[0]
    assert facts["answer"]["bound"] == words
    assert f"what covers {words}, plus" in page
    assert "99 %" not in page.partition('id="method"')[0]


def test_points_with_fewer_runs_have_bounds_that_cover_less():
    table = pd.DataFrame({"content": [0.741, 0.99], "confidence": [0.95, 0.95]})
    assert bound_words(table, "saves") == "74.1 to 99 % of saves at 95 % confidence"


def test_a_mean_is_no_bound(told):
    _, facts, _ = told("replications: 5\nanswer: {metric: cow_copies}\n")
    assert facts["answer"]["bound"] is None


@pytest.mark.parametrize("metric", ["cow_copies", "fork_latency_ns.mean", "memory_need_bytes.data"])
def test_a_need_and_another_metric_are_two_questions(told, metric):
    with pytest.raises(ScenarioError) as error:
        told(f"{NEED}replications: 4\nanswer: {{metric: {metric}}}\n")
    assert f"answer.metric: `need` asks for memory, not for {metric}; list that in" in str(
        error.value
    )


def test_a_share_that_nothing_would_cover_is_refused(told):
    with pytest.raises(ScenarioError, match=r"answer.content: there is no bound without `need`"):
        told(f"replications: 4\nanswer: {{metric: {MAX}, content: 0.8}}\n")


@pytest.mark.parametrize(
    ("metric", "asked", "end"),
    [
        (MAX, True, "the mean of each run's largest; no 90 % interval of it is known to hold."),
        (MAX, False, "the mean of each run's largest."),
        ("free_pages.min", False, "the mean of each run's smallest."),
        ("cow_copies", False, "the mean of the runs."),
        ("request_latency_ns.p99", False, "of all values of the runs together."),
    ],
)
def test_a_mean_is_called_one(metric, asked, end):
    summary = Summary(150_000.0, 20_000.0, 270_000.0, 20)
    said = metric_sentence(metric, "writes 4000/s", summary, 0.9, asked=asked)
    assert said.endswith(f" in 20 runs), {end}")


def test_what_was_asked_of_a_mean_is_said_to_be_missing(told):
    sentences = told("replications: 4\nanswer: {metric: free_pages.min, confidence: 0.9}\n")[0]
    assert "the mean of each run's smallest; no 90 % interval" in sentences[0]
