"""What the pages of experiments tell to change with `--set` is taken by one of their files."""

import re
import shlex
from pathlib import Path

import pytest
from support.commands import cowpool_here

ROOT = Path(__file__).parents[2]
CHANGES = [
    (page, span)
    for page in sorted((ROOT / "experiments").glob("*/README.md"))
    for span in re.findall(r"`(--set [^`]+)`", page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(
    ("page", "span"), CHANGES, ids=[f"{page.parent.name[:3]} {span}" for page, span in CHANGES]
)
def test_a_change_that_a_page_tells_is_taken(page: Path, span: str) -> None:
    told = {
        file.name: cowpool_here("explain", str(file), *shlex.split(span), cwd=page.parent)
        for file in sorted(page.parent.glob("*.yaml"))
    }
    assert any(result.returncode == 0 for result in told.values()), {
        name: result.stderr for name, result in told.items()
    }


def test_the_pages_tell_of_some() -> None:
    assert len(CHANGES) > 10
    assert {page.parent.name[:3] for page, _ in CHANGES} >= {"004", "006", "007"}
