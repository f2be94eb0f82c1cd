"""What docs/malloc.md shows is what the command predicts."""

import re
from pathlib import Path

import pytest

from sim.host.malloc.conform import run_malloc_conform
from sim.program.steps.notes import HEAP_VERBS
from sim.script.malloc.grammar import load_script
from sim.script.malloc.predict import predict

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "malloc.md").read_text(encoding="utf-8")


def test_the_table_is_what_the_example_gives():
    rows = re.findall(r"^\| `(\w+ [^`]+)` \| ?(\d*) \| ([\d, ]+) \| (\d+) \|", PAGE, re.MULTILINE)
    records = predict(load_script(ROOT / "docs/examples/malloc.txt"), "glibc")
    assert len(rows) == len(records) == 19
    for (operation, faults, resident, mapped), record in zip(rows, records, strict=True):
        assert operation == str(record.operation)
        assert faults == (str(record.minflt) if record.is_counted else "")
        assert resident == ", ".join(str(figures.rss) for figures in record.figures)
        assert {mapped} == {str(figures.size) for figures in record.figures}


def test_every_step_is_named():
    assert all(f"`{verb}`" in PAGE for verb in HEAP_VERBS)


def test_a_script_is_predicted_and_printed(tmp_path, capsys):
    script = tmp_path / "heap.txt"
    script.write_text("P malloc a 100\n")
    assert run_malloc_conform([script], "glibc") == 0
    assert capsys.readouterr().out == "P malloc a 100 minflt=1\n  P rss=1 size=33\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--malloc", "mimalloc", "x"], "--malloc: there is no model of 'mimalloc'"),
        (["--malloc", "glibc", "--time", "x"], "--malloc: has no prices"),
        (["--malloc", "glibc"], "nothing to do"),
        (["--malloc", "glibc", "--random", "1"], "random scripts need a seed"),
        (["--malloc", "glibc", "absent.txt"], "absent.txt: cannot be read"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    from sim.cli import main

    assert main(["conform", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
