"""Tables as data frames; pandas is imported by the first, so that nobody waits for it before."""

from collections.abc import Mapping, Sequence
from typing import Any


def frame_of(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Return rows as a data frame, a column for each key, in the order in which they occur."""
    import pandas as pd

    return pd.DataFrame(rows)
