"""What people paste from Docker, systemd, Kubernetes and sysctl: the same keys however said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sim.base.errors import ScenarioError
from sim.scenario import load_scenario
from sim.scenario.containers import _SYSTEMD, _flags
from sim.scenario.resolve import RESULTS_VERSION, resolve, scenario_sha256
from sim.scenario.sysctl import SIMULATED, TO_HOST

TEXT = """\
version: 1
host: {memory: 8 GiB, kernel_reserve: 0, cpus: 2, cgroup: CGROUP, HOST}
groups: {a: GROUP}
processes: {p: {program: steps, group: a, steps: []}}
"""
MIB = 2**20
PLAIN = {
    "parent": None,
    "memory_max": None,
    "memory_high": None,
    "memory_low": 0,
    "memory_min": 0,
    "swap_max": None,
    "swappiness": None,
    "oom_group": False,
    "cpu_max": None,
    "cpu_weight": 100,
    "pids_max": None,
    "memory_request": None,
    "priority": 0,
    "replicas": 1,
}


@pytest.fixture
def load(tmp_path: Any) -> Any:
    def of(group: str, host: str = "", cgroup: str = "v2", *settings: str) -> dict[str, Any]:
        text = TEXT.replace("GROUP}", f"{group}}}").replace("HOST", host or "thp: never")
        (tmp_path / "s.yaml").write_text(text.replace("CGROUP", cgroup))
        return load_scenario(tmp_path / "s.yaml", settings)

    return of


GIG = 10**9 // 4096 * 4096
TWO = {"memory_max": 2048 * MIB, "memory_request": 2048 * MIB}
POD = {"oom_group": True, "swap_max": 0, "cpu_weight": 1, "memory_request": 0}
GROUPS = [
    # Docker: as much swap again as memory, and no memory.oom.group
    ('{docker: "--memory 512m"}', {"memory_max": 512 * MIB, "swap_max": 512 * MIB}, 0),
    ('{docker: "docker run -m 1G"}', {"memory_max": 1024 * MIB, "swap_max": 1024 * MIB}, 0),
    (
        '{docker: "--memory=512m --memory-swap=1g --memory-swappiness 0 --oom-kill-disable '
        '--cpus 1.5 --oom-score-adj 500 --pids-limit 100 --cpu-shares 512"}',
        {
            "memory_max": 512 * MIB,
            "swap_max": 512 * MIB,
            "cpu_max": 1.5,
            "pids_max": 100,
            "cpu_weight": 20,  # 1 + 510 * 9999 // 262142
        },
        500,
    ),
    ('{docker: "-m 512m --memory-swap -1 --pids-limit -1"}', {"memory_max": 512 * MIB}, 0),
    ('{docker: "--cpu-quota 50000"}', {"cpu_max": 0.5}, 0),
    # systemd: letters are binary, percent of the host's memory
    ("{systemd: {MemoryMax: 500M}}", {"memory_max": 500 * MIB}, 0),
    ("{systemd: {MemoryMax: 25%, MemorySwapMax: 0}}", {"memory_max": 2048 * MIB, "swap_max": 0}, 0),
    ("{systemd: {MemoryMax: infinity, OOMPolicy: continue}}", {}, 0),
    (
        '{systemd: "[Service]\\nMemoryMax=1G # most\\nOOMPolicy=kill\\nOOMScoreAdjust=-900\\n'
        'CPUQuota=150%\\nTasksMax=64\\nCPUWeight=20\\nMemoryAccounting=yes"}',
        {
            "memory_max": 1024 * MIB,
            "oom_group": True,
            "cpu_max": 1.5,
            "pids_max": 64,
            "cpu_weight": 20,
        },
        -900,
    ),
    # Kubernetes: a limit without a request is both; no swap, the class decides the adjustment
    ("{limits: {memory: 2Gi}}", {**POD, **TWO}, 750),
    (
        "{limits: {memory: 2Gi, cpu: 500m}}",
        {**POD, **TWO, "cpu_max": 0.5, "cpu_weight": 20},
        -997,
    ),
    ("{limits: {memory: 1G}}", {**POD, "memory_max": GIG, "memory_request": GIG}, 884),
    ("{limits: {memory: 2147483648}}", {**POD, **TWO}, 750),
    ("{limits: {memory: '2147483648'}}", {**POD, **TWO}, 750),
    ("{limits: {memory: 2.147483648e9}}", {**POD, **TWO}, 750),
    ("{limits: {memory: 2147483648e0}}", {**POD, **TWO}, 750),
    ("{limits: {memory: 2147483647999m}}", {**POD, **TWO}, 750),
    (
        "{requests: {memory: 2Gi, cpu: 1}}",
        {**POD, "cpu_weight": 39, "memory_request": 2048 * MIB},
        750,
    ),
    ("{requests: {}}", POD, 1000),
    ("{limits: {memory: 2Gi}, swap_max: 1 GiB, oom_group: false, cpu_weight: 100}",
     {**TWO, "swap_max": 1024 * MIB}, 750),
]  # fmt: skip


@pytest.mark.parametrize(("written", "keys", "adj"), GROUPS)
def test_each_is_read_as_the_same_keys(load: Any, written: str, keys: Any, adj: int) -> None:
    found = load(written)
    assert found["groups"]["a"] == {**PLAIN, **keys}
    assert found["processes"]["p"]["oom_score_adj"] == adj
    assert resolve(found) == found


@pytest.mark.parametrize(
    "written",
    [
        '{docker: "--memory 512m --memory-swap 1g"}',
        "{systemd: {MemoryMax: 512M, MemorySwapMax: 512M}}",
        '{systemd: "MemoryMax=6.25%\\nMemorySwapMax=6.25%"}',
    ],
)
def test_a_run_is_known_by_the_same_key_however_it_was_said(load: Any, written: str) -> None:
    own = load("{memory_max: 512 MiB, swap_max: 512 MiB}")
    keys = [scenario_sha256(each, 1, 0, RESULTS_VERSION) for each in (own, load(written))]
    assert keys[0] == keys[1]
    other = scenario_sha256(load("{memory_max: 513 MiB}"), 1, 0, RESULTS_VERSION)
    assert other != keys[0]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ('{docker: "--memory 512m -p 80:80"}', "groups.a.docker: unrecognized arguments: -p 80:80"),
        ('{docker: "--memory 5m"}', "Docker takes no less than `6m`"),
        ('{docker: "--memory lots"}', "'lots' is no size; write e.g. `512m` or `1g`"),
        ('{docker: "--memory-swap 1g"}', "give `--memory` too"),
        ('{docker: "-m 1g --memory-swap 512m"}', "it has both in it"),
        ('{docker: "-m 512m --memory-reservation 1g"}', "is more than --memory; lower it"),
        ('{docker: "--cpus 0"}', "a limit of no CPU"),
        ('{docker: "--oom-score-adj 2000"}', "write -1000 to 1000"),
        ('{docker: "-m 1g", memory_max: 1 GiB}', "`memory_max` says memory_max already; take one"),
        ('{docker: "-m 1g", systemd: {MemoryMax: 1G}}', "`docker` says memory_max already"),
        ("{systemd: {MemoryMaxx: 1G}}", "unknown property 'MemoryMaxx'; did you mean 'MemoryMax'?"),
        ('{systemd: "ExecStart=/bin/true"}', "unknown property 'ExecStart'"),
        ('{systemd: "MemoryMax 1G"}', "'MemoryMax 1G' is no `NAME=VALUE`; write one a line"),
        ("{systemd: {OOMPolicy: stop}}", "OOMPolicy=stop: systemd then ends the rest of the unit"),
        ("{systemd: {MemoryMax: 120%}}", "MemoryMax=120%: not a percentage"),
        ("{systemd: {TasksMax: 10%}}", "TasksMax=10%: not a whole number"),
        (
            "{limits: {memory: 512m}}",
            "'512m' is thousandths of a byte to Kubernetes; write `512Mi`",
        ),
        ("{limits: {memory: 512}}", "512 B is less than a page"),
        ("{limits: {memory: true}}", "limits.memory"),
        ("{memory_max: 134217728}", "134217728 has no unit"),
        ("{memory_request: 134217728}", "134217728 has no unit"),
        ("{mem_limit: 512m}", "unknown key 'mem_limit'; did you mean 'memory_max'?"),
        ("{resources: {limits: {}}}", "unknown key 'resources'; write `limits: {memory: ...}`"),
    ],
)
def test_what_cannot_be_meant_is_told_in_a_line(load: Any, written: str, message: str) -> None:
    with pytest.raises(ScenarioError) as refusal:
        load(written)
    assert message in str(refusal.value)
    assert ":3: groups.a" in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--oom-kill-disable", "not simulated with cgroup v1"),
        ("-m 1g --memory-reservation 512m", "a soft limit with cgroup v1"),
    ],
)
def test_what_only_version_1_does_is_refused_there(load: Any, flags: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        load(f'{{docker: "{flags}"}}', "", "v1")


# -- sysctl ------------------------------------------------------------------------------------

SYSCTL = [
    ("vm.overcommit_memory: 2, vm.overcommit_ratio: 80", "overcommit: {mode: 2, ratio: 80}"),
    ("vm.min_free_kbytes: 67584", "min_free: 66 MiB"),
    ("vm.watermark_scale_factor: 100", "watermark_scale_factor: 100"),
    ("vm.nr_hugepages: 16", "nr_hugepages: 16"),
    ("vm.dirty_ratio: 40, vm.dirty_background_ratio: 5",
     "dirty_ratio: 40, dirty_background_ratio: 5"),
    ("vm.swappiness: 1, vm.page-cluster: 0", "swappiness: 1, page_cluster: 0"),
    ("vm.dirty_ratio: 6", "dirty_ratio: 6, dirty_background_ratio: 3"),
    ("vm.swappiness: 1, vm.page-cluster: 0, vm.dirty_expire_centisecs: 3000", "thp: never"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "plain"), SYSCTL)
def test_linux_names_stand_for_keys_of_the_host(load: Any, said: str, plain: str) -> None:
    own = load("{}", plain)
    lines = said.replace(": ", "=").replace(", ", "\\n")
    assert load("{}", f"sysctl: {{{said}}}") == own
    assert load("{}", f'sysctl: "{lines}"') == own
    slashes = said.replace("vm.", "vm/")
    assert load("{}", f"sysctl: {{{slashes}}}") == own
    settings = [f"host.sysctl.{each.replace(': ', '=')}" for each in said.split(", ")]
    assert load("{}", "", "v2", *settings) == own


def test_linux_names_stand_in_the_host_itself(load: Any) -> None:
    own = load("{}", "overcommit: {mode: 2, ratio: 80}, min_free: 66 MiB, page_cluster: 1")
    bare = "overcommit_memory: 2, overcommit_ratio: 80, min_free_kbytes: 67584, page-cluster: 1"
    assert load("{}", bare) == own
    settings = [f"host.{each.replace(': ', '=')}" for each in bare.split(", ")]
    assert load("{}", "", "v2", *settings) == own


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("overcommit_memory: 1, overcommit: 0", "`host.overcommit.mode` says it already"),
        (
            "overcommit_memory: 1, sysctl: {vm.overcommit_memory: 2}",
            "host.sysctl.vm.overcommit_memory: `host.overcommit.mode` says it already",
        ),
        ("overcommit_ratio: yes please", "whole number; write e.g. `overcommit_ratio: 1`"),
        (
            "sysctl: {vm.swapiness: 60}",
            "no sysctl 'vm.swapiness' is simulated; did you mean",
        ),
        ("sysctl: {net.core.somaxconn: 4096}", "host.sysctl.net.core.somaxconn: no sysctl"),
        ("sysctl: {vm.dirty_expire_centisecs: 500}", "500 is not simulated, only 3000"),
        ("sysctl: {vm.overcommit_memory: 1}, overcommit: 0", "`host.overcommit.mode` says it alr"),
        ("sysctl: {vm.min_free_kbytes: 1024}, min_free: 1 MiB", "`host.min_free` says it already"),
        ("sysctl: {vm.overcommit_memory: 3}", "host.overcommit.mode: the number 3 is not one"),
        ("sysctl: {vm.nr_hugepages: many}", "the text 'many' is not a whole number"),
        ("sysctl: 5", "the number 5 is not a mapping"),
        ('sysctl: "vm.swappiness 60"', "'vm.swappiness 60' is no `NAME=VALUE`"),
    ],
)
def test_a_name_without_a_key_is_refused(load: Any, host: str, message: str) -> None:
    with pytest.raises(ScenarioError) as refusal:
        load("{}", host)
    assert message in str(refusal.value)
    assert ":2: host" in str(refusal.value)


def test_a_name_beside_the_other_half_of_its_key(load: Any) -> None:
    found = load("{}", "sysctl: {vm.overcommit_ratio: 80}, overcommit: 2")
    assert found["host"]["overcommit"] == {"mode": 2, "ratio": 80}


def test_the_page_names_every_word() -> None:
    page = (Path(__file__).parents[3] / "docs" / "containers.md").read_text(encoding="utf-8")
    flags = [action.option_strings[-1] for action in _flags()._actions]
    properties = [name for name, (key, _) in _SYSTEMD.items() if key]
    for word in (*flags, *properties, *TO_HOST, *SIMULATED):
        assert word in page, word


def test_the_example_of_the_page_is_a_scenario(tmp_path: Any) -> None:
    page = (Path(__file__).parents[3] / "docs" / "containers.md").read_text(encoding="utf-8")
    example = page.partition("```yaml\n")[2].partition("```")[0]
    processes = "processes: {p: {program: steps, group: api, steps: []}}\n"
    (tmp_path / "s.yaml").write_text(f"version: 1\n{example}{processes}")
    found = load_scenario(tmp_path / "s.yaml")["groups"]
    limits = [found[name]["memory_max"] for name in ("cache", "api", "batch")]
    # MemTotal is 16 GiB less 256 MiB of page structures and 192 MiB
    assert limits == [512 * MIB, 2048 * MIB, (16_384 - 448) // 4 * MIB]
