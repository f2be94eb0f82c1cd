"""A resolved scenario has every default, and resolves to itself."""

import json
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.base.errors import ScenarioError
from sim.base.units import GIB, MIB, MS, US, Range, S
from sim.scenario import open_scenario, resolve, scenario_sha256
from sim.scenario.defaults import kernel_reserve_bytes, quantum_ns

GIB_PAGES = GIB // 4096


def server(
    task: object,
    *,
    dataset_bytes: Annotated[int, Range(4096, None)],
    save_every_ns: int = 10 * S,
    writes_per_s: float = 100.0,
    speed_bytes_per_s: float = 1e6,
    mode: Literal["a", "b"] = "a",
    pauses_ns: list[int] | None = None,
    limit_bytes: Annotated[int, Range(4096, 8192)] | None = None,
    share: Annotated[float, Range(0, 1)] = 0.5,
) -> None: ...


PROGRAMS = {"server": server}


def scenario(**changes: object) -> dict:
    return {
        "version": 1,
        "host": {"memory": "8 GiB", "cpus": 2},
        "processes": {"db": {"program": "server", "dataset": "2 GiB"}},
        "run": {"horizon": "30 s"},
        **changes,
    }


def resolved(**changes: object) -> dict:
    return resolve(scenario(**changes), PROGRAMS)


def test_it_resolves_to_itself_and_is_json():
    first = resolved()
    assert resolve(first, PROGRAMS) == first
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert resolve(json.loads(json.dumps(first)), PROGRAMS) == first


def test_derived_defaults_are_linuxs():
    host = resolved()["host"]
    reserve = 8 * GIB // 64 + 192 * MIB
    assert host["kernel_reserve"] == kernel_reserve_bytes(8 * GIB) == reserve
    assert host["min_free"] == 11356 * 1024  # isqrt(8060928 kB * 16)
    assert host["percpu_batch"] == 63
    assert host["zones"] == [{"name": "Normal", "memory": 8 * GIB}]
    assert host["profile"] == "generic"


def test_defaults_follow_the_memory_of_a_variant(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(json.dumps(scenario()))
    source = open_scenario(path, programs=PROGRAMS)
    small, large = (source.resolved({"host.memory": f"{n} GiB"}) for n in (4, 16))
    assert small["host"]["min_free"] < large["host"]["min_free"]
    assert small["host"]["zones"][0]["memory"] == 4 * GIB
    assert source.resolved()["host"]["memory"] == 8 * GIB
    assert source.resolved()["name"] == "a"


def test_huge_pages_raise_the_reserve():
    with_thp = resolved(host={"memory": "8 GiB", "thp": "madvise"})["host"]
    assert with_thp["min_free"] == 67_584 * 1024


def test_parameters_are_parsed_in_their_units():
    process = resolved(
        processes={
            "db": {
                "program": "server",
                "dataset": "12 pages",
                "save_every": "1.5 ms",
                "writes": "3/min",
                "speed": "2 MB/s",
                "mode": "b",
                "pauses": ["1 ms", 7],
                "limit": "8 KiB",
            }
        }
    )["processes"]["db"]
    assert process["dataset"] == 12 * 4096
    assert process["save_every"] == 1_500_000
    assert process["writes"] == 0.05
    assert process["speed"] == 2e6
    assert process["pauses"] == [MS, 7]
    assert process["limit"] == 8192
    assert process["cpu"] is None


def test_the_quantum_is_eevdfs_base_slice():
    assert resolved()["policy"]["scheduler"]["quantum"] == 1_400 * US
    assert quantum_ns(1) == 700 * US
    assert quantum_ns(64) == 2_800 * US


def test_memory_is_whole_pages():
    assert resolved(host={"memory": 8 * GIB + 4095})["host"]["memory"] == 8 * GIB


def test_a_bare_price_calls_itself_assumed():
    prices = resolved(host={"prices": {"zero_fill": "2 us", "cow_copy": "1 ns"}})["host"]["prices"]
    assert prices["zero_fill"] == {
        "value_ps": 2_000_000,
        "source": "assumed: set without a source",
        "low_ps": 1_000_000,
        "high_ps": 4_000_000,
    }
    assert prices["cow_copy"]["value_ps"] == 1000
    assert prices["access"]["value_ps"] == 20_000


def test_quantile_prices_are_kept():
    price = {
        "quantiles": ["1 ns", "3 ns"],
        "source": "measured here",
        "low": "1 ns",
        "high": "3 ns",
    }
    entry = resolved(host={"prices": {"access": price}})["host"]["prices"]["access"]
    assert entry["quantiles_ps"] == [1000, 3000]
    assert entry["high_ps"] == 3000


def test_a_profile_of_ones_own(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        'version: 1\nextends: xen_pv\nmachine: "mine"\nmemory: 2 GiB\n'
    )
    data = scenario(host={"profile": "./mine.yaml"})
    (tmp_path / "s.yaml").write_text(json.dumps(data))
    first = open_scenario(tmp_path / "s.yaml", programs=PROGRAMS).resolved()
    host = first["host"]
    assert (host["profile"], host["machine"], host["memory"]) == (None, "mine", 2 * GIB)
    assert host["kernel"] == "5.4"
    assert resolve(first, PROGRAMS)["host"] == host


def test_a_profile_that_extends_itself_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("version: 1\nextends: mine.yaml\n")
    (tmp_path / "s.yaml").write_text(json.dumps(scenario(host={"profile": "mine.yaml"})))
    with pytest.raises(ScenarioError, match="circle"):
        open_scenario(tmp_path / "s.yaml", programs=PROGRAMS).resolved()


@given(
    memory=st.integers(64 * MIB, 64 * GIB),
    cpus=st.integers(1, 64),
    hz=st.sampled_from([100, 250, 300, 1000]),
    thp=st.sampled_from(["never", "madvise"]),
    horizon=st.integers(1, 10**13),
    writes=st.floats(0, 1e6),
)
def test_whatever_resolves_resolves_to_itself(memory, cpus, hz, thp, horizon, writes):
    data = {
        "version": 1,
        "host": {"memory": memory, "cpus": cpus, "hz": hz, "thp": thp},
        "processes": {"db": {"program": "server", "dataset": 8192, "writes": writes}},
        "run": {"horizon": horizon},
    }
    first = resolve(data, PROGRAMS)
    assert resolve(json.loads(json.dumps(first)), PROGRAMS) == first
    assert first["host"]["min_free"] + first["host"]["kernel_reserve"] < memory


def test_a_run_is_known_by_what_decides_its_result():
    base = resolved()
    sha = scenario_sha256(base, 1, 0, 1)
    assert len(sha) == 64
    assert scenario_sha256(dict(reversed(base.items())), 1, 0, 1) == sha
    assert scenario_sha256(resolved(run={"horizon": "30 s", "seed": 9, "burst": 7}), 1, 0, 1) == sha
    others = [
        scenario_sha256(base, 2, 0, 1),
        scenario_sha256(base, 1, 1, 1),
        scenario_sha256(base, 1, 0, 2),
        scenario_sha256(base, 1, 0, 1, "a plug-in"),
        scenario_sha256(resolved(run={"horizon": "31 s"}), 1, 0, 1),
    ]
    assert len({sha, *others}) == 6


def test_a_parameter_may_have_the_name_of_a_pydantic_method():
    def program(task: object, *, copy: int = 1, schema: str = "x") -> None: ...

    data = scenario(processes={"p": {"program": "program", "copy": 3}})
    assert resolve(data, {"program": program})["processes"]["p"]["copy"] == 3


@pytest.mark.parametrize("bad", ["_hidden", "model_config"])
def test_a_program_that_cannot_be_described_is_bad_input(bad):
    namespace: dict = {}
    exec(f"def program(task, *, {bad}: int = 1): ...", namespace)
    with pytest.raises(ScenarioError, match=r"processes.p.program: cannot be used"):
        resolve(scenario(processes={"p": {"program": "program"}}), namespace)


def test_a_scheduler_is_one_that_exists():
    data = scenario(policy={"scheduler": {"kind": "mine"}})
    assert resolve(data, PROGRAMS, ["mine"])["policy"]["scheduler"]["kind"] == "mine"
    with pytest.raises(ScenarioError, match=r"policy.scheduler.kind: no scheduler called 'mine'"):
        resolve(data, PROGRAMS)


def test_a_mistake_in_a_list_of_steps_has_its_place(tmp_path):
    (tmp_path / "s.yaml").write_text(
        "version: 1\n"
        "run: {horizon: 1 s}\n"
        "processes:\n"
        "  p:\n"
        "    program: steps\n"
        "    steps:\n"
        "      - mmap: {name: A, size: 1 MiB}\n"
        "      - write: A\n"
        "      - fork:\n"
        "          - read: B\n"
    )
    with pytest.raises(ScenarioError) as refusal:
        open_scenario(tmp_path / "s.yaml").resolved()
    assert refusal.value.line == 10
    assert refusal.value.key == "processes.p.steps.2.fork.0.read"
    assert "there are: A" in refusal.value.message
    first = open_scenario(tmp_path / "s.yaml", ["processes.p.steps.2.fork.0.read=A"]).resolved()
    assert resolve(first) == first
