"""Ask another kernel, in a virtual machine, about control groups of version 2.

    python -m tests.truth.groups_in_guests 6.12 IMAGE MODULES --record

Each question in `in_groups` is put three times (`asker.c` there says what the steps are), in a
machine of its own (`tests.truth.guest`): the controller of memory is the whole machine's, and no
setting of the one that runs us is touched.  What the kernel says lies beside the question, with its
release in the name: a line that it said every time as it is, one that varies as often as it was
asked, behind `varies:`.  Read the difference before committing it.  Without ``--record`` what
repeats is compared with what is recorded; status 1 if it differs.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.machine.releases import known_release, parse_release
from tests.truth.guest import Guest, Job
from tests.truth.other_kernels import built

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FOLDER: Final = Path(__file__).parent / "in_groups"
QUESTIONS: Final = sorted(FOLDER.glob("*.txt"))
RELEASES: Final = ("6.1", "6.12")
"""Whose answers are recorded."""
TIMES: Final = 3
VARIES: Final = "varies: "
QUIET: Final = """echo n > /sys/kernel/mm/lru_gen/enabled
echo 0 > /proc/sys/kernel/randomize_va_space
exec /bin/member"""
"""Debian's 6.12 runs MGLRU, whose reclaim is another."""


def answer_path(question: Path, release: str) -> Path:
    """Return where the answer of a release lies."""
    return question.with_suffix(f".expected-{release}")


def ask(
    guest: Guest, release: str, questions: Iterable[Path], times: int = TIMES
) -> tuple[str, dict[str, list[list[str]]]]:
    """Return the guest's release, and the lines that it says to each question, time by time."""
    jobs = [
        Job(f"{path.stem}.{number}", QUIET, path.read_text(encoding="utf-8"))
        for number in range(times)
        for path in questions
    ]
    with tempfile.TemporaryDirectory() as folder:
        member = built(Path(folder), "member", sorted(FOLDER.glob("*.c")))
        found, printed = guest.run(jobs, {"member": member})
    if parse_release(found) != parse_release(release):
        raise SystemExit(f"the guest runs Linux {found}, not {release}")
    said = {
        path.stem: [printed[f"{path.stem}.{number}"].splitlines() for number in range(times)]
        for path in questions
    }
    return found, said


def kept(said: Sequence[Sequence[str]]) -> list[str]:
    """Return what repeats, line by line, and all of what varies."""
    lines = []
    for line in zip(*said, strict=True):
        same = len(set(line)) == 1
        lines += line[:1] if same else [VARIES + one for one in line]
    return lines


def repeated(lines: Iterable[str]) -> list[str]:
    """Return what the kernel says every time."""
    return [line for line in lines if not line.startswith((VARIES, "#"))]


def main() -> int:
    words = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    words.add_argument("release", type=known_release)
    words.add_argument("image", type=Path)
    words.add_argument("modules", type=Path)
    words.add_argument("--record", action="store_true")
    words.add_argument("--times", type=int, default=TIMES)
    words.add_argument("--only", nargs="*", help="names of questions")
    told = words.parse_args()
    guest = Guest(told.image, told.modules, own_time=True)
    questions = [path for path in QUESTIONS if not told.only or path.stem in told.only]
    found, said = ask(guest, told.release, questions, told.times)
    wrong = 0
    for path in questions:
        lines = kept(said[path.stem])
        answer = answer_path(path, told.release)
        if told.record:
            head = f"# Linux {found}, {guest.memory_mib} MiB, {guest.cpus} CPU, under emulation."
            answer.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
            continue
        before = answer.read_text(encoding="utf-8").splitlines()
        both = repeated(before), repeated(lines)
        changes = list(difflib.unified_diff(*both, path.stem, found, lineterm="", n=0))
        sys.stdout.write("".join(f"{line}\n" for line in changes))
        wrong += bool(changes)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
