"""The closed schema of scenarios and host profiles: what may be written, not what it means.

Everything that has a default is optional here; `sim.scenario.resolve` fills it in, because most
defaults depend on other values.  Programs' parameters are in `sim.scenario.programs`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    WithJsonSchema,
    create_model,
)

from sim.base.units import GIB, MIB, PAGE_BYTES, TIB, format_duration
from sim.cost.catalogue import FAULTS_WITH_STAGES, PER
from sim.engine.validity import LONGEST_RUN_NS, Code
from sim.machine.work import KINDS, NAMES
from sim.policy.schedulers.protocol import SCHEDULERS
from sim.scenario.devices import Device
from sim.scenario.groups import Group
from sim.scenario.prices import PRICE_SCHEMA, parse_price, parse_stages
from sim.scenario.quantities import (
    KERNEL_SCHEMA,
    Bytes,
    Closed,
    Cpus,
    Duration,
    Name,
    PositiveDuration,
    WholePages,
    folio_sizes,
    kernel_release,
    size,
    within,
)
from sim.scenario.swap import SwapSpace

LEAST_MEMORY_BYTES: Final = 16 * PAGE_BYTES
MOST_MEMORY_BYTES: Final = 4 * TIB
MOST_CPUS: Final = 1024


Kernel = Annotated[str, BeforeValidator(kernel_release), WithJsonSchema(KERNEL_SCHEMA)]
FolioSizes = Annotated[
    dict[str, Literal["always", "inherit", "madvise", "never"]], BeforeValidator(folio_sizes)
]
PriceForm = Annotated[dict[str, Any], BeforeValidator(parse_price), WithJsonSchema(PRICE_SCHEMA)]
StageShares = Annotated[dict[str, float], BeforeValidator(parse_stages)]


_PRICE_FIELDS: Final[dict[str, Any]] = {
    key: (PriceForm | None, Field(default=None, description=f"per {PER[kind]}"))
    for key, kind in KINDS.items()
}
_STAGE_FIELDS: Final[dict[str, Any]] = {
    NAMES[kind]: (StageShares | None, Field(default=None)) for kind in FAULTS_WITH_STAGES
}
Prices = create_model(
    "Prices",
    __base__=Closed,
    __doc__="What operations cost; see the catalogue of prices.",
    **_PRICE_FIELDS,
)
Stages = create_model(
    "Stages",
    __base__=Closed,
    __doc__="How a fault's time divides into stages; the shares of each add up to 1.",
    **_STAGE_FIELDS,
)


class Zone(Closed):
    """A zone of physical memory, in order of address."""

    name: Name = Field(description="what it is called")
    memory: Annotated[WholePages, size(PAGE_BYTES, MOST_MEMORY_BYTES)] = Field(
        description="its part of the host's memory"
    )


class Overcommit(Closed):
    """How much memory may be promised (``vm.overcommit_memory`` and ``_ratio``)."""

    mode: Literal[0, 1, 2] | None = Field(
        default=None, description="0 refuses a single obvious excess, 1 nothing, 2 beyond a limit"
    )
    ratio: Annotated[int, within(0, 100_000)] | None = Field(
        default=None, description="per cent of memory that mode 2 promises"
    )


def _mode_alone(value: object) -> object:
    """Let ``overcommit: 1`` stand for ``overcommit: {mode: 1}``."""
    if isinstance(value, str):
        raise ValueError(
            f"{value!r} is no mode; write 0 (the default), 1 (refuses nothing) or 2 (a limit)"
        )
    return {"mode": value} if isinstance(value, int) and not isinstance(value, bool) else value


class Disk(Device):
    """The device that files are on, and how the kernel reads from it."""

    read_ahead: Annotated[WholePages, size(0, GIB)] | None = Field(
        default=None, description="what is read ahead at most (read_ahead_kb)"
    )
    largest_read: Annotated[WholePages, size(PAGE_BYTES, GIB)] | None = Field(
        default=None, description="what one request reads at most (max_sectors_kb)"
    )


class PublishedPoint(Closed):
    """A published measurement that the profile's prices are to reproduce."""

    kind: Literal["fork", "fork_by_folio"] = Field(description="what was timed")
    rss: Bytes = Field(description="resident memory of the parent")
    time: PositiveDuration = Field(description="how long it took")
    folio: Annotated[WholePages, size(PAGE_BYTES, 2 * MIB)] = Field(
        default=PAGE_BYTES, description="size of the pieces in which the parent's memory came"
    )
    source: Annotated[str, Field(min_length=1)] = Field(description="where it was published")


class HostFields(Closed):
    """What a host consists of; shared by scenarios and host profiles."""

    machine: str | None = Field(default=None, description="the machine in one sentence")
    memory: Annotated[Bytes, size(LEAST_MEMORY_BYTES, MOST_MEMORY_BYTES)] | None = Field(
        default=None, description="physical memory, rounded down to whole pages"
    )
    cpus: Annotated[Cpus, within(1, MOST_CPUS)] | None = Field(
        default=None, description="a whole number of CPUs; `2000m` is 2"
    )
    hz: Literal[100, 250, 300, 1000] | None = Field(
        default=None, description="timer ticks a second (CONFIG_HZ)"
    )
    kernel: Kernel | None = Field(
        default=None,
        description="Linux version whose rules hold, 3.10 or later; one that is not known takes "
        "the nearest, and says so",
    )
    lru: Literal["classic", "mglru"] | None = Field(
        default=None,
        description="which pages reclaim takes: `mglru` where /sys/kernel/mm/lru_gen/enabled is "
        "not 0; reclaim goes by the classic rules all the same, and what depends on it is marked",
    )
    cgroup: Literal["v1", "v2"] | None = Field(
        default=None, description="version of the control groups that limit memory"
    )
    kernel_reserve: Bytes | None = Field(
        default=None, description="memory the kernel keeps: page structures, text, slab"
    )
    min_free: Bytes | None = Field(default=None, description="vm.min_free_kbytes, as a size")
    watermark_scale_factor: Annotated[int, within(0, 3000)] | None = Field(
        default=None, description="distance of the watermarks (vm.watermark_scale_factor)"
    )
    dirty_ratio: Annotated[int, within(1, 100)] | None = Field(
        default=None,
        description="per cent of free memory and page cache, default 20: half-way between it and "
        "`dirty_background_ratio` who writes to files waits (vm.dirty_ratio)",
    )
    dirty_background_ratio: Annotated[int, within(0, 100)] | None = Field(
        default=None,
        description="beyond it dirty pages are written in the background, default 10; half of "
        "`dirty_ratio` unless it is less (vm.dirty_background_ratio)",
    )
    percpu_batch: Annotated[int, within(0, 10_000)] | None = Field(
        default=None, description="pages a per-CPU list takes at once; 0: no per-CPU lists"
    )
    percpu_high: Annotated[int, within(0, 2**32)] | None = Field(
        default=None, description="pages a per-CPU list may hold"
    )
    zones: Annotated[list[Zone], Field(min_length=1, max_length=8)] | None = None
    thp: Literal["never", "madvise", "always"] | None = Field(
        default=None, description="transparent huge pages"
    )
    thp_sizes: FolioSizes | None = Field(
        default=None,
        description="folios of other sizes, 16 KiB to 1 MiB, and when anonymous memory gets them",
        examples=["{64 KiB: madvise}"],
    )
    khugepaged: bool | None = Field(
        default=None,
        description="whether khugepaged collapses small pages; by default where `thp` is not never",
    )
    nr_hugepages: Annotated[int, within(0, 2**31)] | None = Field(
        default=None,
        description="pages of 2 MiB in the pool for hugetlb (vm.nr_hugepages), default 0; they are "
        "free memory for nobody else",
        examples=["512"],
    )
    kernel_stack: Annotated[WholePages, size(PAGE_BYTES, MIB)] | None = Field(
        default=None, description="kernel stack of a task"
    )
    overcommit: Annotated[Overcommit, BeforeValidator(_mode_alone)] | None = Field(
        default=None, description="how much may be promised; a bare number is the mode"
    )
    disk: Disk | None = None
    swap: SwapSpace | None = Field(
        default=None,
        description="swap space, default 0; a size alone is a solid-state disk",
        examples=["4 GiB"],
    )
    swappiness: Annotated[int, within(0, 200)] | None = Field(
        default=None, description="how willingly anonymous memory goes first (vm.swappiness)"
    )
    page_cluster: Annotated[int, within(0, 10)] | None = Field(
        default=None,
        description="2 to the power of it are read from swap at once",
    )
    prices: Prices | None = None
    stages: Stages | None = Field(
        default=None,
        description="shares of a fault's time, by kind of fault: `{zero_fill: {trap: 0.4, ...}}`",
    )
    published: list[PublishedPoint] | None = None


class Host(HostFields):
    """The machine of a scenario: a profile, and what differs from it."""

    profile: str | None = Field(
        default=None, description="a host profile that ships with cowpool, or a path to one"
    )
    sysctl: dict[str, Any] | str | None = Field(
        default=None,
        description="settings by Linux's own names, or lines of sysctl.conf as one text; each "
        "stands for a key of `host`, and may be said once",
        examples=["{vm.overcommit_memory: 1}"],
    )


class Scheduler(Closed):
    """Who gets a CPU, and for how long."""

    kind: str | None = Field(default=None, description=f"{', '.join(SCHEDULERS)}, or a plug-in's")
    quantum: PositiveDuration | None = Field(
        default=None, description="longest slice while others wait; the tick rounds it up"
    )


class IdleZeroing(Closed):
    """Free frames zeroed ahead of time, by CPUs that have nothing else to do."""

    idle: Annotated[WholePages, size(PAGE_BYTES, MOST_MEMORY_BYTES)] = Field(
        description="how much is zeroed ahead at most", examples=["64 MiB"]
    )


class KubeletEviction(Closed):
    """When the kubelet evicts a pod; it looks every 10 s."""

    memory_available: Annotated[WholePages, size(PAGE_BYTES, MOST_MEMORY_BYTES)] = Field(
        description="free memory and inactive page cache, below which a pod is killed",
        examples=["100 MiB"],
    )


class Policy(Closed):
    """Who decides: scheduling, what happens when memory is short, who leaves, fork, zeroing."""

    scheduler: Scheduler | None = None
    memory: Literal["oom", "wait"] | None = Field(
        default=None,
        description="the machine is short of memory: kill a process, or wait in line; a full "
        "group kills",
    )
    eviction: KubeletEviction | None = Field(
        default=None,
        description="the kubelet's eviction of pods: groups with `requests` or `limits`",
        examples=["{memory_available: 100Mi}"],
    )
    replacement: Literal["linux", "fifo", "clock", "lru", "mglru_like", "random"] | None = Field(
        default=None,
        description="which page leaves when memory is short: as Linux chooses, or as the policy of "
        "a textbook, of all pages alike; `lru` sees every use, `mglru_like` is an approximation",
    )
    fork: Literal["cow", "eager", "on_demand", "async"] | None = Field(
        default=None,
        description="share pages until one is written (Linux); copy all at once; share page tables "
        "too until one is changed (on-demand-fork); let the child copy them (Async-fork)",
    )
    zeroing: Literal["demand", "eager", "at_free"] | IdleZeroing | None = Field(
        default=None,
        description="frames at first touch, or all when memory is mapped, zeroed then; or at first "
        "touch, and zeroed before: by who gave them back (init_on_free), or by idle CPUs",
        examples=["{idle: 64 MiB}"],
    )


class HostProfile(HostFields):
    """A file under ``configs/hosts``: prices with sources, and usual sizes."""

    version: Literal[1] = Field(examples=["1"])
    extends: str | None = Field(
        default=None, description="profile that has whatever is not said here"
    )
    policy: Policy | None = Field(default=None, description="defaults for the scenario's policy")


def _once(codes: list[str]) -> list[str]:
    if len(set(codes)) < len(codes):
        raise ValueError("a code stands there twice; write each once")
    return codes


class Run(Closed):
    """When a run ends, and what to keep.  Without a horizon it ends when its work has."""

    horizon: Annotated[Duration, within(1, LONGEST_RUN_NS, format_duration)] | None = Field(
        default=None,
        description="simulated time at which the run is cut off; by default it ends when its "
        "processes have",
        examples=["60 s"],
    )
    warmup: Duration | None = Field(default=None, description="initial part that is not measured")
    sample_every: PositiveDuration | None = Field(
        default=None,
        description="distance of the points of time series, 1 ms by default; it doubles whenever "
        "there are 1,000",
    )
    burst: Annotated[int, within(0, 2**62)] | None = Field(
        default=None, description="most steps between two events; 0: no limit. No result changes"
    )
    seed: Annotated[int, within(0, 2**64 - 1)] | None = Field(
        default=None, description="root of all random numbers, unless --seed says otherwise"
    )

    expect: Annotated[list[Code], AfterValidator(_once)] | None = Field(
        default=None,
        description="what the run is there to show: such findings are no errors, and one that does "
        "not occur is",
        examples=["[killed]"],
    )


def _some(processes: dict[str, Any]) -> dict[str, Any]:
    if not processes:
        raise ValueError("there is no process; add e.g. `db: {program: redis}`")
    return processes


class Scenario(Closed):
    """Everything that determines a run, apart from the seed."""

    version: Literal[1] = Field(examples=["1"], description="of the format; every file begins so")
    resolved: Literal[True] | None = Field(
        default=None,
        description="numbers are in base units (bytes, ns, per second), as in what `run --json` "
        "prints; a file written by hand leaves it out",
    )
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = Field(
        default=None, description="what it is called in output; default: the file's name"
    )
    host: Host = Host()
    policy: Policy = Policy()
    groups: dict[Name, Group] = Field(
        default={}, description="control groups, by name", examples=["{pod: {memory_max: 500Mi}}"]
    )
    processes: Annotated[dict[Name, dict[str, Any]], AfterValidator(_some)]
    run: Run = Field(default=Run(), examples=["{horizon: 60 s}"])
