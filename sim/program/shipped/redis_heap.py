"""What a Redis data set looks like in memory, and which pages a SET dirties.

Read in Redis 7 (``src/object.c``, ``src/sds.h``, ``src/dict.c``): each key has a hash-table
entry of 24 bytes and a string of its own; a value of up to 44 bytes lies in its object's
allocation (16 + 3 + length + 1), a longer one beside an object of 16 bytes.  A SET of an
existing key puts the new value into memory that an earlier SET has freed, writes an object
the same way, and changes the key's entry: so it dirties a page of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sim.alloc.jemalloc.layout import Places, layout, size_class, slab_pages
from sim.base.units import PAGE_BYTES
from sim.program.shipped.redis_version import does

if TYPE_CHECKING:
    from numpy.typing import NDArray

OBJECT_BYTES: Final = 16
ENTRY_BYTES: Final = 24
BUCKET_BYTES: Final = 8
EMBEDDED_MAX_BYTES: Final = 44
"""Longest value that lies in its object's allocation."""


@dataclass(frozen=True, slots=True)
class RedisHeap:
    """The areas of a data set, one after the other from page 0 of its region.

    Attributes
    ----------
    keys
        How many keys, each with a value.
    payload_bytes
        What users stored: keys and values, without any overhead.
    used_bytes
        What ``INFO memory`` calls used_memory: all allocations, in size classes.
    slots
        Places for a key: more than `keys` where the heap is fragmented.
    values, objects, entries
        Layouts with `slots` places each; `objects` is ``None`` for embedded values.
    other_pages
        Names of keys and the hash table's buckets: read by a save, not written by a SET.
    """

    keys: int
    payload_bytes: int
    used_bytes: int
    slots: int
    values: Places
    objects: Places | None
    entries: Places
    other_pages: int

    @property
    def written_areas(self) -> tuple[Places, ...]:
        """The layouts that a SET dirties, in order of address."""
        return tuple(a for a in (self.values, self.objects, self.entries) if a is not None)

    @property
    def pages(self) -> int:
        """Resident pages of the whole data set."""
        return sum(area.pages for area in self.written_areas) + self.other_pages

    @property
    def slab(self) -> tuple[int, float]:
        """Pages of a slab of values, and how many values it has; a large one is its own slab."""
        values = self.values
        pages = slab_pages(values.class_bytes)
        if pages * PAGE_BYTES == values.class_bytes:
            pages = values.span
        places = max(1, pages * PAGE_BYTES // values.class_bytes)
        return pages, max(1.0, places * self.keys / self.slots)

    @property
    def pages_per_set(self) -> int:
        """How many pages a SET names (see `pages_of`)."""
        return self.values.span + len(self.written_areas) - 1

    def pages_of(self, keys: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the pages that SETs of `keys` dirty, shape ``(keys.size, pages_per_set)``.

        A value that touches fewer pages than the widest names its last one again.
        """
        slots = keys if self.slots == self.keys else keys * self.slots // self.keys
        columns = [self.values.pages_of(slots)]
        first = self.values.pages
        for area in self.written_areas[1:]:  # one field is written: one page, even in a straddler
            columns.append(first + area.pages_of(slots)[:, :1])
            first += area.pages
        return np.concatenate(columns, axis=1)


def redis_heap(
    *,
    dataset_bytes: int,
    value_bytes: int,
    key_bytes: int,
    fragmentation: float,
    version: object,
) -> RedisHeap:
    """Return the layout of as many keys as make `dataset_bytes` of used memory.

    `fragmentation` is resident over used memory: at 1.25 every fifth place is empty, evenly
    spread; less is resident where large values leave pages of their size class untouched.
    Raises `ValueError` if not even one key fits.
    """
    embedded = value_bytes <= EMBEDDED_MAX_BYTES
    if embedded:
        value_used_bytes = OBJECT_BYTES + _string_bytes(value_bytes)
    else:
        value_used_bytes = _string_bytes(value_bytes)
    key_used_bytes = _string_bytes(key_bytes)
    one_key_bytes = (
        size_class(value_used_bytes)
        + (0 if embedded else size_class(OBJECT_BYTES))
        + size_class(ENTRY_BYTES)
        + size_class(key_used_bytes)
    )
    keys = _keys_that_fit(dataset_bytes, one_key_bytes)
    if keys < 1:
        raise ValueError(f"a data set of {dataset_bytes} bytes holds no value of {value_bytes}")
    bucket_bytes = BUCKET_BYTES * _power_of_two(keys)
    slots = max(keys, round(keys * fragmentation))
    shifted = not does(version, "page_aligned")
    return RedisHeap(
        keys=keys,
        payload_bytes=keys * (value_bytes + key_bytes),
        used_bytes=keys * one_key_bytes + bucket_bytes,
        slots=slots,
        values=layout(slots, value_used_bytes, shifted=shifted),
        objects=None if embedded else layout(slots, OBJECT_BYTES),
        entries=layout(slots, ENTRY_BYTES),
        other_pages=layout(slots, key_used_bytes, shifted=shifted).pages
        + -(-bucket_bytes // PAGE_BYTES),
    )


def _string_bytes(length: int) -> int:
    """Return what a string of `length` takes: header by length, and a final zero."""
    header_bytes = 3 if length < 2**8 else 5 if length < 2**16 else 9 if length < 2**32 else 17
    return header_bytes + length + 1


def _power_of_two(keys: int) -> int:
    """Return the buckets of a hash table of `keys`: the next power of two, at least 4."""
    return max(4, 1 << (keys - 1).bit_length())


def _keys_that_fit(dataset_bytes: int, one_key_bytes: int) -> int:
    most = 0
    buckets = 4
    while BUCKET_BYTES * buckets < dataset_bytes:
        room = (dataset_bytes - BUCKET_BYTES * buckets) // one_key_bytes
        most = max(most, min(room, buckets))
        if room < buckets:
            break
        buckets *= 2
    return most
