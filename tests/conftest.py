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

The running kernel.  A test marked `kernel` has a row in `support.depends`: what it needs, without
which it is skipped, and what its figures depend on.  It fails where they differ; whether that is
red, or unchecked because this host is not as recorded, is decided here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import hypothesis
import pytest
from support import depends, samples

# A command with little to do decides for its process that nothing is compiled; the process of the
# tests has more to do, and begins to compile before.
import sim.kernel.step  # noqa: F401
from sim.base.garbage import keep_aside
from sim.study.executor import available_cpus

TESTS = Path(__file__).parent

LONG: Final = 30
"""So many tests take as long as one that is marked as long."""


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
    parser.addoption(
        "--held-at-least",
        type=int,
        default=0,
        metavar="N",
        help="fail if fewer than N tests were held against the running kernel: `make truth`",
    )


def pytest_configure(config: pytest.Config) -> None:
    whole = bool(config.getoption("--whole"))
    samples.take_whole_lists(whole)
    # Nothing is timed: an example may take as long as it does on a busy machine.  A sample is the
    # same on every machine and every day; what is new is looked for in the whole lists.
    hypothesis.settings.register_profile(
        "cowpool",
        deadline=None,
        derandomize=not whole,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("cowpool")
    # In the order of `pytest_collection_modifyitems`, not by how many tests a file has.
    config.option.loadscopereorder = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return a process a core and one more, as some only wait; five at most."""
    return min(available_cpus(), 4) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep a file's tests in one process, and all that ask the running kernel in one.

    They change its settings and count what the machine does, so they would disturb each other.
    Whole lists take minutes each, so there each test goes to whichever process is free.
    """
    from xdist.scheduler import LoadScopeScheduling

    whole = bool(config.getoption("--whole"))

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            name = nodeid.removeprefix(f"{TESTS.name}/")
            if depends.row_of(name):
                return "kernel"
            return nodeid if whole else nodeid.partition("::")[0]

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that take long, so that no process is left alone with one at the end."""
    weights: Counter[Path] = Counter()
    for item in items:
        marked = any(map(item.get_closest_marker, ("slow", "stress", "kernel")))
        weights[item.path] += LONG if marked else 1
    items.sort(key=lambda item: -weights[item.path])  # a file's tests stay together, and in order


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the tests and all that they import out of what the collector goes through."""
    keep_aside()


def kernel_row(item: pytest.Item) -> depends.Row | None:
    """Return what a test that asks the running kernel depends on; ``None`` for any other test."""
    if item.get_closest_marker("kernel") is None:
        return None
    name = item.path.relative_to(TESTS).as_posix() + "::" + item.name
    row = depends.row_of(name)
    if row is None:
        raise pytest.UsageError(f"{name} asks the kernel; say in support/depends.py what it needs")
    return row


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what cannot be asked here, and say what is missing."""
    row = kernel_row(item)
    if row is not None and (reason := depends.missing(row)):
        pytest.skip(f"unchecked: {reason}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Report a difference as unchecked where the host is not as recorded in what decides it."""
    report = yield
    row = kernel_row(item)
    report.asks_the_kernel = row is not None
    if row is not None and report.failed and call.excinfo is not None:
        depends.judge(report, row, str(call.excinfo.value))
    return report


def too_few_held(config: pytest.Config, counts: Counter[str]) -> bool:
    return counts["held"] < config.getoption("--held-at-least")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail where fewer tests held against the kernel than were asked for."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or session.exitstatus != pytest.ExitCode.OK:
        return
    if too_few_held(session.config, depends.verdicts(reporter.stats)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was held against the kernel, what was not, and which seeds were drawn."""
    unchecked: dict[str, list[str]] = defaultdict(list)
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith("unchecked"):
            unchecked[reason.partition("; it differs")[0]].append(report.nodeid)
            if "; it differs" in reason:
                terminalreporter.write_line(f"{report.nodeid}: {reason}", yellow=True)
    for reason, tests in unchecked.items():
        terminalreporter.write_line(f"{reason} ({len(tests)} tests)", yellow=True)
    for outcome in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in report.user_properties:
                if name == "fresh seed" and report.when == "call":
                    terminalreporter.write_line(f"fresh seed {value}: {report.nodeid}")
    counts = depends.verdicts(terminalreporter.stats)
    if counts:
        said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("held", "unchecked", "red"))
        terminalreporter.write_line(f"against the running kernel: {said}", bold=True)
    if too_few_held(terminalreporter.config, counts):
        least = terminalreporter.config.getoption("--held-at-least")
        terminalreporter.write_line(f"fewer than {least} held: this proves too little", red=True)
