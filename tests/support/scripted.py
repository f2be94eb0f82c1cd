"""Machines for scripts, with whatever host."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from typing import Any

from sim.script.grammar import Operation, Verb
from sim.script.predict import roomy_host
from sim.script.random import random_script, script_generator
from sim.script.run import Scripted


def on_host(script: Sequence[Operation], **host: Any) -> Scripted:
    """Return a machine on which a script cannot run out of memory; `host` is what differs."""
    return Scripted(replace(roomy_host(script), **host))


def forking_scripts(seed: int, scripts: int) -> Iterator[list[Operation]]:
    """Yield random scripts in which a child is born before the second half."""
    drawn = (random_script(script_generator(seed, index)) for index in count())
    return islice(filter(_forks_early, drawn), scripts)


def _forks_early(script: list[Operation]) -> bool:
    return any(operation.verb is Verb.FORK for operation in script[: len(script) // 2])
