"""Options of the whole test suite, and what its summary says."""

from collections import Counter
from typing import Any

import pytest

# A command with little to do decides for its process that nothing is compiled; the process of the
# tests has more to do, and begins to compile before.
import sim.kernel.step  # noqa: F401


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regen-golden",
        action="store_true",
        help="write the golden files anew, and fail: read the diff and explain it in CHANGELOG.md",
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was not held against a kernel, and which seeds were drawn for this run alone."""
    unchecked: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith("unchecked"):
            unchecked[reason] += 1
    for reason, tests in unchecked.items():
        terminalreporter.write_line(f"{reason} ({tests} tests)", yellow=True)
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in report.user_properties:
                if name == "fresh seed" and report.when == "call":
                    terminalreporter.write_line(f"fresh seed {value}: {report.nodeid}")
