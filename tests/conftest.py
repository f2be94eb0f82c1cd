"""Options of the whole test suite, and what its summary says.

Long lists.  A test that could try ten examples or ten thousand asks `support.samples` how many, and
has a mark that says who runs the whole list:

    from support.samples import sample

    @pytest.mark.stress                          # or `kernel`, if it asks the running kernel
    @settings(max_examples=sample(150, 3_000))   # or: for index in range(sample(20, 2_000))
    def test_...

`make test` runs every test and takes the first number; `make stress` runs what is marked `stress`
and takes the second (`pytest --whole -m stress`); `make truth` does so with what is marked
`kernel`.  The first number is chosen so that the test takes a second or two.
"""

from collections import Counter
from typing import Any

import hypothesis
import pytest
from support import samples

# A command with little to do decides for its process that nothing is compiled; the process of the
# tests has more to do, and begins to compile before.
import sim.kernel.step  # noqa: F401


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regen-golden",
        action="store_true",
        help="write the golden files anew, and fail: read the diff and explain it in CHANGELOG.md",
    )
    parser.addoption(
        "--whole",
        action="store_true",
        help="take the whole of each long list, not a sample: `make stress`, `make truth`",
    )


def pytest_configure(config: pytest.Config) -> None:
    samples.take_whole_lists(config.getoption("--whole"))
    # Nothing is timed: an example may take as long as it does on a busy machine.
    hypothesis.settings.register_profile(
        "cowpool", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("cowpool")


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
