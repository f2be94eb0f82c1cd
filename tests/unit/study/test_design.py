"""Designs of studies: which points there are, what they are called, what is said of them."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.samples import sample

from sim.base.errors import ScenarioError
from sim.base.units import GIB, MIB
from sim.scenario.document import parse_document
from sim.scenario.study import load_study, parsed_study
from sim.study.base import planner_of
from sim.study.effects import design_sentences
from sim.study.executor import InlineExecutor
from sim.study.points import value_at
from sim.study.run import report_again, run_study
from sim.study.store import Store

HEAD = "version: 1\nname: s\nbase: redis_bgsave\nseed: {seed}\nreplications: 2\n"
AXES = """\
axes:
  processes.redis.dataset: [64 MiB, 256 MiB]
  processes.redis.writes: {range: [1000/s, 40000/s]}
  host.cpus: [1, 4]
"""
RANGES = """\
axes:
  processes.redis.dataset: {range: [64 MiB, 256 MiB]}
  processes.redis.writes: {range: [1000/s, 40000/s]}
  processes.redis.fragmentation: {range: [1.0, 1.5]}
  host.cpus: {range: [1, 8]}
"""


def planner(text, folder, seed=1):
    study = parsed_study(parse_document(HEAD.format(seed=seed) + text, "s.yaml"), folder)
    return planner_of(study)[0]


def titles(text, folder):
    return [point.title for point in planner(text, folder).points]


def refused(text, folder):
    with pytest.raises(ScenarioError) as refusal:
        planner(text, folder).main_cells()
    return str(refusal.value)


def test_a_study_without_a_design_is_a_grid(tmp_path):
    made = planner(AXES, tmp_path)
    assert len(made.points) == 8
    assert made.design.words == "every combination"
    assert {point.name for point in made.points} == {""}


def test_zipped_axes_go_together(tmp_path):
    told = titles(AXES + "design: zip\n", tmp_path)
    assert told == ["64 MiB · 1000/s · 1", "256 MiB · 40000/s · 4"]


def test_one_axis_at_a_time_starts_from_the_baseline(tmp_path):
    text = AXES + "design: one at a time\nbaseline: {host.cpus: 4}\n"
    assert titles(text, tmp_path) == ["base", "dataset 256 MiB", "writes 40000/s", "cpus 1"]
    made = planner(text, tmp_path)
    assert made.points[0].levels == ("64 MiB", "1000/s", "4")
    for point in made.points[1:]:
        differs = [a != b for a, b in zip(point.levels, made.points[0].levels, strict=True)]
        assert sum(differs) == 1
    assert made.baseline["processes.redis.writes"] == "1000/s"


def test_a_factorial_has_every_combination_and_a_fraction_has_half(tmp_path):
    whole = planner(AXES + "design: factorial\n", tmp_path)
    half = planner(AXES + "design: {factorial: 4}\n", tmp_path)
    assert {p.levels for p in half.points} < {p.levels for p in whole.points}
    assert (len(whole.points), len(half.points)) == (8, 4)
    assert half.design.words == "a two-level factorial, a fraction of resolution III"
    for n in range(3):
        assert len({point.levels[n] for point in half.points}) == 2


@settings(max_examples=sample(8, 60), deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.sampled_from(["latin_hypercube", "sobol"]), st.integers(1, 5), st.integers(0, 2**63))
def test_points_that_fill_ranges_lie_in_them_and_have_names(tmp_path, kind, bits, seed):
    text = RANGES + f"design: {{{kind}: {1 << bits}}}\nwhere: ['writes <= 20000/s']\n"
    try:
        made, again = planner(text, tmp_path, seed), planner(text, tmp_path, seed)
    except ScenarioError as error:
        if "forbids all" not in str(error):
            raise
        return
    assert made.points == again.points
    assert len({point.title for point in made.points}) == len(made.points)
    assert len(made.points) + made.design.left_out == 1 << bits
    ends = {
        "processes.redis.dataset": (64 * MIB, 256 * MIB),
        "processes.redis.writes": (1000, 20_000),
        "processes.redis.fragmentation": (1.0, 1.5),
        "host.cpus": (1, 8),
    }
    for cell in made.main_cells():
        for key, (low, high) in ends.items():
            assert low <= value_at(cell.scenario, key) <= high


def test_a_latin_hypercube_of_a_study_has_one_point_in_each_stratum(tmp_path):
    made = planner(RANGES + "design: {latin_hypercube: 40}\n", tmp_path)
    cells = made.main_cells()
    for n in range(4):
        assert sorted(int(40 * place[n]) for place in made.design.places) == list(range(40))
    for cell, place in zip(cells, made.design.places, strict=True):
        size = value_at(cell.scenario, "processes.redis.dataset")
        assert size == pytest.approx((64 + 192 * place[0]) * MIB, rel=1e-5)
        writes = value_at(cell.scenario, "processes.redis.writes")
        assert writes == pytest.approx(1000 * 40 ** place[1], rel=1e-5)
    cpus = [value_at(cell.scenario, "host.cpus") for cell in cells]
    assert {cpus.count(n) for n in range(1, 9)} == {5}


def test_another_seed_is_another_design(tmp_path):
    text = RANGES + "design: {latin_hypercube: 8}\n"
    one, other = (planner(text, tmp_path, seed).points for seed in (1, 2))
    assert [p.levels for p in one] != [p.levels for p in other]


def test_ranges_have_levels_on_their_scale(tmp_path):
    text = """
axes:
  processes.redis.writes: {range: [1000/s, 16000/s], levels: 5}
  processes.redis.dataset: {range: [64 MiB, 320 MiB], levels: 5}
  host.memory: {range: [1 GiB, 4 GiB], levels: 3, scale: log}
  host.cpus: {range: [1, 8], scale: log, levels: 4}
"""
    names = [[level.name for level in axis.levels] for axis in planner(text, tmp_path).axes]
    assert names == [
        ["1000/s", "2000/s", "4000/s", "8000/s", "16000/s"],
        ["64 MiB", "128 MiB", "192 MiB", "256 MiB", "320 MiB"],
        ["1 GiB", "2 GiB", "4 GiB"],
        ["1", "2", "4", "8"],
    ]


def test_points_may_be_written_with_names_or_without(tmp_path):
    text = "design: {points: [{host.cpus: 2, host.hz: 100}, {host.cpus: 4, host.hz: 250}]}\n"
    assert titles(text, tmp_path) == ["2 · 100", "4 · 250"]
    text = "design: {points: {small: {host.cpus: 2}, large: {host.cpus: 4}}}\nanswer: {at: large}\n"
    assert titles(text, tmp_path) == ["small", "large"]
    assert planner(text, tmp_path).candidates() == [1]


def test_the_answer_may_be_about_a_point_by_what_is_printed_for_it(tmp_path):
    axes = "axes: {host.cpus: [2, 4], host.hz: [100, 250]}\nlabels: {host.hz: ticks}\n"
    for name in ("4 · 100", "cpus 4, ticks 100"):
        assert planner(f'{axes}answer: {{at: "{name}"}}\n', tmp_path).candidates() == [2]
    text = "design: {points: {small: {host.cpus: 2}, large: {host.cpus: 4}}}\n"
    for name in ("large", "large: cpus 4"):
        assert planner(f'{text}answer: {{at: "{name}"}}\n', tmp_path).candidates() == [1]
    with pytest.raises(ScenarioError, match="did you mean 'cpus 4, ticks 100'"):
        planner(f'{axes}answer: {{at: "cpus 4, tick 100"}}\n', tmp_path)


def test_points_may_come_from_elsewhere(tmp_path):
    (tmp_path / "p.csv").write_text(
        'name,host.cpus,processes.redis.writes\na,2,"5,000/s"\nb,4,1/s\n'
    )
    made = planner("design: {file: p.csv}\n", tmp_path)
    assert [point.title for point in made.points] == ["a", "b"]
    writes = [value_at(c.scenario, "processes.redis.writes") for c in made.main_cells()]
    assert writes == [5000, 1]


def test_a_preset_and_a_phase_may_vary_together(tmp_path):
    text = """
axes:
  processes.redis.phase: [together, random]
  host.profile: [ec2_hvm, kvm_guest]
  processes.redis.copies: [1, 3]
design: factorial
"""
    cells = planner(text, tmp_path).main_cells()
    assert {cell.scenario["processes"]["redis"]["phase"] for cell in cells} == {
        "together",
        "random",
    }
    assert {cell.scenario["host"]["profile"] for cell in cells} == {"ec2_hvm", "kvm_guest"}


def test_constraints_leave_out_what_need_not_even_be_possible(tmp_path):
    text = """
axes:
  host.swap: [0, 1 GiB, 8 GiB]
  host.memory: [1 GiB, 2 GiB]
where: ["swap <= 2 * memory", "host.memory >= dataset * 1.5"]
set: {processes.redis.dataset: 512 MiB}
"""
    made = planner(text, tmp_path)
    assert [p.levels for p in made.points] == [
        ("0", "1 GiB"), ("0", "2 GiB"), ("1 GiB", "1 GiB"), ("1 GiB", "2 GiB")
    ]  # fmt: skip
    assert made.design.left_out == 2
    pods = """
axes:
  processes.redis.replicas: [1, 4]
  groups.pod.limits.memory: [1 GiB, 3 GiB]
where: ["replicas * limits.memory <= host.memory"]
set: {processes.redis.group: pod, host.memory: 4 GiB}
"""
    assert titles(pods, tmp_path) == ["1 · 1 GiB", "1 · 3 GiB", "4 · 1 GiB"]
    impossible = "axes: {host.cpus: [2, 100000]}\nwhere: ['cpus <= 4096']\n"
    assert titles(impossible, tmp_path) == ["2"]
    assert "host.cpus" in refused("axes: {host.cpus: [2, 100000]}\n", tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (AXES + "design: gird\n", "s.yaml:10: design: the text 'gird' is not one of them; write"),
        (
            AXES + "design: {sobol: 9}\n",
            "s.yaml:10: design: sobol: 9 is no power of 2; write 8 or 16",
        ),
        (
            AXES + "design: {sobol: 8, factorial: 4}\n",
            "s.yaml:10: design: takes one of these; write",
        ),
        (AXES + "design: {points: [{host.hz: 100}]}\n", "s.yaml:6: axes: the design has points of"),
        (
            "axes: {host.cpus: [1, 2, 4]}\ndesign: factorial\n",
            "s.yaml:6: axes.host.cpus: has 3 levels",
        ),
        (AXES + "design: {factorial: 2}\n", "s.yaml:10: design.factorial: 2 points are too few"),
        (
            "axes: {host.cpus: [1, 2], host.hz: [100]}\ndesign: zip\n",
            "s.yaml:6: axes: axes have cpus 2,",
        ),
        (
            AXES + "where: ['dataset <= host.swp']\n",
            "s.yaml:10: where.0: 'host.swp' is no key here; did",
        ),
        (
            AXES + "where: ['dataset <= 512']\n",
            "s.yaml:10: where.0: a size and a number cannot be compared; write its unit, e.g. ",
        ),
        (
            AXES + "where: ['save_every * cpus < dataset']\n",
            "s.yaml:10: where.0: a duration and a size cannot be compared; compare what is alike",
        ),
        (
            AXES + "where: ['dataset <=']\n",
            "s.yaml:10: where: 'dataset <=' ends too early; write e.g.",
        ),
        (
            AXES + "where: ['dataset < 1 KiB']\n",
            "s.yaml:10: where: forbids all 8 points; allow some",
        ),
        (
            AXES + "design: factorial\nwhere: ['dataset <= 99 MiB']\n",
            "s.yaml:11: where: forbids 4 of 8",
        ),
        (
            AXES + "design: one at a time\nwhere: ['cpus > 1']\n",
            "s.yaml:11: where: forbids the point",
        ),
        (
            "axes: {host.cpus: {range: [3, 1]}}\n",
            "s.yaml:6: axes.host.cpus.range: ends before it begins",
        ),
        (
            "axes: {host.thp: {range: [always, never]}}\n",
            "s.yaml:6: axes.host.thp.range.0: 'always' is no",
        ),
        (
            "axes: {host.swap: {range: [0, 1 GiB], scale: log}}\n",
            "a logarithmic scale has no 0; begin",
        ),
        (
            "axes: {host.cpus: {range: [1, 2], levels: 5}}\n",
            "s.yaml:6: axes.host.cpus.levels: the range",
        ),
        (
            "axes: {host.cpus: {range: [1, 2], level: 5}}\n",
            "unknown key 'level'; did you mean 'levels'?",
        ),
        (
            "design:\n  points:\n    - {host.cpus: 2, host.hz: 100}\n    - {host.cpus: 4}\n",
            "s.yaml:9: design.points.1: does not say host.hz; every point sets the same keys",
        ),
        (
            "design:\n  points:\n    - {host.cpus: 2}\n    - {host.cpus: x}\n",
            "s.yaml:9: design.points.1.host.cpus: host.cpus: the text 'x' is not a whole number",
        ),
        (
            "design:\n  points:\n    a: {host.cpus: 2}\n    b: {host.cpus: 2}\n",
            "s.yaml:9: design.points.b: is the same point as 'a'; keep one of them",
        ),
        (
            "design: {points: {small: {host.cpus: 2}}}\nanswer: {at: smal}\n",
            "s.yaml:7: answer.at: no point is called so; did you mean 'small'?",
        ),
        (
            "design: {file: none.csv}\n",
            "s.yaml:6: design.file: there is no file 'none.csv' here; check",
        ),
        (
            "design: {file: bad.csv}\n",
            "bad.csv:3: design.points.1.host.cpus: host.cpus: the text 'x'",
        ),
        (
            "design: {file: short.csv}\n",
            "short.csv:2: has 1 values for 2 columns; write one for each",
        ),
        (
            "design: {file: twice.csv}\n",
            "twice.csv:3: name: 'a' names two points, or none; name them",
        ),
        (
            "design: {file: empty.csv}\n",
            "empty.csv:1: the first line names no columns, or one twice",
        ),
        (
            "design: {file: head.csv}\n",
            "head.csv:1: has nothing below its first line; write a row a line",
        ),
    ],
)
def test_mistakes_are_told_where_they_are(text, told, tmp_path):
    for name, lines in {
        "bad": "host.cpus\n2\nx\n",
        "short": "host.cpus,host.hz\n2\n",
        "twice": "name,host.cpus\na,2\na,4\n",
        "empty": "",
        "head": "host.cpus\n",
    }.items():
        (tmp_path / f"{name}.csv").write_text(lines)
    assert told in refused(text, tmp_path)


STUDY = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s}
replications: 4
seed: 7
one_at_a_time: 0
answer: {metric: memory_need_bytes.total}
metrics: [cow_copies]
"""
SPEEDS = """\
axes:
  processes.redis.dataset: {range: [64 MiB, 256 MiB]}
  processes.redis.writes: {range: [1000/s, 40000/s]}
  processes.redis.save_speed: {range: [100 MiB/s, 400 MiB/s]}
"""


def carried_out(text, folder, standin, report=None, metrics="cow_copies"):
    path = folder / "small.yaml"
    path.write_text(STUDY.replace("cow_copies", metrics) + text)
    executors = lambda n_workers: InlineExecutor(standin.simulate)  # noqa: E731
    outcome = run_study(path, folder / "out", quiet=True, executors=executors, report=report)
    return outcome, json.loads((folder / "out" / "findings.json").read_text())


def table(folder, name):
    import pandas as pd

    return pd.read_csv(folder / "out" / "tables" / f"{name}.csv")


def test_what_fills_ranges_says_so_and_claims_no_probability(tmp_path, standin):
    outcome, facts = carried_out(SPEEDS + "design: {latin_hypercube: 60}\n", tmp_path, standin)
    said = "\n".join(outcome.sentences)
    assert "The design is a Latin hypercube of 60 points (dataset on a linear scale, writes" in said
    assert "not drawn at random, so no share of them is a probability." in said
    assert "Shares of its variance over the points: dataset" in said
    assert facts["study"]["design"]["kind"] == "latin hypercube"
    shares = table(tmp_path, "effects")
    shares = shares[shares["metric"] == "memory_need_bytes.total"]
    assert shares["share"].sum() <= 1.05
    assert shares["points"].unique().tolist() == [60]
    assert table(tmp_path, "points")["name"].nunique() == 60


def test_where_points_are_left_out_no_shares_are_told(tmp_path, standin):
    text = SPEEDS + "design: {latin_hypercube: 60}\nwhere: ['dataset <= 200 MiB']\n"
    said = "\n".join(carried_out(text, tmp_path, standin)[0].sentences)
    assert "`where` leaves out 17 points." in said or "`where` leaves out 18 points." in said
    assert "No shares of its variance are told: some points are left out." in said


def test_effects_of_a_factorial_are_those_of_its_points(tmp_path, standin):
    outcome, _ = carried_out(SPEEDS + "design: factorial\n", tmp_path, standin)
    assert (
        "Largest effects on memory_need_bytes.total (a two-level factorial, full; 8 points, 4"
        in ("\n".join(outcome.sentences))
    )
    effects = table(tmp_path, "effects")
    own = effects[effects["metric"] == "memory_need_bytes.total"].set_index("effect")
    assert len(own) == 6
    runs = table(tmp_path, "runs")
    need, writes = runs["memory_need_bytes.total"], runs["processes.redis.writes"]
    by_hand = need[writes == "40000/s"].mean() - need[writes == "1000/s"].mean()
    assert own.loc["writes", "difference"] == pytest.approx(by_hand)
    alike = (writes == "40000/s") == (runs["processes.redis.dataset"] == "256 MiB")
    by_hand = need[alike].mean() - need[~alike].mean()
    assert own.loc["dataset × writes", "difference"] == pytest.approx(by_hand)
    assert set(own["n"]) == {4}


def test_a_fraction_says_what_it_cannot_tell_apart(tmp_path, standin):
    outcome, _ = carried_out(SPEEDS + "design: {factorial: 4}\n", tmp_path, standin)
    assert "3 effects stand for several that this fraction cannot tell apart" in (
        "\n".join(outcome.sentences)
    )
    assert "dataset + writes × save speed" in set(table(tmp_path, "effects")["effect"])


@pytest.mark.parametrize(("count", "there"), [(499, False), (500, True)])
def test_percentiles_of_each_run_by_itself_take_values_enough(tmp_path, standin, count, there):
    """The points table refuses them of 4 runs together; a run by itself has fewer still."""

    def simulate(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        waits = result["metrics"]["runqueue_wait_ns"] = {"mean": 5, "p99": 9 + replication}
        busy = scenario["processes"]["redis"]["writes"] > 2000
        waits["count"] = count if busy else 9_000
        result["metrics"]["forks"] = 0
        return result

    standing = SimpleNamespace(simulate=simulate)
    asked = {"metrics": "cow_copies, runqueue_wait_ns.p99"}
    for name, design in (("paired", "one at a time"), ("effects", "factorial")):
        carried_out(f"{SPEEDS}design: {design}\n", tmp_path, standing, **asked)
        own = table(tmp_path, name)
        own = own[own["name"] == "writes 40000/s"] if name == "paired" else own
        assert "cow_copies" in set(own["metric"])
        assert ("runqueue_wait_ns.p99" in set(own["metric"])) == there
    carried_out(SPEEDS + "design: {latin_hypercube: 60}\n", tmp_path, standing, **asked)
    assert ("runqueue_wait_ns.p99" in set(table(tmp_path, "effects")["metric"])) == there


def test_a_percentile_whose_effects_are_not_told_says_why(tmp_path):
    import pandas as pd

    made = planner(SPEEDS + "design: factorial\n", tmp_path).design
    nothing = pd.DataFrame({"metric": []})
    (said,) = design_sentences(made, nothing, "runqueue_wait_ns.p99")
    assert said.startswith("No effects on runqueue_wait_ns.p99 are told: each run would need")
    assert design_sentences(made, nothing, "cow_copies") == []


def test_one_axis_at_a_time_is_compared_with_its_base(tmp_path, standin):
    carried_out(SPEEDS + "design: one at a time\n", tmp_path, standin)
    paired = table(tmp_path, "paired")
    assert set(paired["name"]) == {"dataset 256 MiB", "writes 40000/s", "save speed 400 MiB/s"}
    assert set(paired["baseline"]) == {"64 MiB · 1000/s · 100 MiB/s"}


def test_a_grid_has_no_effects(tmp_path, standin):
    """Negative control."""
    outcome, facts = carried_out(SPEEDS, tmp_path, standin)
    assert facts["study"]["design"]["kind"] == "grid"
    assert not (tmp_path / "out" / "tables" / "effects.csv").exists()
    assert "no share of them is a probability" not in "\n".join(outcome.sentences)


def test_a_study_of_points_from_elsewhere_is_told_again_without_them(tmp_path, standin):
    points = tmp_path / "p.csv"
    points.write_text("name,processes.redis.writes\nquiet,1000/s\nbusy,20000/s\n")
    outcome, _ = carried_out("design: {file: p.csv}\n", tmp_path, standin)
    points.unlink()
    again = report_again(tmp_path / "out")
    assert again.sentences == outcome.sentences
    assert "(busy: writes 20000/s)" in outcome.sentences[0]
    with Store(tmp_path / "out" / "runs.sqlite") as store:
        assert store.study()["study"]["design"]["points"]["busy"] == {
            "processes.redis.writes": "20000/s"
        }


@pytest.mark.parametrize(
    "design",
    ["zip", "one at a time", "{factorial: 8}", "{sobol: 8}"],
)
def test_every_design_has_a_report(design, tmp_path, standin):
    from sim.report.page import write_report

    text = SPEEDS + "  host.thp: [never, always]\n" + f"design: {design}\n"
    text += "need: {set: {host.memory: {times: processes.redis.dataset, by: 8}}}\n"
    text += "check: {times: processes.redis.dataset, by: [1.5, 6], fresh: 0}\n"

    def plain(scenario, **which):
        """Leave out what is drawn alike whatever the design."""
        return {**standin.simulate(scenario, **which), "distributions": {}, "stages": {}}

    carried_out(text, tmp_path, SimpleNamespace(simulate=plain), report=write_report)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Memory at every point" in page
    assert (tmp_path / "out" / "figures" / "metric_host_bytes.svg").exists()
    scatter = "a scatter over each axis" in page
    assert scatter == ("sobol" in design or "latin" in design)


def test_a_shipped_study_means_what_it_meant():
    made = planner_of(load_study("redis_bgsave"))[0]
    assert made.design.kind == "grid"
    assert [p.levels for p in made.points[:2]] == [("1 GiB", "1000/s"), ("1 GiB", "4000/s")]
    assert made.main_cell(0).scenario["processes"]["redis"]["dataset"] == GIB
