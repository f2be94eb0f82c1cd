"""Where the columns of hot records lie in their views (`Arrays.words`), for Python.

Column `T_CPU` of the task in row 5 is ``words.tasks[5 * T_WORDS + T_CPU]``.
"""

from typing import Any, Final

import numpy as np

from sim.machine.layout import CLOCK, CPU, ENTITY, OPERATION, POOL, PROCESS, SCHED, TASK


def columns(record: np.dtype[Any]) -> dict[str, int]:
    """Return where each column of a record lies, in words."""
    return {name: place for place, name in enumerate(record.names or ())}


O_COLUMNS: Final = columns(OPERATION)
_C, _E, _P, _K, _S, _T = map(columns, (CPU, ENTITY, POOL, CLOCK, SCHED, TASK))

T_WORDS: Final = len(_T)
T_CPU: Final = _T["cpu"]
T_CPU_NS: Final = _T["cpu_ns"]
T_KILLED: Final = _T["killed"]
T_PIN: Final = _T["pin"]
T_PROCESS: Final = _T["process"]
T_SPACE: Final = _T["space"]
T_STATE: Final = _T["state"]

_PROCESS: Final = columns(PROCESS)
PROCESS_WORDS: Final = len(_PROCESS)
PROCESS_GROUP: Final = _PROCESS["group"]
PROCESS_OOM_SCORE_ADJ: Final = _PROCESS["oom_score_adj"]
PROCESS_TASKS: Final = _PROCESS["tasks"]

O_WORDS: Final = len(O_COLUMNS)
O_ERRNO: Final = O_COLUMNS["errno"]
O_NEED: Final = O_COLUMNS["need"]
O_OVER: Final = O_COLUMNS["over"]
O_OP: Final = O_COLUMNS["op"]
O_REFUSED_BY: Final = O_COLUMNS["refused_by"]
O_RESULT: Final = O_COLUMNS["result"]
O_WAIT_FILE: Final = O_COLUMNS["wait_file"]
O_WAIT_INDEX: Final = O_COLUMNS["wait_index"]

C_WORDS: Final = len(_C)
C_SLICE_END_NS: Final = _C["slice_end_ns"]
C_TASK: Final = _C["task"]

E_WORDS: Final = len(_E)
E_BUSY: Final = _E["busy"]
E_DUE_NS: Final = _E["due_ns"]
E_DUE_NUMBER: Final = _E["due_number"]
E_HOME: Final = _E["home"]
E_QUEUE: Final = _E["queue"]
E_TIMER: Final = _E["timer"]
E_WEIGHT: Final = _E["weight"]

P_FREE: Final = _P["free"]
P_PENDING: Final = _P["pending"]
P_REQUESTS: Final = _P["requests"]

K_DUE_NS: Final = _K["due_ns"]
K_RUNNABLE: Final = _K["runnable"]

S_LEFT: Final = _S["left"]
S_RUNNING: Final = _S["running"]
S_TIMERS: Final = _S["timers"]
