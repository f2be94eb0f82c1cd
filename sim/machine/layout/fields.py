"""What operations are given, a class for each kind of call: the record `OPERATION` has them all.

An operation (`sim.kernel.ops`) names its class, so that who begins one is checked by mypy.  What
may be left out is as in `NO_OPERATION`.
"""

from typing import TypedDict


class Nothing(TypedDict):
    """Of calls without arguments."""


class Pages(TypedDict):
    """A number of pages; brk takes away those that are negative."""

    pages: int


class Range(Pages):
    """Pages from `start` on."""

    start: int


class Access(Range, total=False):
    """Reads and writes of pages: which, how often, and when."""

    write: int
    """1 to write."""
    accesses: int
    """How many are wanted."""
    span: int
    """Pages an access."""
    drop: int
    """1 if each page is given back at once."""
    pattern: int
    hot_groups: int
    """Of `span` pages each, from the start."""
    hot_share: int
    pages_at: int
    """First of its page numbers in `lists`."""
    per_request: int
    """Accesses an arrival."""
    arrivals: int
    """0 unpaced, 1 regular, 2 listed."""
    arrival_first: int
    arrival_every: int
    arrivals_at: int
    """First of its arrival times in `lists`."""
    access_cpu_ns: int


class Demand(TypedDict):
    """CPU time."""

    demand_ns: int


class File(TypedDict):
    """A file, or NONE."""

    file: int


class FilePages(File, Pages):
    """Pages of a file from `file_page` on."""

    file_page: int


class FileAdvice(FilePages):
    """Advice of posix_fadvise."""

    advice: int


class Flush(TypedDict):
    """What the flusher is woken for."""

    flush_why: int
    """`PERIODIC` or `BY_NEED` (`sim.kernel.reclaim.flusher`)."""


class Mapping(Range, FilePages):
    """A new area, and what it maps."""

    map_flags: int
    map_kind: int
    populate: int
    """1 for MAP_POPULATE."""


class Protection(Range):
    """Flags that areas get, of some kind instead of all others of it."""

    set_flags: int


class Flags(Protection):
    """Flags that areas get, and lose."""

    clear_flags: int


class Populate(Range):
    """How pages are filled in."""

    populate_mode: int


class Remapping(Range, total=False):
    """A mapping that is to change its size, or its place."""

    new_pages: int
    new_start: int
    """NONE: where it is, or anywhere."""
    may_move: int


class Child(TypedDict):
    """A child: its row among the tasks."""

    child: int


class Image(TypedDict, total=False):
    """The image of a program."""

    image: int
    """That exec puts in place; 0: `image_pages` of anonymous memory."""


class Exec(Image, total=False):
    """What a process is when its image has been replaced."""

    image_pages: int
    stack_pages: int
    """That it fills with arguments and environment; 0 means 1."""
    stack_limit: int
    """Pages."""


FIELDS = tuple(
    dict.fromkeys(
        name
        for given in (
            *(Range, Access, Demand, FileAdvice, Flush, Mapping, Flags, Populate, Remapping),
            *(Child, Exec),
        )
        for name in given.__annotations__
    )
)
"""Their names, each once."""
