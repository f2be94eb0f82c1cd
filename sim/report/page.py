"""The page: figures, tables and words in order, as one file that needs no network."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup, escape

from sim.base.units import format_bytes, format_duration
from sim.machine.releases import followed_release, release_name
from sim.report.figures.bill import COLOURS, draw_bill
from sim.report.figures.design import (
    draw_compared,
    draw_effects,
    draw_hosts,
    draw_ran_out,
    draw_results,
)
from sim.report.figures.forks import draw_forks
from sim.report.figures.free_pages import draw_free_pages
from sim.report.figures.inputs import draw_inputs
from sim.report.figures.latency import draw_latencies, draw_stages
from sim.report.grids import Grid, effects_grid, need_grid, oom_grid, points_grid
from sim.report.style import FAINT, Drawing

TEMPLATES: Final = Path(__file__).parent / "templates"
_LKML: Final = re.compile(r"\bLKML ([0-9][\w.-]*[\w])")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: figures first, then a table; absent where it has neither."""

    id: str
    title: str
    drawings: tuple[Drawing, ...]
    table: Grid | None = None
    words: str = ""


def write_report(facts: Mapping[str, Any], tables: Mapping[str, Any], page: Path) -> None:
    """Write the report of a study into the file `page`.

    `facts` and `tables` are what `sim.study` found: JSON-able values, and data frames by name.
    Figures go to the folder ``figures`` beside the page, as SVG and PNG; the same input gives the
    same bytes.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = page.parent / "figures"
    axes = facts["study"]["axes"]
    bill = draw_bill(facts["bill"], _bill_words(facts), folder)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["linked"] = linked
    sections = _sections(facts, tables, axes, folder)
    tornado = draw_inputs(facts["inputs"], facts["answer"], folder)
    text = environment.get_template("report.html.j2").render(
        facts=facts,
        bill=bill,
        bill_rows=[{**item, "colour": COLOURS.get(item["name"], FAINT)} for item in facts["bill"]],
        bill_total=format_bytes(sum(item["bytes"] for item in facts["bill"])),
        sections=sections,
        contents=_contents(facts, sections),
        tornado=tornado,
        inputs=input_rows(facts["inputs"]),
        to_measure=to_measure(facts["inputs"], facts["sampled"]),
        fixed_inputs=_fixed_words(facts["inputs"]),
        latencies=_latency_grid(facts["latencies"]),
        latency_words=LATENCY_WORDS,
        rules=_rules(facts["scenario"]),
        prices=_price_grid(facts["prices"]),
        n_assumed=sum(price["assumed"] for price in facts["prices"]),
        scenario=_scenario_text(facts["scenario"]),
        study_text=json.dumps(facts["study"]["file"], indent=2, ensure_ascii=False),
        runs=", ".join(f"{n} {part}" for part, n in facts["study"]["runs"].items()),
    )
    page.write_text(text, encoding="utf-8")


def linked(text: object) -> Markup:
    """Return a text with its references to the kernel's mailing list as links."""
    shown = str(escape(str(text)))
    return Markup(_LKML.sub(_lkml_link, shown))  # escaped above


def _lkml_link(found: re.Match[str]) -> str:
    address = f"https://lore.kernel.org/all/?q={found[1]}"
    return f'LKML <a href="{address}">{found[1]}</a>'


def _contents(facts: Mapping[str, Any], sections: Sequence[Section]) -> list[tuple[str, str]]:
    """Return the sections of the page: anchor and title."""
    first = [
        ("inputs", "What the answer rests on", facts["inputs"]),
        ("latencies", "How long things take", facts["latencies"]),
        ("bill", "The bill", facts["bill"]),
        ("settings", "Lines to set", facts["settings"]),
        *((section.id, section.title, True) for section in sections),
        ("method", "Method", True),
        ("prices", "Prices", facts["prices"]),
        ("files", "Study and scenario", True),
    ]
    return [(anchor, title) for anchor, title, there in first if there]


def _rules(scenario: Mapping[str, Any] | None) -> str:
    if scenario is None:
        return "no run"
    host = scenario["host"]
    kernel = release_name(followed_release(host["kernel"]))
    return f"the rules of Linux {kernel}, prices of {host['profile'] or 'a file'}"


def input_rows(inputs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return the rows of the table of inputs that were varied."""
    return [
        {
            "label": each["label"],
            "text": each["text"],
            "evidence": each["evidence"],
            "known": "given, varied by the study" if each["asked"] else each["evidence"],
            "source": each["source"],
            "effect": "; ".join(f"{end['value']}: {_effect(end)}" for end in each["ends"]),
        }
        for each in inputs
        if each["ends"]
    ]


def to_measure(
    inputs: Sequence[Mapping[str, Any]], sampled: Mapping[str, Any] | None
) -> list[tuple[str, str]]:
    """Return what to measure to know better, label and how, what decides most first.

    That is told by the shares of the variance of draws where there are some, as in the sentence
    about them; else, and where these are alike, by how far the answer moved with one at its ends.
    """
    found = sampled["shares"] if sampled is not None else None
    shares = {each["name"]: float(each["share"]) for each in found["shares"]} if found else {}

    def share(each: Mapping[str, Any]) -> float:  # prices have one by source
        key = each["key"]
        own = [s for name, s in shares.items() if name == key or name.startswith(f"{key} (")]
        return max(0.0, *own) if own else 0.0

    listed = [each for each in inputs if each["ends"] and each["measure"]]
    ordered = sorted(listed, key=lambda each: -share(each))
    return [(each["label"], each["measure"]) for each in ordered]


def _fixed_words(inputs: Sequence[Mapping[str, Any]]) -> str:
    """Return the inputs that were not varied, by how they are known."""
    groups: dict[str, list[str]] = {}
    for each in inputs:
        if not each["ends"]:
            groups.setdefault(each["evidence"], []).append(f"{each['label']} {each['text']}")
    return "; ".join(f"{known}: {', '.join(words)}" for known, words in sorted(groups.items()))


def _effect(end: Mapping[str, Any]) -> str:
    if end["relative"] is None:
        return str(end["text"])
    if abs(end["relative"]) < SEEN_FROM:
        return "no difference"
    return f"{end['text']} ({100 * end['relative']:+.1f} %)"


SEEN_FROM: Final = 0.0005
"""Relative change of an answer from which it is told in numbers."""

LATENCY_WORDS: Final = (
    "Times are as good as the prices they are made of. Low and high: what the same work takes with "
    "all prices at the low ends, and at the high ends, of their ranges; for requests, runs were "
    "made with such prices."
)


def _latency_grid(rows: Sequence[Mapping[str, Any]]) -> Grid:
    columns = ("time", "low prices", "middle prices", "high prices", "how it is known")
    shown = tuple(
        (
            row["name"],
            *("" if row[key] is None else format_duration(row[key]) for key in _LATENCY_ENDS),
            row["how"],
        )
        for row in rows
    )
    return Grid(columns, shown, ("k", "n", "n", "n", "w"), "")


_LATENCY_ENDS: Final = ("low_ns", "middle_ns", "high_ns")


def _bill_words(facts: Mapping[str, Any]) -> str:
    return str(facts["answer"]["where"] or facts["study"]["name"])


def _sections(
    facts: Mapping[str, Any],
    tables: Mapping[str, Any],
    axes: Sequence[Mapping[str, Any]],
    folder: Path,
) -> list[Section]:
    answer, study = facts["answer"], facts["study"]
    need, oom = tables["need"], tables["oom"]
    shown = list(study["metrics"])
    if need.empty:
        shown = list(dict.fromkeys([study["metric"], *shown]))
    over = (axes, study["design"], folder)
    asked = tuple(dict.fromkeys((study["metric"], *shown)))
    metrics = [draw_results(tables["points"], metric, *over) for metric in shown]
    paired = [draw_compared(tables["paired"], metric, *over) for metric in asked]
    effects = [draw_effects(tables["effects"], metric, folder) for metric in asked]
    about = f"At the point of the answer: {answer['where']}."
    point = -1 if answer["point"] is None else answer["point"]
    inside = _some(
        [
            draw_free_pages(facts["curves"], folder),
            *draw_latencies(facts["distributions"], folder),
            draw_forks(tables["fork"], facts["published"], folder),
            draw_stages(tables["stages"], point, folder),
        ]
    )
    sections = [
        Section("metrics", "Results", _some(metrics), points_grid(tables["points"], axes, shown)),
        Section("effects", "Effects", _some(effects), effects_grid(tables["effects"])),
        Section("paired", "Against the baseline", _some(paired)),
        Section(
            "need",
            "Memory at every point",
            _some(draw_hosts(need, axes, answer["event"], *over[1:])),
            need_grid(need, tables["fork"], axes),
        ),
        Section(
            "oom",
            "How often memory ran out",
            _some(draw_ran_out(oom, need, *over)),
            oom_grid(oom, axes),
            _oom_words(oom),
        ),
        Section("inside", "Inside a run", inside, _published_grid(facts["published"]), about),
    ]
    return [section for section in sections if section.drawings or section.table]


def _some(drawings: Any) -> tuple[Drawing, ...]:
    return tuple(drawing for drawing in drawings if drawing is not None)


def _oom_words(table: Any) -> str:
    """Say which hosts were run how often, and what no event in n runs means, for every such n."""
    if table.empty:
        return ""
    least, most = int(table["runs"].min()), int(table["runs"].max())
    often = ""
    if least < most:
        times = "once" if least == 1 else f"{least} times"
        often = (
            f"A host whose size is clear of the bounds of the need is run {times}, one where chance"
            f" may decide up to {most} times. "
        )
    own = table[table["part"] == "check"]
    never = own[own["ran_out"] == 0].drop_duplicates("runs").sort_values("runs")
    bounds = [f"0 of {row['runs']} means {_bound(row['text'])}" for _, row in never.iterrows()]
    return often + (
        f"That it never happened does not rule it out: {'; '.join(bounds)}." if bounds else ""
    )


def _bound(text: str) -> str:
    return text[text.index("(") + 1 : -1]


def _published_grid(published: Sequence[Mapping[str, Any]]) -> Grid | None:
    if not published:
        return None
    rows = tuple(
        (
            format_bytes(point["rss"]),
            format_duration(point["time"]),
            format_bytes(point.get("folio", 4096)),
            str(point["source"]),
        )
        for point in published
    )
    rows = tuple(dict.fromkeys(rows))  # a point may stand for two things
    above = ("", *(row[-1] for row in rows))
    rows = tuple(
        (*row[:-1], "as above" if row[-1] == source else row[-1])
        for row, source in zip(rows, above, strict=False)
    )
    columns = ("resident set", "fork", "folio", "published in")
    return Grid(columns, rows, ("n", "n", "n", "w"), "", "Published fork times of such a host")


def _price_grid(prices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "name": price["name"].replace("_", " "),
            "mean": format_duration(price["mean_ns"]),
            "range": f"{format_duration(price['low_ns'])} – {format_duration(price['high_ns'])}",
            "source": price["source"],
            "assumed": price["assumed"],
        }
        for price in prices
    ]


def _scenario_text(scenario: Mapping[str, Any] | None) -> str:
    """Return the resolved scenario for reading; the prices have a list of their own."""
    if scenario is None:
        return ""
    host = {key: value for key, value in scenario["host"].items() if key != "prices"}
    return json.dumps({**scenario, "host": host}, indent=2, ensure_ascii=False)
