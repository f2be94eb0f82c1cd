"""Files of the engine stand on each other in one direction only."""

from pathlib import Path

from support.imports import circle_in, imports_of

import sim.engine


def test_no_two_files_import_each_other() -> None:
    assert circle_in(imports_of("sim.engine")) == []


def test_the_search_finds_imports_and_rings() -> None:
    imports = imports_of("sim.engine")
    assert "sim.engine.task" in imports["sim.engine.waits"]  # for use
    assert "sim.engine.clock" in imports["sim.engine.table"]  # for types only
    imports["sim.engine.task"].add("sim.engine.table")
    assert set(circle_in(imports)) == {"sim.engine.table", "sim.engine.task"}


def test_only_the_clock_looks_into_the_queue_of_simpy() -> None:
    engine = Path(sim.engine.__file__).parent
    users = {file.name for file in engine.rglob("*.py") if "._queue" in file.read_text()}
    assert users == {"clock.py"}
