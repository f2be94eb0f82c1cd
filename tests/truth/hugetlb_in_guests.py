"""Ask another kernel, in a virtual machine, about random scripts on its pool of huge pages.

    python -m tests.truth.hugetlb_in_guests 6.12 IMAGE MODULES --random 300 --seed 1

The pool is a setting of the whole machine, so one of our own is asked (`tests.truth.guest`).  Each
script has a pool of its own size, some of them too small.  Compared with predictions by that
release's rules are each operation's ending and faults, the figures of all regions, and what the
pool counts in the end (it must be whole again).  Prints the first script that differs thrice,
status 1.

    python -m tests.truth.hugetlb_in_guests 6.12 IMAGE MODULES --record

writes down what the kernel does with each script in `hugetlb`, the size of whose pool is in its
first line; read the difference before committing it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sim.host.compare import compare, count_differences
from sim.host.kernel import SOURCES, decode, encode
from sim.machine.releases import known_release, parse_release
from sim.script.grammar import HUGETLB_VERBS, Operation, Verb, format_script
from sim.script.predict import possible, predict
from sim.script.random import random_script, script_generator
from sim.script.record import format_records
from sim.script.validity import load_script
from tests.truth.guest import Guest, Job
from tests.truth.other_kernels import built
from tests.truth.record_scripts import comparable

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

    from sim.script.record import OpRecord

SCRIPTS: Final = sorted((Path(__file__).parent / "hugetlb").glob("*.txt"))
VERBS: Final = HUGETLB_VERBS | {
    *(Verb.READ, Verb.WRITE, Verb.FORK, Verb.EXIT, Verb.UNMAP, Verb.PROTECT),
    *(Verb.POPULATEREAD, Verb.POPULATEWRITE, Verb.DONTFORK, Verb.DOFORK, Verb.VFORK, Verb.EXEC),
}
"""What the scripts are made of."""
POOLS: Final = (1, 2, 3, 5, 8, 16)
JOB: Final = """N=/sys/kernel/mm/hugepages/hugepages-2048kB
echo {pool} > $N/nr_hugepages
/bin/driver 0 {{folder}} 0 0
for round in 1 2 3 4 5 6 7 8; do
  read t < $N/nr_hugepages; read f < $N/free_hugepages; read r < $N/resv_hugepages
  [ "$t $f $r" = "{pool} {pool} 0" ] && exit 0
  /bin/busybox sleep 0.3
done
echo "the pool is left with $t $f $r" >&2
exit 1"""
"""A script's job: a pool of its own, which has to be whole again in the end."""


def drawn(seed: int, index: int) -> tuple[int, list[Operation]]:
    """Return the size of a pool, and a script for it."""
    rng: random.Random = script_generator(seed, index)
    script = random_script(rng, verbs=VERBS)
    pool = rng.choice(POOLS)
    return pool, possible(script, hugetlb_pages=pool)


def of_its_own_pool(path: Path) -> tuple[int, list[Operation]]:
    """Return the size of the pool that a script in `hugetlb` is for, and the script."""
    pool = path.read_text(encoding="utf-8").removeprefix("# pool ").split(":")[0]
    return int(pool), load_script(path)


def answers(
    guest: Guest, release: str, cases: Mapping[str, tuple[int, list[Operation]]]
) -> dict[str, list[OpRecord]]:
    """Return what the guest's kernel did with each script; it must be of `release`."""
    encoded = {name: encode(script) for name, (_, script) in cases.items()}
    jobs = [
        Job(name, JOB.format(pool=cases[name][0]), program)
        for name, (_, program) in encoded.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        driver = built(Path(folder), "driver", sorted(SOURCES.glob("*.c")))
        found, printed = guest.run(jobs, {"driver": driver})
    if parse_release(found) != parse_release(release):
        raise SystemExit(f"the guest runs Linux {found}, not {release}")
    return {
        name: decode(cases[name][1], names, printed[name]) for name, (names, _) in encoded.items()
    }


def record(guest: Guest, release: str) -> None:
    told = answers(guest, release, {path.stem: of_its_own_pool(path) for path in SCRIPTS})
    for path in SCRIPTS:
        text = format_records(comparable(told[path.stem]))
        path.with_suffix(f".expected-{release}").write_text(text, encoding="utf-8")


def differing(guest: Guest, release: str, cases: dict[str, tuple[int, list[Operation]]]) -> str:
    """Return the first of the scripts that differs thrice; "" if none does."""
    for _ in range(3):  # one interrupted run proves nothing
        real = answers(guest, release, cases)
        wrong, told = {}, dict[str, str]()
        for name, (pool, script) in cases.items():
            predicted = predict(script, kernel=release, hugetlb_pages=pool)
            comparisons = compare(predicted, real[name])
            if count_differences(comparisons):
                wrong[name] = pool, script
                told.setdefault(name, "\n".join(line for c in comparisons for line in c.lines()))
        cases = wrong
        if not cases:
            return ""
    name, (pool, script) = next(iter(cases.items()))
    head = f"# script {name}, a pool of {pool}; {len(cases)} differ"
    return f"{head}\n{format_script(script)}{told[name]}\n"


def main() -> int:
    words = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    words.add_argument("release", type=known_release)
    words.add_argument("image", type=Path)
    words.add_argument("modules", type=Path)
    words.add_argument("--random", type=int, default=100)
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--record", action="store_true")
    told = words.parse_args()
    if told.record:
        record(Guest(told.image, told.modules), told.release)
        return 0
    cases = {f"{index:06}": drawn(told.seed, index) for index in range(told.random)}
    wrong = differing(Guest(told.image, told.modules), told.release, cases)
    ended = sum(len(script) for _, script in cases.values())
    sys.stdout.write(f"{wrong or f'{told.random} scripts, {ended} operations, no difference'}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
