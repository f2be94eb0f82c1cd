"""Trials: counts of hosts on which memory ran out, the books, and the verdict on an answer."""

import csv
import json

import pytest

from sim.stats.tolerance import UpperBound
from sim.study.executor import InlineExecutor
from sim.study.need import need_of
from sim.study.plan import FRESH_FROM
from sim.study.points import Point
from sim.study.records import Record
from sim.study.run import run_study
from sim.study.store import Store
from sim.study.stored import Place
from sim.study.trials import books, exceeds, judged, oom_table, outgrown, verdict

BOUND = UpperBound(100.0, 0.99, 0.95, 10, "normal theory")


def record(need=50.0, *, ran_out=False, usable=1000, part="fresh", replication=0, codes=()):
    return Record(
        place=Place(part, 0, 0, replication),
        key=f"{part}{replication}",
        scenario="",
        memory_bytes=usable + 100,
        usable_bytes=usable,
        scalars={"memory_need_bytes.total": need},
        stages_ns={},
        resident_bytes=0,
        ran_out=ran_out,
        ending="idle",
        cut_off=ran_out or "need_cut_off" in codes,
        errors=tuple({"code": code, "what": code, "where": ""} for code in codes),
    )


def test_every_run_in_which_memory_ran_out_is_counted():
    runs = [record(ran_out=n < 3, replication=n) for n in range(10)]
    point = Point(0, (), {})
    table = oom_table({("check", 0, 0): runs}, [], [point], {"check": [1.5]}, 0.95, looks=1)
    row = table.iloc[0]
    assert (row["ran_out"], row["runs"]) == (3, 10)
    assert row["text"] == "3 of 10 (8.7 % to 60.7 %, each limit at 95 %)"


def test_the_lower_bound_of_a_need_mirrors_the_upper():
    """A lower bound on the same share, not on half of it."""
    needs = [{"total": total} for total in (90.0, 96.0, 99.0, 101.0, 104.0, 110.0)]
    need = need_of(needs, content=0.99, confidence=0.95, normal=True)
    assert need.bound.method == "normal theory"
    assert need.mean_bytes == 100
    assert need.low_bytes == pytest.approx(200 - need.bound.bound)
    free = need_of(needs, content=0.99, confidence=0.95)
    assert (free.low_bytes, free.bound.bound) == (90.0, 110.0)


def test_two_looks_cost_a_need_some_of_its_bound():
    needs = [{"total": total} for total in (90.0, 96.0, 99.0, 101.0, 104.0, 110.0)]
    one, two = (
        need_of(needs, content=0.99, confidence=0.95, normal=True, looks=looks) for looks in (1, 2)
    )
    assert two.bound.bound > one.bound.bound
    assert two.bound.confidence == one.bound.confidence == 0.95
    assert need_of(needs, content=0.99, confidence=0.95, looks=2).bound.content == 0.54


@pytest.mark.parametrize(("exceeded", "refuted"), [(0, False), (1, False), (2, True), (10, True)])
def test_one_exceedance_is_no_refutation_two_are(exceeded, refuted):
    """If 99 % stay within, two of ten exceed it with probability 0.4 %, one or more with 9.6 %."""
    runs = [record(need=101.0 if n < exceeded else 100.0) for n in range(10)]
    found = verdict(runs, BOUND, planned=10)
    assert (found.exceeded, found.refuting, found.refuted) == (exceeded, 2, refuted)


def test_a_run_that_was_cut_off_needed_more_than_the_bound():
    assert exceeds(record(need=10.0, ran_out=True), 100.0)
    assert exceeds(record(need=10.0, codes=["need_cut_off"]), 100.0)
    assert not exceeds(record(need=100.0), 100.0)


def test_fresh_runs_that_did_nothing_say_nothing():
    runs = [record(), record(codes=["nothing_happened"]), record()]
    found = verdict(runs, BOUND, planned=4)
    assert (found.runs, found.lost) == (2, 2)
    assert verdict([record(codes=["nothing_happened"])], BOUND, planned=1) is None


def test_so_few_runs_on_so_small_a_share_refute_nothing():
    found = judged(3, 3, content=0.05)
    assert not found.refuted
    assert found.noticed is None


def groups(large, small):
    return {("need", 0, 0): large, ("around", 0, 0): small}


def test_the_books_compare_runs_of_one_replication():
    large = [record(needed, part="need", replication=n) for n, needed in enumerate((80, 120))]
    small = [
        record(usable=100, ran_out=True, part="around", replication=1),
        record(usable=100, part="around", replication=0),
    ]
    assert books(groups(large, small)).agree == 2
    swapped = [
        record(usable=100, ran_out=True, part="around", replication=0),
        record(usable=100, part="around", replication=1),
    ]
    assert books(groups(large, swapped)).agree == 0


def test_the_books_say_which_runs_they_could_not_compare():
    large = [record(80, part="need", replication=0)]
    small = [record(usable=100, part="around", replication=n) for n in range(3)]
    found = books(groups(large, small))
    assert (found.agree, found.runs, found.lost) == (1, 1, 2)


def test_a_need_that_was_cut_off_is_more_than_any_smaller_host_has():
    large = [record(80, part="need", usable=500, ran_out=True)]
    assert books(groups(large, [record(usable=100, ran_out=True, part="around")])).agree == 1
    assert books(groups(large, [record(usable=100, part="around")])).agree == 0
    assert books(groups(large, [record(usable=900, part="around")])).lost == 1


def test_hosts_that_were_outgrown_are_told_in_order():
    def cell(host, usable):
        return ("outgrown", 0, host), [record(ran_out=True, usable=usable), record(usable=usable)]

    assert outgrown(dict([cell(1, 300), cell(0, 100)]), 0) == [(200, 1, 2), (400, 1, 2)]


def carry_out(study_file, out, simulate):
    outcome = run_study(study_file, out, quiet=True, executors=lambda n: InlineExecutor(simulate))
    return outcome, json.loads((out / "findings.json").read_text())


def test_the_check_has_replications_of_its_own(study_file, tmp_path, standin):
    _, facts = carry_out(study_file, tmp_path / "out", standin.simulate)
    with Store(tmp_path / "out" / "runs.sqlite") as store:
        places = [run.place for run in store.plan()]
        fresh = [place for place in places if place.part == "fresh"]
        others = {place.replication for place in places if place.part != "fresh"}
        memory = {
            store.scenario(run.scenario)["host"]["memory"]
            for run in store.plan()
            if run.place.part == "fresh"
        }
    assert [place.replication for place in fresh] == list(range(FRESH_FROM, FRESH_FROM + 10))
    assert {place.point for place in fresh} == {facts["answer"]["point"]}
    assert max(others) < FRESH_FROM
    assert memory == {sum(item["bytes"] for item in facts["bill"])}
    assert facts["answer"]["check"]["runs"] == 10


def test_a_check_that_refutes_the_answer_ends_with_1(study_file, tmp_path, standin):
    """The runs that the answer is made from are lucky; others are not."""

    def unlucky(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        if replication >= FRESH_FROM + 8:
            result["metrics"]["oom_kills"] = 1
        return result

    outcome, facts = carry_out(study_file, tmp_path / "out", unlucky)
    assert outcome.exit_status == 1
    assert facts["answer"]["check"]["refuted"]
    refuted = next(line for line in outcome.sentences if line.startswith("Check: "))
    assert refuted == (
        "Check: refuted: in 10 runs with fresh random numbers on a host of exactly that size, 2 "
        "needed more than the bound and memory ran out in 2; if the bound held, 2 or more would "
        "be seen in at most 5 % of such checks."
    )


def test_a_check_without_a_result_says_so(study_file, tmp_path, standin):
    def breaks(scenario, *, seed, replication):
        if replication >= FRESH_FROM:
            raise RuntimeError("no luck")
        return standin.simulate(scenario, seed=seed, replication=replication)

    outcome, facts = carry_out(study_file, tmp_path / "out", breaks)
    assert outcome.exit_status == 3
    assert facts["answer"]["check"] is None
    told = "Check: not made: none of 10 runs with fresh random numbers has a result."
    assert told in outcome.sentences


def test_one_unlucky_run_does_not_refute_the_answer(study_file, tmp_path, standin):
    def unlucky(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        if replication == FRESH_FROM:
            result["metrics"]["oom_kills"] = 1
        return result

    outcome, facts = carry_out(study_file, tmp_path / "out", unlucky)
    assert outcome.exit_status == 0
    assert (facts["answer"]["check"]["exceeded"], facts["answer"]["check"]["refuted"]) == (1, False)


def test_pairs_survive_a_replication_that_is_lost(study_file, tmp_path, standin):
    """Without replication 0 of the baseline, pairing by place would compare strangers."""

    def coupled(scenario, *, seed, replication):
        writes = scenario["processes"]["redis"]["writes"]
        if writes == 1000 and replication == 0:
            raise RuntimeError("no such luck")
        result = standin.simulate(scenario, seed=seed, replication=replication)
        luck = (7 * replication) % 5  # no order that would hide a shift
        result["metrics"]["fork_latency_ns"]["mean"] = 1000.0 * luck + (writes > 1000)
        return result

    carry_out(study_file, tmp_path / "out", coupled)
    with (tmp_path / "out" / "tables" / "paired.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["metric"] == "fork_latency_ns.mean"]
    assert rows
    for row in rows:
        assert (float(row["low"]), float(row["high"])) == (1.0, 1.0)
        assert (row["n"], row["lost"]) == ("3", "1")
        assert row["text"].endswith("[1 of 4 pairs lost]")


def test_a_replication_that_both_sides_lost_is_counted_too(study_file, tmp_path, standin):
    def breaks(scenario, *, seed, replication):
        if replication == 2:
            raise RuntimeError("no such luck")
        return standin.simulate(scenario, seed=seed, replication=replication)

    carry_out(study_file, tmp_path / "out", breaks)
    with (tmp_path / "out" / "tables" / "paired.csv").open(newline="") as file:
        assert {(row["n"], row["lost"]) for row in csv.DictReader(file)} == {("3", "1")}


def test_a_study_that_names_no_replications_gets_those_its_bound_takes(
    study_file, tmp_path, standin
):
    text = study_file.read_text().replace("replications: 4\n", "").replace("content", "content")
    text = text.replace("event: saves,", "event: saves, content: 0.9, confidence: 0.8,")
    text = text.replace(", normal_because: the luck of the stand-in is normal", "")
    study_file.write_text(text)
    outcome, facts = carry_out(study_file, tmp_path / "out", standin.simulate)
    assert facts["study"]["runs"]["need"] == 4 * 16  # ceil(ln 0.2 / ln 0.9)
    assert "90 % of simulated saves" in outcome.answer
    assert "16 runs, order statistic)" in outcome.answer


def test_the_precision_that_was_asked_for_is_told_of(study_file, tmp_path, standin):
    text = study_file.read_text()
    for precision, reached in ((0.9, True), (0.0001, False)):
        study_file.write_text(
            text.replace(
                "replications: 4", f"replications: {{least: 3, most: 4, precision: {precision}}}"
            )
        )
        outcome, facts = carry_out(study_file, tmp_path / str(precision), standin.simulate)
        assert facts["answer"]["precision"] == {"asked": precision, "reached": reached}
        told = next(x for x in outcome.sentences if x.startswith("The precision asked for, "))
        assert told.endswith("was reached." if reached else "not reached: allow more runs (most).")
