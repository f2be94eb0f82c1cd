"""`cowpool conform` of control groups: reads of files under a limit, and claims about limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sim.base.errors import ScenarioError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sim.script.grammar import Operation
    from sim.script.record import OpRecord


def conform_filepage(
    scripts: Sequence[Path],
    *,
    kernel: bool,
    random: int | None,
    seed: int | None,
    group: str | None,
    as_json: bool,
) -> int:
    """Predict scripts of reads, compare if asked, and return the exit status."""
    limit_pages = None if group is None else asked_pages(group)
    from sim.host.filepage.conform import run_filepage_conform

    return run_filepage_conform(
        scripts, kernel=kernel, random=random, seed=seed, limit_pages=limit_pages, as_json=as_json
    )


def conform_pressure(
    scripts: Sequence[Path],
    *,
    kernel: bool,
    random: int | None,
    seed: int | None,
    group: str | None,
    as_json: bool,
) -> int:
    """Predict scripts that need swap, compare if asked, and return the exit status."""
    if group is not None:
        raise ScenarioError(
            "each script of --pressure has its own limit; leave it out", key="--group"
        )
    from sim.host.pressure.conform import run_pressure_conform

    return run_pressure_conform(scripts, kernel=kernel, random=random, seed=seed, as_json=as_json)


def conform_claims(
    names: Sequence[str], *, kernel: bool, cases: int | None, seed: int | None, as_json: bool
) -> int:
    """Check claims by name, or list them all, and return the exit status."""
    from sim.host.claims.command import list_claims, run_claims

    if not names:
        return list_claims(as_json=as_json)
    return run_claims(names, kernel=kernel, cases=cases, seed=seed or 0, as_json=as_json)


def pages_for_scripts(text: str, refused: bool) -> int:
    """Return the size of the group for scripts of memory operations, in pages.

    Raises `ScenarioError` if it is none, or where something else was asked for that is `refused`.
    """
    if refused:
        message = "knows no folios and huge pages; leave out --spawn, --folio and --hugetlb"
        raise ScenarioError(message, key="--group")
    return asked_pages(text)


def predict_in(
    pages: int, script: Sequence[Operation], release: str, ahead: int | None
) -> list[OpRecord]:
    """Predict a script whose processes are in a control group of so many pages."""
    from sim.script.group import predict_in_group

    return predict_in_group(script, pages, kernel=release, read_ahead_pages=ahead).records


def asked_pages(text: str) -> int:
    """Return the size that `--group` names, in pages; raise `ScenarioError` if it is none."""
    from sim.base.units import PAGE_BYTES, parse_bytes

    try:
        size_bytes = parse_bytes(f"{text}iB" if text[-1:] in ("K", "M", "G") else text)
    except ValueError as error:
        raise ScenarioError(str(error), key="--group") from None
    if size_bytes < PAGE_BYTES:
        raise ScenarioError("is less than a page", key="--group")
    return size_bytes // PAGE_BYTES
