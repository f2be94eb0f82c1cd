import json

import pandas as pd
import pytest

from sim.base.errors import PartlyDoneError, ScenarioError
from sim.scenario.conditions import condition_of
from sim.scenario.study import load_study
from sim.study.base import planner_of
from sim.study.executor import InlineExecutor
from sim.study.judged import judge
from sim.study.plan_run import run_plan
from sim.study.run import run_study
from sim.study.sizes import sizes_of

PLAN = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s, processes.redis.dataset: 64 MiB, processes.redis.writes: 4000/s}
plan: {minimise: host.memory, in: [72 MiB, 640 MiB]}
objectives: {share: 0.9, confidence: 0.95, each_run: ["oom_kills = 0"]}
seed: 7
"""
N_WANTED = 29


@pytest.fixture
def plan_file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(PLAN)
    return path


def plan(path, simulate, **options):
    return run_plan(
        path,
        path.parent / "out",
        quiet=True,
        executors=lambda n_workers: InlineExecutor(simulate),
        **options,
    )


@pytest.fixture(scope="module")
def planned(tmp_path_factory, standin):
    """Return what came of the plan as it stands above."""
    path = tmp_path_factory.mktemp("planned") / "small.yaml"
    path.write_text(PLAN)
    return plan(path, standin.simulate)


def test_the_answer_is_the_smallest_size_at_which_all_replications_pass(planned):
    outcome = planned
    facts = outcome.told.facts
    assert outcome.exit_status == 0
    assert facts["replications"] == N_WANTED
    trials = pd.read_csv(outcome.out / "tables" / "trials.csv")
    at_answer = trials[trials["figure"] == facts["answer"]["figure"]]
    assert len(at_answer) == N_WANTED
    assert at_answer["passed"].all()
    below = trials[trials["figure"] == facts["neighbour"]["figure"]]
    assert not below["passed"].all()
    assert facts["neighbour"]["failed"] == sorted(below[~below["passed"]]["replication"])


def test_of_one_size_less_it_says_whether_it_is_refuted(plan_file, standin):
    """Where chance decides a few pages, one size less fails in all runs, or in one."""
    coarse = plan(plan_file, standin.simulate, settings=["plan.curve=29"]).told
    assert coarse.facts["neighbour"]["verdict"] == "not enough"
    said = " ".join(coarse.sentences)
    assert "more than 10.0 % of all would, at 95 % confidence (" in said
    assert " of the first 29 do)" in said
    n = len(coarse.facts["neighbour"]["failed"])
    assert f"(replication 0, 1, 2, 3 and {n - 4} more: " in said

    def one_in_29(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        bad = replication == 11 and scenario["host"]["memory"] < 300 << 20
        return {**result, "validity": [], "metrics": {**result["metrics"], "oom_kills": int(bad)}}

    other = run_plan(
        plan_file,
        plan_file.parent / "other",
        quiet=True,
        executors=lambda n_workers: InlineExecutor(one_in_29),
    ).told
    assert other.facts["neighbour"]["verdict"] == "cannot tell"
    assert "whether more than 10.0 % of all would, cannot be told" in " ".join(other.sentences)


def test_sentences_say_what_the_runs_support(planned):
    text = "\n".join(planned.told.sentences)
    assert "is the smallest that will do" in text
    assert f"All {N_WANTED} replications met the objectives" in text
    assert "at least 90 % of runs do, at 95 % confidence" in text
    assert "That is all that" not in text
    assert "To set, with 10 % of headroom: host.memory: " in text


def test_fewer_runs_support_less_and_say_so(plan_file, standin):
    outcome = plan(plan_file, standin.simulate, settings=["plan.runs=17"])
    text = "\n".join(outcome.told.sentences)
    assert "at least 83.8 % of runs do" in text
    assert "a risk of 16.2 %: 90 % takes 29." in text
    assert outcome.told.facts["supported_share"] == pytest.approx(0.838)


def test_a_plan_goes_on_where_it_was_and_makes_no_run_twice(planned, standin):
    again = plan(planned.out.parent / "small.yaml", standin.simulate)
    assert planned.n_new > N_WANTED
    assert again.n_new == 0
    assert again.told == planned.told


def test_not_even_the_largest(plan_file, standin):
    outcome = plan(plan_file, standin.simulate, settings=["plan.in=[72MiB, 80MiB]"])
    assert outcome.exit_status == 1
    assert outcome.told.sentences[0].startswith("Not even host.memory 80 MiB will do")
    assert (
        "8 of 8 replications failed there (oom_kills is 1: 8); more than 10.0 %"
        in outcome.told.sentences[0]
    )
    assert outcome.told.facts["answer"] is None


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ({7}, "No size tried is known to do: at host.memory 2048 MiB, the largest, 1 of 8 "),
        (set(range(5, 29)), "Not even host.memory 2048 MiB will do, the largest tried: 3 of 8 "),
    ],
)
def test_some_that_fail_at_the_largest_refute_it_only_where_they_do(
    plan_file, standin, fails, said
):
    def unlucky(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        result["metrics"]["oom_kills"] = max(
            int(replication in fails), result["metrics"]["oom_kills"]
        )
        return result

    outcome = plan(plan_file, unlucky, settings=["plan.in=[1GiB, 2GiB]"])
    assert outcome.exit_status == 1
    told = outcome.told.sentences[0]
    assert told.startswith(said)
    assert told.endswith("cannot be told.") == (len(fails) == 1)


def test_the_smallest_tried_may_be_enough_and_that_is_no_answer_to_the_question(plan_file, standin):
    outcome = plan(plan_file, standin.simulate, settings=["plan.in=[1GiB, 2GiB]"])
    assert "will do already; the answer may lie beyond" in outcome.told.sentences[0]
    assert outcome.told.facts["at_the_end_of_the_range"]


def test_more_that_makes_it_worse_leaves_no_answer(plan_file, standin):
    def bumpy(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        if replication % 3 == 1 and scenario["host"]["memory"] > 200 << 20:
            result["metrics"]["oom_kills"] = 1
        return result

    settings = ["plan.in=[72MiB, 640MiB]"]
    outcome = plan(plan_file, bumpy, settings=settings)
    assert outcome.exit_status == 1
    assert outcome.told.sentences[0].startswith("There is no smallest size: more makes it worse")
    assert {row["replication"] % 3 for row in outcome.told.facts["worse"]} == {1}


def test_a_run_of_the_curve_that_is_worse_beyond_the_answer_leaves_none_either(
    planned, plan_file, standin
):
    """Probes are spread: none may fall on the size that makes it worse, which the curve tries."""
    answer = planned.told.facts["answer"]["figure"]

    def bumpy(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        if replication == 4 and answer < scenario["host"]["memory"] < answer * 1.015:
            result["metrics"]["oom_kills"] = 1
        return result

    outcome = plan(plan_file, bumpy)
    assert outcome.exit_status == 1
    assert [row["replication"] for row in outcome.told.facts["worse"]] == [4]


def test_without_a_deciding_run_no_input_is_moved(plan_file, standin):
    outcome = plan(plan_file, standin.simulate, settings=["plan.in=[1GiB, 2GiB]"])
    assert outcome.told.facts["moved"] == []
    assert "How far the answer moves with its inputs was not tried." in outcome.told.sentences


def test_the_time_limits_the_runs_and_too_little_is_refused(plan_file, standin):
    few = plan(plan_file, standin.simulate, settings=["plan.time=2 s"]).told.facts
    assert 1 <= few["replications"] < N_WANTED
    with pytest.raises(ScenarioError, match="is too short for one replication, which takes some"):
        plan(plan_file, standin.simulate, settings=["plan.time=1 ms"])


def test_facts_say_what_they_come_from(plan_file, standin):
    outcome = plan(plan_file, standin.simulate, size="512MiB")
    made = json.loads((outcome.out / "plan.json").read_text())["provenance"]
    assert made["command"].endswith("small.yaml --size 512MiB")
    assert made["seed"] == 7


def test_a_plan_alone_is_no_study(plan_file):
    with pytest.raises(ScenarioError, match="use `cowpool plan`"):
        run_study(plan_file, plan_file.parent / "out", quiet=True)


def test_the_largest_load(plan_file, standin):
    settings = [
        "plan={maximise: processes.redis.writes, in: [100/s, 100000/s]}",
        "host.memory=100MiB",
    ]
    text = PLAN.replace(", processes.redis.writes: 4000/s", "")
    plan_file.write_text(text)
    outcome = plan(plan_file, standin.simulate, settings=settings)
    facts = outcome.told.facts
    assert facts["direction"] == "maximise"
    assert facts["neighbour"]["figure"] > facts["answer"]["figure"]
    assert "One size larger" in "\n".join(outcome.told.sentences)
    to_set = float(facts["to_set"].split(": ")[1].removesuffix("/s").replace(",", ""))
    assert to_set < facts["answer"]["figure"]


def test_inputs_move_the_answer_one_at_a_time(planned):
    moved = planned.told.facts["moved"]
    by_value = {(m["key"], m["value"]): m["answer"]["figure"] for m in moved if m["answer"]}
    answer = planned.told.facts["answer"]["figure"]
    slow = by_value["processes.redis.save_speed", "100 MiB/s"]
    fast = by_value["processes.redis.save_speed", "400 MiB/s"]
    assert fast < answer < slow


LOADS = "plan={{maximise: processes.redis.writes, in: [100/s, {high}]}}"


def test_all_runs_are_told_with_those_at_the_ends_of_inputs(planned):
    facts = planned.told.facts
    assert facts["moved_runs"] >= len(facts["moved"]) > 0
    assert planned.n_new == facts["runs"] + facts["moved_runs"]
    at_ends = f"and {facts['moved_runs']} at {len(facts['moved'])} ends of inputs."
    assert any(said.endswith(at_ends) for said in planned.told.sentences)


@pytest.mark.parametrize(
    ("settings", "ends"),
    [
        ([LOADS.format(high="30000/s"), "host.memory=100MiB"], "30,000/s or more"),
        (["plan.in=[83MiB, 640MiB]"], "83 MiB or less"),
    ],
)
def test_an_input_that_moves_the_answer_out_of_the_range_says_so(
    plan_file, standin, settings, ends
):
    text = PLAN if "MiB" in ends else PLAN.replace(", processes.redis.writes: 4000/s", "")
    plan_file.write_text(text)
    told = plan(plan_file, standin.simulate, settings=settings).told
    at_end = [m for m in told.facts["moved"] if m["at_the_end_of_the_range"]]
    assert at_end
    assert told.facts["answer"]["number"] > 0
    moves = next(s for s in told.sentences if s.startswith("With one input at a time"))
    assert f": {ends}" in moves
    assert f"to {ends}" in moves or f"it is {ends} to " in moves


@pytest.mark.parametrize(
    ("key", "said"),
    [("maximise: processes.redis.writes", "less"), ("minimise: host.memory", "more")],
)
def test_what_was_not_tried_is_named_by_its_direction(plan_file, standin, key, said):
    plan_file.write_text(PLAN.replace(", processes.redis.writes: 4000/s", ""))
    ends = "[100/s, 100000/s]" if "writes" in key else "[72MiB, 640MiB]"
    settings = [f"plan={{{key}, in: {ends}, probes: 0}}"]
    settings += ["host.memory=100MiB"] if "writes" in key else []
    told = " ".join(plan(plan_file, standin.simulate, settings=settings).told.sentences)
    assert f"that {said} does not make it worse is taken for granted" in told


@pytest.mark.parametrize("high", ["40 MiB", "200 MiB"])
def test_an_end_that_small_sizes_cannot_have_is_tried_at_others(plan_file, standin, high):
    reserve = f"{{low: 20 MiB, likely: 20 MiB, high: {high}}}"
    plan_file.write_text(f"{PLAN}uncertain: {{host.kernel_reserve: {reserve}}}\n")
    outcome = plan(plan_file, standin.simulate)
    (moved,) = (m for m in outcome.told.facts["moved"] if m["value"] == high)
    more = int(high.split()[0]) - 20
    own, then = outcome.told.facts["answer"]["figure"], moved["answer"]["figure"]
    assert then == pytest.approx(own + (more << 20), rel=0.05)
    assert f"kernel reserve {high}: " in " ".join(outcome.told.sentences)


def test_an_end_that_no_size_can_have_is_refused(plan_file, standin):
    reserve = "{low: 20 MiB, likely: 20 MiB, high: 2 GiB}"
    plan_file.write_text(f"{PLAN}uncertain: {{host.kernel_reserve: {reserve}}}\n")
    with pytest.raises(ScenarioError, match="kernel_reserve"):
        plan(plan_file, standin.simulate)


def test_a_run_that_fails_says_which_and_keeps_the_rest(plan_file, standin):
    def breaks(scenario, *, seed, replication):
        if replication == 2:
            raise RuntimeError("no luck")
        return standin.simulate(scenario, seed=seed, replication=replication)

    with pytest.raises(PartlyDoneError, match="run 2 at .* failed, .*no luck"):
        plan(plan_file, breaks)
    assert plan(plan_file, standin.simulate).exit_status == 0


def test_one_size_alone(plan_file, standin):
    enough = plan(plan_file, standin.simulate, size="512MiB")
    assert (enough.exit_status, enough.told.facts["verdict"]) == (0, "enough")
    small = plan(plan_file, standin.simulate, size="80MiB")
    assert (small.exit_status, small.told.facts["verdict"]) == (1, "not enough")


def failing(standin, fails):
    """Return what carries out runs of which `fails(scenario, replication)` says whether they do."""

    def simulate(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        kills = {"oom_kills": int(fails(scenario, replication))}
        return {**result, "validity": [], "metrics": {**result["metrics"], **kills}}

    return simulate


def test_of_one_size_it_says_no_more_than_its_runs_show(plan_file, standin):
    """A run in ten fails: more than a quarter of the risk do, not more than the risk."""
    a_tenth = failing(standin, lambda scenario, r: r % 10 == 3)
    outcome = plan(plan_file, a_tenth, size="512MiB")
    told, facts = outcome.told, outcome.told.facts
    assert (outcome.exit_status, facts["verdict"]) == (1, "not shown")
    assert facts["answered"] is False
    assert "host.memory 512MiB is not shown to be enough: more than 2.5 %" in told.sentences[0]
    assert "whether more than 10 % do, cannot be told" in told.sentences[0]
    assert "where 5 % fail, in 40 %" in told.sentences[1]


def test_what_failed_after_the_test_had_ended_is_not_counted(plan_file, standin):
    outcome = plan(plan_file, standin.simulate, size="80MiB")
    facts = outcome.told.facts
    assert facts["runs"] == facts["failures"] < 16
    assert f"(oom_kills is 1: {facts['failures']})" in outcome.told.sentences[0]
    assert len(pd.read_csv(outcome.out / "tables" / "trials.csv")) == facts["runs"]


def test_one_size_has_its_figure(plan_file, standin):
    outcome = plan(plan_file, standin.simulate, size="80MiB")
    assert outcome.told.facts["size"]["figure"] == 80 << 20
    assert set(pd.read_csv(outcome.out / "tables" / "trials.csv")["figure"]) == {80 << 20}
    settings = ["plan={maximise: processes.redis.key_distribution}"]
    with pytest.raises(ScenarioError, match="is no number above 0"):
        plan(plan_file, standin.simulate, size="zipf", settings=settings)


@pytest.mark.parametrize(
    ("search", "smallest", "largest"),
    [
        ("{maximise: processes.redis.dataset, in: [16 MiB, 64 MiB]}", 16 << 20, 64 << 20),
        ("{maximise: processes.redis.dataset}", 8 << 20, 512 << 20),  # about what is set
        ("{minimise: host.swap, in: [1 MiB, 8 MiB]}", 1 << 20, 8 << 20),  # there is none else
        ("{maximise: processes.redis.client_buffers, in: [1 MiB, 64 MiB]}", 1 << 20, 64 << 20),
    ],
)
def test_what_is_looked_for_may_be_set_besides_or_be_nothing_in_the_scenario(
    plan_file, search, smallest, largest
):
    settings = [f"plan={search}", "host.memory=256MiB"]
    study = load_study(plan_file, settings)
    planner, _ = planner_of(study)
    every = sizes_of(study, planner, 0).every
    assert sorted(each.figure for each in (every[0], every[-1])) == [smallest, largest]
    cells = [planner.size_cell("sizes", 0, 0, every[n].sets) for n in (0, -1)]
    assert cells[0].scenario != cells[1].scenario


def two_sizes(plan_file, *, curve):
    """Write a plan that chooses between two sizes of a catalogue."""
    (plan_file.parent / "sizes.yaml").write_text(
        "version: 1\nname: shop\ndate: 2025-01\nsource: invented for a test\nsizes:\n"
        "  small: {memory: 512 MiB, cpus: 1}\n  large: {memory: 1 GiB, cpus: 4}\n"
    )
    text = PLAN.replace("plan: {minimise: host.memory, in: [72 MiB, 640 MiB]}", "")
    plan_file.write_text(f"{text}plan: {{curve: {curve}}}\ncatalogue: ./sizes.yaml\n")


def test_one_size_less_that_fails_in_all_runs_of_the_curve_is_refuted(plan_file, standin):
    """Few runs are made there, so untried ones that count as passes hide it."""
    two_sizes(plan_file, curve=5)
    small_fails = failing(standin, lambda scenario, r: scenario["host"]["memory"] < 1 << 30)
    told = plan(plan_file, small_fails).told
    neighbour = told.facts["neighbour"]
    assert (neighbour["runs"], neighbour["verdict"]) == (5, "not enough")
    assert neighbour["refuted_by"] == {"failed": 5, "tried": 5, "of": 5}
    assert "more than 10.0 % of all would, at 95 % confidence (5 of the first 5 do)" in " ".join(
        told.sentences
    )


def test_of_the_curve_one_run_in_five_refutes_nothing(plan_file, standin):
    two_sizes(plan_file, curve=5)
    small = failing(standin, lambda scenario, r: r == 3 and scenario["host"]["memory"] < 1 << 30)
    assert plan(plan_file, small).told.facts["neighbour"]["verdict"] == "cannot tell"


def test_the_curve_has_all_replications_where_all_have_run(plan_file, standin):
    """The last replication decides, so all ran one size less; the curve had the first five."""
    two_sizes(plan_file, curve=5)
    last = failing(standin, lambda scenario, r: r == 28 and scenario["host"]["memory"] < 1 << 30)
    outcome = plan(plan_file, last)
    curve = pd.read_csv(outcome.out / "tables" / "curve.csv").set_index("size")
    assert tuple(curve.loc["small", ["passed", "runs"]]) == (28, 29)
    assert tuple(curve.loc["large", ["passed", "runs"]]) == (29, 29)


def test_a_catalogue_has_the_smallest_that_is_enough(plan_file, standin):
    (plan_file.parent / "sizes.yaml").write_text(
        "version: 1\nname: shop\ndate: 2025-01\nsource: invented for a test\nsizes:\n"
        "  large: {memory: 2 GiB, cpus: 4}\n  small: {memory: 80 MiB, cpus: 1}\n"
        "  middle: {memory: 512 MiB, cpus: 2}\n"
    )
    text = PLAN.replace("plan: {minimise: host.memory, in: [72 MiB, 640 MiB]}\n", "")
    plan_file.write_text(text + "catalogue: ./sizes.yaml\n")
    outcome = plan(plan_file, standin.simulate)
    assert outcome.told.facts["answer"]["name"] == "middle"
    assert "host.memory: 512 MiB, host.cpus: 2" in outcome.told.sentences[0]
    assert "Sizes of shop (2025-01): invented for a test." in outcome.told.sentences


def of_the_shop(plan_file, sizes):
    """Write a plan that chooses among sizes, name: (memory, CPUs), of a catalogue."""
    rows = "".join(f"  {n}: {{memory: {m}, cpus: {c}}}\n" for n, (m, c) in sizes.items())
    (plan_file.parent / "sizes.yaml").write_text(
        f"version: 1\nname: shop\ndate: 2025-01\nsource: invented\nsizes:\n{rows}"
    )
    text = PLAN.replace("plan: {minimise: host.memory, in: [72 MiB, 640 MiB]}\n", "")
    plan_file.write_text(text + "catalogue: ./sizes.yaml\n")


def test_more_memory_with_fewer_cpus_is_not_more(plan_file, standin):
    """Of the catalogue that ships, runs that fail with one CPU do not refute smaller sizes."""
    text = PLAN.replace("plan: {minimise: host.memory, in: [72 MiB, 640 MiB]}\n", "")
    plan_file.write_text(text + "catalogue: aws_m7g\n")
    one_cpu = failing(standin, lambda scenario, r: scenario["host"]["cpus"] == 1)
    outcome = plan(plan_file, one_cpu)
    assert outcome.exit_status == 0
    assert outcome.told.facts["answer"]["name"] == "t4g.nano"
    assert outcome.told.facts["not_asked"] == ["m7g.medium"]
    said = " ".join(outcome.told.sentences)
    assert "Not asked: m7g.medium (more memory than t4g.small, fewer CPUs); `--size m7g" in said
    assert "will do already; the catalogue has none with less memory." in said
    assert "m7g.medium" not in set(pd.read_csv(outcome.out / "tables" / "trials.csv")["size"])
    alone = run_plan(
        plan_file,
        plan_file.parent / "alone",
        size="m7g.medium",
        quiet=True,
        executors=lambda n_workers: InlineExecutor(one_cpu),
    )
    assert alone.told.facts["verdict"] == "not enough"
    assert "Not asked" not in " ".join(alone.told.sentences)


@pytest.mark.parametrize("gib", [1, 2, 4, 8, 64, 200])
def test_a_threshold_in_memory_is_found_whatever_cpus_lie_between(plan_file, standin, gib):
    """Two CPUs and so much memory are needed; the list by memory has sizes with one between."""
    sizes = {
        "a": ("1 GiB", 2), "b": ("2 GiB", 1), "c": ("3 GiB", 2), "d": ("4 GiB", 1),
        "e": ("6 GiB", 2), "f": ("8 GiB", 4), "g": ("64 GiB", 2), "h": ("128 GiB", 8),
        "i": ("256 GiB", 16),
    }  # fmt: skip
    of_the_shop(plan_file, sizes)

    def short(scenario, r):
        host = scenario["host"]
        return host["memory"] < gib << 30 or host["cpus"] < 2

    facts = plan(plan_file, failing(standin, short)).told.facts
    assert facts["not_asked"] == ["b", "d", "g"]
    wanted = {1: "a", 2: "c", 4: "e", 8: "f", 64: "h", 200: "i"}
    assert facts["answer"]["name"] == wanted[gib]
    assert facts["worse"] == []


def test_more_of_both_that_is_worse_still_leaves_no_answer(plan_file, standin):
    of_the_shop(plan_file, {"a": ("1 GiB", 2), "b": ("2 GiB", 1), "c": ("3 GiB", 4)})
    large = failing(standin, lambda scenario, r: r == 5 and scenario["host"]["cpus"] == 4)
    told = plan(plan_file, large).told
    assert told.sentences[0].startswith("There is no smallest size: more makes it worse for 1 ")
    assert told.facts["worse"] == [{"replication": 5, "passes_at": "a", "fails_at": "c"}]


def test_many_sizes_that_were_not_asked_are_counted(plan_file, standin):
    few = {f"few{n}": (f"{n + 10} GiB", 1) for n in range(6)}
    row = {f"row{n}": (f"{n + 1} GiB", 8) for n in range(8)}
    of_the_shop(plan_file, {**few, **row})
    told = plan(plan_file, standin.simulate).told
    assert told.facts["not_asked"] == sorted(few)
    (said,) = (s for s in told.sentences if s.startswith("Not asked: "))
    assert said.startswith("Not asked: few0 (more memory than row7, fewer CPUs), few1 ")
    assert ", 2 more; `--size few0` asks" in said


def test_a_run_that_is_no_answer_meets_no_objective(plan_file, standin):
    def lost(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        finding = {"code": "unfinished", "severity": "error", "what": "a save has not ended"}
        return {**result, "validity": [finding]}

    outcome = plan(plan_file, lost)
    assert outcome.exit_status == 1
    assert "a save has not ended: 8" in outcome.told.sentences[0]


def test_a_value_that_is_missing_is_no_reason_where_there_is_one():
    conditions = [condition_of("fork_latency_ns.max <= 50 ms"), condition_of("oom_kills = 0")]
    refused = {"code": "refused", "severity": "error", "what": "fork was refused"}
    metrics = {"fork_latency_ns": {"max": None}, "oom_kills": 0}
    assert judge({"metrics": metrics, "validity": [refused]}, conditions).broken == (
        "fork was refused",
    )
    assert judge({"metrics": metrics, "validity": []}, conditions).broken == (
        "fork_latency_ns.max has no value",
    )
    killed = {**metrics, "oom_kills": 2}
    assert judge({"metrics": killed, "validity": [refused]}, conditions).broken == (
        "oom_kills is 2",
    )


def test_the_answer_at_the_ends_of_inputs_is_a_table(planned, plan_file, standin):
    rows = pd.read_csv(planned.out / "tables" / "inputs.csv")
    facts = planned.told.facts["moved"]
    assert list(zip(rows["input"], rows["instead"], strict=True)) == [
        (moved["key"], moved["value"]) for moved in facts
    ]
    assert list(rows["figure"].dropna()) == [m["answer"]["figure"] for m in facts if m["answer"]]
    assert rows["figure"].isna().sum() == sum(m["answer"] is None for m in facts)
    speed = rows[rows["input"] == "processes.redis.save_speed"].set_index("instead")
    assert speed.loc["400 MiB/s", "figure"] < speed.loc["100 MiB/s", "figure"]
    assert set(speed["value"]) == {"200 MiB/s"}
    # Another plan in the same folder, which moves no input, leaves none of it.
    plan(plan_file, standin.simulate)
    table = plan_file.parent / "out" / "tables" / "inputs.csv"
    assert table.exists()
    plan(plan_file, standin.simulate, size="512MiB")
    assert not table.exists()


def test_facts_are_written(planned):
    facts = json.loads((planned.out / "plan.json").read_text())
    assert facts["answer"] == planned.told.facts["answer"]
    shares = [row["passed"] / row["runs"] for row in facts["curve"]]
    assert shares == sorted(shares)
    assert all(row["low"] <= row["passed"] / row["runs"] <= row["high"] for row in facts["curve"])


REFUSED = {
    "plan={minimise: host.nope}": "host.nope is no number above 0",
    "plan={minimise: host.kernel}": "host.kernel is no number above 0",
    "plan={minimise: host.swap}": "say from where to where with `in`",
    "plan={minimise: host.nope, in: [1, 2]}": "unknown key 'nope'",
    "plan={minimise: host.memory, maximise: host.cpus}": "keep one of them",
    "plan={}": "names no key",
    "plan.in=[2GiB, 1GiB]": "write the smaller value first",
    "plan.in=[1GiB]": "at least 2",
    "plan.resolution=0.0000001": "write a larger fraction",
    "objectives.each_run=[oom_kill = 0]": "did you mean 'oom_kills'?",
    "catalogue=nothing": "keep one of them",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_cannot_be_planned_is_refused(plan_file, standin, setting):
    with pytest.raises(ScenarioError) as error:
        plan(plan_file, standin.simulate, settings=[setting])
    assert REFUSED[setting] in str(error.value)
    assert not (plan_file.parent / "out").exists()


def test_a_plan_is_about_one_point(plan_file, standin):
    plan_file.write_text(PLAN + "axes: {processes.redis.value: [500 B, 1000 B]}\n")
    with pytest.raises(ScenarioError, match="leaves 2 points"):
        plan(plan_file, standin.simulate)
    wanted = ["answer.at={processes.redis.value: 500 B}"]
    assert plan(plan_file, standin.simulate, settings=wanted).exit_status == 0
