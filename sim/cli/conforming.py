"""The command `cowpool conform`: scripts are checked before compiled code is loaded."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from sim.base.errors import ScenarioError
from sim.cli.conforming_groups import pages_for_scripts, predict_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sim.script.grammar import Operation
    from sim.script.record import OpRecord


def conform_scripts(
    scripts: Sequence[Path],
    *,
    kernel: bool,
    random: int | None,
    seed: int | None,
    all_verbs: bool,
    spawn: bool,
    costs: Path | None,
    as_kernel: str | None,
    folio: Sequence[str],
    hugetlb: int | None,
    time: bool,
    as_json: bool,
    large: bool,
    group: str | None,
) -> int:
    """Predict scripts at the prices of `costs`, compare if asked, and return the exit status."""
    from sim.cli.effort import plain_if_small
    from sim.host.compare import EQUAL, IN_GROUP
    from sim.host.conditions import file_folder, free_huge_pages, read_ahead_pages
    from sim.host.conform import predicted_release, run_conform
    from sim.script.grammar import HUGETLB_VERBS
    from sim.script.random import ALL_VERBS, CONTRACT_VERBS, GROUP_VERBS

    without_group = spawn or bool(folio) or hugetlb is not None
    group_pages = None if group is None else pages_for_scripts(group, without_group)
    prices = host_prices(costs) if time or costs is not None else None
    if spawn:
        if scripts or random is not None:
            raise ScenarioError("--spawn takes no scripts; leave out one or the other")
        return _spawn(prices if time else None, kernel=kernel, as_json=as_json)

    if as_kernel is not None:
        as_kernel = asked_release(as_kernel)
    folios = [_folio_pages(size) for size in folio]
    release = predicted_release(as_kernel, kernel)
    verbs = ALL_VERBS if all_verbs else CONTRACT_VERBS if group is None else GROUP_VERBS
    if hugetlb is not None:
        verbs |= HUGETLB_VERBS
    if kernel:
        hugetlb = free_huge_pages() or hugetlb
    folder = file_folder() if kernel else None
    ahead = None if folder is None else read_ahead_pages(folder)

    def predictor(script: Sequence[Operation]) -> list[OpRecord]:
        if group_pages is not None:
            return predict_in(group_pages, script, release, ahead)
        from sim.script.predict import predict

        return predict(
            script,
            prices=prices,
            kernel=release,
            read_ahead_pages=ahead,
            folios=dict.fromkeys(folios, "madvise"),
            hugetlb_pages=hugetlb,
        )

    return run_conform(
        scripts,
        predictor=predictor,
        prepare=plain_if_small,
        kernel=kernel,
        random=random,
        seed=seed,
        verbs=verbs,
        possible=None if hugetlb is None else partial(_possible, hugetlb),
        release=as_kernel,
        folios=folios,
        time=time,
        as_json=as_json,
        large=large,
        group_pages=group_pages,
        band=EQUAL if group is None else IN_GROUP,
    )


def _possible(hugetlb_pages: int, script: list[Operation]) -> list[Operation]:
    from sim.script.predict import possible

    return possible(script, hugetlb_pages=hugetlb_pages)


def conform_malloc(
    scripts: Sequence[Path],
    library: str,
    *,
    kernel: bool,
    random: int | None,
    seed: int | None,
    priced: bool,
    as_json: bool,
) -> int:
    """Predict scripts of malloc and free, compare if asked, and return the exit status."""
    from sim.alloc.models import MODELS
    from sim.base.errors import ScenarioError

    if library not in MODELS:
        known = ", ".join(MODELS)
        raise ScenarioError(f"there is no model of {library!r}; there are: {known}", key="--malloc")
    if priced:
        raise ScenarioError("has no prices; leave out --time and --costs", key="--malloc")
    from sim.host.malloc.conform import run_malloc_conform

    return run_malloc_conform(
        scripts, library, kernel=kernel, random=random, seed=seed, as_json=as_json
    )


def _spawn(prices: dict[str, Any] | None, *, kernel: bool, as_json: bool) -> int:
    from sim.cost.catalogue import price_array
    from sim.host.spawn.conform import run_spawns

    array = None if prices is None else price_array(prices)
    return run_spawns(kernel=kernel, prices=array, as_json=as_json)


def _folio_pages(text: str) -> int:
    from sim.base.units import PAGE_BYTES
    from sim.scenario.quantities import folio_bytes

    try:
        return folio_bytes(f"{text}iB" if text[-1:] in ("K", "M") else text) // PAGE_BYTES
    except ValueError as error:
        raise ScenarioError(str(error), key="--folio") from None


def asked_release(text: str) -> str:
    """Return the release whose rules hold for the kernel that `--as-kernel` names.

    What differs from that kernel's own is said on stderr.  Raises `ScenarioError` if it is none, or
    too old.
    """
    from sim.machine.releases import followed_release, release_name
    from sim.machine.rules.told import release_note
    from sim.scenario.quantities import kernel_release

    try:
        kernel = kernel_release(text)
    except ValueError as error:
        raise ScenarioError(str(error), key="--as-kernel") from None
    if note := release_note(kernel):
        sys.stderr.write(f"rules: {note}\n")
    return release_name(followed_release(kernel))


def host_prices(profile: Path | None) -> dict[str, Any]:
    """Return the prices of a host profile, by default those of the profile that is the default."""
    from sim.base.errors import ScenarioError
    from sim.scenario.resolve import resolve

    host = {} if profile is None else {"profile": _name_of(profile)}
    data = {
        "version": 1,
        "name": "conform",
        "host": host,
        "processes": {"P": {"program": "steps", "steps": []}},
        "run": {"horizon": "1 s"},
    }
    try:
        prices: dict[str, Any] = resolve(data)["host"]["prices"]
    except ScenarioError as error:
        if error.file is None:  # what is wrong is its name
            raise ScenarioError(error.message, str(profile)) from None
        raise
    return prices


def _name_of(profile: Path) -> str:
    """Return a profile as a scenario names it: a path, or the name of one that ships."""
    text = str(profile)
    return f"./{text}" if profile.is_file() and "/" not in text else text
