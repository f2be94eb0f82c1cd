"""A model of malloc on a kernel that always says yes: what it asked for and what it touched."""

from typing import Any

from sim.alloc.calls import Brk, Call, Mmap, Mremap, Operation, Touch
from sim.base.errors import Errno, Refused

BREAK = 0x5555_0000_0000
MAPPINGS = 0x7000_0000_0000


class FakeKernel:
    """Carries out operations of a model; `calls` and `touches` are those of the last one.

    A call of a class named in `refuse` is refused.
    """

    def __init__(self, heap: Any) -> None:
        self.heap = heap
        self.calls: list[Call] = []
        self.touches: list[Touch] = []
        self.refuse: tuple[type, ...] = ()
        self.brk = BREAK
        self._next = MAPPINGS

    def run(self, work: Operation[Any]) -> Any:
        self.calls, self.touches = [], []
        result: Any = None
        refused: Refused | None = None
        while True:
            try:
                call = work.throw(refused) if refused is not None else work.send(result)
            except StopIteration as stop:
                self.touches += self.heap.trace.take()
                return stop.value
            self.touches += self.heap.trace.take()
            self.calls.append(call)
            refused = Refused(Errno.ENOMEM, "call") if isinstance(call, self.refuse) else None
            result = None if refused else self._result(call)

    def _result(self, call: Call) -> int:
        if isinstance(call, Brk):
            before, self.brk = self.brk, self.brk + call.delta_bytes
            return before
        if isinstance(call, Mmap):
            start = -(-self._next // call.alignment) * call.alignment
            self._next = start + (1 << 36)
            return start
        return call.address if isinstance(call, Mremap) else 0

    def malloc(self, size_bytes: int, **how: int) -> int:
        return self.run(self.heap.malloc(size_bytes, **how))

    def calloc(self, size_bytes: int) -> int:
        return self.run(self.heap.calloc(size_bytes))

    def realloc(self, address: int, size_bytes: int) -> int:
        return self.run(self.heap.realloc(address, size_bytes))

    def free(self, address: int, **how: int) -> None:
        self.run(self.heap.free(address, **how))

    def pages(self) -> int:
        """How many pages the last operation touched, each once."""
        return len({first + n for first, pages, _ in self.touches for n in range(pages)})
