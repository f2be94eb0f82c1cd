"""What a list of steps will have done when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sim.base.units import in_base_units, pages_for
from sim.program.presets import program_image
from sim.program.steps.grammar import normal_steps
from sim.program.steps.meant import said_image
from sim.scenario.effort.amount import Amount
from sim.scenario.effort.programs import LIFE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sim.scenario.forms.setting import Setting

_FREE: Final = (
    "mark",
    "sleep",
    "sleep_until",
    "exit",
    "join",
    "prctl",
    "oom_score_adj",
    "nice",
    "lock",
    "unlock",
)
"""Steps that ask the kernel for nothing."""


def steps_effort(arguments: Mapping[str, Any], setting: Setting, horizon_ns: int) -> Amount:
    """Return the work of a list of steps, each taken once as it is written."""
    walk = _Walk({}, {}, setting)
    walk.steps(normal_steps(in_base_units(arguments["steps"])))
    return walk.ended()


class _Walk:
    """One process: the pages of its regions, and how many of each are filled."""

    def __init__(
        self, pages: Mapping[str, int], filled: Mapping[str, float], setting: Setting
    ) -> None:
        self._pages = dict(pages)
        self._filled = dict(filled)
        self._shared = dict(filled)
        self._files: dict[str, bool] = {}  # whether it is on the disk only
        self._setting = setting
        self._amount = LIFE

    def ended(self) -> Amount:
        """Return all of it, what is left at the end being removed."""
        return self._amount + Amount(removed=sum(self._filled.values()))

    def steps(self, steps: list[dict[str, dict[str, Any]]]) -> None:
        for step in steps:
            for verb, how in step.items():
                if verb not in _FREE and verb != "repeat":
                    self._amount += Amount(operations=1, dispatches=0.3)
                handler = getattr(self, f"_{verb}", None)
                if handler is not None:
                    handler(how)

    def _mmap(self, how: Mapping[str, Any]) -> None:
        name, pages = how["name"], pages_for(how["size"])
        self._pages[name], self._filled[name], self._shared[name] = pages, 0.0, 0.0
        if how.get("file"):
            self._files[name] = bool(how.get("cold"))
            self._amount += Amount(cached=0 if how.get("cold") else pages)

    _malloc = _calloc = _mmap

    def _sbrk(self, how: Mapping[str, Any]) -> None:
        if how.get("name"):
            self._mmap({"name": how["name"], "size": how.get("grow", 0)})

    def _access(self, how: Mapping[str, Any], *, writes: bool) -> None:
        region = how["region"]
        pages = how.get("pages") or max(0, self._pages.get(region, 0) - how.get("first", 0))
        count = _count(how.get("pattern"), pages)
        hit = min(float(pages), count)
        new = min(hit, self._pages.get(region, 0) - self._filled.get(region, 0.0))
        self._filled[region] = self._filled.get(region, 0.0) + max(0.0, new)
        copied = min(hit, self._shared.get(region, 0.0)) if writes else 0.0
        self._shared[region] = self._shared.get(region, 0.0) - copied
        requests = count / how.get("per_request", 1) if how.get("arrivals") else 0.0
        new = max(0.0, new)
        self._amount += Amount(copies=copied, accesses=count, requests=requests)
        if region not in self._files:
            self._amount += Amount(fills=new)
            return
        self._amount += Amount(cached=new)
        if self._files[region]:
            window = 1 if isinstance(how.get("pattern"), dict) else self._setting.read_ahead_pages
            self._amount += Amount(reads=new / window, dispatches=new / window, cached=new)

    def _write(self, how: Mapping[str, Any]) -> None:
        self._access(how, writes=True)

    def _read(self, how: Mapping[str, Any]) -> None:
        self._access(how, writes=False)

    def _munmap(self, how: Mapping[str, Any]) -> None:
        filled = self._filled.get(how["region"], 0.0)
        gone = min(filled, float(how.get("pages") or filled))
        self._filled[how["region"]] = filled - gone
        self._amount += Amount(removed=gone)

    _dontneed = _munmap

    def _mlock(self, how: Mapping[str, Any]) -> None:
        self._access(how, writes=True)

    def _advise(self, how: Mapping[str, Any]) -> None:
        if how["advice"].startswith("populate_"):
            self._access(how, writes=how["advice"] == "populate_write")
        elif how["advice"] in ("dontneed", "free"):
            self._munmap(how)

    def _mremap(self, how: Mapping[str, Any]) -> None:
        region, pages = how["region"], pages_for(how["size"])
        self._pages[region] = pages
        self._filled[region] = min(self._filled.get(region, 0.0), float(pages))

    def _child(self, how: Mapping[str, Any], *, forked: bool) -> None:
        child = _Walk(self._pages, self._filled if forked else {}, self._setting)
        if forked and self._setting.fork == "eager":
            child._amount += Amount(copies=sum(self._filled.values()))
        child.steps(how["steps"])
        self._amount += child.ended()
        if forked:
            self._shared = dict(self._filled)

    def _fork(self, how: Mapping[str, Any]) -> None:
        self._child(how, forked=True)

    def _vfork(self, how: Mapping[str, Any]) -> None:
        self._child(how, forked=False)

    def _posix_spawn(self, how: Mapping[str, Any]) -> None:
        self._exec(how.get("image") or how)
        self._child(how, forked=False)

    def _thread(self, how: Mapping[str, Any]) -> None:
        self.steps(how["steps"])
        self._amount += LIFE

    def _exec(self, how: Mapping[str, Any]) -> None:
        said = {key: value for key, value in how.items() if key not in ("steps", "name")}
        touches = len(program_image(said_image(said)).touches)
        self._amount += Amount(cached=4 * touches, accesses=touches, removed=4 * touches)

    def _repeat(self, how: Mapping[str, Any]) -> None:
        if not how["times"]:
            return
        self.steps(how["steps"])
        before = self._amount
        if how["times"] > 1:  # the second time memory is there already
            self.steps(how["steps"])
            again = self._amount + before.times(-1)
            self._amount = before + again.times(how["times"] - 1)


def _count(pattern: Any, pages: int) -> float:
    """Return how many accesses a pattern makes to a range of `pages`."""
    if not isinstance(pattern, dict):
        return float(pages)
    ((kind, how),) = pattern.items()
    if kind == "listed":
        return float(len(how))
    return float(how["count"] if kind == "hot_cold" else how)
