"""The net under the house: what every scenario and script comes to is what it came to.

`pytest --regen-golden tests/golden/test_net.py` writes `net.txt` anew and fails: read the diff, and
explain it in the changelog under *Results change*.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import broken_kernels, net
from support.net_scenarios import KINDS
from support.net_steps import DONE_WEIGHTS
from support.samples import sample, spread

from sim.program import PROGRAMS
from sim.program.steps.grammar import VERBS
from sim.scenario.resolve import SCHEDULERS

TESTS = Path(__file__).parents[1]
Line = Callable[[], str]


def scenarios() -> dict[str, Line]:
    return {n: lambda c=c: net.line_of(net.document_of(c)) for n, c in net.scenario_cases().items()}


def drawn() -> dict[str, Line]:
    return {n: lambda c=c: net.line_of(net.document_of(c)) for n, c in net.drawn_cases().items()}


def scripts() -> dict[str, Line]:
    def line_of(group: net.Group) -> str:
        return net.line_of_scripts(group, net.predictions(group, net.scripts_of(group)))

    return {name: lambda group=group: line_of(group) for name, group in net.groups().items()}


PARTS = {"scenarios": (scenarios, 23), "drawn": (drawn, 20), "scripts": (scripts, 3)}
"""By name: all there is, and how much of it `make test` looks at."""


def differences(held: dict[str, str], found: dict[str, str]) -> str:
    """Return each line that is not as held, both ways; "" if all are."""
    return "".join(
        f"\n{name}\n  was {held.get(name, 'not there')}\n  is  {line}"
        for name, line in found.items()
        if held.get(name) != line
    )


@pytest.mark.stress
@pytest.mark.parametrize("part", PARTS)
def test_what_comes_out_is_what_came_out(part: str, pytestconfig: pytest.Config) -> None:
    lines, few = PARTS[part]
    found = lines()
    if pytestconfig.getoption("--regen-golden"):
        net.write_net({name: line() for name, line in found.items()})
        pytest.fail("net.txt written anew: read the diff and explain it in CHANGELOG.md")
    told = differences(net.read_net(), {name: found[name]() for name in spread([*found], few)})
    assert not told, f"{told}\nto look into one: cd tests; python -m support.net NAME"


def test_the_net_holds_all_there_is_and_nothing_else() -> None:
    names = [name for lines, _ in PARTS.values() for name in lines()]
    assert len(names) == len(set(names)) >= 300
    assert set(names) == set(net.read_net())
    assert sum(name.startswith("drawn/") for name in names) == 280
    assert net.GROUPS * net.GROUP_SCRIPTS == 500
    shipped = {file.stem for file in (net.ROOT / "configs" / "scenarios").glob("*.yaml")}
    assert shipped <= {name.removeprefix("shipped/") for name in names}
    studies = {*net.ROOT.glob("experiments/*/study.yaml"), *net.ROOT.glob("configs/studies/*")}
    alone = {
        file
        for file in studies
        if not (file.parent / net.base_of(file)).is_file() and "\nplan:" not in file.read_text()
    }  # a plan has no points: what it runs is its base
    assert alone == set(net.STUDIES.values())  # others have a base beside them, which is in the net


def steps_of(value: Any) -> list[str]:
    """Return every verb in a drawn process, however deep."""
    if isinstance(value, list):
        own = [value[0]] if value and isinstance(value[0], str) else []
        return own + [verb for part in value for verb in steps_of(part)]
    if isinstance(value, dict):
        return [*value, *(verb for part in value.values() for verb in steps_of(part))]
    return []


def test_what_is_drawn_is_of_every_kind() -> None:
    documents = [case.scenario for case in net.drawn_cases().values() if case.scenario]
    processes = [process for d in documents for process in d["processes"].values()]
    assert {p["program"] for p in processes} >= set(PROGRAMS) | {"does", "serves", "rests"}
    assert set(KINDS) == set(PROGRAMS) | {"does"}
    assert {p.get("malloc") for p in processes} >= {"glibc", "jemalloc"}
    verbs = {
        kind: {v for p in processes if p["program"] == kind for v in steps_of(p["steps"])}
        for kind in ("steps", "does")
    }
    assert verbs["steps"] >= set(VERBS) - {"swapoff", "swapon"}  # see test_swap_invariance
    assert verbs["does"] >= set(DONE_WEIGHTS)
    redis = [p for p in processes if p["program"] == "redis"]
    assert {str(p["version"]).partition(" ")[0] for p in redis} >= {"7.2", "valkey"}
    assert {p.get("phase") for p in redis} >= {"together", "random"}
    web = [p for p in processes if p["program"] == "prefork_web"]
    assert {p.get("preload") for p in web} >= {True, False}
    assert {p.get("leak") for p in web} >= {"0 B", "100 KiB"}
    seen = {
        name: {d[part][name] for d in documents if name in d[part]}
        for part, names in {
            "policy": ("fork", "memory", "zeroing"),
            "host": ("cpus", "thp", "kernel", "khugepaged", "profile"),
        }.items()
        for name in names
    }
    assert seen["fork"] == {"cow", "eager", "on_demand", "async"}
    assert seen["memory"] == {"oom", "wait"}
    assert seen["zeroing"] == {"demand", "eager"}
    assert seen["thp"] == {"never", "madvise", "always"}
    assert seen["khugepaged"] == {True, False}
    assert {1, 2, 3, 4, 8, 16} == seen["cpus"]
    assert len(seen["kernel"]) == 11
    assert len(seen["profile"]) == 7
    schedulers = {d["policy"]["scheduler"]["kind"] for d in documents}
    assert schedulers == {*SCHEDULERS, "last_come", "least_often"}
    assert sum(d["run"]["warmup"] != "0 ns" for d in documents) > 40


def in_another_process(code: str, cwd: Path, **environment: str) -> str:
    """Return what Python prints that compiles nothing and knows `support`."""
    environment = {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(TESTS), **environment}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


QUICK = ["drawn/005", "drawn/008", "drawn/023", "cases/b11_listed_range", "drawn/019", "drawn/001"]
QUICK = QUICK[: sample(4, 6)]
"""The fifth is run in plain Python in any case: by the kernel with `nothing` wrong, below."""


@pytest.mark.stress
def test_neither_compiler_nor_hash_seed_nor_folder_decides(tmp_path: Path) -> None:
    code = f"""
import json
from support import net
cases = net.scenario_cases() | net.drawn_cases()
print(json.dumps({{name: net.line_of(net.document_of(cases[name])) for name in {QUICK}}}))
"""
    held = net.read_net()
    found = json.loads(in_another_process(code, tmp_path, PYTHONHASHSEED="42"))
    assert found == {name: held[name] for name in QUICK}


# -- negative controls ------------------------------------------------------------------


FLAT_NS = {"fork_base": 50_000, "mmap_call": 1000, "wait_call": 1000, "table_alloc": 500}
"""Prices of the machine of `steps_demo` that no chance is in."""


@pytest.mark.parametrize("price", FLAT_NS)
def test_a_nanosecond_more_is_seen(price: str) -> None:
    case, ns = net.scenario_cases()["shipped/steps_demo"], FLAT_NS[price]
    held = net.read_net()["shipped/steps_demo"]
    same, more = (
        net.line_of(net.document_of(case, "--set", f"host.prices.{price}={ns + extra} ns"))
        for extra in (0, 1)
    )
    assert net.field(same, "got") == net.field(held, "got")
    for name in ("got", "asked", "simulated_ns"):
        assert net.field(more, name) != net.field(held, name)
    assert "shipped/steps_demo" in differences(
        {"shipped/steps_demo": held}, {"shipped/steps_demo": more}
    )


SEEN_BY = ["drawn/019", "drawn/001", "drawn/005", "drawn/010", "drawn/045", "drawn/266"]
UNSEEN = {"nothing", "a frame is charged to another group"}
"""Rows with groups take minutes in plain Python; histories find that one out."""


@pytest.mark.stress
@pytest.mark.slow
def test_a_kernel_with_a_line_wrong_is_seen(tmp_path: Path) -> None:
    broken = [name for name in broken_kernels.BROKEN if name not in UNSEEN]
    names = ["nothing", *broken[: sample(1, len(broken))]]
    code = "import runpy, sys; sys.argv[1:] = {!r}; runpy.run_path({!r}, run_name='__main__')"
    arguments = ["net", ",".join(SEEN_BY[: sample(1, len(SEEN_BY))]), *names]
    code = code.format(arguments, broken_kernels.__file__)
    found = json.loads(in_another_process(code, tmp_path, TMPDIR=str(tmp_path)))
    assert found.keys() == set(names)
    assert found.pop("nothing") is None
    assert all(said and not said.startswith("unusable") for said in found.values()), found


def test_the_first_script_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert net.first_script_that_differs("scripts/12") is None
    predictions = net.predictions

    def one_fault_more(group: net.Group, scripts: list[str]) -> list[Any]:
        found = predictions(group, scripts)
        for script in (7, 20):
            found[script][-1]["predicted"]["minflt"] += 1
        return found

    monkeypatch.setattr(net, "predictions", one_fault_more)
    number, text, predicted = net.first_script_that_differs("scripts/12") or (-1, "", [])
    assert number == 7
    assert text == net.scripts_of(net.groups()["scripts/12"])[7]
    assert len(predicted) == len(text.splitlines())
