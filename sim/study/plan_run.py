"""`cowpool plan`: from a study's file to the answer, in a folder of its own."""

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import sim
from sim.base.errors import PartlyDoneError, ScenarioError
from sim.base.files import CannotWriteError, remove_unfinished, require_places, stage
from sim.base.limits import Limits
from sim.base.text import shorten
from sim.engine.room import machine_bytes, require_room
from sim.program.plugin import Plugin
from sim.scenario.questions import Search
from sim.scenario.resolve import RESULTS_VERSION
from sim.scenario.study import Study, load_study
from sim.study.answer import sentence
from sim.study.base import planner_of
from sim.study.carrier import Carrier
from sim.study.doubts import other_sentences
from sim.study.executor import RunFactory, executor_for
from sim.study.facts import conditions_of as host_facts
from sim.study.frames import frame_of
from sim.study.how_many import replications_of
from sim.study.objectives import conditions_of, refused_where_too_short, require_horizons
from sim.study.one_size import tell_trial
from sim.study.plan import Planner
from sim.study.planned import curve_rows, input_rows, tell_search
from sim.study.planning import Plan
from sim.study.points import place_text, value_at
from sim.study.pool import PoolGoneError
from sim.study.progress import ProgressBar, Silent
from sim.study.run import DEFAULT_OUT, command_of
from sim.study.said import Told, rows_of
from sim.study.sizes import Size, Sizes, is_positive, sizes_of
from sim.study.stated_ranges import check_uncertain
from sim.study.store import STORE_NAME, Store

FACTS_NAME: Final = "plan.json"

Draw = Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]], Path], object]
"""Draws the capacity curve, from a plan's facts and the rows of the curve, into a folder."""


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """What came of a plan: sentences, the answer first, facts, its folder, runs made this time."""

    told: Told
    out: Path
    n_new: int

    @property
    def exit_status(self) -> int:
        """0 if there is an answer, and it is yes; else 1."""
        return 0 if self.told.will_do else 1

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON-able values."""
        return {
            **self.told.facts,
            "sentences": list(self.told.sentences),
            "out": str(self.out),
            "runs_new": self.n_new,
        }


def run_plan(
    path: str | Path,
    out: Path | None = None,
    *,
    size: str | None = None,
    jobs: int | None = None,
    draw: Draw | None = None,
    quiet: bool = False,
    settings: Sequence[str] = (),
    plugin: Plugin | None = None,
    limits: Limits | None = None,
    executors: RunFactory | None = None,
) -> PlanOutcome:
    """Find the size that the study in the file `path` plans for, or try one, `size`.

    The other parameters are those of `sim.study.run.run_study`; `out` is ``out/NAME-plan`` where
    it is not given, and `draw` draws the capacity curve.

    Raises `ScenarioError` for a plan that cannot be carried out, and `PartlyDoneError` if a run
    failed or the disk gives out: what was finished is kept, and the same command goes on.
    """
    study = load_study(path, settings)
    planner, kept = planner_of(study, large=True, plugin=plugin)
    conditions = conditions_of(study)
    point = point_of_plan(study, planner)
    sizes = sizes_of(study, planner, point) if size is None else _one(study, planner, point, size)
    ends = [
        planner.size_cell("sizes", point, 0, each.sets)
        for each in (sizes.every[0], sizes.every[-1])
    ]
    require_horizons(study, conditions, (end.scenario for end in ends))
    n = replications_for(study, planner, point, sizes)
    require_room(max((cell.scenario for cell in ends), key=machine_bytes))
    check_uncertain(planner)
    folder = DEFAULT_OUT / f"{study.file.name}-plan" if out is None else out
    require_places(folder, (FACTS_NAME,), ("tables", "figures"))
    bar = nullcontext(Silent()) if quiet else ProgressBar()
    where = place_text(planner.axes, planner.points[point])
    asked, objectives = study.file.plan or Search(), study.file.objectives
    command = command_of("plan", path, settings, plugin)
    command += f" --size {shlex.quote(size)}" if size is not None else ""
    try:
        with Store(folder / STORE_NAME) as store, bar as progress, refused_where_too_short(study):
            store.start_plan({**kept, "command": command})
            executor = executor_for(jobs, plugin, limits, executors)
            carrier = Carrier(store, planner, progress)
            plan = Plan(store, planner, carrier, executor, point, sizes, conditions)
            curve: list[dict[str, Any]] = []
            inputs: list[dict[str, Any]] = []
            try:
                if size is None:
                    found = plan.search(asked, n, confidence=objectives.confidence)
                    others = other_sentences(planner, point, None)
                    told = tell_search(found, sizes, conditions, asked, objectives, where, others)
                    curve = curve_rows(found, sizes, objectives.confidence)
                    inputs = input_rows(found, sizes)
                    judged = found.judged
                else:
                    tried = plan.try_size(
                        0, share=objectives.share, confidence=objectives.confidence
                    )
                    told = tell_trial(tried, sizes, conditions, objectives, where)
                    judged = tried.judged
            finally:
                executor.close()
            rows = rows_of(judged, sizes)
            provenance = {
                "version": sim.__version__,
                "results_version": RESULTS_VERSION,
                "command": command,
                "seed": study.file.seed,
                "plugin_sha256": kept["plugin_sha256"],
            }
            told = _with_conditions(told, [end.scenario for end in ends])
            facts = {**told.facts, "sentences": list(told.sentences), "provenance": provenance}
            _write(folder, facts, {"trials": rows, "curve": curve, "inputs": inputs}, draw)
            return PlanOutcome(told, folder, carrier.n_new)
    except (CannotWriteError, PoolGoneError) as error:
        message = f"{error}; everything finished so far is kept, the same command goes on with it"
        raise PartlyDoneError(message) from error


def _with_conditions(told: Told, scenarios: Sequence[Mapping[str, Any]]) -> Told:
    """Return what is told with what runs of these scenarios do not follow."""
    taken = host_facts(scenarios)
    said = (*told.sentences, *map(sentence, taken))
    return replace(told, sentences=said, facts={**told.facts, "conditions": taken})


def replications_for(study: Study, planner: Planner, point: int, sizes: Sizes) -> int:
    """Return of how many replications a plan is made.

    Raises `ScenarioError` if not even one fits into its time.
    """
    middle = planner.size_cell("sizes", point, 0, sizes.every[len(sizes.every) // 2].sets)
    asked, objectives = study.file.plan or Search(), study.file.objectives
    level = {"share": objectives.share, "confidence": objectives.confidence}
    try:
        return replications_of(asked, middle.weight, len(sizes.every), **level)
    except ValueError as error:
        raise study.error(str(error), "plan", "time") from None


def point_of_plan(study: Study, planner: Planner) -> int:
    """Return the one point of a study that a plan is about."""
    candidates = planner.candidates()
    if len(candidates) > 1:
        axes = " ".join(
            f"--set answer.at.{axis.key}={axis.levels[-1].name.replace(' ', '')}"
            for axis in planner.axes
        )
        if planner.points[0].name:
            axes = f"--set answer.at={shlex.quote(planner.points[-1].name)}"
        message = f"leaves {len(candidates)} points; a plan is about one: {axes}"
        raise study.error(message, *(("answer", "at") if study.file.answer.at else ("axes",)))
    return candidates[0]


def _one(study: Study, planner: Planner, point: int, size: str) -> Sizes:
    """Return the one size that is to be tried: a value of the plan's key, or a catalogue's name."""
    if study.file.catalogue is not None:
        sizes = sizes_of(study, planner, point)
        offers = sorted((*sizes.every, *sizes.left_out), key=lambda each: each.figure)
        found = [each for each in offers if each.name == size]
        if not found:
            names = ", ".join(each.name for each in offers)
            raise ScenarioError(f"the catalogue has no {size!r}; it has {names}", key="--size")
        return replace(sizes, every=tuple(found), left_out=())
    key = "host.memory" if study.file.plan is None else study.file.plan.key or "host.memory"
    try:
        cell = planner.size_cell("sizes", point, 0, {key: size})
    except ScenarioError as error:
        raise ScenarioError(error.message, key="--size") from None
    value = value_at(cell.scenario, key)
    if not is_positive(value):
        raise ScenarioError(f"{shorten(key)} is no number above 0", key="--size")
    return Sizes(key, key, "written", True, (Size(size, {key: size}, float(value)),))


WRITTEN: Final = (
    "tables/trials.csv tables/curve.csv tables/inputs.csv figures/capacity.svg figures/capacity.png"
)
"""What a plan may write: what another one has left of these is not of this one."""


def _write(
    folder: Path,
    facts: Mapping[str, Any],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    draw: Draw | None,
) -> None:
    """Write the tables of a plan that have rows, its facts, and what is drawn of its curve."""
    curve = tables["curve"]
    remove_unfinished(folder)
    with stage(folder, FACTS_NAME, WRITTEN.split()) as made:
        (made / "tables").mkdir()
        for name, table in tables.items():
            if table:
                text = frame_of(table).to_csv(index=False, lineterminator="\n")
                (made / "tables" / f"{name}.csv").write_text(text, encoding="utf-8")
        if draw is not None and curve:
            draw(facts, curve, made / "figures")
        text = json.dumps({**facts, "curve": list(curve)}, indent=1, sort_keys=True)
        (made / FACTS_NAME).write_text(text + "\n", encoding="utf-8")
