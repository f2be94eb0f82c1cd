"""What explaining is made of: headings with lines."""

from dataclasses import dataclass

from sim.base.units import format_duration


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines, each a label and a text."""

    title: str
    lines: tuple[tuple[str, str], ...]


def ns_text(duration_ns: float) -> str:
    """Return a time that may be a fraction of a ns."""
    return f"{duration_ns:.3g} ns" if duration_ns < 1000 else format_duration(round(duration_ns))
