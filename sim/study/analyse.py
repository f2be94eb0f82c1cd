"""What the results of a study say: tables, and findings as plain values.

`analyse` reads the store and nothing else, so the same results give the same findings, in any
order of completion.  `Findings` is plain data: it goes into a JSON file and to `sim.report`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sim.base.errors import InsufficientDataError
from sim.scenario.questions import Replications
from sim.study import answer, bill, container, corner, doubts, drawn, rests, sampled, tables, trials
from sim.study.adaptive import figure_is_sure, need_is_sure
from sim.study.curves import free_pages_curves, pooled_distributions
from sim.study.effects import design_sentences, effects_table
from sim.study.facts import (
    axis_facts,
    exact_words,
    failure_facts,
    provenance_facts,
    runs_facts,
    study_facts,
)
from sim.study.first_kill import FIRST_KILL, first_kill
from sim.study.headline import Headline, asks_for_need, at_least, figure_from, headline, unanswered
from sim.study.inputs import omissions_of
from sim.study.latencies import latencies_of
from sim.study.need import Need, smallest_host_bytes
from sim.study.percentiles import distributions_of
from sim.study.plan import Planner
from sim.study.points import place_text, value_at
from sim.study.prices import price_list
from sim.study.records import Record, read_records
from sim.study.store import Store
from sim.study.summary import summary_of
from sim.study.uncertainties import uncertainty_rows

if TYPE_CHECKING:
    from sim.scenario.study import StudyFile
    from sim.study.points import Axis, Part, Point

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
        normal=study.answer.normal_because is not None,
        looks=planner.looks,
    )
    hosts = {}
    for point, need in needs.items():
        try:
            hosts[point] = smallest_host_bytes(need.bound.bound, partial(planner.on_host, point))
        except InsufficientDataError:
            continue
    return {point: needs[point] for point in hosts}, hosts


@dataclass(frozen=True, slots=True)
class Rest:
    """What the answer rests on: its figure, if it is one, and how its inputs move it."""

    base: rests.Base | None
    effects: Sequence[rests.Effect]
    latencies: list[dict[str, Any]]
    limits: Sequence[container.Limit]
    sample: sampled.Sampled | None
    corner: corner.Corner | None


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
        plan = store.plan()
        self.n_fresh = sum(run.place.part == "fresh" for run in plan)  # that there were to be
        self.n_missing = len(plan) - len(self.records) - len(self.failures)
        whole = {record.key for record in self.records}
        ended = store.outcomes().items()
        self.n_damaged = sum(o.reason is None and key not in whole for key, o in ended)
        self.groups = tables.grouped(self.records)
        self._note_enlarged()
        self.needs, self.hosts = needs_and_hosts(self.records, planner)
        self.data = self._data_bytes()

    def _note_enlarged(self) -> None:
        """Tell the planner on which hosts points were measured that ran out on the first."""
        for point in range(len(self.points)) if self.study.need is not None else ():
            records = self.groups.get((self.part, point, 0))
            size = records[0].memory_bytes if records else 0
            if size > self.planner.main_cell(point).memory_bytes:
                self.planner.measure_on(point, size)

    def _frames(self) -> dict[str, Any]:
        """Return the tables that rest on the runs alone."""
        confidence = self.study.answer.confidence
        return {
            "runs": tables.runs_table(self.records, self.axes, self.points),
            "points": tables.points_table(
                *(self.groups, self.part, self.axes, self.points, confidence),
                distributions=partial(distributions_of, self.store),
                exact=partial(exact_words, self.store),
                named=self._metrics(),
            ),
            "need": tables.need_table(self.needs, self.hosts, self.data, self.axes, self.points),
            "oom": trials.oom_table(
                *(self.groups, self.axes, self.points, self._factors(), confidence),
                looks=self.planner.looks_at_hosts,
            ),
            "fork": tables.fork_table(self.groups, self.part, self.axes, self.points),
            "stages": tables.stages_table(self.groups, self.part, self.axes, self.points),
            "paired": self._paired(confidence),
            "effects": effects_table(
                self.groups, self.part, self.planner.design, self._metrics(), confidence
            ),
        }

    def findings(self) -> Findings:
        frames = self._frames()
        figure = figure_from(self.store, self.study.answer.metric)
        told = headline(self.groups, self.planner, self.hosts, figure)
        head = told.point
        base = None if head is None or told.kind != "answered" else self._base(head)
        effects = [] if base is None else rests.effects_of(self.planner, self.groups, base)
        limits = container.found(self.store, self.planner, self.groups, told)
        sample = sampled.found(self.planner, self.groups, base)
        worst = corner.found(self.planner, self.groups, base, effects)
        needed = None if head is None else self.needs.get(head)
        rest = Rest(base, effects, self._latencies(told, effects), limits, sample, worst)
        frames["inputs"] = rests.effects_table(effects, base)
        scenarios = map(self._scenario_at, range(len(self.points)))
        facts: dict[str, Any] = {
            "findings_version": FINDINGS_VERSION,
            "study": study_facts(self.planner, self.part, self._axis_facts(), self.records),
            "answer": {
                "sentence": "",
                "more": [],
                "kind": told.kind,
                "reasons": list(told.reasons),
                "check": None,
                "precision": None,
                "point": head,
                "figure": None if base is None else base.figure,
                "metric": None if base is None else base.metric,
                "text": None if base is None else base.text(base.figure),
                "bound": None,
                "event": self.study.answer.event,
                "where": None if head is None else place_text(self.axes, self.points[head]),
            },
            "inputs": [] if base is None else rests.effect_facts(effects, base),
            "sampled": None if sample is None else sample.plain(),
            "corner": None if worst is None else worst.plain(),
            "uncertainty": uncertainty_rows(self.planner, base, needed, effects, sample, worst),
            "latencies": [],
            "container": [limit.plain() for limit in rest.limits],
            "bill": [],
            "settings": [],
            "curves": [],
            "distributions": {},
            "published": [],
            "prices": [],
            "scenario": None,
            "provenance": provenance_facts(self.planner, head, scenarios, self.command)
            | runs_facts(self.records, self.failures, self.n_missing, self.n_damaged),
            "failures": [failure_facts(f, self.axes, self.points) for f in self.failures],
        }
        if told.kind == "no answer":
            sentences = answer.no_answer_sentences(told.reasons, facts["answer"]["where"])
            facts["answer"] |= {"sentence": sentences[0], "more": sentences[1:]}
        if head is not None and self.groups.get((self.part, head, 0)):
            self._tell_about(told, head, facts, rest)
        self._tell_of_points(head, facts, frames)
        return Findings(facts, frames)

    def _tell_of_points(
        self, head: int | None, facts: dict[str, Any], frames: dict[str, Any]
    ) -> None:
        """Say what concerns all points: those without an answer, the design, what is not exact."""
        without = unanswered(self.groups, self.planner, self.hosts)
        frames["unanswered"] = tables.unanswered_table(without, self.axes, self.points)
        others = {
            place_text(self.axes, self.points[point]): reasons
            for point, reasons in without.items()
            if point != head
        }
        if head is not None:
            said = answer.unanswered_sentences(others, len(self.points))
            facts["answer"]["more"] = [*said, *facts["answer"]["more"]]
        metric, design = self.study.answer.metric, self.planner.design
        facts["answer"]["more"] += design_sentences(design, frames["effects"], metric)
        taken = [answer.sentence(text) for text in facts["provenance"]["conditions"]]
        facts["answer"]["more"] = [*taken, *facts["answer"]["more"]]

    def _tell_about(self, told: Headline, head: int, facts: dict[str, Any], rest: Rest) -> None:
        """Fill in what concerns the point that the answer is about."""
        groups = self.groups
        resolved = self.store.scenario(groups[self.part, head, 0][0].scenario)
        facts["latencies"] = rest.latencies
        if told.kind != "no answer":
            judged = self._verdict(head)
            facts["answer"] |= {
                "check": None if judged is None else judged.plain(),
                "precision": self._precision(head),
            }
            sentences = self._sentences(told, head, rest, judged)
            facts["answer"] |= {"sentence": sentences[0], "more": sentences[1:]}
        if head in self.needs and told.kind == "answered":
            need, host = self.needs[head], self.hosts[head]
            scenario, data = self.planner.on_host(head, host), self.data.get(head)
            event = self.study.answer.event
            facts["answer"]["bound"] = answer.bound_words(need, event)
            omissions = omissions_of(resolved, self.planner.programs)
            items = bill.bill(need, host, scenario, data, event, omissions)
            facts["bill"] = [item.plain() for item in items]
            facts["settings"] = bill.settings(need, host, scenario, self.planner.programs)
        facts["curves"] = free_pages_curves(self.store, groups, self.part, head)
        keys = [record.key for record in groups[self.part, head, 0]]
        facts["distributions"] = pooled_distributions(self.store, keys)
        facts["published"] = resolved["host"].get("published", [])
        facts["prices"] = price_list(resolved)
        facts["scenario"] = resolved

    def _sentences(
        self, told: Headline, head: int, rest: Rest, judged: trials.Verdict | None
    ) -> list[str]:
        where = place_text(self.axes, self.points[head])
        base, effects = rest.base, rest.effects
        words = {
            "subject": self.study.answer.subject,
            "event": self.study.answer.event,
            "condition": "" if base is None else doubts.condition(effects, base),
        }
        sentences = []
        if told.kind == "more than":
            sentences.append(self._more_than(head, where))
        elif head in self.needs:
            ratios = {
                p: self.hosts[p] / self.data[p] for p in sorted(self.needs) if self.data.get(p)
            }
            sentences += answer.need_sentences(
                *(self.needs[head], self.hosts[head], ratios, self.data.get(head), where, words),
                n_points=len(self.points),
            )
        else:
            sentences.append(self._metric_sentence(head, where))
        if asks_for_need(self.planner):
            sentences[1:1] = doubts.page_cache_sentences(self.groups[self.part, head, 0])
        if base is not None:
            together = drawn.sentences(rest.sample, base) + corner.sentences(rest.corner, base)
            advise = not drawn.advises(rest.sample)
            sentences[1:1] = doubts.ignorance_sentences(effects, base, advise=advise) + together
            sentences += doubts.other_sentences(self.planner, head, self.needs.get(head))
        sentences += container.sentences(rest.limits, self.planner)
        sentences += doubts.price_sentences(rest.latencies)
        sentences += answer.outgrown_sentences(trials.outgrown(self.groups, head))
        sentences += answer.precision_sentences(self._precision(head), self.study.answer.metric)
        if judged is None and self.n_fresh:
            sentences.append(answer.no_verdict_sentence(self.n_fresh))
        elif judged is not None:
            sentences.append(answer.verdict_sentence(judged, words["event"]))
        return sentences + answer.books_sentences(trials.books(self.groups))

    def _latencies(self, told: Headline, effects: Sequence[rests.Effect]) -> list[dict[str, Any]]:
        if told.point is None or told.kind != "answered":
            return []
        records = self.groups[self.part, told.point, 0]
        return latencies_of(self.store, records, rests.price_runs(effects))

    def _metric_sentence(self, head: int, where: str) -> str:
        metric, confidence = self.study.answer.metric, self.study.answer.confidence
        records = self.groups[self.part, head, 0]
        if metric == FIRST_KILL:
            return f"{metric} ({where}): {first_kill(records, confidence).text}."
        summary = summary_of(records, metric, confidence, distributions_of(self.store, records))
        if summary is None:
            return f"{metric} ({where}) has no value that could be stated; see the runs."
        asked = "confidence" in self.study.answer.model_fields_set
        return answer.metric_sentence(metric, where, summary, confidence, asked=asked)

    def _more_than(self, head: int, where: str) -> str:
        records = self.groups[self.part, head, 0]
        more_than = at_least(self.planner, records)
        cut_off = sum(record.cut_off for record in records)
        if self.study.need is None:
            metric = self.study.answer.metric
            words = "more than" if any(record.needs_more for record in records) else "at least"
            return answer.more_than_sentence(metric, where, words, more_than, cut_off, len(records))
        subject = self.study.answer.subject
        return answer.more_than_host(subject, where, more_than, cut_off, len(records))

    def _verdict(self, head: int) -> trials.Verdict | None:
        if head not in self.needs:
            return None
        fresh = self.groups.get(("fresh", head, 0), [])
        return trials.verdict(fresh, self.needs[head].bound, planned=self.n_fresh)

    def _precision(self, head: int) -> dict[str, Any] | None:
        """Return whether the answer is as precise as was asked for; None if nothing was asked."""
        asked = self.study.replications
        if not isinstance(asked, Replications) or asked.most == asked.least:
            return None
        if head in self.needs:
            reached = need_is_sure(self.needs[head], asked.precision)
        else:
            reached = figure_is_sure(
                self.store,
                self.groups[self.part, head, 0],
                self.study.answer.metric,
                precision=asked.precision,
                confidence=self.study.answer.confidence,
                looks=self.planner.looks(head),
            )
        return {"asked": asked.precision, "reached": reached}

    def _base(self, head: int) -> rests.Base | None:
        return rests.base_of(self.planner, self.store, self.groups, self.needs, self.hosts, head)

    def _data_bytes(self) -> dict[int, int]:
        """Return each point's data set: the key whose multiples the study's hosts are."""
        key = self.planner.data_key
        if key is None:
            return {}
        sizes = {}
        for point in range(len(self.points)):
            scenario = self._scenario_at(point)
            value = None if scenario is None else value_at(scenario, key)
            if isinstance(value, int):
                sizes[point] = value
        return sizes

    def _factors(self) -> dict[str, list[float]]:
        check = self.study.check
        return {} if check is None else {"check": list(check.by), "around": list(check.around)}

    def _paired(self, confidence: float) -> Any:
        baseline = self.planner.baseline
        if not baseline:
            return tables.paired_table({}, self.part, [], [], {}, [], confidence, {})
        return tables.paired_table(
            *(self.groups, self.part, self.axes, self.points, baseline, self._metrics()),
            confidence,
            planned=self.store.planned(self.part),
        )

    def _metrics(self) -> list[str]:
        """Return the metrics that the study asks for, the answer's first."""
        return list(dict.fromkeys([self.study.answer.metric, *self.study.metrics]))

    def _axis_facts(self) -> list[dict[str, Any]]:
        at = self._scenario_at
        return [axis_facts(n, axis, self.points, at) for n, axis in enumerate(self.axes)]

    def _scenario_at(self, point: int) -> Mapping[str, Any] | None:
        """Return the resolved scenario of a point's runs; None if it has none."""
        records = self.groups.get((self.part, point, 0))
        return self.store.scenario(records[0].scenario) if records else None
