"""Carrying out ordered runs: those that the store does not have yet, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from sim.study.base import run_keys
from sim.study.executor import Executor
from sim.study.job import Job
from sim.study.packed import pack
from sim.study.plan import Cell, Planner
from sim.study.progress import Progress
from sim.study.records import read_records
from sim.study.shard import Share
from sim.study.store import Store
from sim.study.stored import Place, PlannedRun


@dataclass(frozen=True, slots=True)
class Order:
    """A cell, and how many replications of it there shall be, numbered from `first` on."""

    cell: Cell
    replications: int
    first: int = 0

    def places(self) -> list[Place]:
        """Return where its runs stand."""
        cell, numbers = self.cell, range(self.first, self.first + self.replications)
        return [Place(cell.part, cell.point, cell.host, number) for number in numbers]


class Carrier:
    """Plans runs in `store`, whose only writer it is, and carries them out.

    With a `share`, only those of them that are in it.  With `gists`, what a report reads of each
    result is kept at once, made by whoever made the run.
    """

    def __init__(
        self,
        store: Store,
        planner: Planner,
        progress: Progress,
        share: Share | None = None,
        *,
        gists: bool = False,
    ) -> None:
        self._share = share
        self._gists = gists
        self._store = store
        self._planner = planner
        self._progress = progress
        self._warm = False
        self.n_new = 0

    def carry_out(self, what: str, orders: Sequence[Order], executor: Executor) -> None:
        """Plan the runs of `orders` and carry out those that are not finished."""
        seed = self._planner.study.seed
        planned: list[PlannedRun] = []
        jobs: dict[str, Job] = {}
        done = self._store.done_keys()
        for order in orders:
            cell = order.cell
            places = [p for p in order.places() if self._share is None or self._share.has(p)]
            numbers = [place.replication for place in places]
            keys = run_keys(cell.scenario, seed, numbers, self._planner.plugin_sha256)
            for place, key in zip(places, keys, strict=True):
                planned.append(PlannedRun(place, key, cell.sha))
                if key not in done:
                    luck = place.replication
                    jobs[key] = Job(key, cell.scenario, seed, luck, cell.weight, self._gists)
        scenarios = {order.cell.sha: order.cell.scenario for order in orders}
        self._store.add_to_plan(planned, {sha: pack(each) for sha, each in scenarios.items()})
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
                self._store.put_done(finished.key, finished.body, finished.wall_s, finished.gists)
            else:
                self._store.put_failed(finished.key, finished.reason or "", finished.wall_s)
            self.n_new += 1
            self._progress.advance(weights[finished.key])
