import re
from pathlib import Path

import pytest

from sim.base.errors import ScenarioError
from sim.base.units import MIB
from sim.program.plugin import load_plugin
from sim.program.signature import parameters_of

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_shows_the_examples_as_they_are():
    page = (DOCS / "extending.md").read_text()
    shown = re.findall(r"<!-- (examples/\w+\.py) -->\n```python\n(.*?)```", page, re.DOTALL)
    assert {name for name, _ in shown} == {
        f"examples/{file.name}" for file in (DOCS / "examples").glob("*.py")
    }
    for name, code in shown:
        assert code == (DOCS / name).read_text(), f"{name} and extending.md differ"


def test_the_example_program_runs(fake_process):
    plugin = load_plugin(DOCS / "examples" / "pool_map.py")
    assert list(plugin.programs) == ["pool_map"]
    pool_map = plugin.programs["pool_map"]
    assert [p.key for p in parameters_of(pool_map)][:2] == ["table", "workers"]
    process = fake_process().run(pool_map, table_bytes=MIB, workers=3, rows_per_worker=100)
    assert len(process.children) == 3
    assert all(len(child.said("write")) == 1 for child in process.children)


def test_the_example_scheduler_is_last_in_first_out():
    plugin = load_plugin(DOCS / "examples" / "last_come.py")
    policy = plugin.schedulers["last_come"](quantum_ns=7)
    for pid in (1, 2, 3):
        policy.enqueue(pid, now_ns=0)
    assert [policy.pick(0) for _ in range(4)] == [(3, 7), (2, 7), (1, 7), None]


HEAD = "from sim.plugin import program\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1\n", "mine.py: offers nothing; decorate a function with @program"),
        ("def f(:\n", "mine.py:1: is not Python: "),
        ("\nimport pandsa\n", "mine.py:2: ModuleNotFoundError: No module named 'pandsa'"),
        ("raise SystemExit('a\\nb')\n", "mine.py:1: SystemExit: a b"),
        ("x = 1\n\ny = x / 0\n", "mine.py:3: ZeroDivisionError: division by zero"),
        (
            HEAD + "@program('a')\ndef f(task, *, size):\n    yield\n",
            "mine.py:2: f: the parameter 'size' needs a type",
        ),
        (HEAD + "@program('a')\ndef f(task):\n    pass\n", "mine.py:2: f is no generator"),
        (HEAD + "@program('a')\ndef f():\n    yield\n", "mine.py:2: f: a program takes `task`"),
        (HEAD + "@program('a b')\ndef f(task):\n    yield\n", "mine.py:2: ValueError: a program's"),
        (
            HEAD
            + "@program('a')\ndef f(task):\n    yield\n@program('a')\ndef g(task):\n    yield\n",
            "mine.py: offers 'a' twice",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, code, message):
    file = tmp_path / "mine.py"
    file.write_text(code)
    with pytest.raises(ScenarioError) as refused:
        load_plugin(file)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_said_in_one_line(tmp_path):
    with pytest.raises(ScenarioError, match="cannot read the plug-in: No such file"):
        load_plugin(tmp_path / "none.py")


def test_what_a_file_imports_is_not_what_it_offers(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        HEAD
        + "from dataclasses import dataclass\n"
        + "from sim.program.shipped.redis import redis\n"
        + "@dataclass(frozen=True)\nclass Size:\n    pages: int = 1\n"
        + "@program('a')\ndef f(task, *, pages: int = Size().pages):\n    yield\n"
    )
    plugin = load_plugin(file)
    assert list(plugin.programs) == ["a"]
    assert len(plugin.sha256) == 64


WRONG_ANNOTATION = """
from typing import Annotated
from sim.plugin import program
from sim.plugin import Uncertain

@program("grow")
def grow(task, *, size_bytes: Annotated[int, {mark}] = 1):
    \"\"\"Grow.\"\"\"
    yield from task.sleep(1)
"""


@pytest.mark.parametrize("mark", ['Uncertain("assumed", low="1 MiB")', "1 / 0", "{}['x']"])
def test_a_mistake_in_a_type_is_the_plug_in_s(tmp_path, mark):
    path = tmp_path / "wrong.py"
    path.write_text(WRONG_ANNOTATION.replace("{mark}", mark))
    with pytest.raises(ScenarioError, match=r"grow: the type of a parameter cannot be worked out"):
        load_plugin(path)
