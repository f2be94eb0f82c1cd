"""A mistake of a plug-in is the plug-in's: one line with its file and line, exit status 2.

Every kind of mistake is made in every place that a plug-in's code may stand in.
"""

from itertools import product

import pytest
from support.samples import sample

from sim.cli import main

SCENARIO = """\
version: 1
name: plugged
host: {memory: 64 MiB}
policy: {scheduler: {kind: %s, quantum: 4 ms}}
processes: {P: {program: mine, copies: 2}}
run: {horizon: 1 s}
"""

HEAD = """\
import functools
from sim.plugin import Image, Listed, Uniform, program, scheduler

class Own(BaseException):
    pass

class Strict(Exception):
    def __init__(self, *, why):
        super().__init__(why)

class Mute(Exception):
    def __str__(self):
        raise ValueError("no")

class Odd:
    def __repr__(self):
        raise ValueError("no")

"""

MISTAKES = (
    "raise ValueError('no')",
    "raise ValueError",
    "raise ValueError('\\x1b[31m' + 'long ' * 1000 + '\\nlines')",
    "raise Own('own')",
    "raise GeneratorExit",
    "raise Strict(why='strict')",
    "raise Mute('mute')",
    "raise StopIteration",
    "raise KeyError('k')",
    "raise RecursionError('deep')",
    "1 / 0",
    "assert False",
    "(lambda f: f(f))(lambda f: f(f))",
    "yield 42",
    "yield None",
    "yield Odd()",
    "yield task.mmap(4096)",
    "task.nosuch()",
    "yield from task.nosuch()",
    "yield from 7",
    "task.mmap(4096).pages",
    "yield from task.mmap(-5)",
    "yield from task.mmap('4 KiB')",
    "yield from task.mmap(10**25)",
    "yield from task.mmap(10**5000)",
    "yield from task.mmap(None)",
    "yield from task.write('x')",
    "yield from task.write(None)",
    "yield from task.read(A, pages='x')",
    "yield from task.write(A, pattern=7)",
    "yield from task.write(A, nosuch=1)",
    "yield from task.write(A, pattern=Uniform(-1))",
    "yield from task.munmap(A, first='x')",
    "yield from task.mremap(7, 4096)",
    "yield from task.compute(10**30)",
    "yield from task.compute('1 ms')",
    "yield from task.sleep(-1)",
    "yield from task.sleep(float('nan'))",
    "yield from task.sleep(float('inf'))",
    "yield from task.sleep('1 s')",
    "yield task.system.env.timeout(float('nan'))",
    "yield from task.exec('no such program')",
    "yield from task.exec(42)",
    "yield from task.exec(Image(-1, 0, 0, 0))",
    "yield from task.fork(7)",
    "yield from task.fork(lambda task: None)",
    "yield from task.fork(child, 1, 2, 3)",
    "yield from task.fork(functools.partial(child, nosuch=1))",
    "yield from task.fork(child, name=7)",
    "yield from task.fork(child, name='\\x1b[31m')",
    "yield from task.fork(child, name='a' * 1000)",
    "yield from task.wait(7)",
    "yield from task.join(7)",
    "task.record('x', float('nan'))",
    "task.record('x', float('inf'))",
    "task.record('x', object())",
    "task.record('x', '7')",
    "task.record(7, 7)",
    "task.record('\\x07', 7)",
    "task.mark(7)",
    "task.faults('nosuch')",
    "task.begin(7)",
    "task.end('\\x07')",
    "import sys; sys.exit(7)",
    "exit()",
    "quit('bye')",
)

PROGRAM = """
def child(task):
    yield from task.compute(1000)

@program('mine')
def mine(task):
    A = yield from task.mmap(1 << 20)
"""
PLACES = {
    "the program": PROGRAM + "    {}\n    yield from task.compute(1000)\n",
    "a helper": PROGRAM
    + "    yield from helper(task, A)\n\ndef helper(task, A):\n"
    + "    yield from task.compute(10)\n    {}\n    yield from task.compute(10)\n",
    "a child": PROGRAM
    + "    yield from task.fork(bad, A)\n    yield from task.wait()\n\ndef bad(task, A):\n"
    + "    yield from task.compute(10)\n    {}\n",
    "a borrower": PROGRAM
    + "    yield from task.vfork(bad, A)\n    yield from task.wait()\n\ndef bad(task, A):\n"
    + "    {}\n    yield from task.compute(10)\n",
    "a thread": PROGRAM
    + "    yield from task.thread(bad, A)\n    yield from task.sleep(10**7)\n\n"
    + "def bad(task, A):\n    yield from task.compute(10)\n    {}\n",
    "an event of its own": PROGRAM
    + "    yield task.system.env.process(own(task, A))\n\n"
    + "def own(task, A):\n    yield task.system.env.timeout(5)\n    if task:\n        {}\n"
    + "    yield 1\n",
}
NOT_SO_IN_EVENTS = ("fork", "wait", "join", "exec", "read", "write", "munmap", "mremap", "compute")
"""Verbs are for the task itself."""

SCHEDULER = """
@program('mine')
def mine(task):
    yield from task.compute(10**8)

@scheduler('own')
class Policy:
    def __init__(self, quantum_ns):
        self.ready = []
        {0}

    def enqueue(self, pid, now_ns):
        self.ready.append(pid)
        {1}

    def pick(self, now_ns):
        {2}
        return (self.ready.pop(0), 1000) if self.ready else None
"""
MISTAKES_OF_POLICIES = (
    "raise ValueError('no')",
    "raise Own('own')",
    "raise Strict(why='strict')",
    "raise Mute('mute')",
    "1 / 0",
    "self.nosuch",
    "import sys; sys.exit(7)",
)
WRONG_PICKS = (
    "return 42",
    "return 'ab'",
    "return ()",
    "return (self.ready[0],)",
    "return (self.ready[0], 0)",
    "return (self.ready[0], -5)",
    "return (self.ready[0], '4 ms')",
    "return (self.ready[0], 1.5)",
    "return (self.ready[0], 10**30)",
    "return (99, 1000)",
    "return ('P', 1000)",
    "return (None, None)",
    "return Odd()",
)


def plugins():
    """Yield each plug-in: what is wrong, where, its code, and the scheduler it needs."""
    for (place, code), mistake in product(PLACES.items(), MISTAKES):
        if place == "an event of its own" and any(f"task.{v}" in mistake for v in NOT_SO_IN_EVENTS):
            continue
        if place == "a thread" and "exec(" in mistake:  # refused: EINVAL
            continue
        yield f"{mistake[:60]} in {place}", HEAD + code.replace("{}", mistake), "fifo"
    for n, where in enumerate(("__init__", "enqueue", "pick")):
        for mistake in MISTAKES_OF_POLICIES:
            lines = ["pass"] * 3
            lines[n] = mistake
            yield f"{mistake} in {where}", HEAD + SCHEDULER.format(*lines), "own"
    for wrong in WRONG_PICKS:
        yield wrong, HEAD + SCHEDULER.format("pass", "pass", wrong), "own"


ALL = list(plugins())


def chosen():
    """Return every n-th, so that a sample has some of every kind."""
    n = min(sample(25, len(ALL)), len(ALL))
    step = len(ALL) / n
    return [ALL[int(i * step)] for i in range(n)]


@pytest.mark.stress
def test_a_mistake_of_a_plugin_is_told_with_its_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wrong = {}
    for what, code, kind in chosen():
        (tmp_path / "mine.py").write_text(code)
        (tmp_path / "s.yaml").write_text(SCENARIO % kind)
        status = main(["run", "s.yaml", "--plugin", "mine.py", "--json"])
        out, err = capsys.readouterr()
        lines = err.splitlines()
        if (
            status != 2
            or out
            or len(lines) != 1
            or not lines[0].startswith("mine.py:")
            or not lines[0].split(":")[1].isdigit()
            or len(err) > 400
            or "\x1b" in err
        ):
            wrong[what] = (status, out[:100], err[:300])
    assert not wrong, "\n".join(f"{what}: {got}" for what, got in wrong.items())


def test_there_are_plenty_of_them():
    assert len(ALL) > 200
    assert len({code for _, code, _ in ALL}) == len(ALL)


def test_what_is_right_runs(tmp_path, monkeypatch, capsys):
    """Negative control: the same files without a mistake."""
    monkeypatch.chdir(tmp_path)
    codes = [HEAD + code.replace("{}", "yield from task.compute(1)") for code in PLACES.values()]
    codes.pop()  # whose last line is one
    codes.append(HEAD + SCHEDULER.format("pass", "print('mine')", "pass"))
    for code in codes:
        (tmp_path / "mine.py").write_text(code)
        (tmp_path / "s.yaml").write_text(SCENARIO % ("own" if "'own'" in code else "fifo"))
        assert main(["run", "s.yaml", "--plugin", "mine.py", "--json"]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("{")
        assert set(err.splitlines()) <= {"mine"}


@pytest.mark.parametrize(
    "line",
    [
        "class Own(BaseException): pass\nraise Own('no')",
        "import sys\nsys.exit(3)",
        "\nraise GeneratorExit",
    ],
)
def test_what_is_raised_while_it_is_loaded_is_its_own_too(tmp_path, monkeypatch, capsys, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(f"print('loading')\n{line}\n")
    assert main(["run", "steps_demo", "--plugin", "mine.py"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith("mine.py:3: ")


DECLARED = """\
from __future__ import annotations
from typing import Annotated
from sim.plugin import checked_by, program

def turned(value):
    return 1 // int(value)

def checked(arguments):
    arguments["nosuch"]

@program("mine")
{}
    yield from task.compute(1)
"""


@pytest.mark.parametrize(
    ("declared", "line"),
    [
        ("def mine(task, *, n: 1 / 0 = 1):", 11),
        ("def mine(task, *, n: list[nosuch] = 1):", 11),
        ("def mine(task, *, n: (lambda: [].nosuch)() = 1):", 11),
        ("def mine(task, *, n: Annotated[str, turned]):", 6),
        ("@checked_by(checked)\ndef mine(task, *, n: str):", 9),
    ],
)
def test_what_it_declares_is_its_own_too(tmp_path, monkeypatch, capsys, declared, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(DECLARED.format(declared))
    text = (SCENARIO % "fifo").replace("program: mine", 'program: mine, n: "0"')
    (tmp_path / "s.yaml").write_text(text)
    assert main(["run", "s.yaml", "--plugin", "mine.py"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"mine.py:{line}: "), err
    assert err.count("\n") == 1
