"""`--hugetlb` of `walk` and `conform`: how many huge pages the pool has."""

from pathlib import Path

import pytest

from sim.cli import main

SCRIPT = """\
P maphugetlb A 1024
P write A 0 512
P fork C
C read A 512 513
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    file = tmp_path / "script.txt"
    file.write_text(SCRIPT, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(("pool", "ended"), [("2", True), ("3", False)])
def test_a_walk_tells_who_found_no_huge_page(
    script: str, pool: str, ended: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["walk", script, "--why", "--hugetlb", pool]) == 0
    told = capsys.readouterr().out
    assert "reserves 2 huge pages of the pool" in told
    assert ("C is killed by SIGBUS" in told) == ended


def test_a_drawing_shows_the_pool_and_its_entries(
    script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["walk", script, "--draw", "--hugetlb", "3"]) == 0
    told = capsys.readouterr().out
    assert "1,536 are the pool of huge pages" in " ".join(told.split())
    assert "H" in told.partition("pool")[2]


def test_conform_predicts_by_the_size_of_the_pool(
    script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["conform", script, "--hugetlb", "2"]) == 0
    assert "C read A 512 513 minflt=0 ending=SIGBUS" in capsys.readouterr().out
    assert main(["conform", script]) == 0  # as many as it can want
    told = capsys.readouterr().out
    assert "SIGBUS" not in told
    assert "  C A rss=0 anon=0 pdirty=0 sdirty=0 swap=0 thp=0 hugetlb=1024\n" in told


def test_random_scripts_draw_it_where_there_is_a_pool(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["conform", "--random", "4", "--seed", "1", "--all-verbs"]
    assert main([*arguments, "--hugetlb", "2"]) == 0
    assert "4 scripts of seed 1" in capsys.readouterr().out
