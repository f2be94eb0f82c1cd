"""What a study may say of a container: which limit the processes of its answer need in one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from sim.scenario.quantities import Closed
from sim.scenario.questions import KeyPath


class Container(Closed):
    """The limit of a container that has the processes of the answer's point in it, found by trial.

    It is made from runs without a limit, and tried: on containers with it and with less.
    """

    set: dict[KeyPath, Any] = Field(
        default={}, description="changes that hold in it, such as a smaller data set, or a dump"
    )
    of: dict[KeyPath, list[Any]] = Field(
        min_length=1,
        max_length=1,
        description="a key and its values: each gets a limit of its own",
        examples=["{processes.redis.version: ['7.2', '7.0']}"],
    )
    replications: int = Field(
        default=3, ge=2, le=10_000, description="runs without a limit that a limit is made from"
    )
    tried: int = Field(
        default=2,
        ge=1,
        le=10_000,
        description="runs with that limit, and as many with less, with random numbers of their own",
    )
    less: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.03, description="by how much less than the mean need those have"
    )
