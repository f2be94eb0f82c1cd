"""The rounds of a study: which runs are made, decided by the study and by results alone.

1. every point as often as the study says (`least` times if it leaves that open), on its main host
   and on every host of the check; where memory ran out on the large host on which a need is to be
   measured, that host is doubled and the point run again;
2. points whose mean is still too uncertain, and the one that the answer is about, up to `most`
   times;
3. the answer's point with each of its inputs at each end of its range, one at a time, then with all
   of them at their worst ends, and drawn at random; on larger hosts where memory runs out;
4. hosts of the check where chance decides, and those around the answer's own need, up to `most`
   times; those around what other points need `least` times; and the answer itself, with random
   numbers that had no part in it; containers without a limit, with the one that these lead to, and
   with less;
5. of the hosts around the answer those where chance decides, up to `most` times.

A round ends before the next is planned, so neither the number of workers nor their speed can
change what is run.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from sim.base.errors import InsufficientDataError, ScenarioError
from sim.study import adaptive, container, corner, rests, sampled, tables
from sim.study.analyse import needs_and_hosts
from sim.study.carrier import Carrier, Order
from sim.study.executor import Executor
from sim.study.headline import Headline, figure_from, headline
from sim.study.inputs import input_cells, reads_disk
from sim.study.need import Need, kept_bytes
from sim.study.plan import FRESH_FROM, Cell, Planner
from sim.study.progress import Progress
from sim.study.records import Record, read_records
from sim.study.shard import Shard, Share
from sim.study.store import Store

MOST_DOUBLINGS: Final = 3
"""A host on which a need is measured grows to 8 times what the study says, at most."""


class Rounds:
    """Carries out the rounds of a study whose plan `store` has begun; nobody else writes to it.

    `cells` are those of every point on its main host and on every host of the check.  A `shard`
    ends with the second round: what comes then rests on the results of all points.
    """

    def __init__(
        self,
        store: Store,
        planner: Planner,
        cells: Sequence[Cell],
        progress: Progress,
        shard: Shard | None = None,
    ) -> None:
        self._store = store
        self._planner = planner
        self._planned = {cell.point: cell for cell in cells if cell.part == planner.main_part}
        self._main = dict(self._planned)
        self._check = [cell for cell in cells if cell.part == "check"]
        self._often = {p: planner.replications(cell) for p, cell in self._planned.items()}
        self._in_shard = shard is not None
        share = None if shard is None else self._share_of(shard)
        self._carrier = Carrier(store, planner, progress, share, gists=True)
        self._n_too_small = 0

    @property
    def n_new(self) -> int:
        """How many runs were carried out."""
        return self._carrier.n_new

    def carry_out(self, executor: Executor) -> None:
        """Run whatever is not in the store yet, round by round."""
        least = {point: replications.least for point, replications in self._often.items()}
        self._main_round("every point", least, self._check_orders(), executor)
        most = {p: r.most for p, r in self._often.items() if r.most > r.least}
        if most:
            self._in_full(most, executor)
        if self._in_shard:
            return
        self._inputs(executor)
        self._corner(executor)
        self._sampled(executor)
        self._container(executor)
        if self._planner.study.check is not None:
            self._try(executor)

    def _check_orders(self) -> list[Order]:
        check = self._planner.study.check
        return [] if check is None else [Order(c, check.replications.least) for c in self._check]

    def _share_of(self, shard: Shard) -> Share:
        """Return which runs are a shard's: of points whose number of runs is open, whole points."""
        orders = [Order(cell, self._often[p].least) for p, cell in self._planned.items()]
        orders += self._check_orders()
        weights = {place: order.cell.weight for order in orders for place in order.places()}
        open_points = any(each.most > each.least for each in self._often.values())
        return Share(shard, weights, whole_points=open_points)

    def _try(self, executor: Executor) -> None:
        """Run the hosts where chance decides, those around the answer, and the answer itself."""
        check = self._planner.study.check
        assert check is not None
        needs, hosts, told = self._known()
        head = told.point if told.kind == "answered" else None
        least, most = check.replications.least, check.replications.most
        near = hosts
        if check.around_at == "answer":
            near = {point: size for point, size in hosts.items() if point == head}
        around = self._planner.around_cells(near)
        orders = [Order(c, most) for c in self._unsure_hosts(self._check, needs, check.margin)]
        orders += [Order(cell, most if cell.point == head else least) for cell in around]
        if head in hosts and check.fresh:
            cell = self._planner.fresh_cell(head, hosts[head])
            orders.append(Order(cell, check.fresh, FRESH_FROM))
        self._carrier.carry_out("hosts near the answer", orders, executor)
        unsure = self._unsure_hosts(around, needs, check.margin)
        self._carrier.carry_out(
            "hosts where chance decides", [Order(c, most) for c in unsure], executor
        )

    def _inputs(self, executor: Executor) -> None:
        """Run the answer's point with one input at a time at an end of its range."""
        told, often = self._known()[2], self._planner.study.one_at_a_time
        head = told.point
        if head is None or told.kind != "answered" or not often:
            return
        groups = tables.grouped(read_records(self._store)[0])
        reads = reads_disk(groups[self._planner.main_part, head, 0])
        cells = [cell for _, _, cell in input_cells(self._planner, head, reads_disk=reads)]
        self._carry_out_changed("one input at a time", [Order(c, often) for c in cells], executor)

    def _corner(self, executor: Executor) -> None:
        """Run the answer's point with all inputs at the ends that raise the answer, at once."""
        (needs, hosts, told), often = self._known(), self._planner.study.one_at_a_time
        if told.point is None or told.kind != "answered" or not often:
            return
        groups = tables.grouped(read_records(self._store)[0])
        base = rests.base_of(self._planner, self._store, groups, needs, hosts, told.point)
        if base is None:
            return
        ends = corner.worst_ends(rests.effects_of(self._planner, groups, base), base)
        try:
            cell = corner.corner_cell(self._planner, told.point, ends)
        except ScenarioError:
            return
        if ends:
            self._carry_out_changed("all inputs at their worst", [Order(cell, often)], executor)

    def _sampled(self, executor: Executor) -> None:
        """Run the answer's point with all its inputs drawn, each draw with luck of its own."""
        told, n = self._known()[2], self._planner.study.sample
        if told.point is None or told.kind != "answered" or not n:
            return
        groups = tables.grouped(read_records(self._store)[0])
        reads = reads_disk(groups[self._planner.main_part, told.point, 0])
        drawn = sampled.draws(self._planner, told.point, n, reads_disk=reads)
        orders = [Order(cell, 1, FRESH_FROM + number) for number, (_, cell) in enumerate(drawn)]
        self._carry_out_changed("all inputs drawn", orders, executor)

    def _carry_out_changed(self, what: str, orders: Sequence[Order], executor: Executor) -> None:
        """Run cells with inputs changed; where memory ran out, again on larger hosts.

        What they need is asked, not what happens on a host: runs on the last one have the place.
        """
        self._carrier.carry_out(what, orders, executor)
        while short := self._that_ran_out(orders):
            orders = [replace(order, cell=larger) for order, larger in short]
            left = []
            for order, _ in short:
                cell = replace(order.cell, part="too small", host=self._n_too_small)
                left.append(replace(order, cell=cell))
                self._n_too_small += 1
            self._carrier.carry_out(f"{what}, on larger hosts", [*orders, *left], executor)

    def _that_ran_out(self, orders: Sequence[Order]) -> list[tuple[Order, Cell]]:
        """Return the orders whose needs were cut off, each with its cell on a larger host."""
        groups = tables.grouped(read_records(self._store)[0])
        short = []
        for order in orders:
            cell = order.cell
            if self._ran_out(groups.get((cell.part, cell.point, cell.host), []), cell):
                with suppress(ScenarioError):
                    short.append((order, self._planner.larger(cell)))
        return short

    def _ran_out(self, records: Sequence[Record], cell: Cell) -> bool:
        """Return whether a need was cut off that a host twice as large, if allowed, may show.

        A cell at which the work did not even begin stays as it is: that host is a mistake.
        """
        most = self._planned[cell.point].memory_bytes << MOST_DOUBLINGS
        return (
            self._planner.study.need is not None
            and 2 * cell.memory_bytes <= most
            and any(record.cut_off for record in records)
            and not any(record.in_the_way(of_need=True) for record in records)
        )

    def _container(self, executor: Executor) -> None:
        """Run the answer's point in containers: without a limit, with its own, with less."""
        asked, told = self._planner.study.container, self._known()[2]
        if asked is None or told.point is None or told.kind != "answered":
            return
        roomy = container.container_cells(self._planner, told.point)
        orders = [Order(cell, asked.replications) for cell in roomy]
        self._carrier.carry_out("a container without a limit", orders, executor)
        groups = tables.grouped(read_records(self._store)[0])
        try:
            limits = container.limits_of(self._store, self._planner, groups, told.point)
        except InsufficientDataError:
            return
        cells = container.trial_cells(self._planner, told.point, limits)
        orders = [Order(cell, asked.tried, FRESH_FROM) for cell in cells]
        self._carrier.carry_out("containers with a limit, and with less", orders, executor)

    def _known(self) -> tuple[dict[int, Need], dict[int, int], Headline]:
        """Return needs and hosts by point, and what the answer is about, as results are now."""
        records, _ = read_records(self._store)
        needs, hosts = needs_and_hosts(records, self._planner)
        figure = figure_from(self._store, self._planner.study.answer.metric)
        return needs, hosts, headline(tables.grouped(records), self._planner, hosts, figure)

    def _main_round(
        self, what: str, often: Mapping[int, int], others: Sequence[Order], executor: Executor
    ) -> None:
        """Run points as often as told, and `others`; enlarge hosts on which memory ran out."""
        orders = [Order(self._main[point], n) for point, n in often.items()]
        self._carrier.carry_out(what, [*orders, *others], executor)
        while larger := self._enlarged(often):
            orders = []
            for point, cell in larger.items():
                orders += [Order(cell, often[point]), Order(self._outgrown(point), often[point])]
            self._main |= larger
            self._carrier.carry_out(
                "points that ran out of memory, on larger hosts", orders, executor
            )

    def _outgrown(self, point: int) -> Cell:
        """Return the cell of a point that needs a larger host; its runs keep a place of theirs."""
        cell = self._main[point]
        doublings = (cell.memory_bytes // self._planned[point].memory_bytes).bit_length() - 1
        return replace(cell, part="outgrown", host=doublings)

    def _enlarged(self, points: Mapping[int, int]) -> dict[int, Cell]:
        """Return cells on hosts twice as large, for points whose need was cut off."""
        groups = tables.grouped(read_records(self._store)[0])
        larger = {}
        for point in points:
            cell = self._main[point]
            if self._ran_out(groups.get((self._planner.main_part, point, 0), []), cell):
                with suppress(ScenarioError):
                    larger[point] = self._planner.measure_on(point, 2 * cell.memory_bytes)
        return larger

    def _in_full(self, most: Mapping[int, int], executor: Executor) -> None:
        """Run uncertain points and the answer's up to `most` times.

        More runs move bounds, and so perhaps the answer to another point: then that one too.
        """
        chosen = set(self._unsure_points(most))
        if self._in_shard:
            self._main_round("uncertain points", {p: most[p] for p in chosen}, [], executor)
            return
        head = self._known()[2].point
        while True:
            if head is not None and head in most:
                chosen.add(head)
            orders = {point: n for point, n in most.items() if point in chosen}
            self._main_round("uncertain points, and the answer's", orders, [], executor)
            head = self._known()[2].point
            if head is None or head not in most or head in chosen:
                return

    def _unsure_points(self, points: Mapping[int, int]) -> list[int]:
        records, _ = read_records(self._store)
        if self._planner.main_part == "need":
            needs, _ = needs_and_hosts(records, self._planner)
            return [
                point
                for point in points
                if not adaptive.need_is_sure(needs.get(point), self._often[point].precision)
            ]
        groups = tables.grouped(records)
        answer = self._planner.study.answer
        unsure = []
        for point in points:
            part = self._planner.main_part
            sure = adaptive.figure_is_sure(
                self._store,
                groups.get((part, point, 0), []),
                answer.metric,
                precision=self._often[point].precision,
                confidence=answer.confidence,
                looks=self._planner.looks(point),
            )
            if not sure:
                unsure.append(point)
        return unsure

    def _unsure_hosts(
        self, cells: Sequence[Cell], needs: Mapping[int, Need], margin: float
    ) -> list[Cell]:
        groups = tables.grouped(read_records(self._store)[0])
        return [
            cell
            for cell in cells
            if not adaptive.host_is_sure(
                [r.ran_out for r in groups.get((cell.part, cell.point, cell.host), [])],
                usable_bytes=cell.memory_bytes - kept_bytes(cell.scenario),
                need=needs.get(cell.point),
                margin=margin,
            )
        ]
