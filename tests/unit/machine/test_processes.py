"""Attributes of a process: its tasks share them, and its children are born with them."""

import pytest
from support.kernel import DONE, Kernel

from sim.kernel import ops
from sim.machine.layout import NICE_0_WEIGHT

ATTRIBUTES = ("group", "nice", "oom_score_adj", "stack_limit")


@pytest.fixture
def kernel() -> Kernel:
    return Kernel(memory_pages=600)


def thread_of(kernel: Kernel, row: int) -> int:
    process = int(kernel.task(row).process)
    thread = kernel.machine.new_task(process)
    assert kernel.call(row, ops.OP_VFORK, child=thread) == DONE
    return thread


def attributes(kernel: Kernel, row: int) -> list[int]:
    process = kernel.machine.process_of(row)
    return [int(process[name]) for name in ATTRIBUTES]


@pytest.mark.parametrize("call", ["fork", "vfork"])
def test_a_child_of_a_thread_is_born_with_the_attributes_of_its_process(kernel: Kernel, call: str):
    row = kernel.process(stack_pages=77)
    thread = thread_of(kernel, row)
    kernel.machine.put_into_group(row, kernel.machine.new_group())
    kernel.machine.set_nice(row, 5)
    kernel.machine.process_of(row).oom_score_adj = -300
    child = getattr(kernel, call)(thread)
    assert attributes(kernel, child) == attributes(kernel, row) == [1, 5, -300, 77]
    assert int(kernel.arrays.entities[child].weight) == 335
    kernel.machine.process_of(child).oom_score_adj = 0
    assert attributes(kernel, row) == [1, 5, -300, 77]


def test_threads_share_them(kernel: Kernel):
    row = kernel.process()
    thread = thread_of(kernel, row)
    other = kernel.fork(row)
    kernel.machine.set_nice(thread, -20)
    weights = [int(kernel.arrays.entities[task].weight) for task in (row, thread, other)]
    assert weights == [88761, 88761, NICE_0_WEIGHT]
    assert attributes(kernel, thread) == attributes(kernel, row) != attributes(kernel, other)
    assert int(kernel.arrays.entities[thread_of(kernel, row)].weight) == 88761


def test_the_last_task_of_a_process_gives_its_row_back(kernel: Kernel):
    row = kernel.process()
    kernel.machine.process_of(row).oom_score_adj = 9
    process = int(kernel.task(row).process)
    thread = thread_of(kernel, row)
    kernel.exit(thread)
    assert attributes(kernel, row)[2] == 9
    kernel.exit(row)
    again = kernel.process()
    assert int(kernel.task(again).process) == process
    assert attributes(kernel, again) == [0, 0, 0, 64]


def test_there_may_be_any_number_of_processes(kernel: Kernel):
    rows = [kernel.machine.new_task() for _ in range(3 * len(kernel.arrays.processes))]
    processes = {int(kernel.task(row).process) for row in rows}
    assert len(processes) == len(rows) <= len(kernel.arrays.processes)
