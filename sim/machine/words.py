"""Where the columns of hot records lie in their views (`Arrays.words`), for Python.

Column `T_OP` of the task in row 5 is ``words.tasks[5 * T_WORDS + T_OP]``.
"""

from typing import Any, Final

import numpy as np

from sim.machine.layout import CLOCK, CPU, ENTITY, POOL, SCHED, TASK


def columns(record: np.dtype[Any]) -> dict[str, int]:
    """Return where each column of a record lies, in words."""
    return {name: place for place, name in enumerate(record.names or ())}


TASK_COLUMNS: Final = columns(TASK)
_C, _E, _P, _K, _S = map(columns, (CPU, ENTITY, POOL, CLOCK, SCHED))

T_WORDS: Final = len(TASK_COLUMNS)
T_AT: Final = TASK_COLUMNS["at"]
T_CPU: Final = TASK_COLUMNS["cpu"]
T_ERRNO: Final = TASK_COLUMNS["errno"]
T_FAULT_FROM_NS: Final = TASK_COLUMNS["fault_from_ns"]
T_NEED: Final = TASK_COLUMNS["need"]
T_OP: Final = TASK_COLUMNS["op"]
T_REFUSED_BY: Final = TASK_COLUMNS["refused_by"]
T_REFUSED_PAGES: Final = TASK_COLUMNS["refused_pages"]
T_REFUSED_WITH: Final = TASK_COLUMNS["refused_with"]
T_RESULT: Final = TASK_COLUMNS["result"]
T_STAGE: Final = TASK_COLUMNS["stage"]
T_WAITS: Final = TASK_COLUMNS["waits"]
T_WITHIN: Final = TASK_COLUMNS["within"]

C_WORDS: Final = len(_C)
C_TASK: Final = _C["task"]

E_WORDS: Final = len(_E)
E_BUSY: Final = _E["busy"]
E_QUEUE: Final = _E["queue"]
E_TIMER: Final = _E["timer"]

P_HEED: Final = _P["heed"]
P_REQUESTS: Final = _P["requests"]

K_RUNNABLE: Final = _K["runnable"]

S_RUNNING: Final = _S["running"]
S_TIMERS: Final = _S["timers"]
