"""Whatever is typed or written, a command ends by itself, in its own words.

That is: no traceback, no exit status that means a defect, no more than one line about what is
wrong, and that one short; nothing sent to the terminal that is not text; an end within a minute,
and memory as for what is right.
"""

import resource
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from support.mutations import ODD_VALUES, mutated
from support.samples import sample

from sim.base.limits import Limits, within
from sim.base.text import is_unfit
from sim.cli import main
from sim.cli.starter import SCENARIO, STUDY
from sim.script.grammar import format_script
from sim.script.malloc.grammar import format_script as format_malloc
from sim.script.malloc.random import random_script as random_malloc
from sim.script.malloc.random import script_generator as malloc_generator
from sim.script.random import ALL_VERBS, random_script, script_generator

pytestmark = pytest.mark.stress

ROOT = Path(__file__).parents[2]
NO_HANG = Limits(time_ns=60_000_000_000)
LONGEST_LINE = 450
SEED = 8

SMALL = """\
version: 1
name: small
host:
  memory: 64 MiB
  cpus: 2
  thp: madvise
  overcommit: {mode: 2, ratio: 80}
policy:
  scheduler: {kind: round_robin, quantum: 4 ms}
  memory: oom
processes:
  P:
    program: steps
    copies: 2
    steps:
      - mmap: {name: A, size: 2 MiB}
      - write: A
      - fork: {name: child, steps: [{write: A}, {compute: 1 ms}]}
      - wait: child
      - repeat: {times: 3, steps: [{sleep: 1 ms}, {read: {region: A, pages: 4}}]}
      - munmap: A
  heap:
    program: heap_growth
    step: 1 MiB
run:
  horizon: 10 s
  warmup: 1 ms
"""


def files():
    """Return the text of every scenario, study and host profile that ships, by its path."""
    found = [*ROOT.glob("configs/**/*.yaml"), *ROOT.glob("experiments/**/*.yaml")]
    return {path: path.read_text(encoding="utf-8") for path in sorted(found)}


class Judge:
    """Carries out commands in this process and keeps what they should not have done."""

    def __init__(self, capsys):
        self._capsys = capsys
        self._wrong = {}
        self.statuses = {}

    def __call__(self, what, *arguments):
        try:
            with within(NO_HANG):
                status = main(list(arguments))
        except BaseException as error:
            status = f"{type(error).__name__}: {error}"
        out, err = self._capsys.readouterr()
        self.statuses[status] = self.statuses.get(status, 0) + 1
        lines = err.splitlines()
        wrong = (
            status not in (0, 1, 2, 3)
            or "time limit of 1 min" in err
            or any(is_unfit(c) for c in out + err)
            or "Traceback" in err
            or (status == 2 and (len(lines) != 1 or out))
            or any(len(line) > LONGEST_LINE for line in lines)
        )
        if wrong:
            self._wrong[what] = (arguments, status, out[:200], err[:400])
        return status

    def compiled(self, *arguments):
        """Carry out a command that is right, without a limit: the first of its kind compiles."""
        assert main(list(arguments)) == 0
        self._capsys.readouterr()

    def give_verdict(self):
        assert not self._wrong, "\n".join(f"{k}: {v}" for k, v in list(self._wrong.items())[:20])


@pytest.fixture
def judge(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # of defects, which there are none
    judge = Judge(capsys)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield judge
    judge.give_verdict()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 2 << 20, f"grown by {grown_kib} KiB"


def test_mutated_files_are_explained_or_refused(judge):
    sources = {path: text for path, text in files().items() if "programs" not in path.parts}
    texts = tuple(sources.values())
    folder = Path("shipped")
    for path, text in sources.items():
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    paths = list(sources)
    for n in range(sample(35, 10_000)):
        luck = Random(f"{SEED} yaml {n}")
        path = luck.choice(paths)
        own = folder / path.relative_to(ROOT)
        written = own.with_name("mutated.yaml")
        written.write_text(mutated(sources[path], luck, texts), errors="surrogatepass")
        if "hosts" in path.parts:
            scenario = folder / "host.yaml"
            profile = written.relative_to(folder)
            scenario.write_text(SMALL.replace("host:\n", f"host:\n  profile: ./{profile}\n"))
            judge(f"yaml {n}, of {path.name}", "explain", str(scenario))
        else:
            judge(f"yaml {n}, of {path.name}", "explain", str(written))
    assert judge.statuses.get(0, 0) > 0
    assert judge.statuses.get(2, 0) > 0


def test_mutated_scenarios_run_or_are_refused(judge):
    Path("s.yaml").write_text(SMALL)
    judge.compiled("run", "s.yaml")
    for n in range(sample(15, 1_500)):
        luck = Random(f"{SEED} run {n}")
        Path("s.yaml").write_text(mutated(SMALL, luck), errors="surrogatepass")
        judge(f"run {n}", "run", "s.yaml", "--json", "--time-limit", "5 s")
    assert judge.statuses.get(0, 0) > 0
    assert judge.statuses.get(2, 0) > 0


def test_mutated_starters_are_as_good_as_any(judge):
    for n in range(sample(10, 500)):
        luck = Random(f"{SEED} starter {n}")
        texts = {"s": SCENARIO.format(name="s"), "s_study": STUDY.format(name="s")}
        which = luck.choice(list(texts))
        texts[which] = mutated(texts[which], luck, tuple(texts.values()))
        for name, text in texts.items():
            Path(f"{name}.yaml").write_text(text, errors="surrogatepass")
        judge(f"starter {n}", "explain", luck.choice(["s.yaml", "s_study.yaml"]))


def setting(luck):
    """Return what somebody might write behind ``--set``."""
    parts = (
        "host memory cpus zones 0 1 -1 swap overcommit mode thp kernel disk prices access value"
        " policy scheduler kind quantum processes redis parent steps dataset writes program run"
        " horizon seed burst expect name version x 999999999999999999999 ² é"
    ).split(" ")
    key = ".".join(luck.choice(parts) for _ in range(luck.choice((1, 2, 2, 2, 3, 3, 4, 30))))
    key = luck.choice((key, key, key, mutated(key, luck), "9" * luck.choice((10, 4301)), ""))
    value = luck.choice((luck.choice(ODD_VALUES), mutated(luck.choice(ODD_VALUES), luck)))
    return luck.choice((f"{key}={value}", f"{key}={value}", key, f"={value}", f"{key}=="))


def test_mutated_settings_are_taken_or_refused(judge):
    names = ("steps_demo", "redis_bgsave", "build_storm", "small.yaml")
    Path("small.yaml").write_text(SMALL)
    judge.compiled("run", "small.yaml")
    for n in range(sample(35, 1_000)):
        luck = Random(f"{SEED} set {n}")
        settings = [setting(luck).replace("\0", "") for _ in range(luck.choice((1, 1, 2, 5)))]
        options = [word for text in settings for word in ("--set", text)]
        command = luck.choice(("explain", "explain", "run"))
        name = "small.yaml" if command == "run" else luck.choice(names)
        limit = ["--time-limit", "5 s"] if command == "run" else []
        judge(f"set {n}", command, name, *options, *limit)
    assert judge.statuses.get(2, 0) > 0


def test_mutated_scripts_are_told_or_refused(judge):
    forms = (
        ["walk"], ["walk", "--why"], ["walk", "--draw"], ["walk", "--json", "--draw"],
        ["walk", "--ask"], ["walk", "--frames", "64"],
        ["walk", "--frames", "64", "--policy", "wait"],
        ["walk", "--fork", "async", "--as-kernel", "5.10"], ["conform"], ["conform", "--json"],
        ["conform", "--time"], ["conform", "--as-kernel", "6.1", "--json"],
    )  # fmt: skip
    Path("x.txt").write_text("P map A 1024\nP hugepage A\nP write A 0 1024\nP fork C\n")
    judge.compiled("walk", "x.txt")
    judge.compiled("conform", "x.txt", "--time")
    for n in range(sample(24, 1_600)):
        luck = Random(f"{SEED} script {n}")
        script = random_script(script_generator(SEED, n), verbs=ALL_VERBS)[:40]
        text = mutated(format_script(script), luck)
        Path("x.txt").write_text(text, errors="surrogatepass")
        command, *options = luck.choice(forms)
        judge(f"script {n}", command, "x.txt", *options)
    assert judge.statuses.get(0, 0) > 0
    assert judge.statuses.get(2, 0) > 0


def test_mutated_scripts_of_malloc_are_told_or_refused(judge):
    Path("x.txt").write_text("P malloc a 100000\nP write a\nP fork C\nC free a\n")
    judge.compiled("conform", "x.txt", "--malloc", "glibc")
    for n in range(sample(10, 400)):
        luck = Random(f"{SEED} malloc {n}")
        text = mutated(format_malloc(random_malloc(malloc_generator(SEED, n))), luck)
        Path("x.txt").write_text(text, errors="surrogatepass")
        library = luck.choice(("glibc", "glibc", "jemalloc"))
        judge(
            f"malloc {n}", "conform", "x.txt", "--malloc", library, *luck.choice(([], ["--json"]))
        )
    assert judge.statuses.get(2, 0) > 0


def test_from_the_command_line_it_is_the_same(tmp_path):
    """A few of them in processes of their own, with 4 GiB of addresses and a minute."""
    wrong = {}
    for n in range(sample(2, 100)):
        luck = Random(f"{SEED} run {n}")
        (tmp_path / "s.yaml").write_text(mutated(SMALL, luck), errors="surrogatepass")
        done = subprocess.run(
            [sys.executable, "-m", "sim", luck.choice(("run", "explain")), "s.yaml"],
            cwd=tmp_path,
            capture_output=True,
            check=False,
            timeout=600,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30)),
        )
        said = done.stderr.decode()
        if done.returncode not in (0, 1, 2) or "Traceback" in said or len(said) > LONGEST_LINE:
            wrong[n] = (done.returncode, said[:300])
    assert not wrong
