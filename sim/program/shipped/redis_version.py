"""Which server of the Redis family, and what servers do since which version."""

from __future__ import annotations

import re
from typing import Final, Literal

Habit = Literal["no_huge_pages", "gives_back", "page_aligned", "drops_dump", "frees_strings"]
Number = tuple[int, int]

SINCE: Final[dict[Habit, tuple[Number | None, Number]]] = {
    "no_huge_pages": ((6, 2), (7, 2)),  # `disable-thp yes`: prctl(PR_SET_THP_DISABLE)
    "gives_back": ((7, 0), (7, 2)),  # saved values, in the saving child (`dismissObject`)
    "page_aligned": ((7, 2), (7, 2)),  # large allocations begin a page (pull request 12315)
    "drops_dump": ((7, 2), (7, 2)),  # `rioSetReclaimCache` (pull request 11248)
    "frees_strings": (None, (8, 1)),  # in the saving child (Valkey, pull request 905)
}
"""What servers do by themselves: since which Redis (None: not yet), and since which Valkey."""

_FIRST: Final[dict[str, Number]] = {"redis": (2, 4), "valkey": (7, 2)}
_LAST: Final = 9
_WRITTEN: Final = re.compile(
    r"(?:(redis|valkey)(?:-server)?[ :/-]*)?v?(\d{1,2})(?:\.(\d{1,2}))?(?:\.\d{1,4})?",
    re.IGNORECASE,
)


def read_version(value: object) -> str:
    """Read a version as people write it; of 7.2.4 the first two numbers count.

    Raises `ValueError` for what is none, and for versions that there are not.

    >>> read_version(7.2), read_version("v7.2.4"), read_version("Valkey 8.1.0")
    ('7.2', '7.2', 'valkey 8.1')
    """
    found = _WRITTEN.fullmatch(str(value).strip())
    if found is None or isinstance(value, bool):
        raise ValueError(
            f"{value!r} is not a version of Redis; write e.g. `7.2`, or `valkey 8.1` for Valkey's"
        )
    name = (found[1] or "redis").lower()
    number = (int(found[2]), int(found[3] or 0))
    first = _FIRST[name]
    if not first <= number or number[0] > _LAST:
        raise ValueError(
            f"there is no {name.capitalize()} {number[0]}.{number[1]} here;"
            f" write {first[0]}.{first[1]} to {_LAST}.x"
        )
    text = f"{number[0]}.{number[1]}"
    return text if name == "redis" else f"{name} {text}"


def does(version: object, habit: Habit) -> bool:
    """Whether a server of this version does what `SINCE` names.

    >>> does("7.0", "gives_back"), does("6.0", "gives_back"), does("valkey 8.0", "frees_strings")
    (True, False, False)
    """
    name, _, number = f"redis {read_version(version)}".rpartition(" ")
    since = SINCE[habit][name.endswith("valkey")]
    major, minor = number.split(".")
    return since is not None and (int(major), int(minor)) >= since
