"""What of its host a run does not follow is said: in explain, run, provenance; never silently."""

import json
from hashlib import sha256

import pytest

from sim.cli import main
from sim.engine.conditions import FROM_RECLAIM, FROM_SWAP, exactness, host_conditions
from sim.engine.metrics import METRICS

SMALL = """\
version: 1
host: {memory: 64 MiB, cpus: 2}
processes:
  p: {program: steps, steps: [{mmap: {name: A, size: 1 MiB}}, {write: A}]}
run: {horizon: 1 s}
"""
NEWER = "the rules of 6.18 hold"
BACKPORTS = "kernels of el8 carry much of later releases"
MARK = "not exact: MGLRU"


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return str(path)


def printed(capsys, *arguments, status=0):
    assert main(arguments) == status
    return capsys.readouterr().out


SAID = [
    ("host.kernel=7.1", "nearest_rules", NEWER),
    ("host.kernel=4.18.0-372.el8", "nearest_rules", BACKPORTS),
    ("host.kernel=4.15.0-20-generic", "nearest_rules", "the rest is 4.19's"),
    ("host.lru=mglru", "not_exact", MARK),
    ("policy.replacement=clock", "not_linux", "a policy of textbooks"),
    ("policy.replacement=mglru_like", "not_linux", "mglru_like, of all pages alike: an approxim"),
]


@pytest.mark.parametrize(("setting", "code", "said"), SAID)
def test_it_is_one_line_of_explain(small, capsys, setting, code, said):
    assert said not in printed(capsys, "explain", small)
    words = " ".join(printed(capsys, "explain", small, "--set", setting).split())
    assert said in words


@pytest.mark.parametrize(("setting", "code", "said"), SAID)
def test_it_is_a_note_of_the_run_and_in_its_provenance(small, capsys, setting, code, said):
    document = json.loads(printed(capsys, "run", small, "--json", "--set", setting))
    (finding,) = document["validity"]
    assert (finding["code"], finding["severity"]) == (code, "note")
    assert said in finding["what"]
    assert document["answered"]
    assert document["provenance"]["conditions"] == [finding["what"]]
    shown = printed(capsys, "run", small, "--set", setting)
    assert shown.startswith(f"note: {code}: {setting.partition('=')[0]}")
    assert said in shown


def test_a_limit_of_a_group_that_is_not_simulated_is_a_note(small, capsys):
    group = ["--set", "groups.pod.cpu_max=1.5", "--set", "processes.p.group=pod"]
    document = json.loads(printed(capsys, "run", small, "--json", *group))
    (finding,) = document["validity"]
    assert (finding["code"], finding["severity"]) == ("not_simulated", "note")
    assert finding["where"] == "groups.pod"
    assert finding["what"].startswith("cpu_max 1.5: not simulated")
    assert document["answered"]
    assert document["provenance"]["conditions"] == [finding["what"]]
    assert "cpu_max 1.5: not simulated" in printed(capsys, "explain", small, *group)
    plain = [*group[2:], "--set", "groups.pod.memory_max=max"]
    assert json.loads(printed(capsys, "run", small, "--json", *plain))["validity"] == []


@pytest.mark.parametrize("arrivals", ["poisson", "fixed", "file"])
def test_a_file_of_arrivals_that_nobody_reads_is_a_note(tmp_path, capsys, arrivals):
    times = b"1 ms\n2 ms\n"
    (tmp_path / "times").write_bytes(times)
    scenario = ["redis_bgsave", "--set", "processes.redis.dataset=1MiB"]
    scenario += ["--set", f"processes.redis.arrivals={arrivals}"]
    scenario += ["--set", f"processes.redis.arrivals_file={tmp_path / 'times'}"]
    scenario += ["--set", f"processes.redis.arrivals_sha256={sha256(times).hexdigest()}"]
    notes = json.loads(printed(capsys, "run", *scenario, "--json"))["validity"]
    found = [each["where"] for each in notes if each["code"] == "not_simulated"]
    assert found == ([] if arrivals == "file" else ["processes.redis"])
    explained = " ".join(printed(capsys, "explain", *scenario).split())
    assert ("is not read: arrivals are" in explained) == (arrivals != "file")


COMPARED = ["compare", "--vs", "host.cpus=1", "--metric", "minor_faults", "--runs", "1"]


def test_a_comparison_says_it_of_the_variants_of_which_it_holds(small, capsys):
    assert MARK not in printed(capsys, *COMPARED, small, status=1)
    said = printed(capsys, *COMPARED, small, "--set", "host.lru=mglru", status=1).splitlines()
    assert said[0].startswith(MARK)
    said = printed(capsys, *COMPARED, small, "--vs", "host.lru=mglru", status=1).splitlines()
    assert said[0].startswith(f"host.lru=mglru: {MARK}")


def test_a_plan_says_it_and_keeps_it(small, capsys, tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text(
        "version: 1\nname: s\nseed: 1\nbase: small.yaml\n"
        "plan: {minimise: host.memory, in: [32 MiB, 64 MiB]}\n"
        'objectives: {share: 0.5, confidence: 0.5, each_run: ["oom_kills = 0"]}\n'
    )
    for setting, n in (([], 0), (["--set", "host.lru=mglru"], 1)):
        out = tmp_path / str(n)
        said = printed(capsys, "plan", str(study), *setting, "--out", str(out)).splitlines()
        assert sum(line.startswith("Not exact: MGLRU") for line in said) == n
        assert len(json.loads((out / "plan.json").read_text())["conditions"]) == n


def test_both_are_said_where_both_hold(small, capsys):
    both = ["--set", "host.kernel=7.1", "--set", "host.lru=mglru"]
    document = json.loads(printed(capsys, "run", small, "--json", *both))
    assert [finding["code"] for finding in document["validity"]] == ["nearest_rules", "not_exact"]


def test_nothing_is_said_of_a_host_that_is_followed(small, capsys):
    """Negative control."""
    document = json.loads(printed(capsys, "run", small, "--json"))
    assert document["validity"] == document["provenance"]["conditions"] == []
    assert MARK not in printed(capsys, "run", small)


def test_figures_that_depend_on_reclaim_are_marked_and_no_others(small, capsys):
    shown = printed(capsys, "run", small, "--set", "host.lru=mglru").splitlines()
    for label in (
        "oom kills",
        "direct reclaims",
        "pages reclaimed",
        "minor faults",
        "file maps",
        "major faults",
        "free, min",
        "needed at the peak",
    ):
        line = next(line for line in shown if label in line)
        assert f"{label} ({MARK})" in line
    whole = "\n".join(shown)
    assert "and who is killed when: not exact: MGLRU" in " ".join(shown)
    assert f"times of fault, request: {MARK}" in whole
    for label in ("swap maps", "zero fills", "context switches", "page tables", "CPUs busy"):
        assert label in whole
        assert f"{label} ({MARK})" not in whole


@pytest.mark.parametrize("name", [*FROM_RECLAIM, *FROM_SWAP])
def test_what_is_said_to_depend_on_reclaim_is_a_metric(name):
    assert [metric for metric in METRICS if metric == name or metric.startswith(f"{name}.")]


def test_explain_says_by_which_lists_pages_leave_under_mglru(small, capsys):
    words = " ".join(printed(capsys, "explain", small, "--set", "host.lru=mglru").split())
    assert "as Linux chooses by its classic LRU (MGLRU is not simulated)" in words
    assert "as Linux chooses (classic LRU)" in " ".join(printed(capsys, "explain", small).split())


def test_only_mglru_makes_a_figure_inexact():
    marked = {metric for metric in METRICS if exactness(metric, {"lru": "mglru"})}
    assert {"free_pages.min", "psi_memory_some", "oom_kills"} <= marked
    assert not marked & {"forks", "cow_copies", "fork_latency_ns.mean", "memory_need_bytes.data"}
    assert not any(exactness(metric, {"lru": "classic"}) for metric in METRICS)
    of_swap = {"lru": "mglru", "swap": 1 << 20}
    more = {metric for metric in METRICS if exactness(metric, of_swap)} - marked
    assert {"swap_maps", "memory_need_bytes.data", "fork_latency_ns.mean"} <= more
    assert not more & {"forks", "zero_fills", "context_switches"}
    assert host_conditions({"kernel": "6.12", "lru": "classic"}) == []


def test_mglru_came_with_6_1(small, capsys):
    old = ["--set", "host.lru=mglru", "--set", 'host.kernel="6.0"']
    assert main(["explain", small, *old]) == 2
    assert "Linux 6.0 has no MGLRU" in capsys.readouterr().err


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_version_of_control_groups_is_part_of_the_scenario(small, capsys, version):
    settings = ["--set", f"host.cgroup={version}"]
    document = json.loads(printed(capsys, "run", small, "--json", *settings))
    assert document["provenance"]["scenario"]["host"]["cgroup"] == version
    words = " ".join(printed(capsys, "explain", small, *settings).split())
    assert f"control groups {version}" in words


@pytest.mark.parametrize("setting", ["host.cgroup=v3", "host.lru=lru", "host.kernel=2.6.32"])
def test_what_there_is_not_is_refused(small, capsys, setting):
    assert main(["explain", small, "--set", setting]) == 2
    assert setting.partition("=")[0] in capsys.readouterr().err


def test_a_kernel_asked_for_by_the_command_line_is_named(tmp_path, capsys):
    script = tmp_path / "script.txt"
    script.write_text("P map A 4\nP write A 0 4\n")
    assert main(["conform", str(script), "--as-kernel", "7.1"]) == 0
    err = capsys.readouterr().err
    assert NEWER in err
    assert "those of Linux 6.18" in err
