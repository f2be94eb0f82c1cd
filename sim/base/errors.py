"""What goes wrong, in two kinds that are kept apart.

A process that the simulated kernel refuses is a *result*: it sees `Refused`, which names an
`Errno`, may handle it as a C program would, and the run goes on.  Everything else here is about
the person at the keyboard (`ScenarioError`), the data (`InsufficientDataError`, `PartlyDoneError`)
or a defect of ours (`KernelPanicError`).

Every constructor takes positional arguments and hands them to `Exception`: SimPy rebuilds a
failed process's exception as ``type(exc)(*exc.args)``, and pickle does likewise when a worker
sends one home.
"""

from enum import Enum


class Errno(Enum):
    """Why the simulated kernel refused; the names are Linux's."""

    E2BIG = "argument list too long"
    ENOMEM = "out of memory"
    EAGAIN = "too many tasks"
    EFAULT = "address outside the address space"
    EINVAL = "invalid argument"
    EPERM = "operation not permitted"
    ESRCH = "no such process"
    ECHILD = "no child to wait for"


class SimError(Exception):
    """Root of everything that cowpool raises on purpose."""


class Refused(SimError):  # noqa: N818  (not an error of ours: the kernel said no, as it should)
    """The simulated kernel refused a call; raised inside the program that made it.

    `why` says what no program could do, where the error number alone would not: which number is
    wrong, and what would be right.

    >>> str(Refused(Errno.ENOMEM, "fork"))
    'fork: ENOMEM (out of memory)'

    `by` is what it was refused by: ``promise`` (overcommit accounting), ``limit`` (no addresses are
    free), ``memory`` (no frames are), ``hugetlb`` (no huge pages
    are), ``group`` (its limit is in the way), or ``argument`` for all that is not about memory.
    """

    def __init__(self, errno: Errno, call: str, why: str = "", by: str = "argument") -> None:
        super().__init__(errno, call, why, by)
        self.errno = errno
        self.call = call
        self.why = why
        self.by = by

    def __str__(self) -> str:
        return f"{self.call}: {self.errno.name} ({self.why or self.errno.value})"


class ScenarioError(SimError):
    """The user asked for something that cannot be; says where, what, and what would be right.

    >>> str(ScenarioError("unknown key 'quantm'; did you mean 'quantum'?", "a.yaml", 3, "policy"))
    "a.yaml:3: policy: unknown key 'quantm'; did you mean 'quantum'?"
    """

    def __init__(
        self,
        message: str,
        file: str | None = None,
        line: int | None = None,
        key: str | None = None,
    ) -> None:
        super().__init__(message, file, line, key)
        self.message = message
        self.file = file
        self.line = line
        self.key = key

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (where, self.key, self.message) if part)


class InsufficientDataError(SimError):
    """There are too few observations, or unusable ones, for the figure that was asked for."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class PartlyDoneError(SimError):
    """Some runs of a study failed; the finished ones are kept.

    `failures` names each failed run and why, one string a run.
    """

    def __init__(self, message: str, failures: tuple[str, ...] = ()) -> None:
        super().__init__(message, failures)
        self.message = message
        self.failures = failures

    def __str__(self) -> str:
        return "\n".join((self.message, *self.failures))


class KernelPanicError(SimError):
    """An invariant of the model is broken: a defect in cowpool, never bad input."""

    def __init__(self, invariant: str, detail: str = "") -> None:
        super().__init__(invariant, detail)
        self.invariant = invariant
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.invariant}: {self.detail}" if self.detail else self.invariant
