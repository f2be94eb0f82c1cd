"""Which function does a step of an operation: compiled code cannot look one up in a table."""

from collections.abc import Callable, Mapping
from typing import Any

from sim.base.jit import compiled
from sim.kernel.ops import Op
from sim.machine.layout import Arrays

Step = Callable[[Arrays, int, int], int]
"""Does one step of a task's operation on a CPU; returns how it ended (`sim.kernel.work`)."""


def chain(name: str, steps: Mapping[Op[Any], Step]) -> Callable[[Arrays, int, int, int], int]:
    """Return a function that does a step of an operation: ifs, in the order of `steps`.

    Its source is made here, from the table, and compiled under this file's name.
    """
    functions = {f"step_{int(op)}": step for op, step in steps.items()}
    lines = [
        f"def {name}(m, cpu, task, op):",
        *(f"    if op == {int(op)}: return step_{int(op)}(m, cpu, task)" for op in steps),
        "    return -1",
    ]
    scope: dict[str, Callable[[Arrays, int, int, int], int]] = {}
    exec(compile("\n".join(lines), __file__, "exec"), {"__name__": __name__, **functions}, scope)
    return compiled(scope[name])
