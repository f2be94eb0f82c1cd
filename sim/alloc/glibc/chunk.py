"""Sizes of chunks: what glibc's malloc makes of a request (2.36 ``malloc/malloc.c``)."""

from typing import Final

ALIGNMENT: Final = 16
HEADER_BYTES: Final = 16
SMALLEST_BYTES: Final = 32
"""The smallest chunk, which is also what the top of an arena always keeps."""


def chunk_bytes(request_bytes: int) -> int:
    """Return the size of the chunk for a request.

    >>> [chunk_bytes(n) for n in (0, 24, 25, 1000, 131_048)]
    [32, 32, 48, 1008, 131056]
    """
    padded = (request_bytes + 8 + ALIGNMENT - 1) & -ALIGNMENT
    return max(padded, SMALLEST_BYTES)
