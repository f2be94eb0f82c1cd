"""Scripts that need swap, by hand, and what Linux 6.18 made of them: text of every figure.

``python -m support.pressure_answers`` in `tests`, as root, asks the running kernel again, three
times each, and writes the answers beside the scripts.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.script.pressure.grammar import PressureScript, load_pressure_script
from sim.script.pressure.predict import IN_MEMORY, SWAPPED, Touches, touch_pages

FOLDER = Path(__file__).parents[1] / "truth" / "pressure_scripts"
SWAP_PAGES = 4096
"""Of the simulated device: none of the scripts comes near half of it."""
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))


def load(name: str) -> PressureScript:
    """Return a script by its name."""
    return load_pressure_script(FOLDER / f"{name}.txt")


def predicted(name: str) -> str:
    """Return what the model makes of a script."""
    script = load(name)
    return answer(script, touch_pages(script, swap_pages=SWAP_PAGES))


def recorded(name: str) -> str:
    """Return what the kernel made of it."""
    return (FOLDER / f"{name}.expected").read_text(encoding="ascii")


def answer(script: PressureScript, touches: Touches) -> str:
    """Return what became of a script, a line for each of its and for each region of a process."""
    return "".join(f"{line}\n" for line in _lines(script, touches))


def _lines(script: PressureScript, touches: Touches) -> Iterator[str]:
    processes, regions = list(script.processes), list(script.regions)
    for number, told in enumerate(touches.told):
        yield " ".join([str(number + 1), *(f"{name}={n}" for name, n in told.counts.items())])
        for (process, region), pages in told.maps.items():
            in_memory, swapped = _ranges(pages == IN_MEMORY), _ranges(pages == SWAPPED)
            yield f"  {processes[process]} {regions[region]}: {in_memory} swapped {swapped}"
    if touches.killed is not None:
        yield f"killed at step {touches.killed}"


def _ranges(are: NDArray[np.bool_]) -> str:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], are.astype(np.int8), [0]))))
    return ",".join(f"{a}-{b - 1}" for a, b in edges.reshape(-1, 2).tolist()) or "none"


def main() -> int:
    """Ask the running kernel; say whether it told the same in three runs."""
    from sim.host.pressure.real import touch_really
    from sim.host.pressure.swap import swap_on

    steady = True
    with swap_on():
        for name in NAMES:
            script = load(name)
            told = {answer(script, touch_really(script)) for _ in range(3)}
            steady &= len(told) == 1
            sys.stdout.write(f"{name}: {len(told)} answers in three runs\n")
            (FOLDER / f"{name}.expected").write_text(min(told), encoding="ascii")
    return 0 if steady else 1


if __name__ == "__main__":
    sys.exit(main())
