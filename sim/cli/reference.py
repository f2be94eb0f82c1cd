"""Commands that look things up: what ships, and what may be written."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sim.cli.commands import PluginOption, app, load_if_named, print_json
from sim.cli.completing import parts, shown


@app.command()
def show(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[NAME]",
            help="A scenario, study, host profile or program that ships; none: list them.",
            autocompletion=shown,
        ),
    ] = None,
    path: Annotated[
        bool, typer.Option("--path", help="Print where the file is instead of what is in it.")
    ] = False,
) -> int:
    """Print a file that ships with cowpool, or list them.

    `cowpool show redis_bgsave > mine.yaml` is a start.  Where a scenario and a study share a name,
    the scenario is printed; `cowpool show studies/NAME` prints the study.
    """
    from sim.cli.shelf import KINDS, find, summaries
    from sim.cli.show import Page
    from sim.cli.tables import labelled

    if name is None:
        page = Page()
        for each, described in summaries().items():
            page.say(f"{each}: {KINDS[each]}", "bold")
            page.lines([*labelled(described, page.width), ""])
        return 0
    file, *others = find(name)
    if path:
        sys.stdout.write("".join(f"{each}\n" for each in (file, *others)))
        return 0
    sys.stdout.write(file.read_text(encoding="utf-8"))
    for other in others:
        kind = other.parent.name
        sys.stderr.write(f"also {kind}/{name}: see `cowpool show {kind}/{name}`\n")
    return 0


@app.command()
def keys(
    part: Annotated[
        str | None,
        typer.Argument(
            metavar="[PART]",
            help="host, policy, process, run, study, prices, steps, or a program; none: list them.",
            autocompletion=parts,
        ),
    ] = None,
    plugin: PluginOption = None,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Print the whole reference as a Markdown page.")
    ] = False,
) -> int:
    """Show every key, unit, verb and program that files may contain."""
    from sim.cli.lookup import show_part, show_parts
    from sim.cli.running import known
    from sim.scenario.keys import markdown

    programs, _ = known(load_if_named(plugin))
    if as_markdown:
        sys.stdout.write(markdown(programs))
    elif part is None:
        show_parts(programs)
    else:
        show_part(part, programs)
    return 0


@app.command()
def schema(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND]",
            help="`scenario` or `study`; without it, one schema for both.",
            autocompletion=lambda incomplete: [
                kind for kind in ("scenario", "study") if kind.startswith(incomplete)
            ],
        ),
    ] = None,
    plugin: PluginOption = None,
) -> int:
    """Print the JSON Schema of scenarios and studies, for editors."""
    from sim.base.errors import ScenarioError
    from sim.cli.running import known
    from sim.scenario.schema import json_schema

    if kind not in (None, "scenario", "study"):
        raise ScenarioError(f"{kind!r} has no schema; write `scenario` or `study`")
    programs, _ = known(load_if_named(plugin))
    print_json(json_schema(kind, programs))  # type: ignore[arg-type]  # checked above
    return 0
