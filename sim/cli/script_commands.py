"""Commands about scripts of memory operations: `conform` and `walk`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  # typer reads it
from typing import Annotated

import typer

from sim.base.errors import ScenarioError
from sim.cli.commands import MOST_SEED, JsonOption, LargeOption, app


@app.command()
def conform(
    scripts: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SCRIPT", help="Scripts of memory operations, one per file; `-` for stdin."
        ),
    ] = None,
    kernel: Annotated[
        bool, typer.Option("--kernel", help="Also run them on this kernel, and compare.")
    ] = False,
    random: Annotated[
        int | None,
        typer.Option("--random", metavar="N", min=1, help="Add N random scripts."),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="S", min=0, max=MOST_SEED, help="Seed of the random scripts."
        ),
    ] = None,
    all_verbs: Annotated[
        bool,
        typer.Option("--all-verbs", help="Random scripts use every verb, not only the basic ones."),
    ] = False,
    spawn: Annotated[
        bool,
        typer.Option(
            "--spawn", help="Compare fork + exec, vfork + exec and posix_spawn by parent size."
        ),
    ] = False,
    costs: Annotated[
        Path | None,
        typer.Option(
            "--costs", metavar="FILE", help="A host profile with the prices of operations."
        ),
    ] = None,
    as_kernel: Annotated[
        str | None,
        typer.Option(
            "--as-kernel",
            metavar="VERSION",
            help="Predict by the rules of this release, e.g. 5.10.",
        ),
    ] = None,
    folio: Annotated[
        list[str] | None,
        typer.Option(
            "--folio", metavar="SIZE", help="Sizes of folios that `hugepage` allows, e.g. 64K."
        ),
    ] = None,
    hugetlb: Annotated[
        int | None,
        typer.Option(
            "--hugetlb",
            metavar="N",
            min=0,
            max=2**21,
            help="Huge pages in the pool for `maphugetlb`; --random draws it too.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="SIZE",
            help="Run each script in a control group that may have so much, e.g. 64M.",
        ),
    ] = None,
    filepage: Annotated[
        bool,
        typer.Option(
            "--filepage",
            help="The scripts read files in such a group: which pages stay in the page cache?",
        ),
    ] = False,
    pressure: Annotated[
        bool,
        typer.Option(
            "--pressure",
            help="Random scripts touch more memory than such a group may have, with swap in "
            "memory: which pages stay, what is scanned and swapped?",
        ),
    ] = False,
    claim: Annotated[
        list[str] | None,
        typer.Option(
            "--claim",
            metavar="NAME",
            help="Check what is claimed of memory under a limit; `--claims` lists names.",
        ),
    ] = None,
    claims: Annotated[
        bool, typer.Option("--claims", help="List what is claimed of memory under a limit.")
    ] = False,
    time: Annotated[bool, typer.Option("--time", help="Also print simulated time.")] = False,
    malloc: Annotated[
        str | None,
        typer.Option(
            "--malloc",
            metavar="LIBRARY",
            help="The scripts are of malloc and free, of this library.",
        ),
    ] = None,
    as_json: JsonOption = False,
    large: LargeOption = False,
) -> int:
    """Predict page faults of scripts; compare them with the kernel.

    Exit status 1 if a prediction and the kernel differ, 3 if the kernel could not be asked.
    """
    from sim.cli.conforming import conform_malloc, conform_scripts
    from sim.cli.conforming_groups import conform_claims, conform_filepage, conform_pressure

    if claims or claim:
        return conform_claims(claim or [], kernel=kernel, cases=random, seed=seed, as_json=as_json)
    if pressure:
        return conform_pressure(
            scripts or [], kernel=kernel, random=random, seed=seed, group=group, as_json=as_json
        )
    if filepage:
        return conform_filepage(
            scripts or [], kernel=kernel, random=random, seed=seed, group=group, as_json=as_json
        )
    if malloc is not None:
        return conform_malloc(
            scripts or [],
            malloc,
            kernel=kernel,
            random=random,
            seed=seed,
            priced=time or costs is not None,
            as_json=as_json,
        )
    return conform_scripts(
        scripts or [],
        kernel=kernel,
        random=random,
        seed=seed,
        all_verbs=all_verbs,
        spawn=spawn,
        costs=costs,
        as_kernel=as_kernel,
        folio=folio or [],
        hugetlb=hugetlb,
        time=time,
        as_json=as_json,
        large=large,
        group=group,
    )


@app.command()
def walk(
    script: Annotated[
        Path | None,
        typer.Argument(metavar="SCRIPT", help="A script of memory operations; `-` for stdin."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            metavar="PAGES",
            help="Instead of a script: pages in the order of their use, e.g. '7 0 1 2 0 3'.",
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            "--trace", metavar="FILE", help="The same from a file, a page a word; `-` for stdin."
        ),
    ] = None,
    why: Annotated[
        bool,
        typer.Option(
            "--why", help="Explain each line: the rule, the kernel's function, the frames."
        ),
    ] = False,
    draw: Annotated[
        bool,
        typer.Option(
            "--draw", help="Draw page tables, references and free frames after each line."
        ),
    ] = False,
    svg: Annotated[
        Path | None,
        typer.Option("--svg", metavar="FILE", help="Also write the pictures to an SVG file."),
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Hide each answer until you give yours.")
    ] = False,
    answers: Annotated[
        bool, typer.Option("--answers", help="With --ask: print the answers too.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            metavar="S",
            min=0,
            max=MOST_SEED,
            help="Picks the questions of --ask, or the victims of `random`; default 0.",
        ),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            "--frames",
            metavar="N",
            help="Simulate a machine of N frames, 10 to 4096; for references also 1..7 or 3,4.",
        ),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="NAME",
            help="When memory runs out, oom (kill a process) or wait; default oom. "
            "For references fifo, clock, lru, mglru_like, random, opt or all; default all.",
        ),
    ] = None,
    fork: Annotated[
        str,
        typer.Option("--fork", metavar="KIND", help="cow, eager, on_demand or async."),
    ] = "cow",
    zeroing: Annotated[
        str,
        typer.Option(
            "--zeroing",
            metavar="demand|eager",
            help="Give new memory its frames at first touch, or at once.",
        ),
    ] = "demand",
    as_kernel: Annotated[
        str | None,
        typer.Option(
            "--as-kernel", metavar="VERSION", help="Follow the rules of this release, e.g. 5.10."
        ),
    ] = None,
    hugetlb: Annotated[
        int | None,
        typer.Option(
            "--hugetlb",
            metavar="N",
            min=0,
            max=2**21,
            help="Huge pages in the pool for `maphugetlb`; default: enough.",
        ),
    ] = None,
    as_json: JsonOption = False,
    large: LargeOption = False,
) -> int:
    """Walk through a script: what each line does, and why.

    Pictures show a machine of 64 frames (2,048 if the script asks for huge pages) unless --frames
    says otherwise.  Without pictures and --frames, memory cannot run out.

    With --reference or --trace: which pages the replacement policies of textbooks keep in memory.
    """
    if reference is not None or trace is not None:
        from sim.cli.references import walk_references

        _refuse_with_references(
            SCRIPT=script is not None, draw=draw, svg=svg is not None, ask=ask,
            answers=answers, fork=fork != "cow", zeroing=zeroing != "demand",
            as_kernel=as_kernel is not None, hugetlb=hugetlb is not None,
        )  # fmt: skip
        return walk_references(
            reference,
            trace,
            frames=frames,
            policy=policy,
            seed=seed or 0,
            why=why,
            as_json=as_json,
            large=large,
        )
    if script is None:
        message = "give a SCRIPT, --reference or --trace; see `cowpool walk --help`"
        raise ScenarioError(f"cowpool walk: {message}")
    from sim.cli.walking import walk_script

    return walk_script(
        script,
        why=why,
        draw=draw,
        svg=svg,
        ask=ask,
        answers=answers,
        seed=seed,
        frames=frames,
        policy=policy,
        fork=fork,
        zeroing=zeroing,
        as_kernel=as_kernel,
        hugetlb=hugetlb,
        as_json=as_json,
        large=large,
    )


def _refuse_with_references(**given: bool) -> None:
    """Raise `ScenarioError` for what says nothing of a reference string."""
    for name, is_given in given.items():
        if is_given:
            option = name if name.isupper() else f"--{name.replace('_', '-')}"
            raise ScenarioError(f"{option} is not for --reference and --trace; leave it out")
