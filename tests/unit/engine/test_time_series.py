"""Rows of the time series: evenly spaced, at most 1,000, as if the spacing had been known."""

import pytest
from support.machines import flat_prices, run

from sim.base.units import MS, US
from sim.engine.groups import GroupSpec
from sim.engine.run import simulate
from sim.machine.layout import MOST_SAMPLES, SWAP_IN_MEMORY
from sim.scenario import resolve


def series(run, burst=None, times=60):
    steps = [
        {"mmap": {"name": "A", "size": "1 MiB"}},
        {"repeat": {"times": times, "steps": [
            {"write": {"region": "A", "pattern": {"uniform": 20}}},
            {"sleep": "55 ms"},
            {"dontneed": {"region": "A", "pages": 100}},
        ]}},
    ]  # fmt: skip
    scenario = resolve({
        "version": 1,
        "host": {"memory": "64 MiB"},
        "processes": {"p": {"program": "steps", "steps": steps}},
        "run": run,
    })  # fmt: skip
    return simulate(scenario, seed=1, burst=burst).document["series"]


@pytest.mark.parametrize("every_ns", [MS, 700 * US, 7])
def test_rows_are_those_of_the_final_spacing(every_ns):
    found = series({"sample_every": f"{every_ns} ns"})
    spacing = found["t_ns"][1]
    doublings = (spacing // every_ns).bit_length() - 1
    assert spacing == every_ns << doublings
    assert found["t_ns"] == [n * spacing for n in range(len(found["t_ns"]))]
    assert MOST_SAMPLES // 2 < len(found["t_ns"]) <= MOST_SAMPLES
    assert found == series({"sample_every": f"{spacing} ns"})


def test_the_longest_burst_changes_no_row():
    assert series({}) == series({}, burst=1)


def test_a_horizon_changes_no_row_before_it():
    whole, cut = series({}), series({"horizon": "2 s"})
    step = cut["t_ns"][1]
    assert cut["t_ns"][-1] <= 2 * 10**9
    kept = [row for row, t_ns in enumerate(whole["t_ns"]) if t_ns in set(cut["t_ns"])]
    at = [t_ns // step for t_ns in (whole["t_ns"][row] for row in kept)]
    assert len(kept) > 400
    for name in whole.keys() - {"groups"}:
        values = whole[name]
        assert [values[row] for row in kept] == [cut[name][n] for n in at]


def test_few_rows_stay_as_far_apart_as_was_asked():
    found = series({"sample_every": "10 ms"}, times=5)
    assert found["t_ns"] == [n * 10 * MS for n in range(len(found["t_ns"]))]


@pytest.mark.parametrize("zones", ["DMA32, Normal", "Normal"])
def test_each_page_is_on_a_buddy_list_on_a_cpus_list_or_in_use(zones):
    steps = [
        {"mmap": {"name": "A", "size": "3 MiB"}}, {"write": "A"},
        {"read_file": {"file": "f", "pages": 500}},
        {"fork": {"name": "c", "steps": [{"write": "A"}, {"sleep": "20 ms"}]}},
        {"dontneed": {"region": "A", "pages": 300}}, {"sleep": "30 ms"},
    ]  # fmt: skip
    memory = "64 MiB" if zones == "Normal" else "5 GiB"
    document = simulate(
        resolve({
            "version": 1,
            "host": {"memory": memory, "cpus": 3},
            "processes": {"p": {"program": "steps", "copies": 2, "steps": steps}},
        }), seed=1,
    ).document  # fmt: skip
    found = document["series"]
    names = ("free", "percpu", "anon", "page_tables", "kernel_stacks", "page_cache")
    rows = zip(*(found[f"{name}_pages"] for name in names), strict=True)
    assert {sum(row) for row in rows} == {document["host"]["free_at_start_pages"]}
    assert len(set(found["percpu_pages"])) > 3
    assert max(found["percpu_pages"]) > 100
    assert "zeroed_pages" not in found


def grouped(burst=0, cgroup="v2"):
    """Return a run of 5 s: a reader in a full group, and one that keeps the other CPU in use."""

    def reads(process):
        yield from process.write((yield from process.mmap(40 * 4096)))
        for _ in range(20):
            yield from process.pread("f", 400)
            yield from process.pwrite("g", 4)
            yield from process.sleep(200_000_000)

    def works(process):
        for _ in range(12):
            yield from process.compute(200_000_000)
            yield from process.sleep(200_000_000)

    return run(
        {"r": reads, "w": works},
        host={"memory_pages": 4000, "cpus": 2, "kernel": "6.18", "cgroup": cgroup},
        groups=(GroupSpec("pod", None, 300), GroupSpec("app", "pod", 200)),
        groups_of={"r": "app"},
        prices=flat_prices(reclaim_page=1000, page_stolen=30_000, cache_fill=200),
        burst=burst,
        sample_every_ns=3_000_000,
    )


def test_points_tell_states_groups_and_what_reclaim_did():
    document = grouped()
    found, groups = document["series"], document["series"]["groups"]
    assert len(found["t_ns"]) > 600
    for name in ("pages_scanned", "pages_stolen"):
        assert found[name] == sorted(found[name])
        assert found[name][-1] == document["metrics"][name] > 0
    files = list(zip(found["active_file_pages"], found["inactive_file_pages"], strict=True))
    assert max(active + inactive for active, inactive in files) > 100
    assert max(found["dirty_pages"]) > 0
    assert max(found["slab_pages"]) > 0
    app, pod = groups["app"], groups["pod"]
    assert max(app["current_pages"]) * 4096 <= document["groups"]["app"]["peak_bytes"]
    assert max(app["anon_pages"]) >= 40
    assert app["file_pages"] == pod["file_pages"]
    pairs = zip(app["working_set_pages"], app["current_pages"], strict=True)
    assert all(0 <= working_set <= usage for working_set, usage in pairs)


def test_pressure_over_time_adds_up_to_the_total():
    document = grouped()
    series = document["series"]
    told = [(document["psi"], series), (document["groups"]["app"]["psi"], series["groups"]["app"])]
    for psi, points in told:
        for how in ("some", "full"):
            rising = points[f"psi_memory_{how}_us"]
            assert rising == sorted(rising)
            assert len(set(rising)) > 50, "it rises between the ends of periods"
            assert 0 < rising[-1] <= psi[how]["total_us"]
            assert rising[-1] == pytest.approx(psi[how]["total_us"], rel=0.01)
    of_app, of_all = (points["psi_memory_some_us"][-1] for _, points in told[::-1])
    assert of_all < of_app, "the machine has another CPU in use"


def test_the_longest_burst_changes_no_point_of_a_group():
    assert grouped()["series"] == grouped(burst=1)["series"] == grouped(burst=7)["series"]


def test_version_1_tells_no_pressure_of_groups():
    series = grouped(cgroup="v1")["series"]
    assert "psi_memory_some_us" in series
    assert series["groups"]["app"].keys() == {
        "current_pages", "anon_pages", "file_pages", "working_set_pages",
        "active_file_pages", "inactive_file_pages", "pages_scanned", "pages_stolen", "refaults",
    }  # fmt: skip


def swapping():
    """Return a run in which two groups of `pod` write more than their limit, and read it back."""

    def writes(pages):
        def program(process):
            region = yield from process.mmap(pages * 4096)
            for _ in range(3):
                yield from process.write(region)
                yield from process.sleep(20_000_000)

        return program

    return run(
        {"a": writes(260), "b": writes(150)},
        host={
            "memory_pages": 4000, "cpus": 2, "kernel": "6.18",
            "swap_pages": 2000, "swap_kind": SWAP_IN_MEMORY,
        },
        groups=(
            GroupSpec("pod", None, 600), GroupSpec("a", "pod", 200), GroupSpec("b", "pod", 400),
        ),
        groups_of={"a": "a", "b": "b"},
        prices=flat_prices(reclaim_page=1000, page_stolen=30_000),
        sample_every_ns=1_000_000,
    )  # fmt: skip


def test_points_of_a_group_have_those_of_the_groups_in_it():
    document = swapping()
    found, groups = document["series"], document["series"]["groups"]
    of_both = ("active_anon_pages", "inactive_anon_pages", "swap_pages", "pages_scanned",
               "pages_stolen", "refaults")  # fmt: skip
    for name in of_both:
        both = [a + b for a, b in zip(groups["a"][name], groups["b"][name], strict=True)]
        assert groups["pod"][name] == both
        assert found[name] == both, "no process is outside"
    assert max(groups["a"]["swap_pages"]) > 50
    assert max(groups["b"]["swap_pages"]) == 0
    for name in ("pages_scanned", "pages_stolen", "refaults"):
        assert found[name][-1] == document["metrics"][name] > 0
    for at, anon in enumerate(groups["a"]["anon_pages"]):
        on_lists = groups["a"]["active_anon_pages"][at] + groups["a"]["inactive_anon_pages"][at]
        assert on_lists <= anon, "some are still in a CPU's batch"


def test_without_swap_no_list_of_anonymous_pages_is_told():
    series = grouped()["series"]
    for names in (series.keys(), series["groups"]["app"].keys()):
        assert not names & {"active_anon_pages", "inactive_anon_pages", "swap_pages"}
