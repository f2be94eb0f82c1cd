"""Scenarios with less memory than is asked of them, drawn: machines, nested groups, programs.

The same on every machine and with every version of every library: see `support.net_steps`.
"""

from typing import Any

from sim.policy.schedulers import SCHEDULERS
from support.net_scenarios import FOLIO_KERNELS, KERNELS, LATER_KEYS, METHODS
from support.net_steps import FILES, LATER_WEIGHTS, PROGRAMS, Dice, StepList, Steps

KINDS = ("steps", "steps", "steps", "presses", "presses", "presses", "forks", "starts", "program")
"""What a process is about, drawn anew for each."""
LIMITS = ("300 KiB", "1 MiB", "1300 KiB", "2 MiB", "3 MiB", "4 MiB", "6 MiB", "max")
HUGE_KIB = 2048


def tight(number: int) -> dict[str, Any]:
    """Return scenario `number`, as it would be written in a file."""
    dice = Dice(f"cowpool tight {number}")
    said = host(dice)
    groups = nested_groups(dice, said["cgroup"])
    return {
        "version": 1,
        "name": f"tight_{number:05}",
        "host": said,
        "policy": {
            "scheduler": {
                "kind": dice.one(tuple(SCHEDULERS)),
                "quantum": dice.one(("300 us", "4 ms")),
            },
            "memory": dice.one(("oom", "oom", "wait")),
            "fork": dice.one(("cow", "cow", "eager", "on_demand", "async")),
            "zeroing": dice.one(("demand", "demand", "demand", "eager")),
        },
        "groups": groups,
        "processes": processes(dice, said, list(groups)),
        "run": {
            "horizon": dice.one(("20 ms", "3 s", "8 s", "8 s")),  # thrashing takes a minute of ours
            "warmup": dice.one(("0 ns", "0 ns", "2 ms")),
            "sample_every": "10 ms",
            "seed": dice.below(2**40),
        },
    }


def host(dice: Dice) -> dict[str, Any]:
    """Return a machine with a few MiB for its processes."""
    kib = dice.one((1500, 2000, 3000, 5000, 9000, 16_000))
    huge = dice.one((0, 0, 0, 1, 3))
    said: dict[str, Any] = {
        "memory": f"{1024 + kib + huge * HUGE_KIB} KiB",
        "kernel_reserve": "1 MiB",
        "nr_hugepages": huge,
        "cpus": dice.one((1, 1, 2, 3)),
        "kernel": dice.one(("3.10", *KERNELS)),
        "cgroup": dice.one(("v1", "v2")),
        "thp": dice.one(("never", "madvise", "always")),
        "overcommit": {"mode": dice.one((0, 1, 1, 1, 2)), "ratio": dice.one((50, 90))},
        "percpu_batch": dice.one((0, 1, 7)),
        "percpu_high": dice.one((7, 30, 200)),
        "watermark_scale_factor": dice.one((0, 10, 300)),
        "disk": {
            "read_ahead": dice.one(("0 B", "16 KiB", "128 KiB", "2 MiB")),
            "latency": dice.one(("0 ns", "20 us", "3 ms")),
            "bandwidth": dice.one(("10 MB/s", "1 GB/s")),
            "queue_depth": dice.one((1, 32)),
        },
    }
    if said["thp"] != "never":
        said["khugepaged"] = dice.chance(0.3)
    if dice.chance(0.3):
        said["min_free"] = dice.one(("0 B", "64 KiB", "300 KiB"))
    if dice.chance(0.3):
        rest = 1024 + kib + huge * HUGE_KIB - 800
        said["zones"] = [
            {"name": "DMA", "memory": "800 KiB"},
            {"name": "Normal", "memory": f"{rest} KiB"},
        ]
    if said["kernel"] in FOLIO_KERNELS and dice.chance(0.4):
        said["thp_sizes"] = {dice.one(("16 KiB", "64 KiB", "1 MiB")): "always"}
    return said


def nested_groups(dice: Dice, version: str) -> dict[str, dict[str, Any]]:
    """Return up to five groups, each in the machine or in one before it."""
    groups: dict[str, dict[str, Any]] = {}
    for number in range(dice.below(6)):
        group: dict[str, Any] = {"memory_max": dice.one(LIMITS)}
        together = dice.chance(0.3)
        if version == "v2":  # version 1 has no such thing
            group["oom_group"] = together
        if groups and dice.chance(0.7):
            group["parent"] = dice.one(list(groups))
        groups[f"g{number}"] = group
    return groups


def processes(dice: Dice, said: dict[str, Any], groups: list[str]) -> dict[str, dict[str, Any]]:
    named: dict[str, dict[str, Any]] = {}
    for number in range(dice.between(1, 5)):
        kind = dice.one(KINDS)
        process = program(dice) if kind == "program" else listed(dice, kind, said["nr_hugepages"])
        if groups and dice.chance(0.8):
            process["group"] = dice.one(groups)
        if dice.chance(0.2):
            process["cpu"] = dice.below(said["cpus"])
        if dice.chance(0.4):
            process["start"] = dice.one(("1 us", "2 ms", "15 ms"))
        if dice.chance(0.3):
            process["oom_score_adj"] = dice.one((-1000, -500, 500, 1000))
        if dice.chance(0.15):
            process["copies"] = 2
        named[f"p{number}"] = process
    return named


def program(dice: Dice) -> dict[str, Any]:
    """Return a program that ships."""
    kind = dice.one(tuple(LATER_KEYS))
    return {
        "program": kind,
        **{key: dice.one(values) for key, values in LATER_KEYS[kind].items()},
    }


def listed(dice: Dice, kind: str, huge: int) -> dict[str, Any]:
    """Return a list of steps: any that are drawn, or some that are known to press."""
    malloc = dice.one(("glibc", "jemalloc"))
    if kind == "steps":
        steps = StepList(dice, weights=LATER_WEIGHTS).draw(dice.between(5, 20))
    else:
        steps = {"presses": presses, "forks": forks, "starts": starts}[kind](dice)
    if huge and dice.chance(0.4):
        mapped = {"name": "L", "size": f"{dice.one((2, 2, 4))} MiB", "hugetlb": True}
        steps = [
            {"mmap": {**mapped, "shared": dice.chance(0.5)}},
            {"write": {"region": "L", "pages": dice.one((1, 512))}},
            *steps,
        ]
    return {"program": "steps", "malloc": malloc, "steps": steps}


def some_file(dice: Dice) -> dict[str, Any]:
    file = dice.one(tuple(FILES))
    first = dice.below(FILES[file])
    return {"file": file, "first": first, "pages": dice.between(1, FILES[file] - first)}


def files_mapped(dice: Dice) -> Steps:
    """Return a mapping of each file, named as it is, so that it can be read and written."""
    cold = dice.chance(0.7)
    return [
        {"mmap": {"name": f"M{file}", "file": file, "size": f"{pages} pages",
                  "shared": dice.chance(0.6), "cold": cold}}
        for file, pages in FILES.items()
    ]  # fmt: skip


def presses(dice: Dice) -> Steps:
    """Return steps that fill memory with anonymous pages and pages of files, again and again."""
    pages = dice.one((50, 200, 400, 900))
    choices: tuple[Steps, ...] = (
        [{"read_file": some_file(dice)}],
        [{"write_file": some_file(dice)}],
        [{"write_file": some_file(dice)}, {"fsync": dice.one(tuple(FILES))}],
        [{"read": {"region": f"M{dice.one(tuple(FILES))}"}}],
        [{"write": {"region": f"M{dice.one(tuple(FILES))}"}}],
        [{"read": {"region": "Mc", "pattern": {"uniform": 200}}}],
        [{"write": {"region": "A", "pattern": {"uniform": 90}}}],
        [{"write": {"region": "A", "first": dice.below(pages), "pages": 1}}],
        [{"dontneed": "A"}, {"sleep": "1 ms"}, {"write": "A"}],
        [{"fadvise": {"file": "c", "advice": dice.one(("random", "dontneed", "willneed"))}}],
        [{"advise": {"region": "Mc", "advice": dice.one(("random", "sequential", "free"))}}],
        [{"mlock": "Ma"}],
        [{"drop": dice.one(tuple(FILES))}],
    )
    loop = [step for _ in range(dice.between(2, 6)) for step in dice.one(choices)]
    shared = {"shared": True} if dice.chance(0.2) else {}
    return [
        *files_mapped(dice),
        {"mmap": {"name": "A", "size": f"{pages} pages", **shared}},
        {"write": "A"},
        {"repeat": {"times": dice.one((1, 3, 10)), "steps": loop}},
        {"sleep": dice.one(("1 us", "50 ms", "6 s"))},
    ]


def forks(dice: Dice) -> Steps:
    """Return a fork storm: children write what they share with their parent, and hold it."""
    pages = dice.one((20, 150, 500, 900))
    child: Steps = [
        {"write": {"region": "A", "first": 0, "pages": dice.between(1, pages)}},
        {"sleep": dice.one(("1 us", "30 ms", "2 s"))},
    ]
    if dice.chance(0.3):
        child = [{"fork": {"steps": child}}, {"write": {"region": "A", "pages": 5}}, {"wait": {}}]
    storm: Steps = [{dice.one(("fork", "fork", "vfork")): {"steps": child}}]
    if dice.chance(0.5):
        storm.append({"write": {"region": "A", "pages": dice.between(1, pages)}})
    if dice.chance(0.3):
        storm.append({"wait": {}})
    return [
        {"mmap": {"name": "A", "size": f"{pages} pages"}},
        {"write": "A"},
        {"repeat": {"times": dice.one((1, 4, 25)), "steps": storm}},
        {"thread": {"name": "t", "steps": [{"write": "A"}, {"compute": "1 ms"}]}},
        {"write": "A"},
        {"join": "t"},
    ]


def starts(dice: Dice) -> Steps:
    """Return programs that are started one after the other, and read from cold files."""
    name = dice.one(PROGRAMS)
    method = dice.one(METHODS)
    if method == "posix_spawn":
        start: dict[str, Any] = {"posix_spawn": {"program": name}}
    else:
        start = {method.removesuffix("_exec"): {"steps": [{"exec": name}]}}
    return [
        {"mmap": {"name": "A", "size": f"{dice.one((10, 300, 700))} pages"}},
        {"write": "A"},
        {"repeat": {"times": dice.one((1, 8)), "steps": [
            {"drop": {"program": name}},
            start,
            {"write": {"region": "A", "pages": 9}},
            {"wait": {}},
        ]}},
    ]  # fmt: skip
