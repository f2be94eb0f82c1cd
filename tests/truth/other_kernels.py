"""Write down what another release of Linux does with each script in `scripts`, or try random ones.

    python -m tests.truth.other_kernels 6.1 IMAGE MODULES
    python -m tests.truth.other_kernels 6.1 IMAGE MODULES --random 1000 --seed 1

The kernel runs in a virtual machine (`tests.truth.guest`).  Where it says something else than the
release that the project is checked on, the answer lies beside that one's, with its release in the
name; read the difference before committing it.  With ``--random`` nothing is written: predictions
by that release's rules are compared, and the first script that differs is printed, status 1.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.host.compare import compare, count_differences
from sim.host.conditions import compiler
from sim.host.kernel import SOURCES, decode, encode
from sim.machine.releases import known_release, parse_release
from sim.script.grammar import Operation, format_script
from sim.script.predict import predict
from sim.script.random import ALL_VERBS, random_script, script_generator
from sim.script.record import OpRecord, format_records
from sim.script.validity import load_script
from tests.truth.guest import Guest, Job
from tests.truth.record_scripts import SCRIPTS, comparable, expected_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RELEASES: Final = ("6.1", "6.12")
"""Whose answers are recorded."""
PROGRAMS: Final = sorted((Path(__file__).parent / "programs").glob("*.c"))
"""Questions that no script can ask; each prints its answer."""


READ_AHEAD: Final = sorted((Path(__file__).parent / "read_ahead").glob("*.txt"))
"""Scripts whose faults are a race with the device: a quiet virtual machine always says the same."""


def answer_path(script: Path, release: str) -> Path:
    """Return where the answer of a release lies: its own file only where it differs."""
    own = script.with_suffix(f".expected-{release}")
    return own if own.exists() else expected_path(script)


def built(folder: Path, name: str, sources: Sequence[Path]) -> Path:
    """Return a static program, compiled into `folder`."""
    made = folder / name
    flags = ("-std=gnu11", "-O1", "-static", "-pthread", f"-I{SOURCES.parent}")
    subprocess.run([str(compiler()), *flags, "-o", made, *sources], check=True)
    return made


def answers(
    guest: Guest, release: str, scripts: Mapping[str, list[Operation]]
) -> dict[str, list[OpRecord]]:
    """Return what the guest's kernel did with each script; it must be of `release`."""
    encoded = {name: encode(script) for name, script in scripts.items()}
    jobs = [
        Job(name, "/bin/driver 0 {folder} 0 0", program) for name, (_, program) in encoded.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        driver = built(Path(folder), "driver", sorted(SOURCES.glob("*.c")))
        found, printed = guest.run(jobs, {"driver": driver})
    if parse_release(found) != parse_release(release):
        raise SystemExit(f"the guest runs Linux {found}, not {release}")
    return {
        name: decode(scripts[name], names, printed[name]) for name, (names, _) in encoded.items()
    }


def record_programs(guest: Guest, release: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made = {path.stem: built(Path(folder), path.stem, [path]) for path in PROGRAMS}
        _, printed = guest.run([Job(name, f"/bin/{name}") for name in made], made)
    for path in PROGRAMS:
        path.with_suffix(f".expected-{release}").write_text(printed[path.stem], encoding="utf-8")


def record(guest: Guest, release: str) -> None:
    scripts = {path.stem: load_script(path) for path in (*SCRIPTS, *READ_AHEAD)}
    told = answers(guest, release, scripts)
    for path in READ_AHEAD:
        text = format_records(comparable(told[path.stem]))
        path.with_suffix(f".expected-{release}").write_text(text, encoding="utf-8")
    for path in SCRIPTS:
        text = format_records(comparable(told[path.stem]))
        own = path.with_suffix(f".expected-{release}")
        if text == expected_path(path).read_text(encoding="utf-8"):
            own.unlink(missing_ok=True)
        else:
            own.write_text(text, encoding="utf-8")


def differing(guest: Guest, release: str, seed: int, count: int) -> str:
    """Return the first of `count` random scripts that differs thrice; "" if none does."""
    scripts = {
        f"{index:06}": random_script(script_generator(seed, index), verbs=ALL_VERBS)
        for index in range(count)
    }
    for _ in range(3):  # one interrupted run proves nothing
        told = answers(guest, release, scripts)
        scripts = {
            name: script
            for name, script in scripts.items()
            if count_differences(compare(predict(script, kernel=release), told[name]))
        }
        if not scripts:
            return ""
    name, script = next(iter(scripts.items()))
    return f"# seed {seed}, script {int(name)}\n{format_script(script)}"


def main() -> int:
    words = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    words.add_argument("release", type=known_release)
    words.add_argument("image", type=Path)
    words.add_argument("modules", type=Path)
    words.add_argument("--random", type=int, default=0)
    words.add_argument("--seed", type=int, default=1)
    told = words.parse_args()
    guest = Guest(told.image, told.modules)
    if not told.random:
        record(guest, told.release)
        record_programs(replace(guest, cpus=2), told.release)
        return 0
    wrong = differing(guest, told.release, told.seed, told.random)
    sys.stdout.write(f"{wrong or f'{told.random} random scripts, no difference'}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
