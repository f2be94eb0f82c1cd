"""swapoff as a step of a program: what a user is told of it, whatever becomes of it."""

from typing import Any

import pytest

from sim.engine.run import simulate
from sim.scenario.resolve import resolve

MIB = 2**20
S = 10**9


def run(
    *,
    held: int = 24,
    limit: int | None = 16,
    admin: dict[str, Any] | None = None,
    host: dict[str, Any] | None = None,
    between: tuple[Any, ...] = (),
    off: tuple[Any, ...] = ("swapoff",),
    later: tuple[Any, ...] = (),
    expect: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Run an application that writes `held` MiB; a second later an administrator calls swapoff."""
    swap = {"size": 64 * MIB, "device": "zram"}
    machine = {"memory": 64 * MIB, "kernel_reserve": 8 * MIB, "swap": swap}
    steps = [
        {"mmap": {"name": "A", "size": held * MIB}},
        {"write": "A"},
        *between,
        {"sleep": 3 * S},
        {"read": {"region": "A", "pages": (held if not between else held // 2) * MIB // 4096}},
    ]
    group = {} if limit is None else {"group": "g"}
    return simulate(
        resolve(
            {
                "version": 1,
                "host": machine | (host or {}),
                "run": {"expect": list(expect)},
                "groups": {} if limit is None else {"g": {"memory_max": limit * MIB}},
                "processes": {
                    "app": {"program": "steps", "steps": steps, **group},
                    "admin": {
                        "program": "steps",
                        "steps": [{"sleep": S}, *off, *later],
                        **({"cap_sys_admin": True} if admin is None else admin),
                    },
                },
            }
        ),
        seed=1,
    ).to_json()


def told(result: dict[str, Any], code: str) -> list[str]:
    return [one["what"] for one in result["validity"] if one["code"] == code]


def ended(result: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["ended"] for one in result["processes"]}


def test_all_comes_back_where_there_is_room_and_none_of_it_is_a_fault() -> None:
    half = 12 * MIB // 4096
    rest = {"munmap": {"region": "A", "first": half, "pages": half}}
    result = run(between=(rest,))
    assert ended(result) == {"app": "exit 0", "admin": "exit 0"}
    assert result["work"]["unuse_pte"]["units"] == result["metrics"]["pages_swapped_in"] > 1000
    assert result["metrics"]["major_faults"] == 0
    result = run(between=(rest,), off=())
    assert result["metrics"]["major_faults"] > 1000, "without it each is one"


def test_a_group_of_which_nobody_is_left_is_named() -> None:
    result = run()
    assert ended(result) == {"app": "oom-killed", "admin": "failed: ENOMEM"}
    (said,) = told(result, "refused")
    assert said.startswith(
        "swapoff was refused with ENOMEM because a group was at its limit, and nobody in it was "
        "left to kill"
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"admin": {}}, "EPERM because the process needs `cap_sys_admin: true`"),
        ({"host": {"swap": 0}, "limit": None}, "EINVAL because the host has no swap"),
    ],
)
def test_what_is_wrong_is_said(settings: dict[str, Any], said: str) -> None:
    (found,) = told(run(held=1, **settings), "refused")
    assert said in found


def test_swap_may_be_switched_on_again() -> None:
    result = run(held=12, limit=None, later=("swapon", {"sleep": S}, "swapoff"))
    assert ended(result) == {"app": "exit 0", "admin": "exit 0"}


def test_who_switches_swap_off_is_the_first_to_be_killed() -> None:
    """Linux marks the task (`oom_task_origin`); the device is on again, so the other goes on."""
    result = run(held=70, limit=None, host={"memory": 72 * MIB}, expect=("killed",))
    assert [kill["process"] for kill in result["kills"]] == ["admin"]
    assert ended(result)["app"] == "exit 0"
