"""What a study says in words: the answer, and what came of trying it.

Every figure here comes from the tables; nothing is estimated anew.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sim.base.counts import counted, out_of
from sim.base.units import GIB, format_bytes, format_bytes_up
from sim.scenario.conditions import metric_text
from sim.stats.proportion import REFUTES_AT, format_percent
from sim.stats.tolerance import GUARD_LEVEL
from sim.study.need import Need
from sim.study.percentiles import percent_of
from sim.study.summary import Summary, summary_text
from sim.study.trials import Books, Verdict


def bound_words(need: Need, event: str) -> str:
    """Return what a bound covers, as its runs support: ``99 % of saves at 95 % confidence``."""
    bound = need.bound
    return f"{100 * bound.content:.3g} % of {event} at {100 * bound.confidence:g} % confidence"


def need_sentences(
    need: Need,
    host_bytes: int,
    times_data: Mapping[int, float],
    data_bytes: int | None,
    where: str,
    words: Mapping[str, str],
    n_points: int | None = None,
) -> list[str]:
    """Return the answer to "how much memory": the figure, what chance does, how far it reaches.

    `words` are the subject, the event and the condition that the answer begins with; `n_points`
    is how many points the study has.
    """
    ratio = f", {host_bytes / data_bytes:.2f} times the data" if data_bytes else ""
    subject = words["subject"]
    begins = f"{words['condition']}{subject}" if words["condition"] else _capital(subject)
    margin = need.bound.bound - need.mean_bytes
    chance = f"chance moves that by {format_bytes(margin)}"
    if need.bound.n == 1:
        chance = "a single run tells nothing of chance"
    elif not margin:
        chance = "all its runs agree"
    sentences = [
        f"{begins} ({where}) needs about {format_bytes_up(host_bytes)} of memory{ratio}; {chance} "
        f"({_bound_words(need, words)})."
    ]
    rounding = ", or rounding up to whole MiB" if host_bytes < GIB else ""
    sentences.append(
        f"Processes may use {format_bytes_up(need.bound.bound)} of it; the rest is the kernel's"
        f"{rounding}."
    )
    if len(times_data) > 1:
        low, high = min(times_data.values()), max(times_data.values())
        everywhere = n_points is None or n_points == len(times_data)
        over = "the whole study" if everywhere else f"the {len(times_data)} points measured"
        sentences.append(f"Over {over} it needs {low:.2f} to {high:.2f} times its data.")
    return sentences


def _bound_words(need: Need, words: Mapping[str, str]) -> str:
    """Return what chance was told from: ``99 % of simulated saves, ...``."""
    bound = need.bound
    how: str = bound.method
    if bound.shapiro_p is not None and how == "normal theory":
        how += f", not contradicted: Shapiro-Wilk p {bound.shapiro_p:.2g}"
    elif bound.shapiro_p is not None and bound.shapiro_p < GUARD_LEVEL:
        against = f"Shapiro-Wilk p {bound.shapiro_p:.2g}" if bound.shapiro_p else "all runs equal"
        how += f": normal theory was declared and is contradicted, {against}"
    return (
        f"{100 * bound.content:g} % of simulated {words['event']}, "
        f"{100 * bound.confidence:g} % confidence, {bound.n} run{'s' * (bound.n > 1)}, {how}"
    )


def no_answer_sentences(reasons: Sequence[str], where: str | None) -> list[str]:
    """Return that there is no answer, and why, one line a reason."""
    at = f" ({where})" if where else ""
    return [f"No answer{at}: {reasons[0]}.", *(f"Also: {reason}." for reason in reasons[1:])]


def unanswered_sentences(points: Mapping[str, Sequence[str]], n_points: int) -> list[str]:
    """Return which other points have no answer, by where they stand; the first few with why."""
    if not points:
        return []
    named = [f"{where}: {reasons[0]}" for where, reasons in points.items()][:MOST_NAMED]
    rest = len(points) - len(named)
    more = f"; and {rest} more, see tables/unanswered.csv" if rest else ""
    others = "1 more point has" if len(points) == 1 else f"{len(points)} more points have"
    return [f"Of {n_points} points, {others} no answer ({'; '.join(named)}{more})."]


MOST_NAMED: Final = 3
"""So many points without an answer are named in a sentence."""


def more_than_host(subject: str, where: str, host_bytes: float, cut_off: int, runs: int) -> str:
    """Return what is known of a need that was cut off by every host it was measured on."""
    return (
        f"{_capital(subject)} ({where}) needs more than {format_bytes(host_bytes)} of memory: "
        f"{out_of(cut_off, runs, 'run')} ran out of memory on a host of that size."
    )


def more_than_sentence(
    metric: str, where: str, words: str, at_least: float, cut_off: int, runs: int
) -> str:
    """Return what is known of a need that was cut off on the scenario's own host.

    `words` are ``more than`` or ``at least``.
    """
    known = f"{words} {metric_text(metric, at_least)}" if at_least else "not known"
    return f"{metric} ({where}) is {known}: {out_of(cut_off, runs, 'run')} ran out of memory."


def metric_sentence(
    metric: str, where: str, summary: Summary, confidence: float, *, asked: bool = False
) -> str:
    """Return the answer to a question about a metric: what it is, and what is known of it.

    `asked` tells that the study names the confidence: then it is said if nothing has it.
    """
    if summary.n == 1:
        return f"{metric} ({where}) is {metric_text(metric, summary.mean)}, in a single run."
    text = summary_text(metric, summary)
    if summary.half_width is not None:
        return f"{metric} ({where}) is {text} ({100 * confidence:g} % CI, n={summary.n})."
    if summary.low == summary.high:
        return f"{metric} ({where}) is {text}, the same in all {summary.n} runs."
    if percent_of(metric) is not None:
        return f"{metric} ({where}) is {text}, of all values of the runs together."
    of_what = _OF_WHAT.get(metric.rpartition(".")[2], "of the runs")
    none = f"; no {100 * confidence:g} % interval of it is known to hold" if asked else ""
    return f"{metric} ({where}) is {text}, the mean {of_what}{none}."


_OF_WHAT: Final = {"max": "of each run's largest", "min": "of each run's smallest"}


def precision_sentences(precision: Mapping[str, Any] | None, metric: str) -> list[str]:
    """Return whether the answer is as precise as the study asked for; nothing if it did not."""
    if precision is None:
        return []
    reached = "was reached" if precision["reached"] else "was not reached: allow more runs (most)"
    of_what = "mean" if percent_of(metric) is None else "percentile"
    return [f"The precision asked for, {100 * precision['asked']:g} % of the {of_what}, {reached}."]


def outgrown_sentences(hosts: Sequence[tuple[int, int, int]]) -> list[str]:
    """Return on which hosts the need could not be measured, as memory ran out there."""
    return [
        f"In {cut_off} of {runs} runs on a host of {format_bytes(host)} memory ran out, so the "
        "need was measured on one of twice that size."
        for host, cut_off, runs in hosts
    ]


def verdict_sentence(verdict: Verdict, event: str) -> str:
    """Return what fresh runs on a host of the answer's size say about it."""
    seen = (
        f"in {counted(verdict.runs, 'run')} with fresh random numbers on a host of exactly that "
        f"size, {verdict.exceeded} needed more than the bound and memory ran out in "
        f"{verdict.ran_out}"
    )
    level = f"{100 * REFUTES_AT:g} %"
    lost = f" {verdict.lost} more had no result." if verdict.lost else ""
    if verdict.noticed is None:
        text = f"Check: {seen}; so few runs cannot refute a bound on so few {event}."
    elif verdict.refuted:
        text = (
            f"Check: refuted: {seen}; if the bound held, {verdict.refuting} or more would be seen "
            f"in at most {level} of such checks."
        )
    else:
        text = (
            f"Check: not refuted: {seen}; {verdict.refuting} or more would have refuted it, which "
            f"has a chance of {100 * verdict.power:g} % if only "
            f"{format_percent(1 - verdict.noticed)} of {event} stay within the bound."
        )
    return text + lost


def no_verdict_sentence(planned: int) -> str:
    """Return that the answer could not be tried."""
    runs = counted(planned, "run")
    return f"Check: not made: none of {runs} with fresh random numbers has a result."


def books_sentences(books: Books) -> list[str]:
    """Return whether runs on small hosts ended as the need with the same random numbers says."""
    if not books.runs:
        return []
    agree, runs = books.agree, books.runs
    trials = counted(runs, "trial run")
    if agree < runs:
        trials = out_of(agree, runs, "trial run")
    elif runs > 1:
        trials = f"all {trials}"
    lost = f" {books.lost} more had no run to compare with." if books.lost else ""
    return [
        f"In {trials}, memory ran out exactly when the peak measured with the same "
        "random numbers exceeded what the trial host had left: a test of the books, not of the "
        f"bound.{lost}"
    ]


def sentence(text: str) -> str:
    """Return a text as a sentence."""
    return f"{_capital(text)}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
