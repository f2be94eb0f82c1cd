"""The rounds of a study: which runs are made, decided by the study and by results alone.

1. every point `least` times, on its main host and on every host of the check;
2. points whose mean is still too uncertain, and the one that the answer is about, up to `most`
   times;
3. the answer's point with each of its inputs at each end of its range, one at a time;
4. hosts of the check where chance decides, and those around the answer's own need, up to `most`
   times; those around what other points need `least` times;
5. of the latter those where chance decides, up to `most` times.

A round ends before the next is planned, so neither the number of workers nor their speed can
change what is run.
"""

from collections.abc import Mapping, Sequence

from sim.scenario.study import Replications
from sim.study import adaptive, tables
from sim.study.analyse import answer_point, needs_and_hosts
from sim.study.base import run_key
from sim.study.executor import Executor, Job
from sim.study.inputs import input_cells, reads_disk
from sim.study.need import Need, kept_bytes
from sim.study.plan import Cell, Planner
from sim.study.progress import Progress
from sim.study.records import read_records
from sim.study.store import Place, PlannedRun, Store, pack

Order = tuple[Cell, int]
"""A cell, and how many replications of it there shall be."""


class Rounds:
    """Carries out the rounds of a study whose plan `store` has begun; nobody else writes to it.

    `cells` are those of every point on its main host and on every host of the check.
    """

    def __init__(
        self, store: Store, planner: Planner, cells: Sequence[Cell], progress: Progress
    ) -> None:
        self._store = store
        self._planner = planner
        self._progress = progress
        self._main = [cell for cell in cells if cell.part == planner.main_part]
        self._check = [cell for cell in cells if cell.part == "check"]
        self._warm = False
        self.n_new = 0

    def carry_out(self, executor: Executor) -> None:
        """Run whatever is not in the store yet, round by round."""
        file, check = self._planner.study, self._planner.study.check
        main = _replications(file.replications)
        first = [(cell, main.least) for cell in self._main]
        if check is not None:
            first += [(cell, check.replications.least) for cell in self._check]
        self._round("every point", first, executor)
        if main.most > main.least:
            self._in_full(main, executor)
        self._inputs(executor)
        if check is not None:
            needs, hosts, head = self._known()
            least, most = check.replications.least, check.replications.most
            if check.around_at == "answer":
                hosts = {point: size for point, size in hosts.items() if point == head}
            around = self._planner.around_cells(hosts)
            unsure = self._unsure_hosts(self._check, needs, check.margin)
            third = [(cell, most) for cell in unsure]
            third += [(cell, most if cell.point == head else least) for cell in around]
            self._round("hosts near the answer", third, executor)
            unsure = self._unsure_hosts(around, needs, check.margin)
            self._round("hosts where chance decides", [(c, most) for c in unsure], executor)

    def _inputs(self, executor: Executor) -> None:
        """Run the answer's point with one input at a time at an end of its range."""
        head, often = self._known()[2], self._planner.study.one_at_a_time
        if head is None or not often:
            return
        groups = tables.grouped(read_records(self._store)[0])
        reads = reads_disk(groups[self._planner.main_part, head, 0])
        cells = [cell for _, _, cell in input_cells(self._planner, head, reads_disk=reads)]
        self._round("one input at a time", [(cell, often) for cell in cells], executor)

    def _known(self) -> tuple[dict[int, Need], dict[int, int], int | None]:
        """Return needs and hosts by point, and the answer's point, as the results are now."""
        records, _ = read_records(self._store)
        needs, hosts = needs_and_hosts(records, self._planner)
        return needs, hosts, answer_point(tables.grouped(records), self._planner, hosts)

    def _in_full(self, replications: Replications, executor: Executor) -> None:
        """Run uncertain points and the answer's up to `most` times.

        More runs move bounds, and so perhaps the answer to another point: then that one too.
        """
        chosen = {cell.point for cell in self._unsure_points(replications)}
        head = self._known()[2]
        while True:
            chosen |= set() if head is None else {head}
            orders = [(cell, replications.most) for cell in self._main if cell.point in chosen]
            self._round("uncertain points, and the answer's", orders, executor)
            head = self._known()[2]
            if head is None or head in chosen:
                return

    def _unsure_points(self, replications: Replications) -> list[Cell]:
        records, _ = read_records(self._store)
        if self._planner.main_part == "need":
            needs, _ = needs_and_hosts(records, self._planner)
            return [
                cell
                for cell in self._main
                if not adaptive.need_is_sure(needs.get(cell.point), replications.precision)
            ]
        groups = tables.grouped(records)
        answer = self._planner.study.answer
        unsure = []
        for cell in self._main:
            values = tables.values_of(groups.get((cell.part, cell.point, 0), []), answer.metric)
            sure = values is not None and adaptive.mean_is_sure(
                values, precision=replications.precision, confidence=answer.confidence
            )
            if not sure:
                unsure.append(cell)
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

    def _round(self, what: str, orders: Sequence[Order], executor: Executor) -> None:
        """Plan the runs of `orders` and carry out those that are not finished."""
        seed = self._planner.study.seed
        planned: list[PlannedRun] = []
        jobs: dict[str, Job] = {}
        done = self._store.done_keys()
        for cell, replications in orders:
            for replication in range(replications):
                key = run_key(cell.scenario, seed, replication)
                place = Place(cell.part, cell.point, cell.host, replication)
                planned.append(PlannedRun(place, key, cell.sha))
                if key not in done:
                    jobs[key] = Job(key, cell.scenario, seed, replication, cell.weight)
        scenarios = {cell.sha: pack(cell.scenario) for cell, _ in orders}
        self._store.add_to_plan(planned, scenarios)
        heaviest_first = sorted(jobs.values(), key=lambda job: (-job.weight, job.key))
        if not heaviest_first:
            return
        if not self._warm:
            # One short run alone, so that what it compiles is there for all the others.
            self._warm = True
            self._progress.note("one short run first: on a new machine it compiles the simulator")
            self._run([heaviest_first.pop()], executor)
            if records := read_records(self._store)[0]:
                self._planner.check_metrics(records[0].scalars)
        if not heaviest_first:
            return
        self._progress.begin(what, len(heaviest_first), sum(job.weight for job in heaviest_first))
        self._run(heaviest_first, executor)

    def _run(self, jobs: Sequence[Job], executor: Executor) -> None:
        weights = {job.key: job.weight for job in jobs}
        for finished in executor.run(jobs):
            if finished.body is not None:
                self._store.put_done(finished.key, finished.body, finished.wall_s)
            else:
                self._store.put_failed(finished.key, finished.reason or "", finished.wall_s)
            self.n_new += 1
            self._progress.advance(weights[finished.key])


def _replications(given: int | Replications) -> Replications:
    if isinstance(given, Replications):
        return given
    return Replications(least=given, most=given)
