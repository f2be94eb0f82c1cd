"""What ignorance leaves open: the answer's point with all uncertain inputs drawn at once.

Plain random draws, each with random numbers of its own, so that shares of runs are probabilities:
of what the study and its programs *state* about the inputs, nothing more.  A range with a likely
value is a triangle over its ends, on a logarithmic scale where it is a speed or a rate; a choice
takes each of its values alike; prices from one source move together.  What the study states as a
distribution or as data is drawn from that.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np

from sim.base.errors import InsufficientDataError, ScenarioError
from sim.base.rng import stream
from sim.stats.laws import inner_ranks, triangular
from sim.stats.shares import Shares, shares_of
from sim.study.headline import NEED
from sim.study.inputs import Input, inputs_at, reads_disk
from sim.study.need import smallest_host_bytes
from sim.study.percentiles import run_has_enough
from sim.study.plan import Cell, Planner
from sim.study.points import value_at
from sim.study.records import Record
from sim.study.rests import Base
from sim.study.stated import PRICES, SPAN, is_price, mean_ps, source_of, stated_value
from sim.study.tables import Groups

CONFIDENCE: Final = 0.95
"""How sure it is that the range that is told holds its share of all draws."""
FEW_VALUES: Final = 8
"""A number that took so many values at most is a choice among them."""
STREAM: Final = "uncertain inputs"
"""The random numbers of draws are called so."""
TRIES: Final = 100
"""So often a draw is made again that inputs forbid together, before that is said."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One draw: what it sets, and by input its place in its distribution, or its choice."""

    sets: Mapping[str, Any]
    places: Mapping[str, float]
    choices: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the draws say: ends of the range and the median, in the answer's unit.

    The range holds at least a share `content` of all draws, at `confidence`, whatever their
    distribution: a tolerance interval by order statistics.
    `n_cut_off` of the `n` draws are known only to be larger than what was measured; they count as
    larger than all others, and an end among them is None.  `n_lost` more draws have no answer,
    `n_few` of them because the run has too few values for the percentile that is asked for.
    `no_shares` says why there are no `shares`.
    """

    low: float | None
    middle: float | None
    high: float | None
    content: float
    confidence: float
    n: int
    n_cut_off: int
    n_lost: int
    n_few: int
    labels: Mapping[str, str]
    measures: Mapping[str, str]
    laws: Mapping[str, str]
    shares: Shares | None
    no_shares: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return asdict(self)


@lru_cache(maxsize=1)  # to be run, and to be told of
def draws(
    planner: Planner, point: int, n: int, *, reads_disk: bool
) -> tuple[tuple[Drawn, Cell], ...]:
    """Return `n` draws of a point's inputs, each with the cell that it makes.

    Raises `ScenarioError` where inputs forbid each other nearly always.
    """
    scenario = planner.main_cell(point).scenario
    inputs = _to_draw(planner, point, reads_disk=reads_disk)
    ends = {each.key: _values(planner, point, each) for each in inputs}
    found = []
    for number in range(n):
        random = stream(planner.study.seed, number, STREAM)
        for attempt in range(TRIES):
            try:
                drawn = _draw(inputs, ends, scenario, random)
                found.append((drawn, planner.sampled_cell(point, number, drawn.sets)))
                break
            except (ScenarioError, ValueError):  # of a price
                if attempt == TRIES - 1:
                    raise
    return tuple(found)


def law_spans(
    planner: Planner, point: int, n: int, *, reads_disk: bool
) -> list[tuple[Input, tuple[float, float]]]:
    """Return inputs of a point with a distribution, and between which values they are taken.

    In base units, of a price in ps: of the `n` draws before any is made again, and of the ends that
    are tried one at a time.
    """
    every = inputs_at(planner, point, reads_disk=reads_disk)
    shares = {each.key: [(1 - SPAN) / 2, (1 + SPAN) / 2] for each in every if each.law is not None}
    if not shares:
        return []
    inputs = _to_draw(planner, point, reads_disk=reads_disk)
    scenario = planner.main_cell(point).scenario
    n_sources = len(set(map(source_of, _own_prices(scenario, inputs).values())))
    for number in range(n):
        random = stream(planner.study.seed, number, STREAM)
        for each in inputs:
            drawn = random.random(n_sources if each.key == PRICES else 1)
            if each.key in shares:
                shares[each.key].append(float(drawn[0]))
    return [
        (each, (each.law.quantile(min(own)), each.law.quantile(max(own))))
        for each in every
        if each.law is not None and (own := shares[each.key])
    ]


def _to_draw(planner: Planner, point: int, *, reads_disk: bool) -> list[Input]:
    inputs = inputs_at(planner, point, reads_disk=reads_disk)
    return [each for each in inputs if not each.asked and each.ends]


def _values(planner: Planner, point: int, each: Input) -> tuple[Any, ...]:
    """Return the ends of an input in base units; those that cannot be here are left out."""
    values = []
    for end in each.ends:
        try:
            cell = planner.input_cell(point, 0, end.sets)
        except ScenarioError:
            continue
        value = value_at(cell.scenario, each.key)
        values.append(value if _is_number(value) else end.sets[each.key])
    return tuple(values)


def _draw(
    inputs: Sequence[Input],
    ends: Mapping[str, tuple[Any, ...]],
    scenario: Mapping[str, Any],
    random: np.random.Generator,
) -> Drawn:
    sets: dict[str, Any] = {}
    places: dict[str, float] = {}
    choices: dict[str, int] = {}
    for each in inputs:
        if each.key == PRICES:
            _draw_prices(_own_prices(scenario, inputs), scenario, random, sets, places)
            continue
        value, u = value_at(scenario, each.key), float(random.random())
        if each.law is not None or is_price(each.key):
            places[each.key] = u
            number = each.law.quantile(u) if each.law else _of_price(each, value, u)
            _put(sets, each.key, stated_value(each.key, number, value))
            continue
        options = (value, *ends[each.key])
        if each.is_choice or not all(_is_number(v) for v in options):
            choice = min(int(u * len(options)), len(options) - 1)
            choices[each.key] = choice
            if choice:
                sets[each.key] = options[choice]
            continue
        low, high = min(options), max(options)
        places[each.key] = u
        number = triangular(u, low, value, high, log=each.log and low > 0)
        sets[each.key] = stated_value(each.key, number, value)
    return Drawn(sets, places, choices)


def _own_prices(scenario: Mapping[str, Any], inputs: Sequence[Input]) -> dict[str, Any]:
    """Return the prices that nothing is stated of, by name."""
    stated = [each.key for each in inputs]
    prices = value_at(scenario, PRICES)
    return {name: price for name, price in prices.items() if f"{PRICES}.{name}" not in stated}


def _draw_prices(
    own: dict[str, Any],
    scenario: Mapping[str, Any],
    random: np.random.Generator,
    sets: dict[str, Any],
    places: dict[str, float],
) -> None:
    """Draw prices that nothing is stated of, `own`; those from one source move together."""
    by_source = {source: float(random.random()) for source in sorted(map(source_of, own.values()))}
    for name, price in own.items():
        source = source_of(price)
        u = places[f"{PRICES} ({source})"] = by_source[source]
        ends = [float(price["low_ps"]), float(price["high_ps"])]
        number = _triangle_of(mean_ps(price), ends, u, log=True)
        own[name] = stated_value(f"{PRICES}.{name}", number, price, "drawn from its range")
    sets[PRICES] = {**value_at(scenario, PRICES), **own}


def _of_price(each: Input, price: Mapping[str, Any], u: float) -> float:
    ends = [mean_ps(end.sets[each.key]) for end in each.ends]
    return _triangle_of(mean_ps(price), ends, u, log=each.log)


def _triangle_of(mode: float, ends: Sequence[float], u: float, *, log: bool) -> float:
    low, high = min(mode, *ends), max(mode, *ends)
    return triangular(u, low, mode, high, log=log and low > 0)


def _put(sets: dict[str, Any], key: str, value: Any) -> None:
    """Set a key; a price among all prices, if those are set."""
    if is_price(key) and PRICES in sets:
        sets[PRICES] = {**sets[PRICES], key.removeprefix(f"{PRICES}."): value}
    else:
        sets[key] = value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rows(
    planner: Planner, groups: Groups, base: Base, n: int, own: Sequence[Record]
) -> tuple[list[tuple[Drawn, float]], int]:
    """Return draws with what each found, infinite if it was cut off; and how many have too little.

    Those without an answer are left out.
    """
    centre = base.figure_of(own)
    rows = []
    n_few = 0
    for drawn, cell in draws(planner, base.point, n, reads_disk=reads_disk(own)):
        records = groups.get(("sampled", base.point, cell.host), [])
        told = [r for r in records if not r.in_the_way(of_need=base.metric.startswith(NEED))]
        if told and not run_has_enough(base.metric, told[0].scalars):
            n_few += 1
        elif told:
            value = told[0].scalars.get(base.metric)
            cut_off = told[0].cut_off and base.metric.startswith(NEED)
            if value is not None or cut_off:
                figure = math.inf
                if not cut_off:
                    figure = _figure(planner, base, drawn, float(value or 0.0), centre)
                rows.append((drawn, figure))
    return rows, n_few


def found(planner: Planner, groups: Groups, base: Base | None) -> Sampled | None:
    """Return what the draws of the answer's point say; None without any."""
    n = planner.study.sample
    if base is None or not n:
        return None
    own = groups[planner.main_part, base.point, 0]
    rows, n_few = _rows(planner, groups, base, n, own)
    if not rows:
        nothing = Sampled(*(None,) * 3, 0.0, CONFIDENCE, 0, 0, n, n_few, {}, {}, {}, None)
        return nothing if n_few else None
    values = sorted(value for _, value in rows)
    out, content = inner_ranks(len(values), content=SPAN, confidence=CONFIDENCE)
    low, middle, high = (
        value if math.isfinite(value) else None
        for value in (values[out], values[len(values) // 2], values[-1 - out])
    )
    known = [(drawn, value) for drawn, value in rows if math.isfinite(value)]
    shares = None
    no_shares = f"{len(rows) - len(known)} of {len(rows)} draws are known only to be larger"
    if len(known) == len(rows):
        places, choices = _regressors([drawn for drawn, _ in known])
        try:
            shares = shares_of(
                places,
                [value for _, value in known],
                choices=choices,
                seed=planner.study.seed % 2**32,
            )
            no_shares = ""
        except InsufficientDataError as error:
            no_shares = str(error)
    inputs = inputs_at(planner, base.point, reads_disk=reads_disk(own))
    of_prices = [key for key in rows[0][0].places if key.startswith(f"{PRICES} (")]
    return Sampled(
        low=low,
        middle=middle,
        high=high,
        content=content,
        confidence=CONFIDENCE,
        n=len(rows),
        n_cut_off=len(rows) - len(known),
        n_lost=n - len(rows),
        n_few=n_few,
        labels={i.key: i.label for i in inputs}
        | {key: f"prices {key.removeprefix(PRICES).strip()}" for key in of_prices},
        measures={i.key: i.measure for i in inputs if i.measure},
        laws={i.label: i.law.words for i in inputs if i.law is not None},
        shares=shares,
        no_shares=no_shares,
    )


def _regressors(
    drawn: Sequence[Drawn],
) -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    """Return what the answer is regressed on: places in distributions, and choices.

    A number that took few values, from a list or rounded to whole ones, is a choice among those:
    an answer that jumps from one to the next is no polynomial of a place.
    """
    places = {key: [d.places[key] for d in drawn] for key in drawn[0].places}
    choices = {key: [d.choices[key] for d in drawn] for key in drawn[0].choices}
    for key in list(places):
        values = [repr(d.sets[key]) if key in d.sets else "" for d in drawn]
        levels = sorted(set(values))
        if 1 < len(levels) <= FEW_VALUES:
            choices[key] = [levels.index(value) for value in values]
            del places[key]
    return places, choices


def _figure(planner: Planner, base: Base, drawn: Drawn, value: float, centre: float) -> float:
    """Return a drawn value in the unit of the answer: if that is a host, one with its inputs."""
    if base.bound_bytes is None:
        return value
    own = {  # what its kernel keeps depends on nothing else, and to resolve prices takes long
        key: value
        for key, value in drawn.sets.items()
        if key.startswith("host.") and not key.startswith(PRICES)
    }
    on_host = partial(planner.on_host, base.point, sets=own)
    return smallest_host_bytes(base.bound_bytes + value - centre, on_host)
