"""What explaining is made of: headings with lines, and how numbers are written in them."""

from dataclasses import dataclass

from sim.units import PAGE_BYTES, format_bytes, format_duration


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and its lines, each a label and a text."""

    title: str
    lines: tuple[tuple[str, str], ...]


def pages_text(pages: int, word: str = "pages") -> str:
    """Return a size of `pages` in bytes, and how many there are."""
    return f"{format_bytes(pages * PAGE_BYTES)} ({pages:,} {word})"


def ns_text(duration_ns: float) -> str:
    """Return a time that may be a fraction of a ns."""
    return f"{duration_ns:.3g} ns" if duration_ns < 1000 else format_duration(round(duration_ns))
