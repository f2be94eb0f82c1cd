"""The machine's state: frames, page tables, areas, address spaces, tasks, CPUs, and their audit."""

from sim.machine import native as _native  # registers with Numba how compiled code sees the machine

__all__: list[str] = []
del _native
