"""Pressure on memory: for how long tasks of a group were stalled."""

from typing import Final

import numpy as np

PSI = np.dtype(
    [
        (name, "i8")
        for name in (
            "stalled",  # tasks of it, and of groups in it, that are off their CPUs for memory
            "reclaims_until_ns",  # when the last step so far that made room ends
            "runs_until_ns",  # when the last other step ends, of those known
            "later_from_ns",  # and steps that make room first: from when to when the rest runs
            "later_until_ns",
            "upto_ns",  # the sums below reach up to here
            "some_ns",  # how long some were stalled
            "full_ns",  # how long some were, and nobody ran
            # averages
            "periods",  # that are in them
            "some_before_ns",  # the sums at the end of the last one
            "full_before_ns",
        )
    ]
)
"""The account of stalls of a group, a row for each of `groups` (`sim.observe.pressure`)."""

AVERAGED_S: Final = (10, 60, 300)
"""Seconds that averages of pressure look back; first those of SOME, then those of FULL."""
N_AVERAGES: Final = 2 * len(AVERAGED_S)
