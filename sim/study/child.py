"""A run in the main thread of a process: of this one, or of a child that a thread keeps for it.

Some pools call from threads: Dask's workers, pools of threads.  There no limit could be kept, as
signals come to main threads; compiled code would keep the other threads waiting, those that tell
a cluster that its worker is alive; and a run that dies would take all others with it.  So such a
thread has a child, which does what it is told until the thread ends.
"""

import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from contextlib import suppress
from typing import Final

import sim
from sim.base.errors import ScenarioError
from sim.base.garbage import keep_aside
from sim.scenario.resolve import RESULTS_VERSION
from sim.study.job import Finished, Job, Simulate, work

LOOK_EVERY_S: Final = 0.5
"""How often a worker looks whether the process that started it is still there."""
DIED: Final = "its worker process died, twice: out of memory on this machine, or a crash"
RELEASE: Final = f"{sim.__version__} (results version {RESULTS_VERSION})"
"""What has to be the same everywhere, or results of one name would be different things."""


def carry_out(simulate: Simulate, job: Job, release: str) -> Finished:
    """Carry out `job` for a cowpool of this `release`, in whatever thread this is called.

    Raises `ScenarioError` if this is another release.
    """
    require_release(release)
    if threading.current_thread() is threading.main_thread():
        return _work(simulate, job)
    for _ in range(2):
        child = getattr(_OF_THIS_THREAD, "child", None) or _Child()
        _OF_THIS_THREAD.child = child
        finished = child.work(simulate, job)
        if finished is not None:
            return finished
        _OF_THIS_THREAD.child = None
        if child.dropped:
            break
    return Finished(job.key, None, DIED, 0.0)


def drop_children() -> None:
    """End the children of all threads of this process, whatever they are at."""
    for child in list(_CHILDREN):
        child.drop()


def require_release(release: str) -> None:
    """Raise `ScenarioError` if this is another release of cowpool."""
    if release != RELEASE:
        message = f"a worker has cowpool {RELEASE}, and this is {release}; install one everywhere"
        raise ScenarioError(message)


_fresh = False
"""Whether this process is there for runs alone, and has made none yet."""


def serve_until_orphaned(parent_pid: int) -> None:
    """Take this process for one that is there for runs alone, until it is an orphan.

    It ends then: nobody is left to take its results.  The parent says who it is: a child that
    starts as it dies would find another one here.
    """
    global _fresh
    _fresh = True
    threading.Thread(target=_watch, args=(parent_pid,), daemon=True).start()


def _work(simulate: Simulate, job: Job) -> Finished:
    """Carry out `job`; what the first one has loaded no garbage is looked for in by later ones."""
    global _fresh
    finished = work(simulate, job)
    if _fresh:
        _fresh = False
        keep_aside()
    return finished


def _watch(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)


_OF_THIS_THREAD: Final = threading.local()


class _Child:
    """A Python of its own, which a terminal's Ctrl-C does not reach."""

    def __init__(self) -> None:
        code = "import sys; from sim.study.child import serve; serve(int(sys.argv[1]))"
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": paths},
            start_new_session=True,
        )
        self.dropped = False
        self._end = weakref.finalize(self, _end, self._process)
        _CHILDREN.add(self)

    def drop(self) -> None:
        """Have it die of what it is at, and not be missed."""
        self.dropped = True
        self._process.kill()

    def work(self, simulate: Simulate, job: Job) -> Finished | None:
        """Return what became of `job`; None if the child died of it, which then has ended."""
        tell, told = self._process.stdin, self._process.stdout
        assert tell is not None
        assert told is not None
        try:
            pickle.dump((simulate, job), tell)
            tell.flush()
            finished: Finished = pickle.load(told)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError):
            self._end()
            return None
        return finished


_CHILDREN: Final[weakref.WeakSet[_Child]] = weakref.WeakSet()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a child that has nothing to do, or nobody to tell it."""
    process.kill()
    with process, suppress(BrokenPipeError):  # closes its pipes, and waits for it
        pass


def serve(parent_pid: int) -> None:
    """Carry out what comes in on standard input until that ends, or the parent does."""
    serve_until_orphaned(parent_pid)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a run prints is no answer
    while True:
        try:
            simulate, job = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(_work(simulate, job), answers)
        answers.flush()
