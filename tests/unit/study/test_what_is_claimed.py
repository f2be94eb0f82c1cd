"""Sentences, captions and findings claim what the runs support, and nothing that was not tried."""

import csv
import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from sim.base.errors import ScenarioError
from sim.base.units import GIB, MIB
from sim.report.figures import metrics
from sim.report.figures.maps import bound_words
from sim.report.grids import effects_grid, need_grid
from sim.report.page import to_measure, write_report
from sim.stats.shares import shares_of
from sim.study.answer import metric_sentence, need_sentences
from sim.study.executor import InlineExecutor
from sim.study.inputs import End
from sim.study.need import need_of
from sim.study.rests import Base, Moved, _moved_facts
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


UNSURE = """\
uncertain:
  processes.redis.fragmentation: {low: 1.0, likely: 1.05, high: 1.06}
  processes.redis.save_speed: {low: 50 MiB/s, likely: 200 MiB/s, high: 800 MiB/s}
"""


def test_an_input_that_was_not_tried_has_no_lack_of_an_answer(told):
    head = HEAD.replace(", 256 MiB", "").replace(", 40000/s", "")
    _, facts, page = told(f"{NEED}{UNSURE}replications: 4\nsample: 200\n", head)
    texts = {end["text"] for each in facts["inputs"] for end in each["ends"]}
    assert texts == {"not tried"}
    assert "no answer" not in page
    shares = facts["sampled"]["shares"]["shares"]
    (measures,) = re.findall(r'<ol class="measure">(.*?)</ol>', page)
    first = next(each["label"] for each in facts["inputs"] if each["key"] == shares[0]["name"])
    assert re.findall("<strong>(.*?)</strong>", measures)[0] == first


def test_an_input_that_was_tried_in_vain_has_no_answer():
    end = End("x", {})
    assert _moved_facts(Moved(end, None, False, 0, ()), BASE)["text"] == "no answer"
    assert _moved_facts(Moved(end, None, False, 0, (), tried=False), BASE)["text"] == "not tried"


BASE = Base(0, 1.0, "cow_copies", None, lambda records: 1.0)
P99 = "request_latency_ns.p99"


def test_what_is_to_be_measured_is_listed_by_the_shares_of_the_draws():
    inputs = [{"key": k, "label": k, "measure": f"see {k}", "ends": [1]} for k in "abc"]
    shares = [{"name": "b", "share": 0.3}, {"name": "c (LKML)", "share": 0.6}]
    assert [label for label, _ in to_measure(inputs, None)] == ["a", "b", "c"]
    drawn = {"shares": {"shares": shares}}
    assert [label for label, _ in to_measure(inputs, drawn)] == ["c", "b", "a"]


def captions(page, name):
    """Return what stands below the pictures of a page whose files begin with `name`."""
    found = re.findall(r"<figcaption>(.*?)<span.*?figures/([\w-]+)\.svg", page)
    return [caption for caption, file in found if file.startswith(name)]


def test_a_caption_says_what_is_drawn_of_a_percentile(told):
    page = told(f"replications: 4\nmetrics: [{P99}, cow_copies]\nanswer: {{metric: forks}}\n")[2]
    (percentile,) = captions(page, "metric_request_latency_ns_p99")
    assert percentile.startswith(f"{P99}: of all values of the runs together, and the range of")
    (mean,) = captions(page, "metric_cow_copies")
    assert mean.startswith("cow_copies: mean over replications, and ")


@pytest.mark.parametrize(
    ("design", "fill"),
    [
        ("", "the ranges evenly;"),
        ('where: ["dataset <= 200 MiB"]\n', "what `where` leaves of the ranges;"),
    ],
)
def test_a_caption_says_what_a_host_is_and_what_points_fill(told, design, fill):
    ranges = HEAD.replace("[64 MiB, 256 MiB]", "{range: [64 MiB, 256 MiB]}")
    ranges = ranges.replace("[1000/s, 40000/s]", "{range: [1000/s, 40000/s]}")
    text = f"{NEED}replications: 3\ndesign: {{latin_hypercube: 8}}\n{design}"
    (host,) = captions(told(text, ranges)[2], "metric_host_bytes")
    assert "mean over replications" not in host
    assert "the smallest host in whole MiB, for what covers 36.8 % of runs at 95 % confid" in host
    assert f"Points fill {fill} their share is no probability" in host


@pytest.mark.parametrize("metric", [P99, "memory_need_bytes.kernel_stacks"])
def test_a_title_is_not_cut_off(monkeypatch, tmp_path, metric):
    def seen(figure, folder, name, **words):
        figure.draw_without_rendering()
        box = figure._suptitle.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        return figure._suptitle.get_text()

    monkeypatch.setattr(metrics, "drawn", seen)
    names = [f"a rather long name of a point, {n}" for n in range(3)]
    row = {"metric": metric, "difference": 1.0, "low": 0.0, "high": 2.0, "half_width": None}
    table = pd.DataFrame([{**row, "at": name, "text": "1"} for name in names])
    title = metrics.draw_paired(table, metric, [{"key": "at"}], tmp_path)
    assert title.replace("\n", " ").endswith(": difference from the baseline")


def need(n, total):
    return need_of([{"total": total}] * n, content=0.99, confidence=0.95)


WORDS = {"subject": "a host", "event": "runs", "condition": ""}


def test_a_single_run_agrees_with_nothing():
    (first, _) = need_sentences(need(1, 20.0 * MIB), 24 * MIB, {}, None, "here", WORDS)
    assert "a single run tells nothing of chance (5 % of simulated runs" in first
    assert "agree" not in first


def test_nor_in_the_table_of_uncertainties(told):
    _, facts, _ = told(f"{NEED}replications: 1\n")
    (chance,) = [row["text"] for row in facts["uncertainty"] if row["kind"] == "chance"]
    assert chance.endswith("; a single run tells nothing of chance")


@pytest.mark.parametrize(
    ("total", "host", "rest"),
    [
        (22.746 * MIB, 24 * MIB, "the rest is the kernel's, or rounding up to whole MiB."),
        (2.0 * GIB, 2100 * MIB, "the rest is the kernel's."),
    ],
)
def test_what_is_left_of_a_small_host_is_rounding_too(total, host, rest):
    assert need_sentences(need(3, total), host, {}, None, "here", WORDS)[1].endswith(f"; {rest}")


def test_a_size_is_rounded_alike_in_sentence_and_table():
    (_, second) = need_sentences(need(3, 22.746 * MIB), 24 * MIB, {}, None, "here", WORDS)
    assert "Processes may use 22.8 MiB of it" in second
    row = {"a": "x", "host_bytes": 24 * MIB, "times_data": None, "bound_bytes": 22.746 * MIB}
    row |= {
        "point": 0,
        "mean_bytes": 1.0,
        "cow_copies_bytes": 1.0,
        "page_tables_bytes": 1.0,
        "n": 3,
    }
    axes = [{"key": "a", "label": "a"}]
    grid = need_grid(pd.DataFrame([row]), pd.DataFrame(), axes)
    assert grid.rows[0][grid.columns.index("of it for processes")] == "22.8 MiB"


def test_no_share_is_minus_nothing():
    row = {"metric": "forks", "effect": "value", "share": -0.002, "error": 0.004, "points": 32}
    assert effects_grid(pd.DataFrame([row])).rows[0][2] == "0 ± 1 %"


def test_a_regression_on_lines_is_called_one():
    u = np.random.default_rng(1).random(32)
    other = np.random.default_rng(2).random(32)
    few = shares_of({"a": u, "b": other}, u**2)  # two degrees take 50
    assert few.how.startswith("regression on straight lines, R² 0.9")
    assert shares_of({"a": u}, u**2).how == "regression, R² 1.00"
