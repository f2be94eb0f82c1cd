"""From `uncertain` in a study to its sentences and its page: three uncertainties, never one."""

import csv
import json
import re

import pytest
from support.commands import RUNS_HERE, cowpool_here

from sim.base.units import parse_bytes
from sim.study.executor import InlineExecutor
from sim.study.run import report_again, run_study

STUDY = """\
version: 1
name: unsure
base: redis_bgsave
set: {run.sample_every: 50 ms, processes.redis.save_every: 100 ms, processes.redis.writes: 5000/s}
axes: {processes.redis.dataset: [4 MiB]}
uncertain:
  processes.redis.fragmentation: {low: 1.0, likely: 1.1, high: 1.5, source: "measured: INFO"}
  processes.redis.save_speed:
    {distribution: {lognorm: {s: 0.3, scale: 100 MiB/s}}, source: the disk's makers}
  host.prices.cow_copy: {low: 700 ns, high: 3 us}
sample: 24
replications: 3
seed: 3
need: {set: {host.memory: 16 MiB}}
answer: {subject: a Redis host, event: saves}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unsure")
    (folder / "unsure.yaml").write_text(STUDY)
    return folder


@pytest.fixture(scope="module")
def said(folder):
    done = cowpool_here("study", "unsure.yaml", *RUNS_HERE, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def facts(folder, said):
    return json.loads((folder / "out/unsure/findings.json").read_text())


def line(said, beginning):
    (found,) = [each for each in said if each.startswith(beginning)]
    return found


def rows(folder, name):
    with (folder / f"out/unsure/tables/{name}.csv").open(newline="") as table:
        return list(csv.DictReader(table))


def test_what_is_stated_is_what_the_answer_rests_on(folder, said, facts):
    known = {each["key"].removeprefix("processes.redis."): each for each in facts["inputs"]}
    fragmentation, speed = known["fragmentation"], known["save_speed"]
    assert (fragmentation["evidence"], fragmentation["text"]) == ("measured", "1.1")
    assert [end["value"] for end in fragmentation["ends"]] == ["1.0", "1.5"]
    assert speed["evidence"] == "given"
    assert "the disk's makers" in speed["source"]
    assert [end["value"] for end in known["host.prices.cow_copy"]["ends"]] == ["700 ns", "3 us"]
    condition = said[0].partition(", a Redis host (dataset 4 MiB) needs about ")[0]
    assert condition == "With keys uniform (assumed)"  # no more what was measured, or stated


def test_each_of_the_three_has_a_line_of_its_own(folder, said, facts):
    answer = facts["answer"]["figure"]
    chance, one, drawn, corner = (
        said[0],
        line(said, "With one input at a time at an end of its range it is "),
        line(said, "With all inputs drawn at random from their ranges (24 runs; "),
        line(said, "With all inputs at their worst ends at once it is "),
    )
    assert "chance moves that by " in chance
    assert "% of simulated saves" in chance
    for other in (one, drawn, corner):
        assert "chance moves" not in other
        assert "simulated saves" not in other
    assert "save speed: " in drawn  # the law that was stated
    share = (
        f"in {100 * facts['sampled']['content']:.3g} % of draws: what was stated about the inputs"
    )
    assert share in drawn
    assert any(each.startswith("A real redis had 2 to 6 % more pages copied") for each in said)
    # What the sentences say is what the tables have.
    tried = [
        float(row["answer"])
        for row in rows(folder, "inputs")
        if row["answer"] and row["part_of_the_question"] == "False"
    ]
    low, high = (parse_bytes(each) for each in re.findall(r"[\d.]+ [KMG]iB", one)[:2])
    assert low == pytest.approx(min([*tried, answer]), rel=0.01)
    assert high == pytest.approx(max([*tried, answer]), rel=0.01)
    assert facts["corner"]["figure"] >= max(tried)
    assert len([row for row in rows(folder, "runs") if row["part"] == "sampled"]) == 24
    assert facts["sampled"]["low"] < answer < facts["sampled"]["high"] <= facts["corner"]["figure"]


def test_the_page_and_the_report_again_say_the_same(folder, said, facts):
    page = (folder / "out/unsure/report.html").read_text()
    assert "Three uncertainties, none of which is added to another" in page
    assert [row["kind"] for row in facts["uncertainty"]] == ["chance", *["inputs"] * 3, "model"]
    for row in facts["uncertainty"]:
        assert row["of"] in page
    again = report_again(folder / "out/unsure")
    assert again.exit_status == 0
    own = [each for each in said if not re.match(r"report: |\d+ runs", each)]
    assert [each for each in again.sentences if each in own] == own


def test_where_nothing_is_uncertain_chance_is_all_that_is_told(folder):
    """Negative control."""
    sure = re.sub(r"uncertain:\n(  .*\n)+", "", STUDY).replace("sample: 24", "one_at_a_time: 0")
    (folder / "sure.yaml").write_text(sure.replace("name: unsure", "name: sure"))
    executors = lambda n: InlineExecutor()  # noqa: E731
    done = run_study(folder / "sure.yaml", folder / "sure", quiet=True, executors=executors)
    text = " ".join(done.sentences)
    assert done.exit_status == 0, text
    assert "chance moves that by " in text
    assert "drawn at random" not in text
    assert "worst ends" not in text
    assert "an end of its range" not in text
