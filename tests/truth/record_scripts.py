"""Write down what the running kernel does with each script in `scripts`.

Run it as ``python -m tests.truth.record_scripts`` on a quiet kernel; read the difference before
committing it: the files are what the simulator is held against where no kernel can be asked.
"""

from dataclasses import replace
from pathlib import Path

from sim.host.kernel import KernelRunner
from sim.script.grammar import Operation
from sim.script.record import OpRecord, as_told, format_records
from sim.script.validity import load_script

SCRIPTS = sorted((Path(__file__).parent / "scripts").glob("*.txt"))


def expected_path(script: Path) -> Path:
    return script.with_suffix(".expected")


def comparable(records: list[OpRecord]) -> list[OpRecord]:
    """Return records as the kernel tells them, without what no two runs share.

    That is times, and the driver's faults in calls.
    """
    nothing = {"minflt": 0, "majflt": 0}
    return [
        replace(r, ns=None, figures=as_told(r.figures), **({} if r.is_touch else nothing))
        for r in records
    ]


def run(runner: KernelRunner, script: list[Operation]) -> str:
    return format_records(comparable(runner.run(script)))


def main() -> None:
    runner = KernelRunner()
    for path in SCRIPTS:
        expected_path(path).write_text(run(runner, load_script(path)), encoding="utf-8")


if __name__ == "__main__":
    main()
