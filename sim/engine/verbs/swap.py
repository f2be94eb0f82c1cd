"""Verbs about the swap device, for who may administer the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.base.errors import Errno, Refused
from sim.kernel import ops
from sim.machine.layout.fields import Nothing

if TYPE_CHECKING:
    from sim.engine.verbs.calls import Calls, Verb
    from sim.kernel.ops import Op
    from sim.machine.machine import Machine


class SwapCalls:
    """What a task does with the swap device."""

    def __init__(self, calls: Calls, machine: Machine) -> None:
        self._calls = calls
        self._machine = machine

    def swapoff(self) -> Verb:
        """Empty the swap device, and use it no more; see `sim.program.api.Process.swapoff`."""
        yield from self._do("swapoff", ops.OP_SWAPOFF)

    def swapon(self) -> Verb:
        """Use the swap device again; see `sim.program.api.Process.swapon`."""
        yield from self._do("swapon", ops.OP_SWAPON)

    def _do(self, call: str, op: Op[Nothing]) -> Verb:
        if not self._machine.process_of(self._calls.task.row).cap_sys_admin:
            raise Refused(Errno.EPERM, call, "the process needs `cap_sys_admin: true`")
        if self._machine.host.swap_pages == 0:
            raise Refused(Errno.EINVAL, call, "the host has no swap")
        yield from self._calls.do(call, op, Nothing())
