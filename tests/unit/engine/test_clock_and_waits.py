"""Timers, wait lists, daemons and the books of a process: what the rest of the engine stands on."""

from collections.abc import Generator
from typing import Any

from support.machines import flat_prices, machine

from sim.engine.build import EngineSpec, Simulation
from sim.engine.clock import Clock
from sim.engine.daemons import start_daemon
from sim.engine.task import Signal
from sim.engine.verbs.process import Process
from sim.machine.layout import FOREVER, NONE

Life = Generator[Any, Any, None]


def simulation(**host: Any) -> Simulation:
    host = {"memory_pages": 2000, "cpus": 1, **host}
    return Simulation(machine(flat_prices(zero_fill=100), **host), EngineSpec())


class NoArrivals:
    """What a clock asks for arrivals where nobody has any."""

    def next_arrival(self) -> tuple[int, int, int]:
        return NONE, FOREVER, 0

    def arrive(self, row: int) -> None:
        raise AssertionError(row)


def pass_to(clock: Clock, ns: int) -> None:
    """Let time pass, from event to event."""
    while (next_ns := clock.next_ns()) is not None and next_ns <= ns:
        clock.move_to(next_ns)
        clock.happen(NoArrivals())


def test_a_cancelled_timer_neither_rings_nor_holds_the_run_up() -> None:
    clock, rung = Clock(), []
    timers = [clock.timer(n, lambda n=n: rung.append(n)) for n in (5, 3, 9)]
    clock.cancel(timers[1])
    assert clock.next_ns() == 5
    pass_to(clock, 6)
    clock.cancel(timers[0])  # too late: it has rung
    assert clock.next_ns() == 9
    clock.cancel(timers[2])
    assert rung == [5]
    assert clock.next_ns() is None
    assert clock.only_background()


def test_a_timer_that_is_cancelled_when_it_is_due_does_not_ring() -> None:
    clock, rung = Clock(), []
    second: list[Any] = []
    clock.timer(4, lambda: clock.cancel(second[0]))
    second.append(clock.timer(4, lambda: rung.append(4)))
    pass_to(clock, 4)
    assert rung == []
    assert clock.next_ns() is None
    assert clock.only_background()


def test_timers_in_the_background_are_told_apart() -> None:
    clock = Clock()
    clock.timer(3, background=True)
    assert clock.only_background()
    other = clock.timer(4)
    assert not clock.only_background()
    clock.cancel(other)
    assert clock.only_background()
    assert clock.next_ns() == 3


def test_any_number_of_daemons_works_while_others_live_and_no_longer() -> None:
    run = simulation()
    system = run.system
    worked: dict[str, list[int]] = {"often": [], "seldom": [], "woken": []}
    knock = system.clock.event()

    def sleeper(name: str, sleep_ns: int) -> Any:
        def program(task: Process) -> Life:
            while True:
                yield from task.sleep(sleep_ns)
                yield from task.compute(100)
                worked[name].append(task.now_ns)

        return program

    def waiter(task: Process) -> Life:
        while True:
            value = yield knock
            yield from task.compute(value)
            worked["woken"].append(task.now_ns)
            yield task.system.env.event()

    start_daemon(system, "often", sleeper("often", 1_000))
    start_daemon(system, "seldom", sleeper("seldom", 4_000))
    start_daemon(system, "woken", waiter)

    def program(task: Process) -> Life:
        yield from task.sleep(5_000)
        knock.succeed(300)
        yield from task.sleep(350)

    run.add("p", program, image_pages=2, stack_pages=64)
    document = run.run()
    assert worked == {"often": [1_100, 2_200, 3_300, 4_400], "seldom": [4_100], "woken": [5_300]}
    assert document["ending"] == "idle"
    assert document["simulated_ns"] == 5_350
    assert [process["name"] for process in document["processes"]] == ["p"]
    assert document["metrics"]["exits"] == 1


def test_threads_and_children_leave_nothing_behind_in_their_process() -> None:
    """Books that only grow would make each new thread or child slower than the one before."""
    run = simulation()
    system, seen = run.system, []

    def brief(task: Process) -> Life:
        yield from task.compute(100)

    def program(task: Process) -> Life:
        group = task.task.group
        for _ in range(20):
            thread = yield from task.thread(brief)
            yield from task.join(thread)
            child = yield from task.fork(brief)
            yield from task.wait(child)
            seen.append((len(group.threads), len(group.children), len(system.table.by_pid)))
        seen.append(group.zombie())

    run.add("p", program, image_pages=2, stack_pages=64)
    run.run()
    assert seen == [(0, 0, 1)] * 20 + [None]
    assert system.table.by_pid == system.table.by_row == {}
    assert len(system.machine.arrays.tasks) < 100


def test_any_child_is_reaped_in_order_of_birth() -> None:
    order = []

    def sleeping(task: Process, ns: int) -> Life:
        yield from task.sleep(ns)

    def program(task: Process) -> Life:
        for ns in (30_000, 10_000, 20_000):
            yield from task.fork(sleeping, ns)
        last = yield from task.fork(sleeping, 40_000)
        yield from task.wait(last)
        while len(order) < 3:
            ended = yield from task.wait()
            order.append(last.pid - ended.pid)

    run = simulation()
    run.add("p", program, image_pages=2, stack_pages=64)
    run.run()
    assert order == [3, 2, 1]


def test_who_waits_is_served_in_turn_and_may_leave() -> None:
    """Tasks that wait for one page of a file: one is killed meanwhile, the others go on."""
    run = simulation(cpus=3)
    ended = []

    def reading(task: Process) -> Life:
        yield from task.pread("file", 1)
        ended.append(task.name)

    def killer(task: Process) -> Life:
        yield from task.sleep(50_000)
        victims = {t.name: t for t in task.system.table.living()}
        assert victims["b"].wait is not None
        assert victims["b"].wait.what == "a page from the disk"
        task.system.signals.kill(victims["b"], Signal.OOM_KILL)
        assert victims["b"].wait is None

    for name in "abc":
        run.add(name, reading, image_pages=2, stack_pages=64)
    run.add("killer", killer, image_pages=2, stack_pages=64)
    document = run.run()
    assert ended == ["a", "c"]
    assert document["processes"][1]["ended"] == "oom-killed"
