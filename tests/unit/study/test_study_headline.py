"""Which point an answer is about, and when there is none: the plan decides, not the luck."""

import csv
import json

import pytest

from sim.study.answer import unanswered_sentences
from sim.study.executor import InlineExecutor
from sim.study.run import run_study

STUDY = """\
version: 1
name: heads
base: redis_bgsave
set: {{run.horizon: 60 s}}
axes:
  processes.redis.writes: [1000/s, 20000/s, 40000/s]
replications: 3
seed: 7
one_at_a_time: 0
need: {{set: {{host.memory: {{times: processes.redis.dataset, by: {by}}}}}}}
answer: {{subject: a Redis host, event: saves{at}}}
"""
DATASET = 64 << 20
AT = ", at: {{processes.redis.writes: {}}}"


@pytest.fixture
def carried_out(tmp_path):
    def carry_out(simulate, *, by=6, at="", text=STUDY):
        path = tmp_path / "heads.yaml"
        small = text.replace(
            "run.horizon: 60 s", "run.horizon: 60 s, processes.redis.dataset: 64 MiB"
        )
        path.write_text(small.format(by=by, at=at))
        outcome = run_study(
            path, tmp_path / "out", quiet=True, executors=lambda n: InlineExecutor(simulate)
        )
        return outcome, json.loads((tmp_path / "out" / "findings.json").read_text())

    return carry_out


def rows_of(folder, name):
    with (folder / "out" / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def faulty(simulate, *, where, code, replications=(0, 1, 2), severity="error"):
    """Return a simulator that finds something in the runs at one rate of writes."""

    def run(scenario, *, seed, replication):
        result = simulate(scenario, seed=seed, replication=replication)
        result["validity"] = []
        if scenario["processes"]["redis"]["writes"] == where and replication in replications:
            what = f"something {code}"
            found = {"code": code, "severity": severity, "what": what, "where": "redis", "count": 1}
            result["validity"] = [{**found, "remedy": "mend it"}]
        result["answered"] = all(f["severity"] != "error" for f in result["validity"])
        return result

    return run


def cut_off_at(simulate, where, host_bytes, replications=(0, 1, 2)):
    """Return a simulator whose need is cut off on hosts of up to `host_bytes`."""
    cut = faulty(simulate, where=where, code="need_cut_off", replications=replications)
    whole = faulty(simulate, where=-1, code="")

    def run(scenario, *, seed, replication):
        small = scenario["host"]["memory"] <= host_bytes
        return (cut if small else whole)(scenario, seed=seed, replication=replication)

    return run


def test_the_largest_point_is_the_answer(carried_out, standin):
    outcome, facts = carried_out(standin.simulate)
    assert outcome.exit_status == 0
    assert (facts["answer"]["kind"], facts["answer"]["point"]) == ("answered", 2)


@pytest.mark.parametrize(("writes", "point"), [("1000/s", 0), ("20000/s", 1)])
def test_the_point_that_the_plan_names_is_the_answer(carried_out, standin, writes, point):
    _, facts = carried_out(standin.simulate, at=AT.format(writes))
    assert facts["answer"]["point"] == point


def test_a_point_that_ran_out_is_measured_on_a_host_twice_as_large(carried_out, standin, tmp_path):
    run = cut_off_at(standin.simulate, 40000, 6 * DATASET)
    outcome, facts = carried_out(run)
    assert outcome.exit_status == 0
    assert (facts["answer"]["kind"], facts["answer"]["point"]) == ("answered", 2)
    told = "In 3 of 3 runs on a host of 384 MiB memory ran out, so the need was measured on one of"
    assert any(line.startswith(told) for line in outcome.sentences)
    rows = rows_of(tmp_path, "runs")
    hosts = {(row["part"], row["host_memory_bytes"]) for row in rows if "40000" in str(row)}
    assert hosts == {("need", str(12 * DATASET)), ("outgrown", str(6 * DATASET))}
    assert outcome.n_done == len(rows) == 12


def test_one_run_of_many_that_ran_out_is_enough_for_a_larger_host(carried_out, standin):
    run = cut_off_at(standin.simulate, 40000, 6 * DATASET, replications=(1,))
    outcome, facts = carried_out(run)
    assert facts["answer"]["point"] == 2
    assert any(line.startswith("In 1 of 3 runs on a host of 384 MiB") for line in outcome.sentences)


def test_hosts_grow_three_times_and_then_the_answer_is_more_than_that(
    carried_out, standin, tmp_path
):
    run = cut_off_at(standin.simulate, 20000, 100 * 6 * DATASET)
    outcome, facts = carried_out(run)
    assert outcome.exit_status == 1
    assert (facts["answer"]["kind"], facts["answer"]["point"]) == ("more than", 1)
    assert outcome.answer == (
        "A Redis host (writes 20000/s) needs more than 3 GiB of memory: 3 of 3 runs ran out of "
        "memory on a host of that size."
    )
    sizes = {int(row["host_memory_bytes"]) // DATASET for row in rows_of(tmp_path, "runs")}
    assert sizes == {6, 12, 24, 48}
    assert facts["latencies"] == []  # of runs that ran out of memory
    assert not any("MiB of memory, " in line for line in outcome.sentences)


def killed_by(simulate, limits):
    """Return a simulator that tells of a kill, by each of these limits: groups, or the host's."""
    cut = faulty(simulate, where=20000, code="need_cut_off")

    def run(scenario, *, seed, replication):
        result = cut(scenario, seed=seed, replication=replication)
        if result["validity"]:
            what = f"killed because {limits[0]} was at its limit"
            result["validity"].insert(0, {**result["validity"][0], "code": "killed", "what": what})
            result["kills"] = [{"limit_of": limit} for limit in limits]
        return result

    return run


@pytest.mark.parametrize(
    ("limits", "kind"), [(["pod", "pod"], "no answer"), (["pod", None], "more than")]
)
def test_who_is_killed_at_the_limit_of_a_group_asks_for_no_larger_host(
    carried_out, standin, tmp_path, limits, kind
):
    outcome, facts = carried_out(killed_by(standin.simulate, limits))
    assert outcome.exit_status == 1
    assert (facts["answer"]["kind"], facts["answer"]["point"]) == (kind, 1)
    sizes = {int(row["host_memory_bytes"]) // DATASET for row in rows_of(tmp_path, "runs")}
    if kind == "no answer":
        why = "redis: killed because pod was at its limit (3 of 3 runs)"
        assert outcome.answer == f"No answer (writes 20000/s): {why}."
        assert sizes == {6}
    else:
        assert max(sizes) == 48


def test_a_study_that_ran_out_resumes_to_the_same_answer(carried_out, standin, tmp_path):
    run = cut_off_at(standin.simulate, 40000, 6 * DATASET)
    first, _ = carried_out(run)
    before = (tmp_path / "out" / "findings.json").read_bytes()
    again, _ = carried_out(run)
    assert again.n_new == 0
    assert again.sentences == first.sentences
    assert (tmp_path / "out" / "findings.json").read_bytes() == before


@pytest.mark.parametrize(
    "code", ["nothing_happened", "unfinished", "not_served", "crashed", "all_warmup", "refused"]
)
@pytest.mark.parametrize("where", [1000, 40000])
def test_a_point_without_an_answer_leaves_the_study_without(carried_out, standin, code, where):
    """Wherever it lies: a point that could not be measured might be the largest."""
    outcome, facts = carried_out(faulty(standin.simulate, where=where, code=code))
    assert outcome.exit_status == 1
    assert facts["answer"]["kind"] == "no answer"
    assert outcome.answer == (
        f"No answer (writes {where}/s): redis: something {code} (3 of 3 runs)."
    )
    assert facts["bill"] == facts["settings"] == []


def test_one_run_without_an_answer_is_counted(carried_out, standin):
    run = faulty(standin.simulate, where=40000, code="unfinished", replications=(2,))
    assert carried_out(run)[0].answer.endswith("something unfinished (1 of 3 runs).")


def test_what_the_scenario_is_there_to_show_is_no_hindrance(carried_out, standin):
    run = faulty(standin.simulate, where=40000, code="killed", severity="note")
    outcome, facts = carried_out(run)
    assert (outcome.exit_status, facts["answer"]["kind"]) == (0, "answered")


def test_a_point_elsewhere_does_not_matter_if_the_plan_names_one(carried_out, standin, tmp_path):
    run = faulty(standin.simulate, where=40000, code="unfinished")
    outcome, facts = carried_out(run, at=AT.format("1000/s"))
    assert (outcome.exit_status, facts["answer"]["point"]) == (0, 0)
    rows = rows_of(tmp_path, "points")
    texts = {row["text"] for row in rows if "40000" in row["processes.redis.writes"]}
    assert all(text.endswith("[3 of 3 runs not answered]") for text in texts)
    assert {row["not_answered"] for row in rows} == {"0", "3"}
    runs = rows_of(tmp_path, "runs")
    assert {row["answered"] for row in runs} == {"True", "False"}
    assert {row["not_answered_because"] for row in runs} == {"", "unfinished"}
    assert outcome.sentences[1] == (
        "Of 3 points, 1 more point has no answer (writes 40000/s: redis: something unfinished "
        "(3 of 3 runs))."
    )
    assert [row["reason"] for row in rows_of(tmp_path, "unanswered")] == [
        "redis: something unfinished (3 of 3 runs)"
    ]


def test_many_points_without_an_answer_are_counted_and_listed(carried_out, standin, tmp_path):
    outcome, _ = carried_out(cut_off_at(standin.simulate, 20000, 1 << 40), at=AT.format("1000/s"))
    assert outcome.exit_status == 0
    assert outcome.sentences[1] == (
        "Of 3 points, 1 more point has no answer (writes 20000/s: memory ran out in 3 of 3 runs, "
        "it needs more)."
    )
    assert not any("Over the whole study" in sentence for sentence in outcome.sentences)
    assert unanswered_sentences({f"point {n}": ["why"] for n in range(5)}, 9) == [
        "Of 9 points, 5 more points have no answer (point 0: why; point 1: why; point 2: why; and "
        "2 more, see tables/unanswered.csv)."
    ]


def test_no_answer_goes_before_failed_runs(carried_out, standin):
    unfinished = faulty(standin.simulate, where=40000, code="unfinished")

    def run(scenario, *, seed, replication):
        if scenario["processes"]["redis"]["writes"] == 1000 and replication == 1:
            raise RuntimeError("no luck")
        return unfinished(scenario, seed=seed, replication=replication)

    outcome, _ = carried_out(run)
    assert (outcome.exit_status, outcome.n_failed) == (1, 1)


METRIC = STUDY.replace(
    "need: {{set: {{host.memory: {{times: processes.redis.dataset, by: {by}}}}}}}\n", ""
)


def test_a_need_cut_off_on_the_scenarios_own_host_is_at_least_what_was_seen(carried_out, standin):
    run = cut_off_at(standin.simulate, 20000, 1 << 40)
    outcome, facts = carried_out(run, text=METRIC)
    assert outcome.exit_status == 1
    assert (facts["answer"]["kind"], facts["answer"]["point"]) == ("more than", 1)
    assert outcome.answer.startswith("memory_need_bytes.total (writes 20000/s) is at least ")
    assert outcome.answer.endswith(": 3 of 3 runs ran out of memory.")


def test_it_is_more_than_that_if_some_run_was_short_at_its_peak(carried_out, standin):
    cut = cut_off_at(standin.simulate, 20000, 1 << 40)

    def run(scenario, *, seed, replication):
        result = cut(scenario, seed=seed, replication=replication)
        need = result["metrics"]["memory_need_bytes"]["total"]
        short = need if replication == 1 else 0
        return {**result, "evidence": {"held": {"short_bytes": short}}}

    outcome, _ = carried_out(run, text=METRIC)
    assert outcome.answer.startswith("memory_need_bytes.total (writes 20000/s) is more than ")


@pytest.mark.parametrize(("code", "kind"), [("need_cut_off", "answered"), ("killed", "no answer")])
def test_another_figure_is_lost_where_somebody_was_killed(carried_out, standin, code, kind):
    text = METRIC.replace("answer: {{", "answer: {{metric: cow_copies, ")
    _, facts = carried_out(faulty(standin.simulate, where=20000, code=code), text=text)
    assert facts["answer"]["kind"] == kind
