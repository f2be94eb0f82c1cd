import pytest

from sim.base.errors import ScenarioError
from sim.cost.bounds import Span, mean_range, price_at, prices_at
from sim.cost.catalogue import price_spec
from sim.program.declared import Uncertain, mark_of
from sim.program.signature import parameters_of
from sim.scenario.programs import known_programs
from sim.scenario.study import load_study
from sim.study.base import planner_of
from sim.study.inputs import input_cells, inputs_at
from sim.study.stated import PRICES
from sim.study.stated_ranges import check_uncertain


def planned(study_file, text=""):
    study_file.write_text(study_file.read_text() + text)
    return planner_of(load_study(study_file))[0]


def inputs(planner, point=3):
    return {each.key: each for each in inputs_at(planner, point, reads_disk=False)}


def ends(each):
    return [end.text for end in each.ends]


def test_every_input_has_its_value_as_people_write_it_and_says_how_it_is_known(study_file):
    found = inputs(planned(study_file))
    speed = found["processes.redis.save_speed"]
    assert (speed.text, speed.evidence) == ("200 MiB/s", "assumed")
    assert ends(speed) == ["100 MiB/s", "400 MiB/s"]
    assert speed.measure == "rdb_last_bgsave_time_sec of INFO persistence"
    assert found["processes.redis.save_every"].evidence == "given"
    assert found["processes.redis.dataset"].text == "256 MiB"
    assert found["host.profile"].text == "xeon_4210r"
    # The scenario says how many CPUs; which kernel, only the profile.
    assert (found["host.cpus"].evidence, found["host.kernel"].evidence) == ("given", "assumed")
    keys = found["processes.redis.key_distribution"]
    assert (keys.is_choice, ends(keys)) == (True, ["zipf"])


def test_an_axis_is_the_question_and_keeps_its_words(study_file):
    found = inputs(planned(study_file))
    writes, data = found["processes.redis.writes"], found["processes.redis.dataset"]
    assert (writes.asked, writes.evidence, ends(writes)) == (
        True,
        "given",
        ["32,000/s", "50,000/s"],
    )
    assert (data.asked, data.label) == (True, "data set")
    assert not found["processes.redis.save_speed"].asked


def test_a_study_says_better_than_a_preset(study_file):
    planner = planned(
        study_file,
        "uncertain:\n"
        "  processes.redis.save_speed: {low: 140 MiB/s, likely: 150 MiB/s, high: 160 MiB/s,"
        " source: 'measured: three saves'}\n"
        "  processes.redis.value: {source: 'measured: --memkeys'}\n"
        "  host.cpus: {instead: [1, 4], source: 'assumed: two'}\n",
    )
    found = inputs(planner)
    speed = found["processes.redis.save_speed"]
    assert (speed.text, speed.evidence) == ("150 MiB/s", "measured")
    assert ends(speed) == ["140 MiB/s", "160 MiB/s"]
    value = found["processes.redis.value"]
    assert (value.evidence, value.ends) == ("measured", ())
    assert ends(found["host.cpus"]) == ["1", "4"]
    scenarios = {
        (each.key, end.text): cell.scenario
        for each, end, cell in input_cells(planner, 3, reads_disk=False)
    }
    low = scenarios["processes.redis.save_speed", "140 MiB/s"]
    assert low["processes"]["redis"]["save_speed"] == 140 * 2**20
    other = scenarios["host.cpus", "4"]
    assert (other["host"]["cpus"], other["processes"]["redis"]["save_speed"]) == (4, 150 * 2**20)


def test_each_run_changes_one_input_and_nothing_else(study_file):
    planner = planned(study_file)
    before = planner.main_cell(3).scenario
    for each, _, cell in input_cells(planner, 3, reads_disk=True):
        after = cell.scenario
        assert cell.part == "inputs"
        assert after["run"] == before["run"]
        changed = {key for key in before["host"] if before["host"][key] != after["host"][key]}
        redis, other = before["processes"]["redis"], after["processes"]["redis"]
        inside = {key for key in redis if redis[key] != other[key]}
        if each.key.startswith("processes."):
            assert inside == {each.key.rpartition(".")[2]}
            assert not changed
        else:
            assert not inside
            assert changed
        if each.key == PRICES:
            assert changed == {"prices"}


def test_a_user_s_end_that_cannot_be_is_refused_where_it_stands(study_file):
    planner = planned(study_file, "uncertain: {processes.redis.value: {low: 0}}\n")
    with pytest.raises(ScenarioError, match=r"small.yaml:21: uncertain.processes.redis.value"):
        check_uncertain(planner)


def test_a_value_is_set_once(study_file):
    with pytest.raises(ScenarioError, match="has a `likely` value and is set besides"):
        planned(study_file, "uncertain: {run.horizon: {likely: 5 s}}\n")


def test_a_range_and_a_choice_are_two_things(study_file):
    with pytest.raises(ScenarioError, match="has a range and a choice"):
        planned(study_file, "uncertain: {host.cpus: {low: 1, instead: [4]}}\n")


def test_ends_are_to_both_sides_of_the_value():
    assert Uncertain("", low=1.0, high=1.2).ends(1.05) == (1.0, 1.2)
    assert Uncertain("", low=1.0, high=1.2).ends(1.0) == (1.2,)
    assert Uncertain("", low=1.0, high=1.2).ends(1.5) == (1.0,)
    assert Uncertain("", times=(0.5, 2)).ends(0) == ()
    assert Uncertain("", times=(0.5, 2)).ends(3) == (2, 6)


@pytest.mark.parametrize(
    "wrong",
    [{"low": "1 MiB"}, {"times": (2, 3)}, {"times": (0.5, 0.9)}, {"low": 1, "instead": (2,)}],
)
def test_what_is_no_range_is_refused_where_it_is_declared(wrong):
    with pytest.raises(ValueError, match="Uncertain"):
        Uncertain("assumed", **wrong)


def test_what_is_no_number_has_no_range():
    assert Uncertain("", times=(0.5, 2)).ends(None) == ()
    assert Uncertain("", low=0, high=1).ends("uniform") == ()


def test_every_preset_says_how_sure_it_is_and_what_to_measure():
    for name, program in known_programs().items():
        marks = [mark for p in parameters_of(program) if (mark := mark_of(p, Uncertain))]
        assert marks or name == "steps"
        for parameter in parameters_of(program):
            mark = mark_of(parameter, Uncertain)
            if mark is not None:
                assert mark.source.startswith("assumed: ")
                assert mark.measure
                assert mark.ends(parameter.default), parameter.name


def test_prices_at_an_end_have_their_means_there_and_their_shapes_as_before(study_file):
    prices = planned(study_file).main_cell(0).scenario["host"]["prices"]
    for end in ("low", "high"):
        for name, price in prices_at(prices, end).items():
            assert price_spec(price).mean_ps == pytest.approx(prices[name][f"{end}_ps"], abs=1)
    fill = prices["zero_fill"]["lognormal"]
    low = price_at(prices["zero_fill"], "low")["lognormal"]
    assert low["sd_ps"] / low["mean_ps"] == pytest.approx(fill["sd_ps"] / fill["mean_ps"])
    given = {"quantiles_ps": [0, 100, 300], "low_ps": 50, "high_ps": 1000, "source": "measured"}
    assert price_spec(price_at(given, "high")).mean_ps == pytest.approx(1000, rel=0.01)


PRICES_OF_TWO = {
    "fork_base": {"low_ps": 40_000_000, "high_ps": 130_000_000},
    "fork_pte": {"low_ps": 15_000, "high_ps": 60_000},
}
WORK = {
    "fork_base": {"units": 2, "ns": 100_000},
    "fork_pte": {"units": 2000, "ns": 60_000},
    "cow_copy": {"units": 9, "ns": 9_000},
}


def test_the_range_of_a_time_is_its_units_at_low_and_high_prices_and_its_waits_as_they_were():
    lines = ("fork_base", "fork_pte", "fork_huge")
    exact = mean_range({"count": 2, "mean": 80_000}, WORK, PRICES_OF_TWO, lines)
    assert exact == Span(40_000 + 15_000, 130_000 + 60_000)
    waited = mean_range({"count": 2, "mean": 87_000}, WORK, PRICES_OF_TWO, lines)
    assert waited == Span(55_000 + 7_000, 190_000 + 7_000)


def test_no_range_where_nothing_was_done():
    assert mean_range({"count": 0, "mean": None}, WORK, PRICES_OF_TWO, ("fork_base",)) is None
    assert mean_range({"count": 1, "mean": 5.0}, WORK, PRICES_OF_TWO, ("exec_base",)) is None
