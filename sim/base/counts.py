"""How many of something, in words."""


def counted(number: int, what: str) -> str:
    """Return so many of something.

    >>> counted(1, "run"), counted(1200, "pair of runs")
    ('1 run', '1,200 pairs of runs')
    """
    if number == 1:
        return f"{number:,} {what}"
    first, of, rest = what.partition(" of ")
    return f"{number:,} {first}s{of}{rest}"


def out_of(number: int, whole: int, what: str) -> str:
    """Return so many of all there are of something.

    >>> out_of(1, 3, "run"), out_of(1, 1, "run")
    ('1 of 3 runs', '1 of 1 run')
    """
    return f"{number:,} of {counted(whole, what)}"


def is_or_are(number: int) -> str:
    """Return the verb that goes with so many."""
    return "is" if number == 1 else "are"
