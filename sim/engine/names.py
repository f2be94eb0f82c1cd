"""What processes are called together."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
_REPEATED: Final = re.compile(r"(\.[0-9]+)+$")


@lru_cache(maxsize=4096)
def kind_of(name: str) -> str:
    """Return what processes, or groups, that are alike are called together.

    Names that people give have no dots: numbers behind them tell copies and replicas apart.

    >>> kind_of("web"), kind_of("web.12"), kind_of("web/3.17"), kind_of("master/worker.2")
    ('web', 'web', 'web/*', 'master/worker')
    >>> kind_of("app.2.1.3")
    'app'
    """
    parts = name.split("/")
    return "/".join("*" if _NUMBER.fullmatch(part) else _REPEATED.sub("", part) for part in parts)
