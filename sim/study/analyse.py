"""What the results of a study say: tables, and findings as plain values.

`analyse` reads the store and nothing else, so the same results give the same findings, in any
order of completion.  `Findings` is plain data: it goes into a JSON file and to `sim.report`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import sim
from sim.errors import InsufficientDataError
from sim.scenario.resolve import RESULTS_VERSION
from sim.scenario.study import StudyFile, Times
from sim.study import answer, rests, tables
from sim.study.curves import free_pages_curves, pooled_distributions
from sim.study.need import Need, smallest_host_bytes
from sim.study.plan import MEMORY, Axis, Part, Planner, Point, value_at
from sim.study.prices import price_list
from sim.study.records import Failure, Record, metric_text, read_records
from sim.study.store import Store

FINDINGS_VERSION: Final = 1


@dataclass(slots=True)
class Findings:
    """What a study found: `facts` are JSON-able, `tables` are tidy data frames by name."""

    facts: dict[str, Any]
    tables: dict[str, Any] = field(default_factory=dict)

    @property
    def sentence(self) -> str:
        """The answer, in one sentence."""
        return str(self.facts["answer"]["sentence"])


def analyse(store: Store, planner: Planner, command: str) -> Findings:
    """Return what the finished runs of the store's current plan say.

    `command` is what repeats the study, for the report.
    """
    return _Analysis(store, planner, command).findings()


def needs_and_hosts(
    records: Sequence[Record], planner: Planner
) -> tuple[dict[int, Need], dict[int, int]]:
    """Return each point's need, and the smallest host that holds it, in bytes."""
    study = planner.study
    needs = tables.needs_of(
        tables.grouped(records),
        len(planner.points),
        content=study.answer.content,
        confidence=study.answer.confidence,
    )
    hosts = {}
    for point, need in needs.items():
        try:
            hosts[point] = smallest_host_bytes(need.bound.bound, partial(planner.on_host, point))
        except InsufficientDataError:
            continue
    return {point: needs[point] for point in hosts}, hosts


def answer_point(
    groups: tables.Groups, planner: Planner, hosts_bytes: Mapping[int, int]
) -> int | None:
    """Return the point the answer is about: the one named, or else the largest of all.

    The largest is the one that needs the largest host, or where no need is known, the one with
    the largest mean of the answer's metric.  None if no such point has a finished run.
    """
    part, wanted = planner.main_part, planner.study.answer.at or {}
    fitting = [
        point.index
        for point in planner.points
        if (part, point.index, 0) in groups
        and all(
            str(wanted.get(axis.key, level)) == level
            for axis, level in zip(planner.axes, point.levels, strict=True)
        )
    ]
    with_host = [point for point in fitting if point in hosts_bytes]
    if with_host:
        return max(with_host, key=lambda point: hosts_bytes[point])
    metric = planner.study.answer.metric

    def mean(point: int) -> float:
        values = tables.values_of(groups[part, point, 0], metric)
        return float("-inf") if values is None else sum(values) / len(values)

    return max(fitting, key=mean, default=None)


class _Analysis:
    """The steps of an analysis, over what they share."""

    def __init__(self, store: Store, planner: Planner, command: str) -> None:
        self.store = store
        self.command = command
        self.planner = planner
        self.study: StudyFile = planner.study
        self.axes: list[Axis] = planner.axes
        self.points: list[Point] = planner.points
        self.part: Part = planner.main_part
        self.records, self.failures = read_records(store)
        self.n_missing = len(store.plan()) - len(self.records) - len(self.failures)
        self.groups = tables.grouped(self.records)
        self.needs, self.hosts = needs_and_hosts(self.records, planner)
        self.data = self._data_bytes()

    def findings(self) -> Findings:
        confidence = self.study.answer.confidence
        frames = {
            "runs": tables.runs_table(self.records, self.axes, self.points),
            "points": tables.points_table(
                self.groups, self.part, self.axes, self.points, confidence
            ),
            "need": tables.need_table(self.needs, self.hosts, self.data, self.axes, self.points),
            "oom": tables.oom_table(
                self.groups, self.axes, self.points, self._factors(), confidence
            ),
            "fork": tables.fork_table(self.groups, self.part, self.axes, self.points, confidence),
            "stages": tables.stages_table(self.groups, self.part, self.axes, self.points),
            "paired": self._paired(confidence),
        }
        head = answer_point(self.groups, self.planner, self.hosts)
        base = None if head is None else self._base(head)
        effects = [] if base is None else rests.effects_of(self.planner, self.groups, base)
        frames["inputs"] = rests.effects_table(effects, base)
        facts: dict[str, Any] = {
            "findings_version": FINDINGS_VERSION,
            "study": self._study_facts(),
            "answer": {
                "sentence": "",
                "more": [],
                "point": head,
                "bound": answer.bound_words(self.study.answer),
                "where": None if head is None else answer.place_text(self.axes, self.points[head]),
            },
            "inputs": [] if base is None else rests.effect_facts(effects, base),
            "bill": [],
            "settings": [],
            "curves": [],
            "distributions": {},
            "published": [],
            "prices": [],
            "scenario": None,
            "provenance": self._provenance(),
            "failures": [_failure_facts(f, self.axes, self.points) for f in self.failures],
        }
        if head is None:
            facts["answer"]["sentence"] = "No point of this study has a finished run: no answer."
        else:
            self._tell_about(head, facts, frames)
        return Findings(facts, frames)

    def _tell_about(self, head: int, facts: dict[str, Any], frames: Mapping[str, Any]) -> None:
        """Fill in what concerns the point that the answer is about."""
        groups = self.groups
        sentences = self._sentences(head, frames)
        facts["answer"] |= {"sentence": sentences[0], "more": sentences[1:]}
        if head in self.needs:
            need, host = self.needs[head], self.hosts[head]
            scenario, data = self.planner.on_host(head, host), self.data.get(head)
            event = self.study.answer.event
            items = answer.bill(need, host, scenario, data, event)
            facts["bill"] = [item.plain() for item in items]
            facts["settings"] = answer.settings(need, host, scenario, data)
        first = groups[self.part, head, 0][0]
        resolved = self.store.scenario(first.scenario)
        facts["curves"] = free_pages_curves(self.store, groups, self.part, head)
        keys = [record.key for record in groups[self.part, head, 0]]
        facts["distributions"] = pooled_distributions(self.store, keys)
        facts["published"] = resolved["host"].get("published", [])
        facts["prices"] = price_list(resolved)
        facts["scenario"] = resolved

    def _sentences(self, head: int, frames: Mapping[str, Any]) -> list[str]:
        where = answer.place_text(self.axes, self.points[head])
        sentences = []
        if head in self.needs:
            ratios = {
                p: self.hosts[p] / self.data[p] for p in sorted(self.needs) if self.data.get(p)
            }
            words = {"subject": self.study.answer.subject, "event": self.study.answer.event}
            sentences += answer.need_sentences(
                self.needs[head], self.hosts[head], ratios, self.data.get(head), where, words
            )
        else:
            sentences.append(self._metric_sentence(head, where))
        fork = frames["fork"]
        if not fork.empty and (fork["point"] == head).any():
            row = fork[fork["point"] == head].iloc[0]
            sentences.append(
                answer.fork_sentence(
                    row["fork_ns"], row["half_width_ns"], row["longest_ns"], int(row["n"])
                )
            )
        sentences += answer.check_sentences(frames["oom"])
        return sentences + answer.agreement_sentences(*tables.agreement(self.groups))

    def _metric_sentence(self, head: int, where: str) -> str:
        metric = self.study.answer.metric
        records = self.groups[self.part, head, 0]
        estimate = tables.estimate_of(records, metric, self.study.answer.confidence)
        if estimate is None:
            values = tables.values_of(records, metric)
            if values is None or self.study.need is not None:
                return f"{metric} ({where}) has no value that could be stated; see the runs."
            return f"{metric} ({where}) is {metric_text(metric, values[0])}, in a single run."
        level = f"{100 * estimate.confidence:g} % CI, n={estimate.n}"
        return f"{metric} ({where}) is {tables.estimate_text(metric, estimate)} ({level})."

    def _base(self, head: int) -> rests.Base | None:
        """Return the answer that inputs move; None if there is no figure."""
        if head in self.needs:
            bound, host = self.needs[head].bound.bound, float(self.hosts[head])
            return rests.Base(head, host, rests.NEED_METRIC, bound)
        metric = self.study.answer.metric
        values = tables.values_of(self.groups[self.part, head, 0], metric)
        if values is None or self.study.need is not None:
            return None
        return rests.Base(head, sum(values) / len(values), metric, None)

    def _data_bytes(self) -> dict[int, int]:
        """Return each point's data set: the key whose multiples the study's hosts are."""
        study, key = self.study, None
        if study.check is not None:
            key = study.check.times
        elif study.need is not None:
            times = study.need.set.get(MEMORY)
            key = Times.model_validate(times).times if isinstance(times, Mapping) else None
        if key is None:
            return {}
        sizes = {}
        for point in range(len(self.points)):
            records = self.groups.get((self.part, point, 0))
            value = value_at(self.store.scenario(records[0].scenario), key) if records else None
            if isinstance(value, int):
                sizes[point] = value
        return sizes

    def _factors(self) -> dict[str, list[float]]:
        check = self.study.check
        return {} if check is None else {"check": list(check.by), "around": list(check.around)}

    def _paired(self, confidence: float) -> Any:
        if not self.study.baseline:
            return tables.paired_table({}, self.part, [], [], {}, [], confidence)
        baseline = {key: str(level) for key, level in self.study.baseline.items()}
        metrics = list(dict.fromkeys([self.study.answer.metric, *self.study.metrics]))
        return tables.paired_table(
            self.groups, self.part, self.axes, self.points, baseline, metrics, confidence
        )

    def _study_facts(self) -> dict[str, Any]:
        study = self.study
        return {
            "name": study.name,
            "question": study.question,
            "base": study.base,
            "part": self.part,
            "axes": [self._axis_facts(n, axis) for n, axis in enumerate(self.axes)],
            "metric": study.answer.metric,
            "metrics": list(study.metrics),
            "baseline": study.baseline,
            "seed": study.seed,
            "file": study.model_dump(mode="json", exclude_defaults=True),
            "runs": {
                part: sum(r.place.part == part for r in self.records)
                for part in ("runs", "need", "inputs", "check", "around")
                if any(r.place.part == part for r in self.records)
            },
        }

    def _axis_facts(self, n: int, axis: Axis) -> dict[str, Any]:
        """Return an axis with the number behind each level, where there is one."""
        levels = []
        for level in axis.levels:
            point = next(p.index for p in self.points if p.levels[n] == level.name)
            records = self.groups.get((self.part, point, 0))
            value = None
            if records and len(level.sets) == 1:
                value = value_at(self.store.scenario(records[0].scenario), next(iter(level.sets)))
            number = value if isinstance(value, int | float) else None
            levels.append({"name": level.name, "value": number})
        return {"key": axis.key, "label": axis.label, "levels": levels}

    def _provenance(self) -> dict[str, Any]:
        return {
            "software": "cowpool",
            "version": sim.__version__,
            "results_version": RESULTS_VERSION,
            "command": self.command,
            "seed": self.study.seed,
            "runs_done": len(self.records),
            "runs_failed": len(self.failures),
            "runs_missing": self.n_missing,
        }


def _failure_facts(
    failure: Failure, axes: Sequence[Axis], points: Sequence[Point]
) -> dict[str, Any]:
    place = failure.place
    return {
        "part": place.part,
        "where": answer.place_text(axes, points[place.point]),
        "host": place.host,
        "replication": place.replication,
        "reason": failure.reason.strip().splitlines()[-1],
    }
