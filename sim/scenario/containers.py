"""What Kubernetes, `docker run` and systemd say of a control group, in cowpool's own keys.

Each reader returns what was said, and what that tool sets besides, which the group's own keys may
change.  Sizes are bytes in whole pages, None for no limit.
"""

from __future__ import annotations

import argparse
import math
import re
import shlex
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, NoReturn

from sim.base.text import shorten
from sim.base.units import KIB, MIB, PAGE_BYTES, BaseFloat, BaseInt
from sim.scenario.complaints import suggestion

if TYPE_CHECKING:
    from collections.abc import Mapping

_BINARY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgtpe]?)(?:i?b)?", re.IGNORECASE)
_ASSIGNMENT: Final = re.compile(r"([A-Za-z][^\s=]*)\s*=\s*(\S*)")
_LEAST_DOCKER: Final = 6 * MIB
"""The smallest limit that the Docker daemon takes (`linuxMinMemory`)."""


@dataclass(frozen=True, slots=True)
class Words:
    """Keys that were said, and keys that the tool sets where nobody says otherwise."""

    said: dict[str, Any] = field(default_factory=dict)
    implied: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Node:
    """What of a host decides what words mean: memory as the kernel counts it, and its groups."""

    memory_bytes: int
    cgroup: str


def in_pages(size_bytes: float) -> int:
    """Return a limit in bytes as the kernel keeps it: rounded down to whole pages."""
    return int(size_bytes) // PAGE_BYTES * PAGE_BYTES


def binary_bytes(text: str) -> int:
    """Return a size of Docker or systemd in bytes: letters are binary, a number alone is bytes.

    >>> binary_bytes("512m"), binary_bytes("1.5G"), binary_bytes("4096")
    (536870912, 1610612736, 4096)
    """
    match = _BINARY.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{shorten(text)!r} is no size; write e.g. `512m` or `1g`")
    letter = match[2].lower()
    power = "kmgtpe".index(letter) + 1 if letter else 0
    return int(float(match[1]) * KIB**power)


def cpu_weight(shares: int) -> int:
    """Return the cpu.weight that shares of version 1 become (KEP-2254; not of runc since 1.4).

    >>> cpu_weight(2), cpu_weight(1024)
    (1, 39)
    """
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9999 // 262_142


def assignments(text: str) -> dict[str, str]:
    r"""Return ``NAME=VALUE`` of each line of a unit or of sysctl.conf, without comments and heads.

    >>> assignments("[Service]\nMemoryMax=1G  # most\nvm.swappiness = 60")
    {'MemoryMax': '1G', 'vm.swappiness': '60'}
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        plain = re.split(r"(?:^|\s)[#;]|^\s*\[.*\]\s*$", line)[0]
        if rest := _ASSIGNMENT.sub("", plain).strip():
            raise ValueError(f"{shorten(rest)!r} is no `NAME=VALUE`; write one a line")
        found.update(_ASSIGNMENT.findall(plain))
    return found


# -- Docker ------------------------------------------------------------------------------------


class _Flags(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        flags = "--memory, --memory-swap, --memory-reservation, --cpus, --oom-score-adj, …"
        raise ValueError(f"{shorten(message, 120)}; write only what limits: {flags}")


def _flags() -> _Flags:
    flags = _Flags(prog="docker run", add_help=False, allow_abbrev=False)
    for names in (("-m", "--memory"), ("--memory-swap",), ("--memory-reservation",)):
        flags.add_argument(*names)
    for names in (("--memory-swappiness",), ("--oom-score-adj",), ("--pids-limit",)):
        flags.add_argument(*names, type=int)
    for names in (("-c", "--cpu-shares"), ("--cpu-quota",), ("--cpu-period",)):
        flags.add_argument(*names, type=int)
    flags.add_argument("--cpus", type=float)
    flags.add_argument("--oom-kill-disable", nargs="?", const="true", default="false")
    return flags


def said_by_docker(text: str, node: Node) -> Words:
    """Return what the flags of `docker run` (or podman's) set.

    Raises `ValueError` for what Docker refuses, and for what is not simulated.  From memory of
    Docker, not checked: `daemon/daemon_unix.go` (`verifyPlatformContainerResources`).
    """
    words = shlex.split(text)
    while words and words[0] in ("docker", "podman", "run"):
        words.pop(0)
    given = _flags().parse_args(words)
    said: dict[str, Any] = {}
    implied: dict[str, Any] = {}
    if given.memory is not None:
        memory = binary_bytes(given.memory)
        if memory < _LEAST_DOCKER:
            raise ValueError(f"--memory {given.memory}: Docker takes no less than `6m`")
        said["memory_max"] = in_pages(memory)
        implied["swap_max"] = in_pages(memory)
    if given.memory_swap is not None:
        said["swap_max"] = _docker_swap(given.memory, given.memory_swap)
        implied.pop("swap_max", None)
    if given.memory_swappiness is not None and node.cgroup == "v1":
        said["swappiness"] = given.memory_swappiness  # Docker drops it with cgroup v2
    if given.memory_reservation is not None:
        said["memory_low"] = _docker_reservation(given, node)
    if given.oom_kill_disable != "false" and node.cgroup == "v1":
        raise ValueError("--oom-kill-disable is not simulated with cgroup v1; take it out")
    if given.cpus is not None:
        said["cpu_max"] = given.cpus
    elif given.cpu_quota is not None:
        said["cpu_max"] = given.cpu_quota / (given.cpu_period or 100_000)
    if said.get("cpu_max", 1) <= 0:
        raise ValueError("a limit of no CPU; write e.g. `--cpus 1.5`")
    if given.cpu_shares is not None:
        said["cpu_weight"] = cpu_weight(given.cpu_shares)
    if given.pids_limit is not None:
        said["pids_max"] = given.pids_limit if given.pids_limit > 0 else None
    if given.oom_score_adj is not None:
        said["oom_score_adj"] = _adj(given.oom_score_adj)
    return Words(said, implied)


def _docker_swap(memory: str | None, both: str) -> int | None:
    if both == "-1":
        return None
    if memory is None:
        raise ValueError("--memory-swap is of memory and swap together; give `--memory` too")
    swap = binary_bytes(both) - binary_bytes(memory)
    if swap < 0:
        raise ValueError(f"--memory-swap {both} is less than --memory {memory}; it has both in it")
    return in_pages(swap)


def _docker_reservation(given: argparse.Namespace, node: Node) -> int:
    low = binary_bytes(given.memory_reservation)
    if given.memory is not None and low > binary_bytes(given.memory):
        raise ValueError("--memory-reservation is more than --memory; lower it")
    if node.cgroup == "v1":
        raise ValueError(
            "--memory-reservation is a soft limit with cgroup v1, which is not simulated; take it "
            "out, or set host.cgroup to v2"
        )
    return in_pages(low)


def _adj(value: int) -> int:
    if not -1000 <= value <= 1000:
        raise ValueError(f"an OOM score adjustment of {value}; write -1000 to 1000")
    return value


# -- systemd -----------------------------------------------------------------------------------


def said_by_systemd(given: str | Mapping[str, Any], node: Node) -> Words:
    """Return what properties of a unit set: a mapping, or lines of a file.

    Raises `ValueError` for others, and for what is not simulated.  Source: systemd.resource-control
    and systemd.service, of systemd 252.
    """
    properties = assignments(given) if isinstance(given, str) else given
    said: dict[str, Any] = {}
    for name, value in properties.items():
        if name not in _SYSTEMD:
            near = suggestion(name, list(_SYSTEMD))
            raise ValueError(f"unknown property {shorten(name)!r}; {near}")
        key, read = _SYSTEMD[name]
        text = str(value).strip()
        if key and text:
            try:
                said[key] = read(text, node)
            except ValueError as error:
                raise ValueError(f"{name}={shorten(text)}: {error}") from None
    return Words(said)


def _share(text: str, most: float = float("inf")) -> float:
    """Return a percentage as a share."""
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = -1
    if not text.endswith("%") or not 0 <= share <= most:
        raise ValueError("not a percentage; write e.g. `50%`")
    return share


def _systemd_size(text: str, node: Node) -> int | None:
    if text == "infinity":
        return None
    if text.endswith("%"):
        return in_pages(node.memory_bytes * _share(text, 1))
    return in_pages(binary_bytes(text))


def _oom_policy(text: str, node: Node) -> bool:
    if text == "stop":
        raise ValueError(
            "systemd then ends the rest of the unit, which is not simulated; write `continue` (one "
            "process is killed) or `kill` (all are)"
        )
    if text not in ("kill", "continue"):
        raise ValueError("no such policy; write `continue` or `kill`")
    return text == "kill"


def _whole(text: str, node: Node) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("not a whole number; write e.g. `100`") from None


def _tasks(text: str, node: Node) -> int | None:
    return None if text == "infinity" else _whole(text, node)


_SYSTEMD: Final[Mapping[str, tuple[str, Any]]] = {
    "MemoryMax": ("memory_max", _systemd_size),
    "MemoryLimit": ("memory_max", _systemd_size),
    "MemoryHigh": ("memory_high", _systemd_size),
    "MemoryLow": ("memory_low", _systemd_size),
    "MemoryMin": ("memory_min", _systemd_size),
    "MemorySwapMax": ("swap_max", _systemd_size),
    "OOMPolicy": ("oom_group", _oom_policy),
    "OOMScoreAdjust": ("oom_score_adj", lambda text, node: _adj(_whole(text, node))),
    "CPUQuota": ("cpu_max", lambda text, node: _share(text) or None),
    "CPUWeight": ("cpu_weight", _whole),
    "TasksMax": ("pids_max", _tasks),
    **{f"{what}Accounting": ("", None) for what in ("Memory", "CPU", "Tasks")},
}
"""Properties of units: the key that each is, and how its value is read; "" changes nothing."""


# -- Kubernetes --------------------------------------------------------------------------------


GUARANTEED_ADJ: Final = -997
BEST_EFFORT_ADJ: Final = 1000
"""`oom_score_adj` that the kubelet gives (`pkg/kubelet/qos/policy.go`)."""

_DECIMAL: Final = {"k": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a container asks for, or may have: bytes and CPUs; None where nothing is said."""

    memory: int | None = None
    cpu: float | None = None


def kubernetes_bytes(value: object) -> object:
    """Return a quantity of memory without what only Kubernetes means.

    `1G` is decimal there, a bare number is bytes (`1e8` too), and `m` a thousandth of a byte, whole
    bytes of which are rounded up.  Raises `ValueError` for `512m`, which is less than a page.

    >>> kubernetes_bytes("1G"), kubernetes_bytes(65536), kubernetes_bytes("128974848000m")
    ('1000000000 B', '65536 B', '128974848 B')
    """
    if isinstance(value, int | float) and not isinstance(value, bool | BaseInt | BaseFloat):
        return f"{math.ceil(value)} B" if value > 0 and math.isfinite(value) else value
    if isinstance(value, str):
        text = value.strip()
        if match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)m", text):
            whole_bytes = math.ceil(Fraction(match[1]) / 1000)
            if whole_bytes < PAGE_BYTES:
                raise ValueError(
                    f"{text!r} is thousandths of a byte to Kubernetes; write `{match[1]}Mi`"
                )
            return f"{whole_bytes} B"
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?[eE][+-]?[0-9]{1,2}", text):
            return f"{math.ceil(Fraction(text))} B"
        if match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([kMGT])", text):
            return f"{round(float(match[1]) * _DECIMAL[match[2]])} B"
        if text.isdecimal():
            return f"{text} B"
    return value


def said_by_kubernetes(requests: Asked, limits: Asked) -> Words:
    """Return what the kubelet sets for a container: no memory.high, low or min, and no swap."""
    said: dict[str, Any] = {}
    if limits.memory is not None:
        said["memory_max"] = limits.memory
    if limits.cpu is not None:
        said["cpu_max"] = limits.cpu
    cpu = limits.cpu if requests.cpu is None else requests.cpu
    weight = cpu_weight(int((cpu or 0) * 1024))
    return Words(said, {"oom_group": True, "swap_max": 0, "cpu_weight": weight})


def quality_of_service(requests: Asked, limits: Asked) -> str:
    """Return the class that Kubernetes puts a container in."""
    named = (requests.memory, requests.cpu, limits.memory, limits.cpu)
    if all(value is None for value in named):
        return "BestEffort"
    for asked, limit in ((requests.memory, limits.memory), (requests.cpu, limits.cpu)):
        if limit is None or asked not in (None, limit):
            return "Burstable"
    return "Guaranteed"


def kubelet_oom_score_adj(requests: Asked, limits: Asked, capacity_bytes: int) -> int:
    """Return what the kubelet sets for a container on a node of that capacity.

    Source: Kubernetes, `pkg/kubelet/qos/policy.go`, `GetContainerOOMScoreAdjust`.
    """
    quality = quality_of_service(requests, limits)
    if quality != "Burstable":
        return GUARANTEED_ADJ if quality == "Guaranteed" else BEST_EFFORT_ADJ
    asked = limits.memory if requests.memory is None else requests.memory
    share = 1000 * (asked or 0) // capacity_bytes
    return min(max(1000 + GUARANTEED_ADJ, 1000 - share), BEST_EFFORT_ADJ - 1)
