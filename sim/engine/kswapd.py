"""When kswapd works: as soon as an allocation has found every zone below its low watermark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sim.engine.daemons import start_daemon
from sim.kernel import ops
from sim.machine.layout.fields import Nothing

if TYPE_CHECKING:
    from collections.abc import Generator

    from sim.engine.system import System
    from sim.engine.verbs.process import Process


def start_kswapd(system: System) -> None:
    """Let kswapd work, and live as long as anybody else does."""
    words = system.machine.arrays.pool[0]

    def balance(kswapd: Process) -> Generator[Any, Any, None]:
        while True:
            yield from kswapd.calls.do("kswapd", ops.OP_KSWAPD, Nothing())
            words.kswapd_awake = 0
            yield system.kswapd_bell.awaited()

    start_daemon(system, "kswapd0", balance)
