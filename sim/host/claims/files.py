"""Pages of files under a limit."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from sim.base.units import PAGE_BYTES
from sim.host.claims.claim import Case, Claim
from sim.host.conditions import cannot_run, file_folder
from sim.host.filepage.compare import BAND, REFAULTS, STOLEN, compare
from sim.host.filepage.real import FileReader, why_not
from sim.host.groups import group_pages, new_group
from sim.host.kernel import HostError, compiled_program
from sim.host.programs import run_on_cpu
from sim.script.filepage.grammar import Line, PageScript, Verb
from sim.script.filepage.random import FILES, random_mapped_script, random_page_script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sim.host.filepage.compare import Compared

    Draw = Callable[[int, int], tuple[PageScript, int]]

LARGE: Final = 16384
"""64 MiB: what reading ahead needs to come to folios of 2 MiB."""
SCRIPTS: Final = 20
WRITER_SOURCE: Final = Path(__file__).with_name("programs") / "writer.c"
WITHIN: Final = 0.01


def _why_not() -> str:
    return cannot_run() or why_not()


def twice(pages: int) -> PageScript:
    """Return the script that reads a file of so many pages in order, twice, a map behind each."""
    once = (Line(Verb.READ, "A", 0, pages), Line(Verb.MAP))
    return PageScript({"A": pages}, once * 2)


def read_twice(limit: int, *, random: bool, ask: bool) -> Compared:
    """Compare a file of twice the limit that is read twice; the closest of a few runs."""
    script = twice(2 * limit)
    with ExitStack() as stack:
        reader = stack.enter_context(FileReader(script.pages)) if ask else None
        return compare(reader, "", script, limit, random=random, count=True)


def _twice(cases: int, _seed: int, ask: bool) -> Iterator[Case]:
    for random in (False, True)[:cases]:
        found = read_twice(LARGE, random=random, ask=ask)
        advice = "POSIX_FADV_RANDOM" if random else "read ahead"
        name = f"{2 * LARGE} pages, limit {LARGE}, {advice}: resident after each, stolen, refaults"
        told, real = found.resident_each
        mine = f"{told}, {found.predicted.counts[STOLEN]}, {found.predicted.counts[REFAULTS]}"
        if found.real is None:
            yield Case(name, mine)
            continue
        answer = f"{real}, {found.real.counts[STOLEN]}, {found.real.refaults}"
        if found.different:
            answer += f", {found.different} pages elsewhere"
        yield Case(name, mine, answer, found.is_equal)


def _random(cases: int, seed: int, ask: bool) -> Iterator[Case]:
    return _scripts(random_page_script, cases, seed, ask)


def _mapped(cases: int, seed: int, ask: bool) -> Iterator[Case]:
    return _scripts(random_mapped_script, cases, seed, ask)


def _scripts(draw: Draw, cases: int, seed: int, ask: bool) -> Iterator[Case]:
    results = []
    with ExitStack() as stack:
        reader = stack.enter_context(FileReader(list(FILES.values()))) if ask else None
        for index in range(cases):
            script, limit = draw(seed, index)
            found = compare(reader, f"script {index}", script, limit)
            results.append(found)
            mine, real = found.resident
            held = found.different <= BAND.close
            answer = f"{real}, {found.different} pages elsewhere" if ask else ""
            yield Case(f"script {index}, limit {limit}: resident", str(mine), answer, held)
    if ask:
        exact = sum(found.different == 0 for found in results)
        held = BAND.holds([found.different for found in results])
        yield Case("scripts that are exact", "nine of ten", f"{exact} of {cases}", held)


def writer_predicted(limit: int) -> tuple[int, int, int]:
    """Return peak, resident anonymous and resident file pages of a writer of twice the limit.

    Beside it half of the limit is anonymous; the group is one of version 1, where writers wait for
    writeback.
    """
    from sim.engine.run import simulate
    from sim.scenario.resolve import resolve

    steps = [
        {"mmap": {"name": "own", "size": f"{limit // 2 * PAGE_BYTES} B"}},
        {"write": "own"},
        {"write_file": {"file": "f", "pages": 2 * limit}},
        {"sleep_until": "100 s"},
    ]
    scenario = {
        "version": 1,
        "host": {"memory": "1 GiB", "cpus": 1, "thp": "never", "cgroup": "v1"},
        "groups": {"g": {"memory_max": f"{limit * PAGE_BYTES} B"}},
        "processes": {"p": {"program": "steps", "group": "g", "steps": steps}},
        "run": {"horizon": "50 s"},
    }
    group = simulate(resolve(scenario), seed=1).to_json()["groups"]["g"]
    peak, anonymous, file = (
        group[name] // PAGE_BYTES for name in ("peak_bytes", "anon_bytes", "file_bytes")
    )
    return peak, anonymous, file


def writer_real(limit: int) -> tuple[int, int, int]:
    """Return the same of a real one.  Raises `HostError` if it did not live to tell."""
    program = compiled_program("writer", [WRITER_SOURCE], "-static")
    with TemporaryDirectory(prefix="cowpool-", dir=file_folder()) as folder:
        path = Path(folder) / "written"
        with new_group(limit) as group:
            (group / "memory.swappiness").write_text("0")
            done = run_on_cpu(
                [program, group / "cgroup.procs", path, str(limit // 2), str(2 * limit)]
            )
            peak = group_pages(group, "max_usage_in_bytes")
            path.unlink()
    if done.returncode:
        raise HostError(f"the writer ended with status {done.returncode}")
    anonymous, file = map(int, done.stdout.split())
    return peak, anonymous, file


def _writer(cases: int, _seed: int, ask: bool) -> Iterator[Case]:
    for limit in (LARGE, LARGE // 2, 2 * LARGE)[:cases]:
        told = writer_predicted(limit)
        name = f"limit {limit}: peak, anonymous, file pages resident"
        mine = ", ".join(map(str, told))
        if not ask:
            yield Case(name, mine)
            continue
        found = writer_real(limit)
        apart = [abs(ours - theirs) for ours, theirs in zip(told, found, strict=True)]
        held = found[0] == limit and max(apart[:2]) <= 1 and apart[2] <= WITHIN * found[2]
        yield Case(name, mine, ", ".join(map(str, found)), held)


TWICE: Final = Claim(
    "twice",
    "a file of twice the limit read twice: resident page by page, stolen, refaults",
    "equal",
    2,
    _why_not,
    _twice,
)
FILEPAGE: Final = Claim(
    "filepage",
    "random scripts over three files, a page a call (POSIX_FADV_RANDOM): which are resident",
    "equal in 9 of 10 scripts, 2 pages in the others",
    SCRIPTS,
    _why_not,
    _random,
)
MAPPED: Final = Claim(
    "mapped",
    "the same, pages that are there being used through mappings too, as data and as text",
    "equal in 9 of 10 scripts, 2 pages in the others",
    SCRIPTS,
    _why_not,
    _mapped,
)
WRITER: Final = Claim(
    "writer",
    "a writer of twice the limit beside half of it anonymous: alive, peak, what is resident",
    f"peak and anonymous 1 page, the file {WITHIN:.0%}",
    3,
    _why_not,
    _writer,
)
