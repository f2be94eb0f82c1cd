"""The closed schema of what every process has, whatever its program."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sim.scenario.model import MOST_CPUS
from sim.scenario.quantities import Closed, Duration, Name, within


class ProcessFields(Closed):
    """What every process has, whatever its program."""

    program: str = Field(
        examples=["redis"], description="what it does: `cowpool keys` lists the programs"
    )
    start: Duration = Field(default=0, description="simulated time at which it starts")
    start_within: Duration = Field(
        default=0,
        description="each of its replicas and copies starts at `start` and a random time below "
        "this, drawn by its name: so they are staggered",
        examples=["10 s"],
    )
    cpu: Annotated[int, within(0, MOST_CPUS - 1)] | None = Field(
        default=None, description="the only CPU it may run on"
    )
    oom_score_adj: Annotated[int, within(-1000, 1000)] = Field(
        default=0, description="how much more likely the out-of-memory killer takes it"
    )
    nice: Annotated[int, within(-20, 19)] = Field(
        default=0, description="the lower, the more CPU time; for `eevdf` and `priority`"
    )
    cap_sys_admin: bool = Field(
        default=False,
        description="whether it has CAP_SYS_ADMIN, as root outside of containers: overcommit keeps "
        "nothing back from it for root, and it may call `swapoff`",
    )
    group: Name | None = Field(
        default=None, description="the control group it is in, one of `groups`"
    )
    copies: Annotated[int, within(1, 100_000)] = Field(
        default=1, description="how many alike are started"
    )
    replicas: Annotated[int, within(1, 100_000)] | None = Field(
        default=None,
        description="how many alike, each in a group of its own like `group`: NAME.1, NAME.2, ...",
    )
