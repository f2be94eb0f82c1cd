"""Results as they stand in a store: compressed JSON."""

import json
import zlib
from typing import Any


def pack(value: Any) -> bytes:
    """Return `value` as compressed JSON, the same bytes for the same value.

    Raises `ValueError` for NaN and infinities: they are no results.

    >>> unpack(pack({"b": 1, "a": [2]}))
    {'a': [2], 'b': 1}
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return zlib.compress(text.encode(), 6)


def unpack(body: bytes) -> Any:
    """Return the value that `pack` was given; raise `DamagedError` for anything else."""
    try:
        return json.loads(zlib.decompress(body))
    except (zlib.error, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise DamagedError(str(error)) from None


def whole(body: bytes | None) -> Any | None:
    """Return the value that `pack` was given; None for no bytes, or for others."""
    try:
        return None if body is None else unpack(body)
    except DamagedError:
        return None


def is_whole(body: bytes | None) -> bool:
    """Whether these bytes are what `pack` made, by the checksum in them.

    >>> is_whole(pack({"a": 1})), is_whole(pack({"a": 1})[:-1]), is_whole(None)
    (True, False, False)
    """
    try:
        return body is not None and bool(zlib.decompress(body))
    except (zlib.error, TypeError, MemoryError):
        return False


def damaged_words(n: int) -> str:
    """Return a sentence on `n` damaged runs, to stand behind another; empty if there are none."""
    if not n:
        return ""
    runs, them = ("1 run is", "it") if n == 1 else (f"{n:,} runs are", "them")
    return f" {runs} damaged; `cowpool study` makes {them} again."


class DamagedError(ValueError):
    """Bytes that are not what was put into the store."""
