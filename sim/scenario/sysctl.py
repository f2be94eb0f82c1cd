"""`host.sysctl`: Linux's own names for what a host is set to, put where cowpool has it.

One table says which key each name is.  A name that cowpool has no key for is refused, unless its
value is the one that is simulated anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from sim.base.text import shorten
from sim.scenario.complaints import suggestion
from sim.scenario.containers import assignments
from sim.scenario.document import Document, kind_of
from sim.scenario.overrides import with_value

if TYPE_CHECKING:
    from sim.scenario.document import Keys

TO_HOST: Final[Mapping[str, tuple[str, ...]]] = {
    "vm.overcommit_memory": ("overcommit", "mode"),
    "vm.overcommit_ratio": ("overcommit", "ratio"),
    "vm.min_free_kbytes": ("min_free",),
    "vm.watermark_scale_factor": ("watermark_scale_factor",),
    "vm.nr_hugepages": ("nr_hugepages",),
    "vm.swappiness": ("swappiness",),
    "vm.page-cluster": ("page_cluster",),
    "vm.dirty_ratio": ("dirty_ratio",),
    "vm.dirty_background_ratio": ("dirty_background_ratio",),
}
"""Names, and the key of the host that each is."""

BARE: Final[Mapping[str, str]] = {
    name.removeprefix("vm."): name for name, key in TO_HOST.items() if f"vm.{key[0]}" != name
}
"""Names that may stand in the host itself, without ``vm.``, and the whole name of each."""

IN_KIB: Final = ("vm.min_free_kbytes",)

SIMULATED: Final[Mapping[str, int]] = {
    "vm.dirty_expire_centisecs": 3000,
    "vm.dirty_writeback_centisecs": 500,
    "vm.dirty_bytes": 0,
    "vm.dirty_background_bytes": 0,
    "vm.overcommit_kbytes": 0,
    "vm.nr_overcommit_hugepages": 0,
    "vm.oom_kill_allocating_task": 0,
    "vm.panic_on_oom": 0,
    "vm.zone_reclaim_mode": 0,
    "kernel.numa_balancing": 0,
}
"""Names that have no key, with the value that is simulated."""


def with_sysctl(document: Document) -> Document:
    """Return a document whose names of Linux stand in the keys of its host.

    They are those of `host.sysctl`, and those of `BARE` beside it.  Raises `ScenarioError` for a
    name without a key, and for one whose key is there already.
    """
    host = document.data.get("host")
    if not isinstance(host, Mapping):
        return document
    bare = [word for word in host if word in BARE and host[word] is not None]
    if not bare and host.get("sysctl") is None:
        return document
    said = [
        *((BARE[word], host[word], ("host", word)) for word in bare),
        *_in_sysctl(host.get("sysctl"), document),
    ]
    rest = {key: value for key, value in host.items() if key != "sysctl" and key not in bare}
    if rest.get("overcommit") is not None and not isinstance(rest["overcommit"], Mapping):
        rest["overcommit"] = {"mode": rest["overcommit"]}
    plain = Document({**document.data, "host": rest}, document.file, dict(document.places))
    for name, value, path in said:
        key = _key_of(name, value, path, document)
        if key is None:
            continue
        if _is_said(plain.data["host"], key):
            message = f"`host.{'.'.join(key)}` says it already; take one of the two out"
            raise document.error(path, message)
        worth = f"{value} KiB" if name in IN_KIB else _number(value)
        plain = with_value(plain, ("host", *key), worth, document.place(path))
    return plain


def _in_sysctl(given: object, document: Document) -> list[tuple[str, object, Keys]]:
    """Return names, values and places of what `host.sysctl` gives."""
    at: Keys = ("host", "sysctl")
    if given is None:
        return []
    if isinstance(given, str):
        try:
            given = assignments(given)
        except ValueError as error:
            raise document.error(at, str(error)) from None
    if not isinstance(given, Mapping):
        message = f"{kind_of(given)} is not a mapping; write e.g. `{{vm.swappiness: 60}}`"
        raise document.error(at, message)
    return [
        (".".join(str(part) for part in path[len(at) :]).replace("/", "."), value, path)
        for path, value in _flat(given, at)
    ]


def _flat(given: Mapping[str, Any], at: Keys) -> list[tuple[Keys, Any]]:
    """Return names and values; ``--set host.sysctl.vm.swappiness=60`` makes mappings of them."""
    found: list[tuple[Keys, Any]] = []
    for part, value in given.items():
        path = (*at, part)
        found += _flat(value, path) if isinstance(value, Mapping) else [(path, value)]
    return found


def _key_of(name: str, value: object, path: Keys, document: Document) -> tuple[str, ...] | None:
    """Return the key of the host that a name is; None where its value changes nothing."""
    if isinstance(value, bool) or not isinstance(_number(value), int):
        written = name if path[1] == "sysctl" else path[1]
        message = f"{kind_of(value)} is not a whole number; write e.g. `{written}: 1`"
        raise document.error(path, message)
    if name in TO_HOST:
        return TO_HOST[name]
    if name not in SIMULATED:
        known = [*TO_HOST, *SIMULATED]
        message = f"no sysctl {shorten(name)!r} is simulated; {suggestion(name, known)}"
        raise document.error(path, message)
    if _number(value) != SIMULATED[name]:
        message = f"{value} is not simulated, only {SIMULATED[name]}; take it out"
        raise document.error(path, message)
    return None


def _number(value: object) -> object:
    text = str(value).strip()
    return int(text) if text.isascii() and text.lstrip("-").isdecimal() else value


def _is_said(host: Mapping[str, Any], key: tuple[str, ...]) -> bool:
    at: Any = host
    for part in key:
        at = at.get(part) if isinstance(at, Mapping) else None
    return at is not None
