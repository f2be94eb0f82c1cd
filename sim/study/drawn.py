"""What draws of all uncertain inputs say, in words."""

from typing import Final

from sim.base.counts import counted, out_of
from sim.stats.shares import Share, Shares
from sim.study.rests import Base
from sim.study.sampled import Sampled

MOST_NAMED: Final = 3
WORTH_A_WORD: Final = 0.01


def reach(sampled: Sampled, base: Base) -> str:
    """Return from where to where the draws go; of an end that was cut off, that it is more.

    Draws that were cut off are larger than all others, so if the low end is one, the high end is.
    """
    if sampled.low is None:
        return "more than was measured"
    high = "more than was measured" if sampled.high is None else base.text(sampled.high)
    return f"{base.text(sampled.low)} to {high}"


def _worth_a_word(shares: Shares) -> list[Share]:
    return [s for s in shares.shares if s.share > max(WORTH_A_WORD, 2 * s.error)]


def advises(sampled: Sampled | None) -> bool:
    """Return whether the draws say what to measure first."""
    if sampled is None or sampled.shares is None:
        return False
    return any(sampled.measures.get(s.name) for s in _worth_a_word(sampled.shares)[:1])


def sentences(sampled: Sampled | None, base: Base | None) -> list[str]:
    """Return what the draws say in words; nothing without any."""
    if sampled is None or base is None:
        return []
    few = (
        f"in {sampled.n_few} of them the run has too few values for {base.metric} by itself: draw "
        "longer runs"
    )
    if sampled.n == 0:
        return [f"Of {counted(sampled.n_lost, 'draw')} of all inputs none has an answer; {few}."]
    laws = "".join(f"; {label}: {words}" for label, words in sampled.laws.items())
    share = f"{100 * sampled.content:.3g} %"
    said = [
        f"With all inputs drawn at random from their ranges ({counted(sampled.n, 'run')};"
        f" triangles, of speeds and rates above 0 on a log scale{laws}) it is"
        f" {reach(sampled, base)} in {share} of draws: what was stated about the inputs, not a"
        f" chance of the machine ({100 * sampled.confidence:g} % confidence)."
    ]
    if sampled.n_lost:
        n = sampled.n + sampled.n_lost
        why = f" ({few})" if sampled.n_few else ""
        have = "has no answer and is" if sampled.n_lost == 1 else "have no answer and are"
        said.append(f"{out_of(sampled.n_lost, n, 'draw')} {have} left out of that{why}.")
    if sampled.shares is None:
        return [*said, f"No input's share of that is told: {sampled.no_shares}."]
    worth = _worth_a_word(sampled.shares)
    if not worth:
        return [*said, "No input alone has a share of its variance that shows."]
    named = ", ".join(
        f"{sampled.labels[s.name]} {100 * s.share:.0f} ± {200 * s.error:.0f} %"
        for s in worth[:MOST_NAMED]
    )
    first = worth[0]
    how = sampled.measures.get(first.name)
    return [
        *said,
        f"Shares of that variance: {named} ({sampled.shares.how});"
        f" if {sampled.labels[first.name]} were known, the range would shrink by"
        f" {100 * first.shrinks:.0f} % on average" + (f": measure {how} first." if how else "."),
    ]
