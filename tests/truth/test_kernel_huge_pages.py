"""Huge pages and folios of other sizes, on the running kernel: faults, smaps, copies and reuses.

Needs root, to set what sizes the kernel uses; it is set back.
"""

import platform

import pytest
from support.samples import sample

from sim.host.compare import compare, count_differences
from sim.host.conditions import assumed_release, host_conditions, objections
from sim.host.huge_pages import huge_page_settings
from sim.host.kernel import KernelRunner
from sim.machine.layout import THP_ALWAYS, THP_MADVISE
from sim.script.grammar import Operation
from sim.script.predict import predict
from sim.script.random import ALL_VERBS, random_script, script_generator
from sim.script.validity import parse_script

pytestmark = [pytest.mark.truth, pytest.mark.kernel]

SHARED = """\
P map A 1536
{advice}P write A 0 1536
P fork C
C write A 3 5
C write A 600 601
P write A 3 10
P write A 700 701
C write A 1024 1536
C exit
P write A 0 1536
P dontneed A 100 101
P write A 0 1536
"""
SIZES = [(4,), (16,), (256,), (4, 32, 128)]
RANDOM_SCRIPTS = sample(10, 50)


def differs(runner: KernelRunner, script: list[Operation], **how: object) -> bool:
    predicted = predict(script, kernel=assumed_release(platform.release()), audit=True, **how)
    return all(count_differences(compare(predicted, runner.run(script))) for _ in range(3))


@pytest.mark.parametrize("thp", ["madvise", "always"])
def test_a_region_of_huge_pages_written_forked_and_written_again(thp: str):
    """Both of a file's claims: one fault a huge page, and AnonHugePages as in smaps."""
    script = parse_script(SHARED.format(advice="P hugepage A\n" if thp == "madvise" else ""))
    mode = {"madvise": THP_MADVISE, "always": THP_ALWAYS}[thp]
    predicted = predict(script, thp=mode)
    assert predicted[len(script) - 11].minflt == 3
    huge = [{f.process: f.thp for f in record.figures} for record in predicted]
    assert huge[-9] == {"P": 1536, "C": 1024}  # the child has split one
    assert {"P": 1024, "C": 512} in huge
    with huge_page_settings(thp=thp):
        if differs(KernelRunner(huge_everywhere=True), script, thp=mode):
            pytest.fail(f"huge pages {thp}")


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_folios_of_other_sizes_in_random_scripts(sizes: tuple[int, ...]):
    folios = dict.fromkeys(sizes, "madvise")
    with huge_page_settings(folios):
        runner, conditions = KernelRunner(), host_conditions(sizes)
        for index in range(RANDOM_SCRIPTS):
            script = random_script(script_generator(6, index), verbs=ALL_VERBS, folios=sizes)
            if not objections(conditions, script) and differs(runner, script, folios=folios):
                size = sizes[0] * 4
                pytest.fail(f"conform --folio {size}K --random {index + 1} --seed 6 --kernel")


def test_the_comparison_can_fail():
    """Negative control: with folios of another size, counts differ."""
    script = parse_script("P map A 64\nP hugepage A\nP write A 0 64\n")
    with huge_page_settings({16: "madvise"}):
        runner = KernelRunner()
        assert not differs(runner, script, folios={16: "madvise"})
        assert differs(runner, script, folios={8: "madvise"})
        assert differs(runner, script)
    assert not differs(KernelRunner(), script)
