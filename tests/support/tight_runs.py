"""Runs whose memory is short, and what must hold at their end."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sim.base.units import PAGE_BYTES
from sim.engine.build import Simulation
from sim.engine.endings import NOBODY_IN_GROUP
from sim.engine.run import build_simulation, populate
from sim.engine.rungs import NOBODY_TO_KILL
from sim.engine.task import Task
from sim.kernel.files.cache import uncache_page
from sim.kernel.reclaim.vmscan import shrink_group
from sim.machine.cached import find_page, forget_shadows
from sim.machine.groups import drain_all_stock, is_within, margin
from sim.machine.layout import EV_OOM_KILL, KIND_FILE, NONE, ROOT
from sim.machine.slab import group_bytes
from sim.program import PROGRAMS
from sim.scenario.resolve import resolve

Wrong = Iterator[str]


@dataclass(frozen=True)
class Ran:
    """A run that has ended: its result, and the machine as it was left."""

    document: dict[str, Any]
    simulation: Simulation


def run_tight(document: Mapping[str, Any], *, check: bool = False) -> Ran:
    """Carry out a scenario and keep its machine; `check` audits it at every event."""
    resolved = resolve(document)
    simulation = build_simulation(resolved, seed=resolved["run"]["seed"], check=check)
    populate(simulation, resolved, PROGRAMS)
    return Ran(simulation.run(), simulation)


def what_is_wrong(ran: Ran) -> list[str]:
    """Return what does not hold of a run: its ending, its books, what is left when all ended."""
    ran.simulation.machine.audit()
    ending = ran.document["ending"]
    if ending == "deadlock":
        wrong = list(not_proved(ran))
    elif ending == "idle":
        wrong = list(left_behind(ran))
    else:
        wrong = [] if ending == "horizon" else [f"ending {ending}"]
    ran.simulation.machine.audit()
    return [*wrong, *passed_limits(ran)]


def passed_limits(ran: Ran) -> Wrong:
    """Say whose usage has passed its limit though nobody was killed there: only the dying may."""
    m = ran.simulation.machine.arrays
    groups = range(1, int(m.pool[0].n_groups))
    for group in groups:
        g = m.groups[group]
        kills = sum(m.events[of, EV_OOM_KILL] for of in groups if is_within(m, of, group))
        if g.peak > g.limit and kills == 0:
            yield f"group {group} had {g.peak} pages, and may have {g.limit}"


# -- deadlocks -----------------------------------------------------------------------------------


def not_proved(ran: Ran) -> Wrong:
    """Say what is missing to a proof that nothing can go on.

    Every living task must wait: for a task that waits as well, or for memory that is not there and
    that nobody gives back.
    """
    system = ran.simulation.system
    living = list(system.table.living())
    m = ran.simulation.machine.arrays
    if m.pool[0].under_way > 0 or m.files["writing"].any():
        yield "a device is at work"
    for task in living:
        if task.wait is None:
            yield f"{task.name} waits for nothing"
        elif task.killed is not None:
            yield f"{task.name} is being killed, and waits for {task.wait.what}"
        elif not waits_for_memory(task):
            holder = task.wait.holder
            if holder is None and task.wait.what != "any of its children to exit":
                yield f"{task.name} waits for {task.wait.what}, which nobody has"
            elif holder is not None and holder not in living:
                yield f"{task.name} waits for {holder.name}, which has ended"
    if not any(map(waits_for_memory, living)):
        yield "nobody waits for memory"
    yield from could_be_served(ran, [task for task in living if waits_for_memory(task)])


def waits_for_memory(task: Task) -> bool:
    return task.wait is not None and task.wait.what.startswith("memory")


def could_be_served(ran: Ran, waiting: list[Task]) -> Wrong:
    """Say for whom there is memory: the first in line, or anybody for whom nobody may be killed."""
    machine = ran.simulation.machine
    m = machine.arrays
    for task in waiting:
        assert task.wait is not None
        o = m.operations[task.row]
        over, need = int(o.over), int(o.need)
        if task.wait.what in (NOBODY_TO_KILL, NOBODY_IN_GROUP):
            for leader in system_processes(ran):
                p = machine.process_of(leader.row)
                inside = is_within(m, int(p.group), over)
                vforked = leader.vfork_done is not None
                if inside and p.oom_score_adj != -1000 and not vforked:
                    yield f"{leader.name} could be killed for {task.name}"
        elif not machine.host.queueing:
            yield f"{task.name} waits for {task.wait.what}, and nobody dies"
        if over != ROOT:
            if margin(m, over) >= need:
                yield f"the group has room for {task.name}"
        elif task.wait.what == NOBODY_TO_KILL:
            continue  # Linux has panicked, whatever came free later
        elif task is first_in_line(ran) and spare(m) >= need:
            yield f"{spare(m)} pages are there for {task.name}, which needs {need}"
    for task in waiting:
        o = m.operations[task.row]
        if task.wait is not None and task.wait.what == NOBODY_TO_KILL:
            continue  # it has panicked
        if int(o.over) != ROOT or task is first_in_line(ran) or not machine.host.queueing:
            reclaimed = shrink_group(m, 0, int(o.over), int(o.need), int(o.over_memsw))
            if reclaimed > 0:
                yield f"{reclaimed} pages can be reclaimed for {task.name}"


def system_processes(ran: Ran) -> Iterator[Task]:
    return ran.simulation.system.table.processes()


def first_in_line(ran: Ran) -> Task | None:
    return ran.simulation.system.memory_waits.tasks.first()


def spare(m: Any) -> int:
    """Return the free frames that are above the watermarks and set aside for nobody."""
    free = sum(max(0, int(z.free - z.min_pages)) for z in m.zones[: int(m.config[0].n_zones)])
    listed = int(m.percpu["count"].sum())
    return free + listed - int(m.pool[0].reserved)


# -- what is left --------------------------------------------------------------------------------


def left_behind(ran: Ran) -> Wrong:
    """Empty the page cache of a machine whose processes have all ended; say what is left of them.

    A group keeps one page of freed kernel objects at hand.
    """
    machine = ran.simulation.machine
    m = machine.arrays
    for file in range(len(m.files)):
        if m.files[file].kind == KIND_FILE:
            for index in range(int(m.files[file].pages)):
                if find_page(m, file, index) != NONE:
                    uncache_page(m, 0, file, index, 0)
            forget_shadows(m, 0, file, 0, int(m.files[file].pages))
    machine.audit()
    drain_all_stock(m, ROOT)
    if m.charged[ROOT].any():
        yield f"{m.charged[ROOT].tolist()} pages are charged to the machine"
    in_use = machine.free_at_start_pages - int(m.pool[0].free) - int(m.percpu["count"].sum())
    if in_use != 0:
        yield f"{in_use} frames are in use"
    if m.pool[0].committed != 0 or m.pool[0].reserved != 0 or m.pool[0].resv_huge_pages != 0:
        yield "memory is promised, or set aside"
    slab = m.groups["slab_pages"].copy()
    for group in range(int(m.pool[0].n_groups) - 1, 0, -1):  # a group comes before those in it
        g = m.groups[group]
        if g.usage != slab[group] or g.dirty != 0 or g.writeback != 0 or m.charged[group].any():
            yield f"group {group} is charged for {g.usage} pages, and has {slab[group]} of slab"
        inner = int((m.groups["parent"][: int(m.pool[0].n_groups)] == group).sum())
        inner_bytes = group_bytes(machine.host.cpus) * inner
        if g.slab != inner_bytes or g.slab_pages > -(-inner_bytes // PAGE_BYTES) + 1:
            yield f"group {group} has {g.slab} B in {g.slab_pages} pages of slab"
        slab[int(g.parent)] += slab[group]
