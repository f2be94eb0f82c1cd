"""The command `plan`: the smallest size that is enough, or the largest."""

from __future__ import annotations

from typing import Annotated

import typer

from sim.cli.commands import (
    ClusterOption,
    ExecutorOption,
    JobsOption,
    JsonOption,
    MemoryLimitOption,
    PluginOption,
    SetOption,
    StudyArgument,
    TimeLimitOption,
    app,
    folder_of,
    load_if_named,
    print_json,
)


@app.command()
def plan(
    file: StudyArgument,
    largest: Annotated[
        str | None,
        typer.Option("--largest", metavar="KEY", help="How large may this key be?"),
    ] = None,
    smallest: Annotated[
        str | None,
        typer.Option("--smallest", metavar="KEY", help="How small may this key be?"),
    ] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option("--in", metavar="LOW HIGH", help="Its smallest and its largest value."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="SIZE", help="Ask only whether this size is enough."),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs", min=1, help="Replications; fewer support a smaller share, which is said."
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            "--time",
            metavar="TIME",
            help="So long all runs may take, one after the other, as foretold.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option("--out", metavar="DIR", help="Folder of results; default out/NAME-plan."),
    ] = None,
    jobs: JobsOption = None,
    executor: ExecutorOption = None,
    cluster: ClusterOption = None,
    settings: SetOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
    time_limit: TimeLimitOption = None,
    memory_limit: MemoryLimitOption = None,
) -> int:
    """Find the smallest machine, or the largest load, that will do.

    What is looked for stands in the study (`plan`, `objectives`, `catalogue`; `cowpool keys study`)
    or in the options.  Every finished run is kept: the same command goes on with a plan.  Exit
    status 1 if no size is enough, or if more makes it worse.
    """
    from sim.base.errors import ScenarioError
    from sim.cli.limiting import limits_of
    from sim.cli.show import Page
    from sim.report.figures.capacity import draw_capacity
    from sim.study.named_pool import named_executors
    from sim.study.plan_run import run_plan

    if largest is not None and smallest is not None:
        raise ScenarioError("--smallest says otherwise; keep one of them", key="--largest")
    if size is not None and (runs is not None or time is not None):
        message = "takes as many runs as it needs to tell; leave --runs and --time out"
        raise ScenarioError(message, key="--size")
    wanted = list(settings or [])
    for option, key in (("maximise", largest), ("minimise", smallest)):
        wanted += [] if key is None else [f"plan={{{option}: {key}}}"]
    wanted += [] if between is None else [f"plan.in=[{between[0]}, {between[1]}]"]
    wanted += [] if runs is None else [f"plan.runs={runs}"]
    wanted += [] if time is None else [f"plan.time={time}"]
    loaded, limits = load_if_named(plugin), limits_of(time_limit, memory_limit)
    with named_executors(executor, cluster, jobs, loaded, limits) as executors:
        outcome = run_plan(
            file,
            None if out is None else folder_of(out),
            size=size,
            jobs=jobs,
            draw=draw_capacity,
            settings=wanted,
            plugin=loaded,
            limits=limits,
            executors=executors,
        )
    if as_json:
        print_json(outcome.to_json())
        return outcome.exit_status
    page = Page()
    for sentence in outcome.told.sentences:
        page.sentence(sentence)
    page.lines([f"results: {outcome.out}"])
    return outcome.exit_status
