"""Which limit a container needs that has the processes of an answer in it: kill or no kill.

What a group must hold is what the kernel cannot drop: anonymous and shared memory, page tables,
kernel stacks and kernel objects.  Clean pages of files are no need: at the limit they go, and
nobody is killed.  So the need is measured in a container without a limit, page cache left out; the
limit is the bound of that; and both are tried, on containers with this limit and with less.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sim.base.errors import InsufficientDataError
from sim.base.units import MIB, PAGE_BYTES, format_bytes, format_bytes_up
from sim.scenario.questions import level_name
from sim.stats.tolerance import UpperBound, upper_bound
from sim.study.headline import Headline
from sim.study.plan import CONTAINER, Cell, Planner
from sim.study.points import Part, value_at
from sim.study.records import Record
from sim.study.store import Store
from sim.study.tables import Groups

STOCK_PAGES: Final = 64
"""A control group is charged in batches of this many pages a CPU (`MEMCG_CHARGE_BATCH`)."""

_NOT_DROPPED: Final = (
    "anon_pages",
    "shared_memory_pages",
    "page_tables_pages",
    "kernel_stacks_pages",
)
"""Levels of a time series that a group is charged for and cannot be rid of."""


@dataclass(frozen=True, slots=True)
class Trial:
    """How many runs with a limit there were, and in how many somebody was killed."""

    limit_bytes: int
    killed: int
    runs: int


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit that a container needs, for one of `Container.of`; sizes in bytes.

    `mean_bytes` and `bound` are of what cannot be dropped; `cache_bytes` is the most page cache
    that was there besides, on average, without a limit.
    """

    name: str
    mean_bytes: float
    bound: UpperBound
    limit_bytes: int
    data_bytes: int | None
    cache_bytes: float
    enough: Trial | None
    short: Trial | None

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return asdict(self)


def container_cells(planner: Planner, point: int) -> list[Cell]:
    """Return the container's cells without a limit, one a value of `of`; none without one."""
    return [_cell(planner, point, n, "container", None) for n in range(len(names_of(planner)))]


def trial_cells(planner: Planner, point: int, limits: Sequence[Limit]) -> list[Cell]:
    """Return the cells with each limit, and with less."""
    asked = planner.study.container
    assert asked is not None
    cells = []
    for number, limit in enumerate(limits):
        cells.append(_cell(planner, point, number, "limit", limit.limit_bytes))
        less = int(limit.mean_bytes * (1 - asked.less))
        cells.append(_cell(planner, point, number, "less", less))
    return cells


def names_of(planner: Planner) -> list[str]:
    """Return the values of `of` as people write them; none where no container is asked for."""
    asked = planner.study.container
    return [] if asked is None else [level_name(v) for vs in asked.of.values() for v in vs]


def limits_of(
    store: Store,
    planner: Planner,
    groups: Groups,
    point: int,
) -> list[Limit]:
    """Return the limits that finished runs lead to, in the order of `of`.

    Raises `InsufficientDataError` where some have no run that answers.
    """
    return [
        _limit(store, planner, groups, point, number, name)
        for number, name in enumerate(names_of(planner))
    ]


def found(
    store: Store,
    planner: Planner,
    groups: Groups,
    told: Headline,
) -> list[Limit]:
    """Return the limits for the point that an answer is about; none if they are not known."""
    if told.point is None or told.kind != "answered":
        return []
    try:
        return limits_of(store, planner, groups, told.point)
    except InsufficientDataError:
        return []


def _limit(
    store: Store,
    planner: Planner,
    groups: Groups,
    point: int,
    number: int,
    name: str,
) -> Limit:
    answer = planner.study.answer
    records = [r for r in groups.get(("container", point, number), []) if r.answered]
    results = [result for r in records if (result := store.result(r.key)) is not None]
    if not results:
        raise InsufficientDataError(f"no run in a container without a limit answers ({name})")
    scenario = store.scenario(records[0].scenario)
    needs = [need_bytes(result, int(scenario["host"]["cpus"])) for result in results]
    data = value_at(scenario, planner.data_key) if planner.data_key else None
    bound = upper_bound(
        needs,
        content=answer.content,
        confidence=answer.confidence,
        normal=answer.normal_because is not None,
    )
    caches = [max(result["series"]["page_cache_pages"]) * PAGE_BYTES for result in results]
    return Limit(
        name=name,
        mean_bytes=sum(needs) / len(needs),
        bound=bound,
        limit_bytes=-(-int(bound.bound) // MIB) * MIB,
        data_bytes=data if isinstance(data, int) else None,
        cache_bytes=sum(caches) / len(caches),
        enough=_trial(store, groups.get(("limit", point, number), [])),
        short=_trial(store, groups.get(("less", point, number), [])),
    )


def _trial(store: Store, records: Sequence[Record]) -> Trial | None:
    if not records:
        return None
    limit = store.scenario(records[0].scenario)["groups"][CONTAINER]["memory_max"]
    return Trial(limit, sum(record.ran_out for record in records), len(records))


def need_bytes(result: Mapping[str, Any], cpus: int) -> float:
    """Return the most that a container without a limit held and could not have dropped.

    The series are sampled: what was added in the step before the peak is added once more, for what
    may have come between two samples.  Each CPU may hold a batch in stock.  Kernel objects of page
    cache go with it: buffer heads, and nodes of the files' trees.
    """
    from sim.machine.slab import BUFFER_SLAB_BYTES
    from sim.machine.tree import NODE_BYTES, NODE_SHIFT

    series = result["series"]
    levels = [sum(pages) for pages in zip(*(series[name] for name in _NOT_DROPPED), strict=True)]
    at = max(range(len(levels)), key=levels.__getitem__)
    step = max(0, levels[at] - levels[at - 1]) if at else 0
    group = result["groups"][CONTAINER]
    of_cache = group["file_bytes"] // PAGE_BYTES * (BUFFER_SLAB_BYTES + (NODE_BYTES >> NODE_SHIFT))
    slab = max(0, group["slab_bytes"] - of_cache)
    return float((levels[at] + step + STOCK_PAGES * cpus) * PAGE_BYTES + slab)


def sentences(limits: Sequence[Limit], planner: Planner) -> list[str]:
    """Return what is said of a container: the limits, page cache, and what they were tried on."""
    asked = planner.study.container
    if asked is None or not limits:
        return []
    key = next(iter(asked.of)).rpartition(".")[2]
    said = ", ".join(
        f"{format_bytes_up(limit.limit_bytes)} with {key} {limit.name}{_ratio(limit)}"
        for limit in limits
    )
    chance = max(limit.bound.bound - limit.mean_bytes for limit in limits)
    bound = limits[0].bound
    changed = ", ".join(
        f"{path.rpartition('.')[2]} {level_name(value)}"
        for path, value in asked.set.items()
        if path.startswith("processes.")
    )
    cache = ", ".join(f"{format_bytes(limit.cache_bytes)} with {limit.name}" for limit in limits)
    return [
        f"In a container{f' ({changed})' if changed else ''} it needs a limit of {said}; chance "
        f"moves that by {format_bytes(chance)} ({100 * bound.content:g} % of simulated "
        f"{planner.study.answer.event}, {100 * bound.confidence:g} % confidence, {bound.n} runs, "
        f"{bound.method}).",
        "Page cache is not in these limits: at the limit the kernel drops it and kills nobody. "
        f"Without a limit it grows to {cache}; with one, to what the rest leaves of it.",
        *_tried(limits),
    ]


def _ratio(limit: Limit) -> str:
    if not limit.data_bytes:
        return ""
    return f" ({limit.limit_bytes / limit.data_bytes:.2f} times the data)"


def _tried(limits: Sequence[Limit]) -> list[str]:
    """Return in how many runs somebody was killed, with the limits and with less."""
    both = [(limit.enough, limit.short) for limit in limits]
    enough = [a for a, _ in both if a is not None]
    short = [b for _, b in both if b is not None]
    if not enough or not short:
        return []
    killed, runs = sum(t.killed for t in enough), sum(t.runs for t in enough)
    less, of = sum(t.killed for t in short), sum(t.runs for t in short)
    sizes = ", ".join(format_bytes(t.limit_bytes) for t in short)
    return [
        f"Tried with fresh random numbers: with these limits somebody was killed in {killed} of "
        f"{runs} runs, with {sizes} in {less} of {of}. They leave out what the host's figure does."
    ]


def _cell(planner: Planner, point: int, number: int, part: Part, limit: int | None) -> Cell:
    asked = planner.study.container
    assert asked is not None
    ((key, values),) = asked.of.items()
    sets = {**asked.set, key: values[number]}
    return planner.container_cell(part, point, number, limit, sets)
