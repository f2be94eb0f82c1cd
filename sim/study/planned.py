"""What a plan found, in words and as JSON-able values: every figure with its condition."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from sim.base.counts import counted, out_of
from sim.scenario.conditions import Condition, metric_text
from sim.scenario.questions import Objectives, Search
from sim.stats.proportion import exact_limits, format_percent
from sim.stats.tolerance import values_needed
from sim.study.first_kill import FIRST_KILL
from sim.study.planning import FromOneRun, Moved, Searched
from sim.study.said import MOST_NAMED, Told, name_of, percent, said, size_facts, why
from sim.study.sizes import Sizes, in_no_order

BUMP_NOTICED: Final = 0.95
"""Chance with which a bump has to be noticed to be named."""


def tell_search(
    found: Searched,
    sizes: Sizes,
    conditions: Sequence[Condition],
    search: Search,
    objectives: Objectives,
    where: str,
    others: Sequence[str] = (),
) -> Told:
    """Return what a search found.

    `where` names the point of the study, empty if it has one; `others` are sentences on what no
    answer of it has in it, such as the model's own error.
    """
    size = found.found.size
    if size is None:
        sentences = _none_is_enough(found, sizes, objectives)
    elif not found.found.holds:
        sentences = _more_was_worse(found, sizes)
    else:
        sentences = [
            *_answer(found, sizes, search, objectives, where),
            _neighbour(found, sizes, objectives),
            _margins(found, size, conditions),
            *_moved(found.moved, sizes, size),
            _probed(found, sizes, size),
            *others,
            f"To set{_headroom(sizes, search)}: {sizes.to_set(size, search.headroom)}.",
        ]
    if sizes.left_out:
        sentences.append(_left_out(sizes))
    if sizes.source:
        sentences.append(f"Sizes of {sizes.title}: {sizes.source}.")
    sentences += [_runs(found), _from_one_run(found.one_run)]
    answered = size is not None and found.found.holds
    facts = {
        "kind": "search",
        "answered": answered,
        "where": where,
        "key": sizes.key,
        "title": sizes.title,
        "direction": "minimise" if sizes.smallest else "maximise",
        "objectives": [str(condition) for condition in conditions],
        "share": objectives.share,
        "supported_share": min(found.content, objectives.share),
        "confidence": objectives.confidence,
        "replications": found.found.n_replications,
        "runs": found.n_made,
        "not_asked": [each.name for each in sizes.left_out],
        "moved_runs": found.moved_runs,
        "one_run": asdict(found.one_run),
        "answer": size_facts(sizes, size) if answered and size is not None else None,
        "neighbour": _neighbour_facts(found, sizes, objectives) if answered else None,
        "at_the_end_of_the_range": size == 0,
        "worse": [
            {"replication": low.replication, "passes_at": name_of(sizes, low.size),
             "fails_at": name_of(sizes, high.size)}
            for low, high in found.found.worse
        ],
        "moved": [
            {"key": m.input.key, "label": m.input.label, "value": m.end.text,
             "answer": None if m.size is None else size_facts(sizes, m.size),
             "at_the_end_of_the_range": m.size == 0}
            for m in found.moved
        ],
        "to_set": sizes.to_set(size, search.headroom) if answered and size is not None else None,
    }  # fmt: skip
    return Told(tuple(filter(None, sentences)), answered, facts)


def curve_rows(found: Searched, sizes: Sizes, confidence: float) -> list[dict[str, Any]]:
    """Return a row for each size of the capacity curve, with exact limits of the share."""
    rows = []
    for size, passed, n in found.curve:
        limits = exact_limits(passed, n, confidence=confidence)
        rows.append(
            {
                "size": name_of(sizes, size),
                "figure": sizes.every[size].figure,
                "runs": n,
                "passed": passed,
                "low": limits.low,
                "high": limits.high,
            }
        )
    return sorted(rows, key=lambda row: float(row["figure"]))


def input_rows(found: Searched, sizes: Sizes) -> list[dict[str, Any]]:
    """Return a row for each uncertain input and end of its range: where the answer goes with it.

    `size` and `figure` are None where no size tried will do.
    """
    return [
        {
            "input": moved.input.key,
            "value": moved.input.text,
            "evidence": moved.input.evidence,
            "source": moved.input.source,
            "measure": moved.input.measure,
            "instead": moved.end.text,
            "size": None if moved.size is None else name_of(sizes, moved.size),
            "figure": None if moved.size is None else sizes.every[moved.size].figure,
            "at_the_end_of_the_range": moved.size == 0,
        }
        for moved in found.moved
    ]


def _answer(
    found: Searched, sizes: Sizes, search: Search, objectives: Objectives, where: str
) -> list[str]:
    size, n = found.found.size, found.found.n_replications
    assert size is not None
    which = "smallest" if sizes.smallest else "largest"
    place = f" ({where})" if where else ""
    if size == 0:
        beyond = "the answer may lie beyond: widen the range"
        if sizes.key is None:
            beyond = "the catalogue has none with less memory"
            if any(each.figure < sizes.every[0].figure for each in sizes.left_out):
                beyond = "of those with less memory none was asked"
        first = f"{said(sizes, 0)}{place}, the {which} tried, will do already; {beyond}."
    else:
        first = f"{said(sizes, size)}{place} is the {which} that will do."
    content = min(found.content, objectives.share)
    sure = percent(objectives.confidence)
    who = f"All {n:,} replications" if n > 1 else "The one replication"
    claim = (
        f"{who} met the objectives there, so at least"
        f" {percent(content)} of runs do, at {sure} confidence, whatever their distribution."
    )
    if content < objectives.share:
        wanted = values_needed(content=objectives.share, confidence=objectives.confidence)
        claim += (
            f" That is all that {n:,} support, a risk of {percent(1 - content)}:"
            f" {percent(objectives.share)} takes {wanted:,}."
        )
    fineness = ""
    if sizes.key is not None and size > 0:
        fineness = f"Sizes tried are {percent(search.resolution)} apart, whole numbers at least 1."
        if sizes.kind != "number":
            fineness = f"Sizes tried are {percent(search.resolution)} apart."
    return [first, claim, fineness]


def _neighbour(found: Searched, sizes: Sizes, objectives: Objectives) -> str:
    facts = _neighbour_facts(found, sizes, objectives)
    if facts is None:
        return ""
    share = format_percent(1 - objectives.share)
    verdict = f"whether more than {share} of all would, cannot be told"
    if facts["verdict"] == "not enough":
        by = facts["refuted_by"]
        least = "at least " if by["tried"] < by["of"] else ""
        verdict = (
            f"more than {share} of all would, at {100 * objectives.confidence:g} % confidence"
            f" ({least}{by['failed']} of the first {by['of']} do)"
        )
    who = ", ".join(str(number) for number in facts["failed"][:MOST_NAMED])
    more = len(facts["failed"]) - MOST_NAMED
    who += f" and {more:,} more" if more > 0 else ""
    return (
        f"One size {'smaller' if sizes.smallest else 'larger'}, {facts['name']}:"
        f" {len(facts['failed'])} of {counted(facts['runs'], 'run')} tried there failed"
        f" (replication {who}: {facts['why']}); {verdict}."
    )


def _neighbour_facts(
    found: Searched, sizes: Sizes, objectives: Objectives
) -> dict[str, Any] | None:
    """Return what is known of one size less, and whether that refutes it.

    Which runs a search makes there depends on results, so their share is no fair one.  But the
    first replications are, if how many is fixed beforehand: those of the curve, which all run
    there, and all of the plan, of which those not tried count as passes.  The error is shared out
    between the two.  That the size was chosen by results takes nothing away: a size that passes
    often enough is refuted only if the hardest such size is, as none fails less often than it.
    """
    size = found.found.size
    if not size:
        return None
    tried = {t: j for t, j in found.judged.items() if t.size == size - 1 and not j.known}
    failed = [t for t in sorted(tried) if not tried[t].passed]
    firsts = sorted({n for n in (found.curve_runs, found.found.n_replications) if n})
    refuting = []
    for n in firsts:
        count = sum(t.replication < n for t in failed)
        limits = exact_limits(count, n, confidence=objectives.confidence, looks=len(firsts))
        if limits.low > 1 - objectives.share:
            known = sum(t.replication < n for t in tried)
            refuting.append({"failed": count, "tried": known, "of": n})
    return {
        **size_facts(sizes, size - 1),
        "runs": len(tried),
        "failed": [t.replication for t in failed],
        "verdict": "not enough" if refuting else "cannot tell",
        "refuted_by": refuting[0] if refuting else None,
        "why": "; ".join(tried[failed[0]].broken) if failed else "",
    }


def _margins(found: Searched, size: int, conditions: Sequence[Condition]) -> str:
    """Return how near to their limits the metrics came at the answer."""
    told = []
    for condition in conditions:
        values = [
            value
            for trial, result in found.judged.items()
            if trial.size == size and (value := result.values[condition.metric]) is not None
        ]
        if values:
            worst = max(values) if condition.is_upper else min(values)
            which = "at most" if condition.is_upper else "at least"
            shown = metric_text(condition.metric, worst)
            told.append(f"{condition.metric} {which} {shown} (asked: {condition})")
        elif condition.metric == FIRST_KILL:
            told.append(f"nobody was killed (asked: {condition})")
    return f"There, over all runs: {'; '.join(told)}." if told else ""


def _moved(moved: Sequence[Moved], sizes: Sizes, size: int) -> list[str]:
    """Return where the answer goes with each input, one at a time."""
    if not moved:
        return ["How far the answer moves with its inputs was not tried."]
    far = [m for m in moved if m.size != size]
    if not far:
        return ["No input moves the answer by one size, at either end of its range."]
    reached = [m.size for m in moved if m.size is not None] + [size]
    ends = sorted(set(reached), reverse=not sizes.smallest)
    low, high = _reached(sizes, ends[0]), _reached(sizes, ends[-1])
    beyond = "or beyond the range, " if any(m.size is None for m in moved) else ""
    by_distance = sorted(far, key=lambda m: -_distance(m, size, len(sizes.every)))
    named = "; ".join(
        f"{m.input.label} {m.end.text}: "
        f"{'none tried will do' if m.size is None else _reached(sizes, m.size)}"
        for m in by_distance[: 2 * MOST_NAMED]
    )
    first = by_distance[0].input
    measure = f" Measure {first.label} first: {first.measure}." if first.measure else ""
    reach = low if low == high else f"{low} to {high}"
    return [
        f"With one input at a time at an end of its range it is {reach}, {beyond}by the"
        f" one replication that decides ({named}).{measure}"
    ]


def _reached(sizes: Sizes, size: int) -> str:
    """Return a size at which a search ended; at the hardest it may have ended for want of others.

    A catalogue has no others.
    """
    if size or sizes.key is None:
        return name_of(sizes, size)
    return f"{name_of(sizes, size)} or {'less' if sizes.smallest else 'more'}"


def _distance(moved: Moved, size: int, n_sizes: int) -> int:
    return n_sizes if moved.size is None else abs(moved.size - size)


def _probed(found: Searched, sizes: Sizes, size: int) -> str:
    """Return what was seen beyond the answer, and which bump could have been missed."""
    n = found.probes
    if size == len(sizes.every) - 1 or not n:
        beside, more = ("Beyond", "more") if sizes.smallest else ("Below", "less")
        return (
            f"{beside} it nothing was tried: that {more} does not make it worse is taken for"
            " granted."
        )
    share = 1 - (1 - BUMP_NOTICED) ** (1 / n)
    where = "beyond" if sizes.smallest else "below"
    what = "trial" if found.one_run.known else "run"
    return (
        f"{counted(n, what)} spread over the sizes {where} it passed: that these make it worse in"
        f" {percent(share)} of runs or more would have shown with {percent(BUMP_NOTICED)}"
        " confidence."
    )


def _runs(found: Searched) -> str:
    """Say how many runs were made."""
    moved = (
        f", and {found.moved_runs:,} at {counted(len(found.moved), 'end')} of inputs"
        if found.moved
        else ""
    )
    n = found.found.n_replications
    return f"{counted(found.n_made, 'run')} of {counted(n, 'replication')}{moved}."


def _from_one_run(one_run: FromOneRun) -> str:
    """Say which runs were not made, as they are known from others, and on what that rests."""
    if not one_run.used:
        return ""
    first = "Nothing feeds back on memory here, so each threshold was looked for where one run"
    first += " at the easiest size puts it"
    if not one_run.as_known:
        return (
            f"{first}; that a run that passed is the same run where there is more did not hold in"
            f" all of {counted(one_run.checked, 'run')} that tried it, so all were made."
        )
    if not one_run.checked:
        return f"{first}."
    return (
        f"{first}, and a run that passed is the same run where there is more. Known from others and"
        f" not made: {counted(one_run.known, 'run')}; known and made all the same:"
        f" {one_run.checked:,}, as known."
    )


def _none_is_enough(found: Searched, sizes: Sizes, objectives: Objectives) -> list[str]:
    """Say that the last size is not enough, or, where so few failed, that it is not known to be.

    A replication that was not tried there had passed before, and counts as one that passes.
    """
    last = len(sizes.every) - 1
    which = "largest" if sizes.smallest else "smallest"
    failed = {t: j for t, j in found.judged.items() if t.size == last and not j.passed}
    tried = len({trial.replication for trial in found.judged})
    limits = exact_limits(len(failed), tried, confidence=objectives.confidence)
    size, share = said(sizes, last), format_percent(1 - objectives.share)
    seen = f"{out_of(len(failed), tried, 'replication')} failed there{why(list(failed.values()))}"
    if limits.low > 1 - objectives.share:
        sure = f"more than {share} of all would, at {100 * objectives.confidence:g} % confidence"
        return [f"Not even {size} will do, the {which} tried: {seen}; {sure}."]
    return [
        f"No size tried is known to do: at {size}, the {which}, {seen}; whether more than {share}"
        " of all would, cannot be told."
    ]


def _left_out(sizes: Sizes) -> str:
    """Say which sizes of a catalogue were not asked, as they are in no order with the others."""
    told = []
    for each in sizes.left_out[:MOST_NAMED]:
        other = min(
            (size for size in sizes.every if in_no_order(each, size)),
            key=lambda size: abs(size.figure - each.figure),
        )
        more = each.figure > other.figure
        memory, cpus = ("more", "fewer") if more else ("less", "more")
        told.append(f"{each.name} ({memory} memory than {other.name}, {cpus} CPUs)")
    rest = len(sizes.left_out) - len(told)
    told += [f"{rest:,} more"] if rest else []
    alone = f"`--size {sizes.left_out[0].name}` asks about that one alone"
    return f"Not asked: {', '.join(told)}; {alone}."


def _more_was_worse(found: Searched, sizes: Sizes) -> list[str]:
    pairs = found.found.worse
    shown = "; ".join(
        f"replication {low.replication} passes at {name_of(sizes, low.size)} and fails at"
        f" {name_of(sizes, high.size)} ({'; '.join(found.judged[high].broken)})"
        for low, high in pairs[:MOST_NAMED]
    )
    more, less = ("more", "smallest") if sizes.smallest else ("less", "largest")
    return [
        f"There is no {less} size: {more} makes it worse for {len(pairs)} of"
        f" {counted(found.found.n_replications, 'replication')}, so a size that will do says"
        " nothing of those beyond it.",
        f"Seen: {shown}.",
        "Whether one size will do can be asked: `cowpool plan STUDY --size SIZE`.",
    ]


def _headroom(sizes: Sizes, search: Search) -> str:
    if sizes.key is None or not search.headroom:
        return ""
    return f", with {percent(search.headroom)} of headroom"
