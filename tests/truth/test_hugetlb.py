"""The pool of huge pages, against what kernels did in virtual machines, and against this one's.

The pool is a setting of the whole machine, which no test changes: where this kernel's is empty it
is not asked.  `tests.truth.hugetlb_in_guests` made the records.
"""

from pathlib import Path

import pytest

from sim.host.compare import compare, count_differences
from sim.host.conditions import cannot_run, free_huge_pages, host_conditions, objections
from sim.host.kernel import KernelRunner
from sim.script.predict import predict
from sim.script.record import format_records
from tests.truth.hugetlb_in_guests import SCRIPTS, of_its_own_pool
from tests.truth.record_scripts import comparable

RELEASES = ("6.1", "6.12")


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_on_the_pool_do_what_they_did_in_a_virtual_machine(
    script: Path, release: str
) -> None:
    recorded = script.with_suffix(f".expected-{release}").read_text(encoding="utf-8")
    pool, operations = of_its_own_pool(script)
    predicted = predict(operations, kernel=release, hugetlb_pages=pool, audit=True)
    assert format_records(comparable(predicted)) == recorded


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_on_the_pool_do_what_the_running_kernel_does(script: Path) -> None:
    if reason := cannot_run():
        pytest.skip(reason)
    pool, operations = of_its_own_pool(script)
    if (free := free_huge_pages()) != pool:
        pytest.skip(f"the pool here has {free} free huge pages (vm.nr_hugepages), not its size")
    if found := objections(host_conditions(), operations):
        pytest.skip(found[0])
    real = KernelRunner().run(operations)
    assert count_differences(compare(predict(operations, hugetlb_pages=free), real)) == 0


def test_the_scripts_show_what_a_small_pool_does() -> None:
    endings = {
        record.ending
        for script in SCRIPTS
        for pool, operations in [of_its_own_pool(script)]
        for record in predict(operations, hugetlb_pages=pool)
    }
    assert endings == {"", "ENOMEM", "SIGBUS"}
