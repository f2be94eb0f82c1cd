"""The audit: proof that the books balance.

Every frame is free or referenced, as often as it is mapped; tables are counted once each.  The
counts are taken anew from the page tables and the free lists and compared with what the machine
believes.
"""

import numpy as np
from numpy.typing import NDArray

from sim.base.errors import KernelPanicError
from sim.base.jit import compiled
from sim.machine import native  # noqa: F401  (tells Numba how compiled code sees the machine)
from sim.machine.audit.complaints import COMPLAINTS, OK
from sim.machine.audit.folios import audit_folios
from sim.machine.audit.lru import audit_lru
from sim.machine.audit.memory import (
    audit_files,
    audit_frames,
    audit_free,
    audit_groups,
    audit_hugetlb,
    audit_reservations,
    audit_swap,
    count_shared_slots,
    swap_reads,
)
from sim.machine.audit.spaces import audit_space
from sim.machine.audit.trees import audit_trees
from sim.machine.layout import (
    KIND_TABLE,
    N_KINDS,
    NONE,
    ROOT,
    Arrays,
)


@compiled
def _run_audit(
    m: Arrays,
    seen: NDArray[np.int32],
    slots: NDArray[np.int64],
    spaces: NDArray[np.int64],
    users: NDArray[np.int64],
    uses: NDArray[np.int32],
    charged: NDArray[np.int64],
    listed: NDArray[np.int8],
    held: NDArray[np.int64],
) -> tuple[int, int]:
    bad, where = audit_free(m, seen)
    if bad != OK:
        return bad, where
    tables = 0
    committed = 0
    for i in range(len(spaces)):
        bad, where = audit_space(m, int(spaces[i]), seen, slots, users, uses)
        if bad != OK:
            return bad, where
        tables += m.spaces[spaces[i]].tables
        committed += m.spaces[spaces[i]].committed
    count_shared_slots(m, slots, len(users))
    bad, where = audit_swap(m, slots, held)
    if bad != OK:
        return bad, where
    for slot in range(len(uses)):
        if uses[slot] > 0:
            if m.table_info[slot].refs != uses[slot]:
                return 21, slot
            tables -= int(uses[slot]) - 1
    if tables != m.charged[ROOT, KIND_TABLE]:
        return 10, tables
    bad, where = audit_files(m, users, seen, swap_reads(m, len(slots)))
    if bad != OK:
        return bad, where
    for file in range(len(users)):
        if m.files[file].kind != 0:
            committed += m.files[file].committed
    if committed != m.pool[0].committed:
        return 15, committed
    bad, where = audit_hugetlb(m, seen)
    if bad != OK:
        return bad, where
    bad, where = audit_reservations(m, spaces, len(users))
    if bad != OK:
        return bad, where
    bad, where = audit_lru(m, listed)
    if bad != OK:
        return bad, where
    bad, where = audit_trees(m, len(users))
    if bad != OK:
        return bad, where
    bad, where = audit_frames(m, seen, charged)
    if bad != OK:
        return bad, where
    return audit_groups(m, charged)


def audit(m: Arrays) -> None:
    """Raise `KernelPanicError` unless every frame is accounted for."""
    alive: set[int] = set()
    for task in m.tasks[m.tasks.state != 0]:
        alive |= {int(task.space), int(task.old_space)} - {NONE}
    spaces = np.array(sorted(alive), dtype=np.int64)
    seen = np.zeros(len(m.frames), dtype=np.int32)
    slots = np.zeros(len(m.swap), dtype=np.int64)
    users = np.zeros(len(m.files), dtype=np.int64)
    uses = np.zeros(len(m.tables), dtype=np.int32)
    charged = np.zeros((len(m.groups), N_KINDS + 1), dtype=np.int64)
    listed = np.zeros(len(m.frames), dtype=np.int8)
    held = np.zeros(len(m.groups), dtype=np.int64)
    bad, where = _run_audit(m, seen, slots, spaces, users, uses, charged, listed, held)
    if bad != OK:
        raise KernelPanicError(COMPLAINTS[bad], f"at {where}")
    audit_folios(m, spaces)
