"""Short scripts are carried out uncompiled: nobody who tries one waits for a compiler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import sim.base.jit
from sim.cli import main
from sim.cli.effort import PLAIN_PAGES, named_pages, plain_if_small
from sim.script.validity import load_script

SHORT = "P map A 64\nP write A 0 32\nP fork C\nC write A 0 16\nP exit\n"


def compiled_files(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*.nbi")] if cache.exists() else []


def with_cache(cache: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    return kept | {"COWPOOL_CACHE_DIR": str(cache)}


@pytest.mark.parametrize("command", [["walk", "--why", "--draw"], ["conform"]])
def test_a_short_script_compiles_nothing_and_says_the_same(command, tmp_path, capsys):
    script = tmp_path / "short.txt"
    script.write_text(SHORT)
    arguments = [*command, str(script)]
    done = subprocess.run(
        [sys.executable, "-m", "sim", *arguments],
        env=with_cache(tmp_path / "cache"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert compiled_files(tmp_path / "cache") == []
    assert main(arguments) == 0
    assert done.stdout == capsys.readouterr().out


def test_what_is_compiled_would_be_seen(tmp_path):
    program = tmp_path / "tiny.py"
    program.write_text(
        "from sim.base.jit import compiled\n@compiled\ndef one():\n    return 1\none()\n"
    )
    subprocess.run(
        [sys.executable, str(program)],
        env=with_cache(tmp_path / "cache") | {"PYTHONPATH": str(Path(sim.__file__).parents[1])},
        check=True,
    )
    assert compiled_files(tmp_path / "cache")


def test_a_process_that_began_to_compile_goes_on():
    assert not sim.base.jit.stay_plain()


@pytest.mark.parametrize(
    ("pages", "plain"), [(PLAIN_PAGES // 2 - 1, True), (PLAIN_PAGES // 2, False)]
)
def test_how_many_pages_are_few(pages, plain, tmp_path, monkeypatch):
    script = tmp_path / "script.txt"
    script.write_text(f"P map A {pages}\nP write A 0 {pages}\n")
    asked = []
    monkeypatch.setattr(sim.base.jit, "stay_plain", lambda: asked.append(True))
    operations = load_script(script)
    plain_if_small([operations])
    assert (bool(asked), named_pages(operations)) == (plain, 2 * pages + 2)
