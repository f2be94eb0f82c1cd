"""The commands and their options.  Each returns its exit status."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from sim.base.text import printable
from sim.cli import completing

if TYPE_CHECKING:
    from sim.program.plugin import Plugin
    from sim.study.run import StudyOutcome
    from sim.study.sharded import ShardOutcome

SCHEMA_VERSION: Final = 1
"""Version of the JSON that `run` prints: raised when a field changes its meaning or goes."""

MOST_SEED: Final = 2**64 - 1
MOST_REPLICATION: Final = 2**32 - 1

app = typer.Typer(
    name="cowpool",
    help="Simulate page by page what fork, page faults and memory pressure cost.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ScenarioArgument = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO",
        help="A YAML file, `-` for stdin, or the name of a scenario that ships with cowpool.",
        autocompletion=completing.scenarios,
    ),
]
FileArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="A scenario or a study: a YAML file, `-` for stdin, or a name that ships.",
        autocompletion=completing.either,
    ),
]
StudyArgument = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A YAML file, `-` for stdin, or the name of a study that ships.",
        autocompletion=completing.studies,
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", min=1, help="How many runs at once; default: one per CPU."),
]
ExecutorOption = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="MODULE:FUNCTION",
        help="Have runs carried out by what this returns, a concurrent.futures executor.",
    ),
]
ClusterOption = Annotated[
    str | None,
    typer.Option(
        "--cluster", metavar="ADDRESS", help="Have runs carried out by Dask, tcp://HOST:PORT."
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(min=0, max=MOST_SEED, help="Seed of all random numbers; default: run.seed."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY.PATH=VALUE",
        help="Change a value; may be repeated.",
        autocompletion=completing.settings,
    ),
]
PluginOption = Annotated[
    Path | None,
    typer.Option(
        "--plugin",
        metavar="FILE",
        help="A Python file with programs or schedulers.",
        autocompletion=completing.plugins,
    ),
]
TimeLimitOption = Annotated[
    str | None,
    typer.Option("--time-limit", metavar="TIME", help="Stop a run that takes longer, e.g. 10min."),
]
MemoryLimitOption = Annotated[
    str | None,
    typer.Option(
        "--memory-limit", metavar="SIZE", help="Stop a run that needs more memory, e.g. 4GiB."
    ),
]
LargeOption = Annotated[
    bool, typer.Option("--large", help="Allow what is beyond the limits against typing errors.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


def _version(wanted: bool) -> None:
    if wanted:
        import sim

        sys.stdout.write(f"cowpool {sim.__version__}\n")
        raise typer.Exit


@app.callback()
def cowpool(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Simulate page by page what fork, page faults and memory pressure cost."""


@app.command()
def init(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="What to call it: NAME.yaml and NAME_study.yaml."),
    ],
    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="SHIPPED",
            help="Begin with a scenario or study that ships; `cowpool show` lists them.",
            autocompletion=completing.either,
        ),
    ] = None,
) -> int:
    """Write a commented scenario and a study to edit."""
    from sim.cli.starter import write_copy, write_starter

    paths = write_starter(name) if start is None else write_copy(name, start)
    for path in paths:
        sys.stdout.write(printable(f"wrote {path}\n"))
    scenario, *_ = paths
    sys.stdout.write(printable(f"now: cowpool explain {scenario}; cowpool run {scenario}\n"))
    return 0


@app.command()
def run(
    scenario: ScenarioArgument,
    settings: SetOption = None,
    seed: SeedOption = None,
    replication: Annotated[
        int, typer.Option(min=0, max=MOST_REPLICATION, help="Which replication to run.")
    ] = 0,
    burst: Annotated[
        int | None,
        typer.Option(min=0, help="Most steps between two events; 0: no limit. Changes no result."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Check after every event that all frames are accounted for."),
    ] = False,
    as_json: JsonOption = False,
    plugin: PluginOption = None,
    time_limit: TimeLimitOption = None,
    memory_limit: MemoryLimitOption = None,
    ranges: Annotated[
        bool | None,
        typer.Option(
            "--price-ranges/--no-price-ranges",
            help="Run twice more, with all prices low and all high; default: if the run is short.",
        ),
    ] = None,
) -> int:
    """Run a scenario once; print whether it answers, then its metrics.

    Exit status 1 if it does not answer: `validity` says why.
    """
    from sim.cli.limiting import limits_of
    from sim.cli.running import run_document, run_resolved

    loaded, limits = load_if_named(plugin), limits_of(time_limit, memory_limit)
    document = run_document(
        scenario,
        settings or [],
        seed=seed,
        replication=replication,
        burst=burst,
        check=check,
        plugin=loaded,
        limits=limits,
    )
    if as_json:
        print_json({"schema_version": SCHEMA_VERSION, **document})
    else:
        from sim.cli.price_ranges import range_sentences
        from sim.cli.show import show_run

        again = partial(run_resolved, replication=replication, plugin=loaded, limits=limits)
        show_run(document, ranges=range_sentences(document, again, ranges))
    return 0 if document["answered"] else 1


@app.command()
def explain(
    file: FileArgument,
    settings: SetOption = None,
    plugin: PluginOption = None,
    large: LargeOption = False,
    as_json: JsonOption = False,
) -> int:
    """Show what a file means in derived numbers, without running it."""
    from sim.cli.running import is_study, known
    from sim.cli.show import show_sections
    from sim.scenario import load_scenario
    from sim.scenario.explain import explain_scenario

    loaded = load_if_named(plugin)
    if is_study(file):
        from sim.study.explain import explain_study

        sections = explain_study(file, settings or [], large=large, plugin=loaded)
    else:
        programs, schedulers = known(loaded)
        resolved = load_scenario(file, settings or [], programs, schedulers)
        sections = explain_scenario(resolved, programs)
    if as_json:
        told = [{"title": section.title, "lines": section.lines} for section in sections]
        print_json({"schema_version": SCHEMA_VERSION, "sections": told})
    else:
        show_sections(sections)
    return 0


@app.command()
def study(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="STUDY",
            help="A YAML file, `-` for stdin, or a study that ships; with --merge, folders.",
            autocompletion=completing.studies,
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="Folder of store and report; default out/NAME."),
    ] = None,
    jobs: JobsOption = None,
    executor: ExecutorOption = None,
    cluster: ClusterOption = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="K/N", help="Make only the runs of one shard of N."),
    ] = None,
    merge: Annotated[
        bool, typer.Option("--merge", help="Put the shards in these folders together.")
    ] = False,
    settings: SetOption = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=MOST_SEED, help="Seed of all random numbers; default: the study's."
        ),
    ] = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
    time_limit: TimeLimitOption = None,
    memory_limit: MemoryLimitOption = None,
    large: LargeOption = False,
) -> int:
    """Run a study, or resume it, and write its report.

    --set changes a key of the study (replications=5) or of its scenario in every run (host.cpus=4);
    an axis that is set has that level alone.  Every finished run is kept: the same command
    resumes the study.  Exit status 1 if the question was not answered, 3 if some runs failed.
    """
    from sim.cli import studying
    from sim.cli.limiting import limits_of
    from sim.study.named_pool import named_executors

    folder = None if out is None else folder_of(out)
    limits = limits_of(time_limit, memory_limit)
    given = [*(settings or []), *([] if seed is None else [f"seed={seed}"])]
    wanted = studying.wanted(files, shard, merge=merge, settings=given, large=large)
    loaded = load_if_named(plugin)
    with named_executors(executor, cluster, jobs, loaded, limits) as executors:
        outcome = wanted(folder, jobs=jobs, plugin=loaded, limits=limits, executors=executors)
    return _told(outcome, as_json)


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `cowpool study` wrote.")
    ],
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> int:
    """Rewrite the report of a study from its stored runs."""
    from sim.cli.studying import drawn_report
    from sim.study.run import report_again

    loaded = load_if_named(plugin)
    return _told(report_again(folder, report=drawn_report, plugin=loaded), as_json)


def _told(outcome: StudyOutcome | ShardOutcome, as_json: bool) -> int:
    """Print what came of a study, or of a shard, and return the exit status."""
    from sim.cli import studying

    studying.tell_failures(outcome)
    if as_json:
        print_json(outcome.to_json())
    else:
        studying.tell(outcome)
    return outcome.exit_status


def folder_of(text: str) -> Path:
    """Return the folder that an option names: an empty one would be where we are."""
    from sim.base.errors import ScenarioError

    if not text.strip():
        raise ScenarioError("has no value; name a folder, or `.` for this one", key="--out")
    return Path(text)


def load_if_named(path: Path | None) -> Plugin | None:
    """Return the plug-in in the file `path`, if there is one; raises `ScenarioError`."""
    if path is None:
        return None
    from sim.program.plugin import load_plugin

    with redirect_stdout(sys.stderr):  # what it prints is no result
        return load_plugin(path)


def print_json(document: dict[str, Any]) -> None:
    """Print one JSON document."""
    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False))
    sys.stdout.write("\n")
