"""Bad input of every kind: one line with file, line and key on stderr, exit status 2, no traceback.

Each case is a whole file, or a change of a good one, and what the line must contain.
"""

import re
import subprocess
import sys

import pytest

from sim.cli import main

GOOD = """\
version: 1
name: good
host:
  profile: generic
  memory: 4 GiB
  cpus: 2
policy:
  memory: oom
processes:
  redis:
    program: redis
    dataset: 1 GiB
    writes: 5000/s
run:
  horizon: 20 s
"""


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def host(line: str) -> str:
    return changed("  cpus: 2\n", f"  cpus: 2\n  {line}\n")


def process(line: str) -> str:
    return changed("    dataset: 1 GiB\n", f"    dataset: 1 GiB\n    {line}\n")


def run(line: str) -> str:
    return changed("  horizon: 20 s\n", f"  horizon: 20 s\n  {line}\n")


def steps(text: str) -> str:
    indented = "".join(f"      {line}\n" for line in text.splitlines())
    return (
        "version: 1\nrun: {horizon: 1 s}\nprocesses:\n  p:\n    program: steps\n    steps:\n"
        + indented
    )


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20)
)

CASES: dict[str, tuple[str | bytes, str]] = {
    # broken YAML
    "bracket left open": ("version: [1", "s.yaml:1: not valid YAML"),
    "brace left open": (changed("run:\n  horizon: 20 s", "run: {horizon: 20 s"), "not valid YAML"),
    "quote left open": (changed("name: good", "name: 'good"), "not valid YAML"),
    "colon in a value": (changed("name: good", "name: go: od"), ":2: not valid YAML"),
    "tab as indentation": (changed("  memory: 4 GiB", "\tmemory: 4 GiB"), "not valid YAML"),
    "wrong indentation": (changed("  cpus: 2", " cpus: 2"), "not valid YAML"),
    "reserved character": (changed("name: good", "name: @good"), ":2: not valid YAML"),
    "control character": (changed("name: good", "name: go\x01od"), ":2: not valid YAML"),
    "null byte": (b"version: 1\x00\n", "not valid YAML"),
    "not UTF-8": (b"version: 1\nname: caf\xe9\n", ":2: not UTF-8"),
    "UTF-16": ("version: 1\n".encode("utf-16"), "not UTF-8"),
    "binary": (bytes(range(128, 256)), "not UTF-8"),
    "an ELF header": (b"\x7fELF\x02\x01\x01" + b"\0" * 64, "not valid YAML"),
    "JSON cut short": ('{"version": 1, "run": {"horizon"', "not valid YAML"),
    "larger than a MiB": (b"# " + b"x" * (1 << 20), "larger than 1 MiB"),
    # not a document of ours
    "empty": ("", ":1: the file is empty"),
    "only comments": ("# nothing here\n", "the file is empty"),
    "a list": ("- 1\n- 2\n", "not a mapping"),
    "a text": ("hello\n", "not a mapping"),
    "a number": ("42\n", "not a mapping"),
    "two documents": (GOOD + "---\n" + GOOD, ":16: a second document"),
    "a duplicate key": (changed("name: good", "name: good\nname: better"), ":3: name: already"),
    "a duplicate deep key": (host("memory: 5 GiB"), ":7: host.memory: already given in line 5"),
    "a merge key": (changed("  cpus: 2", "  <<: {cpus: 2}"), ":6: merge keys"),
    "a mapping as key": ("? {a: b}\n: 1\n", "a key must be plain text"),
    "a list as key": ("? [a]\n: 1\n", "a key must be plain text"),
    "nested without end": ("a: " + "[" * 200 + "]" * 200, "nested deeper"),
    "a number without end": (changed("cpus: 2", "cpus: " + "9" * 5000), "too many digits"),
    # dangerous
    "an alias bomb": (BOMB, "aliases included"),
    "a deep chain of aliases": (
        "a0: &a0 [[[[[[x]]]]]]\n"
        + "".join(f"a{n}: &a{n} [[[[[[*a{n - 1}]]]]]]\n" for n in range(1, 60)),
        "nested deeper",
    ),
    "an alias to itself": ("a: &a [*a]\n", "names no finished"),
    "an unknown alias": (changed("name: good", "name: *nobody"), "names no finished"),
    "a Python object": (
        changed("name: good", "name: !!python/object/apply:os.system ['true']"),
        ":2: the tag",
    ),
    "a Python name": (changed("name: good", "name: !!python/name:os.system"), "the tag"),
    "a local tag": (changed("name: good", "name: !secret good"), ":2: the tag '!secret'"),
    "a standard tag": (changed("cpus: 2", "cpus: !!int 2"), "the tag"),
    "a tag on a key": (changed("name: good", "!!str name: good"), "the tag"),
    # version and top level
    "no version": (changed("version: 1\n", ""), "version: missing; add it, e.g. `version: 1`"),
    "no version and no processes": (
        "run: {horizon: 1 s}\n",
        "version: missing; add it, e.g. `version: 1`; so is processes",
    ),
    "version 2": (changed("version: 1", "version: 2"), ":1: version: the number 2"),
    "version as text": (changed("version: 1", "version: '1'"), ":1: version: the text '1'"),
    "no processes": ("version: 1\nrun: {horizon: 1 s}\n", "processes: missing"),
    "unknown top key": (changed("policy:", "polcy:"), ":7: polcy: unknown key 'polcy'; did you"),
    "a study's key": (GOOD + "axes: {}\n", ":16: axes: unknown key 'axes'"),
    "host is a text": ("version: 1\nhost: big\n" + GOOD[GOOD.index("processes") :], ":2: host: "),
    "run is a list": (changed("run:\n  horizon: 20 s", "run: [1]"), ":14: run: a list is not a"),
    "run has no value": (changed("run:\n  horizon: 20 s", "run:"), ":14: run: has no value"),
    "a name that is a number": (changed("name: good", "name: 5"), ":2: name: the number 5"),
    "a name without end": (changed("name: good", "name: " + "x" * 100), ":2: name: "),
    "an empty name": (changed("name: good", "name: ''"), ":2: name: "),
    # host
    "unknown host key": (changed("  memory: 4 GiB", "  memry: 4 GiB"), "did you mean 'memory'?"),
    "unknown profile": (
        changed("profile: generic", "profile: genric"),
        ":4: host.profile: none of the hosts",
    ),
    "profile file missing": (changed("profile: generic", "profile: ./no.yaml"), "there is no file"),
    "profile is a number": (changed("profile: generic", "profile: 3"), "is not text"),
    "memory without unit": (changed("memory: 4 GiB", "memory: '4'"), "has no unit"),
    "memory in a wrong unit": (changed("4 GiB", "4 Gib"), ":5: host.memory: '4 Gib' has the"),
    "memory in seconds": (changed("4 GiB", "4 s"), "unknown unit"),
    "negative memory": (changed("4 GiB", "-4 GiB"), "host.memory: '-4 GiB' is not a quantity"),
    "negative bytes": (changed("4 GiB", "-4096"), "host.memory: -4096 is negative"),
    "no memory": (changed("4 GiB", "0"), "host.memory: 0 B is too small; write at least 64 KiB"),
    "too much memory": (changed("4 GiB", "5 TiB"), "host.memory: 5 TiB is too large"),
    "infinite memory": (changed("4 GiB", ".inf"), "host.memory: inf is not finite"),
    "memory is NaN": (changed("4 GiB", ".nan"), "host.memory: nan is not finite"),
    "memory is a list": (changed("4 GiB", "[4 GiB]"), ":5: host.memory: "),
    "memory is a mapping": (changed("4 GiB", "{total: 4 GiB}"), ":5: host.memory: "),
    "memory is true": (changed("4 GiB", "true"), ":5: host.memory: True is not a quantity"),
    "half a byte": (changed("4 GiB", "65536.5 B"), "not a whole number of bytes"),
    "memory without a unit": (changed("4 GiB", "8"), ":5: host.memory: 8 has no unit; write e.g."),
    "memory of nothing": (changed(" 4 GiB", ""), ":5: host.memory: has no value; write one after"),
    "a size of two meanings": (changed("4 GiB", "4G"), "host.memory: '4G' has two meanings"),
    "a duration without a unit": (process("save_every: 2"), "save_every: 2 has no unit; write"),
    "a speed without a unit": (process("save_speed: 9"), "9 has no unit; write e.g. `9 MiB/s`"),
    "a price without a unit": (host("prices: {access: 20}"), "access: 20 has no unit; write e.g."),
    "half a milli-CPU": (changed("cpus: 2", "cpus: 500m"), "whole CPUs, not 500m; write e.g. `1`"),
    "no CPU": (changed("cpus: 2", "cpus: 0"), ":6: host.cpus: 0 is too small"),
    "too many CPUs": (changed("cpus: 2", "cpus: 5000"), "host.cpus: 5000 is too large"),
    "half a CPU": (
        changed("cpus: 2", "cpus: 1.5"),
        "a host has whole CPUs, not 1.5; write e.g. `2`",
    ),
    "CPUs as text": (changed("cpus: 2", "cpus: two"), "host.cpus: the text 'two' is not a whole"),
    "CPUs are true": (changed("cpus: 2", "cpus: true"), "host.cpus: `true` is not a whole"),
    "an impossible tick": (host("hz: 123"), ":7: host.hz: the number 123 is not one of them"),
    "a kernel without a minor number": (host("kernel: 6"), "'6' is not a kernel version"),
    "an ancient kernel": (host('kernel: "2.6"'), "is not known; write"),
    "a kernel of words": (host("kernel: latest"), "is not a kernel version"),
    "a reserve of all memory": (host("kernel_reserve: 4 GiB"), ":7: host.kernel_reserve: 4 GiB"),
    "min_free of all memory": (host("min_free: 5 GiB"), ":7: host.min_free: 5 GiB is all"),
    "a wild scale factor": (host("watermark_scale_factor: 9999"), "too large"),
    "a negative batch": (host("percpu_batch: -1"), "host.percpu_batch: -1 is too small"),
    "lists below a batch": (
        host("percpu_high: 5"),
        ":7: host.percpu_high: 5 is less than one batch; write at least 63",
    ),
    "zones that do not add up": (
        host("zones: [{name: DMA, memory: 16 MiB}]"),
        ":7: host.zones: the zones add up to",
    ),
    "zones of one name": (
        host("zones: [{name: A, memory: 2 GiB}, {name: A, memory: 2 GiB}]"),
        "two zones have one name",
    ),
    "a zone without memory": (host("zones: [{name: A}]"), "host.zones.0.memory: missing"),
    "a zone of half a page": (host("zones: [{name: A, memory: 6 KiB}]"), "is not whole pages"),
    "no zones": (host("zones: []"), ":7: host.zones: "),
    "an unknown thp": (host("thp: sometimes"), ":7: host.thp: the text 'sometimes'"),
    "a size no folio has": (host("thp_sizes: {3 MiB: always}"), "is no size of a folio"),
    "an unknown use of folios": (host("thp_sizes: {64 KiB: often}"), "host.thp_sizes.64 KiB: "),
    "folios before they came": (
        host('thp_sizes: {64 KiB: always}\n  kernel: "6.1"'),
        'host.thp_sizes: Linux 6.1 has no such folios; write `kernel: "6.8"` or later',
    ),
    "more huge pages than fit": (
        host("nr_hugepages: 4096"),
        ":7: host.nr_hugepages: 4096 pages of 2 MiB do not fit: above the watermarks there is room",
    ),
    "huge pages by another name": (
        host("vm.nr_hugepages: 16"),
        "did you mean 'nr_hugepages'?",
    ),
    "khugepaged without huge pages": (
        host("khugepaged: true"),
        ":7: host.khugepaged: it rests where there are no huge pages; set `thp: madvise`",
    ),
    "swap beside huge pages": (
        host("swap: 1 GiB\n  thp: madvise"),
        "swapping out huge pages is not",
    ),
    "zram with a latency": (
        host("swap: {size: 1 GiB, device: zram, latency: 1 us}"),
        "zram is memory, the CPU compresses: it has no latency",
    ),
    "swap on tape": (host("swap: {size: 1 GiB, device: tape}"), "'nvme', 'ssd', 'disk' or 'zram'"),
    "a stack of half a page": (host("kernel_stack: 6 KiB"), "is not whole pages"),
    "an unknown overcommit": (host("overcommit: {mode: 3}"), "host.overcommit.mode: the number 3"),
    "an unknown overcommit key": (host("overcommit: {mod: 1}"), "did you mean 'mode'?"),
    # prices
    "an unknown price": (host("prices: {zero_fil: 1 us}"), "did you mean 'zero_fill'?"),
    "a price without unit": (host("prices: {access: '20'}"), "host.prices.access: '20' is not"),
    "a negative price": (host("prices: {access: -20}"), "must be >= 0"),
    "a price that is NaN": (host("prices: {access: .nan}"), "must be finite"),
    "a price in bytes": (host("prices: {access: 4 KiB}"), "host.prices.access: '4 KiB' is not"),
    "a price without source": (host("prices: {access: {value: 2 ns}}"), "needs a source"),
    "a price of two kinds": (
        host("prices: {access: {value: 2 ns, quantiles: [1 ns, 2 ns], source: x}}"),
        "has one of",
    ),
    "a price without value": (host("prices: {access: {source: x}}"), "has one of"),
    "an unknown key of a price": (host("prices: {access: {valu: 1 ns}}"), "did you mean 'value'"),
    "bounds that exclude the mean": (
        host("prices: {access: {value: 9 ns, low: 1 ns, high: 2 ns, source: x}}"),
        "low <= mean <= high",
    ),
    "a lognormal without sd": (
        host("prices: {access: {lognormal: {mean: 9 ns}, source: x}}"),
        "needs `mean` and `sd`",
    ),
    "quantiles that fall": (
        host("prices: {access: {quantiles: [3 ns, 1 ns], source: x}}"),
        "must not decrease",
    ),
    "a single quantile": (host("prices: {access: {quantiles: [3 ns], source: x}}"), "at least two"),
    "a price that never ends": (host("prices: {access: 1e9 s}"), "too large"),
    "stages that do not add up": (
        host("stages: {zero_fill: {trap: 0.5}}"),
        "host.stages.zero_fill: the shares must add up to 1",
    ),
    "an unknown stage": (host("stages: {zero_fill: {tarp: 1}}"), "did you mean 'trap'?"),
    # policy
    "an unknown policy": (changed("  memory: oom", "  memory: pray"), ":8: policy.memory: "),
    "an unknown policy key": (changed("  memory: oom", "  memori: oom"), "did you mean 'memory'?"),
    "an unknown scheduler": (
        changed("  memory: oom", "  scheduler: {kind: roundrobin}"),
        "did you mean 'round_robin'?",
    ),
    "a quantum of nothing": (
        changed("  memory: oom", "  scheduler: {quantum: 0 ms}"),
        "policy.scheduler.quantum: 0 ns is too small",
    ),
    "a quantum in bytes": (
        changed("  memory: oom", "  scheduler: {quantum: 4 MiB}"),
        "policy.scheduler.quantum: '4 MiB' has the unknown unit",
    ),
    "an unknown fork": (changed("  memory: oom", "  fork: spoon"), ":8: policy.fork: "),
    # groups
    "a group staggered without a unit": (
        changed("processes:\n", "groups:\n  g: {start_within: 20}\nprocesses:\n"),
        ":10: groups.g.start_within: 20 has no unit; write e.g. ",
    ),
    "a group staggered beyond the end": (
        changed("processes:\n", "groups:\n  g: {start_within: 30 s}\nprocesses:\n").replace(
            "program: redis", "program: redis\n    group: g"
        ),
        ":10: groups.g.start_within: some of redis would start at 30 s, and the run ends at 20 s",
    ),
    # processes
    "no process at all": ("version: 1\nrun: {horizon: 1 s}\nprocesses: {}\n", "there is no"),
    "processes in a list": (
        "version: 1\nrun: {horizon: 1 s}\nprocesses: [redis]\n",
        ":3: processes: a list is not a mapping",
    ),
    "a process that is a text": (
        "version: 1\nrun: {horizon: 1 s}\nprocesses: {a: redis}\n",
        ":3: processes.a: the text 'redis' is not a mapping",
    ),
    "a process name with a slash": (changed("  redis:\n", "  re/dis:\n"), "processes.re/dis"),
    "a process without program": (changed("    program: redis\n", ""), "missing `program`"),
    "an unknown program": (
        changed("program: redis", "program: rediss"),
        ":11: processes.redis.program: no program called 'rediss'; did you mean 'redis'?",
    ),
    "a program that is a list": (
        changed("program: redis", "program: [redis]"),
        "a list is no name",
    ),
    "an unknown parameter": (
        changed("    dataset: 1 GiB", "    datset: 1 GiB"),
        ":12: processes.redis.datset: unknown key 'datset'; did you mean 'dataset'?",
    ),
    "a parameter with its unit": (
        changed("    dataset: 1 GiB", "    dataset_bytes: 1"),
        "did you mean 'dataset'?",
    ),
    "a data set below one value": (
        changed("dataset: 1 GiB", "dataset: 64 KiB\n    value: 1 MiB"),
        "s.yaml:10: processes.redis: a data set of 65536 bytes holds no value of 1048576; change",
    ),
    "a data set of nothing": (changed("dataset: 1 GiB", "dataset: 0"), "too small"),
    "a data set in seconds": (changed("dataset: 1 GiB", "dataset: 1 s"), "unknown unit"),
    "a rate without time": (changed("writes: 5000/s", "writes: 5000 s"), "is not a rate"),
    "a negative rate": (changed("writes: 5000/s", "writes: -1"), "is negative"),
    "a rate per byte": (changed("writes: 5000/s", "writes: 5/MiB"), "unknown unit"),
    "a rate that is NaN": (changed("writes: 5000/s", "writes: .nan"), "not finite"),
    "an unknown distribution": (process("key_distribution: gauss"), ":13: processes.redis.key_"),
    "a share above its range": (process("fragmentation: 99"), "99 is too large"),
    "a number as text": (process("saves: many"), "is not a whole number"),
    "a whole number with a fraction": (process("saves: 1.5"), "is not a whole number"),
    "a start after the end": (process("start: 30 s"), ":13: processes.redis.start: 30 s is not"),
    "a negative start": (process("start: -1"), "processes.redis.start: -1 is negative"),
    "a CPU that is not there": (process("cpu: 2"), ":13: processes.redis.cpu: there is no CPU 2"),
    "a negative CPU": (process("cpu: -1"), "processes.redis.cpu: -1 is too small"),
    "no copy": (process("copies: 0"), "processes.redis.copies: 0 is too small"),
    "a million copies": (process("copies: 1000000"), "too large"),
    "an adjustment out of range": (process("oom_score_adj: 2000"), "too large"),
    "nicer than can be": (process("nice: 20"), "processes.redis.nice: 20 is too large"),
    # run
    "a horizon of nothing": (changed("horizon: 20 s", "horizon: 0 s"), "run.horizon: 0 ns is too"),
    "a horizon in bytes": (changed("horizon: 20 s", "horizon: 20 MiB"), "unknown unit"),
    "a horizon of a century": (changed("horizon: 20 s", "horizon: 900000 h"), "too large"),
    "a horizon without unit": (changed("horizon: 20 s", "horizon: '20'"), "has no unit"),
    "half a nanosecond": (changed("horizon: 20 s", "horizon: 0.5 ns"), "whole number of ns"),
    "warm-up to the end": (run("warmup: 20 s"), ":16: run.warmup: 20 s leaves nothing"),
    "no time between samples": (run("sample_every: 0 s"), "run.sample_every: 0 ns is too small"),
    "a negative seed": (run("seed: -1"), "run.seed: -1 is too small"),
    "a seed of words": (run("seed: lucky"), "run.seed: the text 'lucky' is not a whole"),
    "a negative burst": (run("burst: -5"), "run.burst: -5 is too small"),
    "an unknown run key": (run("horison: 1 s"), "did you mean 'horizon'?"),
    # steps
    "steps that are no list": (steps("nothing"), "steps are a list"),
    "an unknown verb": (steps("- mmpa: {name: A, size: 1 MiB}"), "did you mean 'mmap'?"),
    "a region nobody mapped": (steps("- write: A"), "unknown region 'A'"),
    "a region without size": (steps("- mmap: {name: A}"), "needs `size`"),
    "pages beyond the region": (
        steps("- mmap: {name: A, size: 4 KiB}\n- write: {region: A, pages: 2}"),
        ":8: processes.p.steps.1.write.pages: ",
    ),
    "a wrong quantity in a step": (steps("- compute: 5 MiB"), ":7: processes.p.steps.0.compute"),
    "a wrong step in a child": (steps("- fork:\n  - sleep: soon"), ":8: processes.p.steps.0.fork"),
}

ONE_LINE = re.compile(r"s\.yaml:\d+: ([^ ]+: )?[^;]+; .+\n")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_scenario_gives_one_line(case, here, capsys):
    content, expected = CASES[case]
    raw = content if isinstance(content, bytes) else content.encode()
    (here / "s.yaml").write_bytes(raw)
    status = main(["run", "s.yaml"])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert expected in err
    assert ONE_LINE.fullmatch(err), err
    assert len(err) < 500


def test_there_are_more_than_a_hundred_cases():
    assert len(CASES) > 100


def test_the_good_one_is_good(here, capsys):
    (here / "s.yaml").write_text(GOOD)
    assert main(["explain", "s.yaml"]) == 0
    out, err = capsys.readouterr()
    assert "page tables" in out
    assert err == ""


@pytest.mark.parametrize("command", ["run", "explain"])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("redis_bgsav", "did you mean 'redis_bgsave'?"),
        ("missing.yaml", "missing.yaml:1: there is no such file"),
        ("no/such/folder.yaml", "there is no such file"),
        (".", "this is a directory"),
        ("x" * 300 + ".yaml", "cannot be read"),
    ],
)
def test_a_file_that_is_not_there(command, name, expected, here, capsys):
    assert main([command, name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1


def test_a_wrong_host_profile_is_told_with_its_own_place(here, capsys):
    (here / "mine.yaml").write_text("version: 1\nextends: generic\nmemory: lots\n")
    (here / "s.yaml").write_text(changed("profile: generic", "profile: mine.yaml"))
    assert main(["run", "s.yaml"]) == 2
    assert capsys.readouterr().err.startswith("mine.yaml:3: memory: 'lots' is not a quantity; ")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("host.memry=1 GiB", "<--set>:1: host.memry: unknown key 'memry'; did you mean 'memory'?"),
        ("host.memory", "<--set>:1: 'host.memory' is not `key.path=value`"),
        ("processes.redi.dataset=1", "did you mean 'redis'?"),
        ("run.horizon=soon", "<--set>:1: run.horizon: 'soon' is not a quantity"),
        ("host.cpus=!!python/name:os.abort 1", "<--set>:1: the tag"),
    ],
)
def test_a_malformed_setting_gives_one_line(setting, expected, here, capsys):
    (here / "s.yaml").write_text(GOOD)
    assert main(["run", "s.yaml", "--set", setting]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "redis_bgsave", "--sed", "1"],
        ["run", "redis_bgsave", "--seed", "one"],
        ["run", "redis_bgsave", "--seed", "-1"],
        ["run", "redis_bgsave", "--seed", str(2**64)],
        ["run", "redis_bgsave", "--replication", str(2**32)],
        ["study", "redis_bgsave", "--out", "/proc/no/such"],
        ["study", "redis_bgsave", "--out", "/dev/null"],
        ["conform", "--random", "1", "--seed", str(2**64)],
        ["run", "redis_bgsave", "--burst", "-1"],
        ["run", "redis_bgsave", "extra"],
        ["run", "redis_bgsave", "--plugin", "none.py"],
        ["nonsense"],
        ["schema", "nonsense"],
        ["init", "../no/such/place/x"],
        ["init", "Not Good"],
    ],
)
def test_wrong_usage_gives_one_line(arguments, here, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("run s.yaml", "s.yaml:1: is a study; carry it out with `cowpool study`"),
        ("study base.yaml", "base.yaml:1: is a scenario; run it with `cowpool run`"),
        ("conform script --costs none.yaml", "none.yaml: there is no file 'none.yaml' here"),
    ],
)
def test_one_kind_of_file_for_another(command, expected, here, capsys):
    (here / "base.yaml").write_text(GOOD)
    (here / "s.yaml").write_text(STUDY)
    (here / "script").write_text("P map A 1\n")
    assert main(command.split()) == 2
    assert expected in capsys.readouterr().err


def test_the_process_ends_with_the_status(here):
    (here / "s.yaml").write_text("a: &a [*a]\n")
    done = subprocess.run(
        [sys.executable, "-m", "sim", "run", "s.yaml"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


STUDY = """\
version: 1
name: s
base: base.yaml
axes:
  processes.redis.dataset: [1 GiB, 2 GiB]
replications: 2
seed: 1
"""


@pytest.mark.parametrize("command", ["study", "explain"])
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("version: 1", "version: 2", "s.yaml:1: version: "),
        ("base: base.yaml", "base: bse.yaml", "s.yaml:3: base: "),
        ("base: base.yaml", "base: [1]", "s.yaml:3: base: "),
        ("replications: 2", "replications: none", "s.yaml:6: replications: "),
        ("replications: 2", "replicatons: 2", "s.yaml:6: replicatons: unknown key"),
        ("redis.dataset", "redis.datset", "s.yaml:5: axes.processes.redis.datset: "),
        ("redis.dataset", "redi.dataset", "s.yaml:5: axes.processes.redi.dataset: "),
        ("[1 GiB, 2 GiB]", "[1 GiB, 2 Gib]", "s.yaml:5: axes.processes.redis.dataset: "),
        ("[1 GiB, 2 GiB]", "[]", "s.yaml:"),
        ("[1 GiB, 2 GiB]", "[{times: host.cpus, by: -2}]", "s.yaml:5: axes.processes.redis.dat"),
        ("[1 GiB, 2 GiB]", "[{times: host.cpus}]", "no multiple of a key; write `{times: "),
        ("replications: 2", "replications: {least: 3, most: 2}", "most (2) must be at least least"),
        ("replications: 2", "replications: {lest: 3}", "unknown key 'lest'; did you mean 'least'?"),
        ("seed: 1", "seed: 1\nbaseline: {host.cpus: 1}", "s.yaml:8: baseline.host.cpus: no axis"),
        ("seed: 1", "seed: 1\nlabels: {host.cpus: x}", "s.yaml:8: labels.host.cpus: no axis"),
        ("seed: 1", "seed: 1\nanswer: {at: {x: 1}}", "s.yaml:8: answer.at.x: no axis"),
        ("[1 GiB, 2 GiB]", "5", "s.yaml:5: axes.processes.redis.dataset: "),
        ("seed: 1", "seed: -1", "s.yaml:7: seed: "),
        ("seed: 1", "seed: !x 1", "s.yaml:7: the tag"),
        ("axes:", "axes: [", "not valid YAML"),
    ],
)
def test_a_malformed_study_gives_one_line(command, old, new, expected, here, capsys):
    (here / "base.yaml").write_text(GOOD)
    assert STUDY.count(old) == 1
    (here / "s.yaml").write_text(STUDY.replace(old, new))
    assert main([command, "s.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert err.count("\n") == 1
