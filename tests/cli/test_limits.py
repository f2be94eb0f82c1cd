"""What a run, a study and a script may take: refused before anything large is built, or ended."""

import contextlib
import json
import re
import signal
import subprocess
import sys
import time

import pytest
from support.commands import RUNS_HERE

import sim.cli.limiting
import sim.engine.room
from sim.base.limits import LimitReachedError, Limits, real_memory_bytes, within
from sim.base.units import GIB
from sim.cli import main
from sim.engine.room import machine_bytes
from sim.scenario import load_scenario
from sim.scenario.study import load_study
from sim.study.base import planner_of
from sim.study.limits import MOST_RUNS, most_runs

SCENARIO = """\
version: 1
name: plain
host: {memory: 64 MiB}
processes: {P: {program: steps, steps: []}}
run: {horizon: 1 ms}
"""
STUDY = """\
version: 1
name: s
base: s.yaml
axes: AXES
replications: N
seed: 1
need: {set: {host.memory: 1 GiB}}
"""
HUNDRED = str([f"{n} ms" for n in range(1, 101)])


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.yaml").write_text(SCENARIO)
    return tmp_path


def study(here, axes, replications, more=""):
    text = STUDY.replace("AXES", axes).replace(": N\n", f": {replications}\n") + more
    (here / "study.yaml").write_text(text)


@pytest.mark.parametrize("command", ["explain", "study"])
@pytest.mark.parametrize(
    ("axes", "replications", "more", "message"),
    [
        (
            f"run.horizon: {HUNDRED}, host.cpus: {HUNDRED}, run.warmup: {HUNDRED}, x: {HUNDRED}",
            1,
            "",
            "axes: 100 times 100 times 100 times 100 levels make 100,000,000 points; write at most"
            " 1,000,000 points, or add --large",
        ),
        (
            f"run.horizon: {HUNDRED}, host.cpus: {HUNDRED}, run.warmup: {HUNDRED}",
            1,
            "",
            "replications: 1,000,000 points make up to ",
        ),
        ("host.cpus: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]", 100_000, "", "make up to 1,000,0"),
        (
            f"run.horizon: {HUNDRED}",
            3,
            f"check: {{times: run.horizon, by: {[n / 10 for n in range(1, 3001)]}}}\n",
            "replications: 100 points make up to 3,000,3",
        ),
        (
            ", ".join(f"a{n}: [{', '.join(map(str, range(900)))}]" for n in range(20)),
            1,
            "",
            " … levels make 10^59 points",
        ),
    ],
)
def test_a_study_beyond_the_limits_is_refused_before_it_is_built(
    here, capsys, command, axes, replications, more, message
):
    study(here, "{" + axes + "}", replications, more)
    assert main([command, "study.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("study.yaml:")
    assert message in err
    assert err.count("\n") == 1
    assert not (here / "out").exists()


def test_a_flag_lifts_the_limits(here, capsys):
    study(here, "{host.cpus: [1, 2, 3]}", 50_000)
    assert main(["explain", "study.yaml"]) == 2
    assert main(["explain", "study.yaml", "--large"]) == 0
    # Besides, the answer's point with one input at a time changed.
    assert re.search(r"\b1500\d\d\b", capsys.readouterr().out.replace(",", ""))


def test_what_a_study_may_come_to_is_no_less_than_what_it_makes(here):
    """The count that is held against the limit, by the planner that makes the runs."""
    check = "check: {times: run.horizon, by: [1, 2, 3], around: [0.9, 1.0], fresh: 7}\n"
    study(here, "{run.horizon: [1 ms, 2 ms], host.cpus: [1, 2, 3]}", 5, check)
    found = load_study("study.yaml")
    planner, _ = planner_of(found)
    n_points = len(planner.points)
    cells = n_points * 5 + len(planner.check_cells()) * 10 + n_points * 2 * 10 + 7
    assert cells <= most_runs(found, n_points) <= cells + 50
    assert most_runs(found, n_points) < MOST_RUNS


def script(here, lines):
    (here / "x.txt").write_text("".join(f"{line}\n" for line in lines))


def test_a_script_that_would_take_gigabytes_is_refused(here, capsys):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    maps = [f"P map {letter} 4194304" for letter in letters]
    script(here, [*maps, *(f"P fork C{n}" for n in range(200))])
    for command in (["walk"], ["conform"]):
        assert main([*command, "x.txt"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("x.txt:35: the processes have ")
        assert "keep to 1,073,741,824, or add --large" in err


def test_pages_that_are_given_back_do_not_count(here):
    from sim.script.validity import World, parse_line

    lines = ["P map A 600", "P map B 300", "P unmap A", "P map C 600", "P fork D"]
    world = World(most_bytes=1_000)
    for line in lines[:-1]:
        world.apply(parse_line(line))
    with pytest.raises(ValueError, match="have 1,800 pages"):
        world.apply(parse_line(lines[-1]))
    world = World(most_bytes=None)
    for line in lines:
        world.apply(parse_line(line))


def test_a_host_beyond_this_machine_is_refused_with_the_figure(here, capsys, monkeypatch):
    monkeypatch.setattr(sim.engine.room, "real_memory_bytes", lambda: 8 * GIB)
    assert main(["run", "s.yaml", "--set", "host.memory=4 TiB"]) == 2
    err = capsys.readouterr().err
    assert "host.memory: simulating 4 TiB takes 64.1 GiB of memory, and here is room" in err
    study(here, "{host.cpus: [1, 2]}", 2)
    text = (here / "study.yaml").read_text().replace("1 GiB", "4 TiB")
    (here / "study.yaml").write_text(text)
    assert main(["study", "study.yaml"]) == 2
    assert "simulating 4 TiB takes" in capsys.readouterr().err


def test_the_figure_is_what_the_machine_is_made_in(here):
    from sim.engine.run import build_simulation

    resolved = load_scenario("s.yaml", ["host.memory=1 GiB"])
    arrays = build_simulation(resolved, seed=1).machine.arrays
    made = arrays.frames.nbytes + arrays.tables.nbytes + arrays.table_info.nbytes
    first = 1024 * (arrays.tables[0].nbytes + arrays.table_info.itemsize)
    assert machine_bytes(resolved) == made - first
    assert 0.01 * GIB < machine_bytes(resolved) < 0.02 * GIB


def test_a_limit_of_the_process_counts(here):
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))\n"
        "from sim.cli import main; raise SystemExit(main(['run', 's.yaml', '--set',"
        " 'host.memory=512 GiB']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=here
    )
    assert done.returncode == 2, done.stderr
    assert "here is room for 3 GiB" in done.stderr
    assert (real_memory_bytes() or 0) > 0


ENDLESS = """\
from sim.plugin import program

@program("mine")
def mine(task):
    {}
"""
TURNS = {
    "of Python": "while True: pass\n    yield",
    "of events": "while True: yield from task.sleep(0)",
    "of compiled code": "A = yield from task.mmap(1 << 24)\n    while True:\n"
    "        yield from task.write(A, pattern=Uniform(10**12))",
}


@pytest.mark.parametrize("turns", TURNS)
def test_a_run_without_end_is_ended_by_its_limit(here, capsys, turns):
    code = "from sim.plugin import Uniform\n" + ENDLESS.format(TURNS[turns])
    (here / "mine.py").write_text(code)
    text = SCENARIO.replace("steps, steps: []", "mine").replace("1 ms", "1000 h")
    (here / "s.yaml").write_text(text)
    assert main(["run", "s.yaml", "--plugin", "mine.py", "--time-limit", "300 ms"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "the time limit of 300 ms is over; nothing of the run is kept\n"


def test_a_run_that_takes_too_much_memory_is_ended(here, capsys):
    code = ENDLESS.format("a = [bytearray(1 << 20)]\n    while True: a.append(a[0] * 8)\n    yield")
    (here / "mine.py").write_text(code)
    (here / "s.yaml").write_text(SCENARIO.replace("steps, steps: []", "mine"))
    assert main(["run", "s.yaml", "--plugin", "mine.py", "--memory-limit", "2 GiB"]) == 1
    assert "over the memory limit of 2 GiB" in capsys.readouterr().err


def test_within_its_limits_a_run_is_as_ever(here, capsys):
    assert main(["run", "s.yaml", "--json"]) == main(
        ["run", "s.yaml", "--json", "--time-limit", "10min", "--memory-limit", "64GiB"]
    )
    out = capsys.readouterr().out
    assert out[: len(out) // 2] == out[len(out) // 2 :]


@pytest.mark.parametrize("limit", ["--time-limit", "--memory-limit"])
@pytest.mark.parametrize("value", ["0", "-1 s", "soon", "", "5"])
def test_a_limit_that_is_none_is_refused(here, capsys, limit, value):
    assert main(["run", "s.yaml", limit, value]) == 2
    assert capsys.readouterr().err.startswith(f"{limit}: ")


def test_a_run_of_a_study_that_reaches_its_limit_has_failed(here, capsys):
    study(here, "{host.cpus: [1, 2]}", 1)
    text = SCENARIO.replace(
        "steps: []", "steps: [{repeat: {times: 1000000, steps: [{compute: 1 us}]}}]"
    )
    (here / "s.yaml").write_text(text.replace("1 ms", "100 h"))
    status = main(["study", "study.yaml", *RUNS_HERE, "--time-limit", "300 ms", "--json"])
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert status in (1, 3), err
    assert document["runs_failed"] == 2
    reasons = document["failures"]
    assert all("the time limit of 300 ms is over" in reason for reason in reasons), reasons
    assert main(["study", "study.yaml", *RUNS_HERE, "--time-limit", "300 ms"]) == status
    assert "2 runs, 2 of them new, 2 failed" in capsys.readouterr().out


def test_the_timer_is_gone_afterwards():
    with pytest.raises(LimitReachedError), within(Limits(time_ns=1)):
        time.sleep(60)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def fault_of_a_library():
    try:
        time.sleep(60)
    except BaseException as error:
        raise SystemError("returned a result with an exception set") from error


def deaf_library():
    with contextlib.suppress(BaseException):
        time.sleep(60)


@pytest.mark.parametrize("block", [fault_of_a_library, deaf_library])
def test_a_limit_that_a_library_caught_is_reached_all_the_same(block):
    told = pytest.raises(LimitReachedError, match="the time limit of 1 ns is over")
    with told, within(Limits(time_ns=1)):
        block()
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


def test_a_fault_before_the_limit_stays_what_it_is():
    with pytest.raises(SystemError), within(Limits(time_ns=60_000_000_000)):
        raise SystemError("as ever")


def test_progress_of_a_run_is_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(sim.cli.limiting, "LINE_EVERY_S", 0.0)
    with sim.cli.limiting.progress_of_a_run(2_000_000_000) as tell:
        tell(1_000_000_000)
    err = capsys.readouterr().err
    assert err == "1 s simulated, at most 2 s; 0 s so far\n"
    monkeypatch.setattr(sim.cli.limiting, "LINE_EVERY_S", 1000.0)
    with sim.cli.limiting.progress_of_a_run(2_000_000_000) as tell:
        tell(1_000_000_000)
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_leaves_nothing_behind(monkeypatch, capsys):
    monkeypatch.setattr(sim.cli.limiting, "_SHOW_EVERY_S", 0.0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with sim.cli.limiting.progress_of_a_run(2_000_000_000) as tell:
        tell(1)
        tell(1_000_000_000)
    err = capsys.readouterr().err
    assert "\n" not in err
    assert err.split("\r")[-2].strip() == err.split("\r")[-1] == ""


def test_a_walk_of_more_pages_than_can_be_told_is_refused(here, capsys):
    script(here, ["P shmap A 1024 populate"] * 300)
    assert main(["walk", "x.txt"]) == 2
    err = capsys.readouterr().err
    assert err == "x.txt: names 307,500 pages, and each is told; keep to 200,000, or add --large\n"


def test_a_limit_that_was_lost_in_a_finaliser_is_told_again(monkeypatch):
    monkeypatch.setattr("sim.base.limits.AGAIN_EVERY_S", 0.01)
    told = []
    with contextlib.suppress(LimitReachedError), within(Limits(time_ns=1)):
        for _ in range(2):
            try:
                time.sleep(60)
            except LimitReachedError as reached:
                told.append(str(reached))
    assert told == ["the time limit of 1 ns is over"] * 2


def test_no_program_goes_on_beyond_its_limit(here, capsys):
    body = """
    while True:
        try:
            while True:
                yield from task.compute(1)
        except Exception:
            pass
    yield"""
    (here / "mine.py").write_text(ENDLESS.format(body.strip()))
    (here / "s.yaml").write_text(SCENARIO.replace("steps, steps: []", "mine"))
    assert main(["run", "s.yaml", "--plugin", "mine.py", "--time-limit", "300 ms"]) == 1
    assert "the time limit of 300 ms is over" in capsys.readouterr().err
