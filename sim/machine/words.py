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
T_CPU: Final = TASK_COLUMNS["cpu"]
T_ERRNO: Final = TASK_COLUMNS["errno"]
T_OP: Final = TASK_COLUMNS["op"]
T_REFUSED_BY: Final = TASK_COLUMNS["refused_by"]
T_RESULT: Final = TASK_COLUMNS["result"]

C_WORDS: Final = len(_C)
C_TASK: Final = _C["task"]

E_WORDS: Final = len(_E)
E_BUSY: Final = _E["busy"]
E_QUEUE: Final = _E["queue"]
E_TIMER: Final = _E["timer"]

P_HEED: Final = _P["heed"]
P_REQUESTS: Final = _P["requests"]

K_RUNNABLE: Final = _K["runnable"]
K_SAMPLE_NEXT_NS: Final = _K["sample_next_ns"]

S_RUNNING: Final = _S["running"]
S_TIMERS: Final = _S["timers"]
