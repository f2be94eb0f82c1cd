"""`cowpool walk --reference`: a reference string under the replacement policies of textbooks."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import ScenarioError
from sim.base.files import shown_path
from sim.base.text import shown
from sim.cli.reasons import ClockFace, reasons
from sim.cli.tables import Table, beside, labelled
from sim.policy.replacement import POLICIES, Clock, count_faults, play, policy_for
from sim.script.reading import script_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sim.policy.replacement import Step

SCHEMA_VERSION: Final = 1
DONE: Final = 0
MOST_FRAMES: Final = 1_000_000
MOST_NUMBERS: Final = 1_000
"""Of frames, each of which is a row."""
MOST_TOUCHES: Final = 20_000_000
"""References times policies times numbers of frames: played in about half a minute."""
MOST_SHOWN: Final = 200
"""References that each have a column; of more there are only counts."""

_PAGE: Final = re.compile(r"\w{1,18}", re.ASCII)
_RANGE: Final = re.compile(r"([0-9]{1,9})(?:\.\.([0-9]{1,9}))?", re.ASCII)
_FAULT: Final = "F"


@dataclass(frozen=True, slots=True)
class Run:
    """What a policy made of the references with so many frames; `steps` only if they are told."""

    policy: str
    frames: int
    faults: int
    hit_ratio: float
    steps: tuple[Step, ...] = ()
    clock: tuple[ClockFace, ...] = ()
    """After each step, if the policy is CLOCK."""

    def reasons(self) -> Iterator[str]:
        """Yield why each step went as it did."""
        return reasons(self.policy, self.steps, self.clock)


def walk_references(
    text: str | None,
    trace: Path | None,
    *,
    frames: str | None,
    policy: str | None,
    seed: int,
    why: bool,
    as_json: bool,
    large: bool,
) -> int:
    """Print what references, those of `text` or of `trace`, do; return the exit status."""
    if text is not None and trace is not None:
        raise ScenarioError("--reference and --trace both give references; leave one out")
    if frames is None:
        raise ScenarioError("--frames: how many has memory? write e.g. 3, 1..7 or 10,20,50")
    numbers = frames_of(frames)
    names = policies_of(policy or "all")
    if trace is not None:
        lines = script_text(trace, kind="trace").split("\n")
        references = references_of(lines, shown_path(trace))
    else:
        references = references_of([text or ""], None)
    touches = len(references) * len(names) * len(numbers)
    if touches > MOST_TOUCHES and not large:
        message = f"{len(references):,} references, for {len(numbers)} x {len(names)} runs, are"
        raise ScenarioError(f"{message} too many; keep to {MOST_TOUCHES:,} in all, or add --large")
    told = len(names) == len(numbers) == 1 and len(references) <= MOST_SHOWN
    if why and not told:
        message = f"--why is for one policy, one number of frames and up to {MOST_SHOWN} references"
        raise ScenarioError(f"{message}; leave it out, or the others")
    runs = [_run(name, n, references, seed, told=told) for n in numbers for name in names]
    if as_json:
        sys.stdout.write(json.dumps(document(references, runs, seed, why=why), indent=1) + "\n")
    else:
        _show(references, runs, seed, why=why)
    return DONE


def references_of(lines: Iterable[str], file: str | None) -> list[str]:
    """Return the pages that words of `lines` name; `#` begins a comment, commas are blanks.

    Raises `ScenarioError` for a word that is no name, or if there is none; without `file`, lines
    are those of ``--reference``.
    """
    found = []
    key = None if file else "--reference"
    for number, line in enumerate(lines, 1):
        for word in line.partition("#")[0].replace(",", " ").split():
            if not _PAGE.fullmatch(word):
                message = f"{shown(word, 30)} is no page; write a number, or letters and digits"
                raise ScenarioError(message, file, number if file else None, key)
            found.append(word)
    if not found:
        raise ScenarioError("no page is named; write e.g. 7 0 1 2 0 3", file, None, key)
    return found


def frames_of(text: str) -> list[int]:
    """Return the numbers of frames in a text such as ``3``, ``1..7`` or ``10,20,50``, in order.

    Raises `ScenarioError` if it is none.
    """
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (0, 0) if match is None else (int(match[1]), int(match[2] or match[1]))
        if not 1 <= first <= last <= MOST_FRAMES:
            message = f"{shown(part)} is no number of frames, 1 to {MOST_FRAMES:,}"
            raise ScenarioError(f"--frames: {message}; write e.g. 3, 1..7 or 10,20,50")
        found.update(range(first, min(last, first + MOST_NUMBERS) + 1))
        if len(found) > MOST_NUMBERS:
            message = f"{shown(text)} has more than {MOST_NUMBERS:,} numbers; name fewer"
            raise ScenarioError(f"--frames: {message}, as in 10,20,50")
    return sorted(found)


def policies_of(name: str) -> tuple[str, ...]:
    """Return the policies that a name stands for; raises `ScenarioError` for an unknown one."""
    if name == "all":
        return POLICIES
    if name not in POLICIES:
        known = ", ".join((*POLICIES, "all"))
        raise ScenarioError(f"--policy: {shown(name)} replaces no page; write one of {known}")
    return (name,)


def _run(name: str, frames: int, references: Sequence[str], seed: int, *, told: bool) -> Run:
    policy = policy_for(name, frames, references, seed)
    if not told:
        faults = count_faults(policy, references)
        return Run(name, frames, faults, 1 - faults / len(references))
    steps, faces = [], []
    for step in play(policy, references):
        steps.append(step)
        if isinstance(policy, Clock):
            faces.append(ClockFace(policy.marks, policy.hand))
    faults = sum(step.fault for step in steps)
    return Run(name, frames, faults, 1 - faults / len(references), tuple(steps), tuple(faces))


def anomalies(runs: Iterable[Run]) -> list[tuple[Run, Run]]:
    """Return pairs of runs of which the second has more frames, and more faults all the same.

    Belady's anomaly; each pair is of neighbours.  RANDOM's are luck, and left out.
    """
    found = []
    before: dict[str, Run] = {}
    for run in runs:
        less = before.get(run.policy)
        if less is not None and run.faults > less.faults and run.policy != "random":
            found.append((less, run))
        before[run.policy] = run
    return found


def document(
    references: Sequence[str], runs: Sequence[Run], seed: int, *, why: bool
) -> dict[str, Any]:
    """Return runs as plain JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "references": len(references),
        "pages": len(set(references)),
        "seed": seed,
        "runs": [_run_json(run, why=why) for run in runs],
        "anomalies": [
            {
                "policy": more.policy,
                "frames": [less.frames, more.frames],
                "faults": [less.faults, more.faults],
            }
            for less, more in anomalies(runs)
        ],
    }


def _run_json(run: Run, *, why: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        "policy": run.policy,
        "frames": run.frames,
        "faults": run.faults,
        "hit_ratio": run.hit_ratio,
    }
    if run.steps:
        found["steps"] = [step._asdict() for step in run.steps]
        for step, face in zip(found["steps"], run.clock, strict=bool(run.clock)):
            step |= {"marks": list(face.marks), "hand": face.hand}
        for step, reason in zip(found["steps"], run.reasons() if why else (), strict=why):
            step["why"] = reason
    return found


def _show(references: Sequence[str], runs: Sequence[Run], seed: int, *, why: bool) -> None:
    from sim.cli.show import Page

    page = Page()
    n, pages = len(references), len(set(references))
    what = f"{n:,} reference{'s' * (n != 1)} to {pages:,} page{'s' * (pages != 1)}"
    if any(run.policy == "random" for run in runs):
        what += f"; seed {seed}"
    if runs[0].steps:
        run = runs[0]
        in_memory = f"{run.frames:,} frame{'s' * (run.frames != 1)}"
        faults = f"{run.faults:,} fault{'s' * (run.faults != 1)}"
        page.sentence(f"{run.policy}, {in_memory}: {faults} in {what}", "bold")
        page.table(_memory_over_time(run).lines(page.width))
        if run.clock:
            page.lines(["", "* marked as referenced   > where the hand is"])
        if why:
            numbered = (f"{n}: {step.page}" for n, step in enumerate(run.steps, 1))
            page.table(labelled(zip(numbered, run.reasons(), strict=True), page.width))
        return
    page.sentence(what, "bold")
    faults_of = {(run.policy, run.frames): f"{run.faults:,}" for run in runs}
    ratio_of = {(run.policy, run.frames): f"{run.hit_ratio:.1%}" for run in runs}
    page.table(
        beside(_by_frames("faults", faults_of), _by_frames("hit ratio", ratio_of), page.width)
    )
    for less, more in anomalies(runs):
        page.sentence(
            f"{more.policy}: {more.faults:,} faults with {more.frames:,} frames, "
            f"{less.faults:,} with {less.frames:,}: Belady's anomaly"
        )


def _memory_over_time(run: Run) -> Table:
    """Return the table of textbooks: a row for each frame, a column for each reference."""
    frames = [""] * min(run.frames, len({step.page for step in run.steps}))
    blank = " " if run.clock else ""  # above and below a mark
    columns = []
    for n, step in enumerate(run.steps):
        frames[step.frame] = str(step.page)
        cells = frames
        if run.clock:
            cells = [run.clock[n].cell(frame, page) for frame, page in enumerate(frames)]
        columns.append((*cells, (_FAULT if step.fault else "") + blank))
    labels = (*(str(n) for n in range(len(frames))), "fault")
    headings = ("frame", *(f"{step.page}{blank}" for step in run.steps))
    return Table(headings, [*zip(labels, *columns, strict=True)])


def _by_frames(what: str, cells: dict[tuple[str, int], str]) -> Table:
    names = list(dict.fromkeys(name for name, _ in cells))
    rows = [
        (f"{n:,}", *(cells[name, n] for name in names)) for n in dict.fromkeys(n for _, n in cells)
    ]
    return Table((f"{what}, by frames", *names), rows)
