"""What docs/model.md says exists does: files, tests, metrics, prices; assumptions have numbers."""

import re
from pathlib import Path

import pytest

from sim.base.resources import shipped
from sim.cost.catalogue import price_specs
from sim.engine.run import simulate
from sim.scenario.resolve import load_scenario, open_scenario

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
CODE = re.findall(r"`([^`]+)`", PAGE)


def test_assumptions_are_numbered_without_a_gap():
    numbers = [int(number) for number in re.findall(r"^\*\*A(\d+)\.", PAGE, re.MULTILINE)]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    mentioned = {int(number) for number in re.findall(r"\bA(\d+)\b", PAGE)}
    assert mentioned <= set(numbers)


def test_every_assumption_says_where_it_lives():
    for assumption in re.split(r"^(?=\*\*A\d+\.)", PAGE, flags=re.MULTILINE)[1:]:
        own = re.split(r"\n#", assumption)[0]
        assert "*Where:*" in own, own[:60]
        assert "*Test:*" in own, own[:60]


@pytest.mark.parametrize("name", sorted({c for c in CODE if re.match(r"[\w.]+/", c)}))
def test_every_file_exists(name):
    if name.startswith(("/proc", "/bin")) or "*" in name:
        return
    assert (ROOT / name).exists()


def test_every_test_exists():
    defined = set()
    for file in (ROOT / "tests").rglob("*.py"):
        defined |= set(re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8")))
    named = {name for name in CODE if name.startswith("test_")}
    assert named
    assert named <= defined, named - defined


def test_every_script_is_in_the_list_of_rules():
    rows = re.findall(
        r"^\| .+ \| `(\w+)` \| (.*) \|$", PAGE.split("## Rules, and")[1], re.MULTILINE
    )
    scripts = sorted(path.stem for path in (ROOT / "tests/truth/scripts").glob("*.txt"))
    assert [name for name, _ in rows] == scripts
    assert sum(bool(origin.strip()) for _, origin in rows) >= 4


def test_every_metric_is_defined():
    document = simulate(load_scenario("steps_demo"), seed=1).to_json()
    for name in (*document["metrics"], *document["processes"][0], *document["series"]):
        assert re.search(rf"\b{name}\b", PAGE), name
    for name in set(document) - {"metrics", "processes", "schema_version", "deadlock"}:
        assert f"`{name}`" in PAGE, name


def test_the_prices_assumed_are_counted():
    source = open_scenario("redis_bgsave")
    for profile in shipped("hosts"):
        prices = price_specs(source.resolved({"host.profile": profile})["host"]["prices"])
        assumed = sum(price.assumed for price in prices.values())
        assert f"of {len(prices)} prices, assumed" in PAGE
        assert f"| `{profile}` | {assumed} |" in PAGE, (profile, assumed)
