"""Parameters come from the signature, and unreadable signatures are refused."""

from collections.abc import Generator
from typing import Annotated, Any

import pytest

from sim.base.units import Range
from sim.program.signature import (
    check_arguments,
    checked_by,
    described,
    keyword_arguments,
    parameters_of,
    split_unit,
)


def server(
    task: object,
    *,
    dataset_bytes: int,
    save_every_ns: int = 60,
    writes_per_s: float = 2.5,
    workers: Annotated[int, Range(1, None)] = 1,
) -> Generator[Any, Any, None]:
    yield task


def test_parameters_have_keys_without_their_unit():
    found = parameters_of(server)
    assert [(p.key, p.unit, p.required) for p in found] == [
        ("dataset", "bytes", True),
        ("save_every", "ns", False),
        ("writes", "per_s", False),
        ("workers", None, False),
    ]
    assert found[3].annotation == Annotated[int, Range(1, None)]


def test_arguments_go_back_to_the_names_of_the_signature():
    process = {"program": "server", "start": 0, "dataset": 4096, "writes": 1.0, "copies": 2}
    assert keyword_arguments(server, process) == {"dataset_bytes": 4096, "writes_per_s": 1.0}


def test_only_the_types_of_parameters_have_to_exist_at_run_time():
    def program(task: "Elsewhere", *, pages: "int") -> "Nowhere": ...  # noqa: F821

    assert parameters_of(program)[0].annotation is int

    def lost(task: object, *, pages: "Elsewhere") -> None: ...  # noqa: F821

    with pytest.raises(TypeError, match="TYPE_CHECKING"):
        parameters_of(lost)


def test_texts_come_from_the_docstring():
    def program(task: object, *, pages: int = 1, size_bytes: int = 2, other: int = 3) -> None:
        """Do something.

        Parameters
        ----------
        pages, size_bytes
            How much,
            and of what.
        other
            Something else.

        Notes
        -----
        other
            not this.
        """

    much = "How much, and of what."
    assert described(program) == {"pages": much, "size_bytes": much, "other": "Something else."}
    assert described(server) == {}


def test_arguments_may_be_checked_together():
    def refuse(arguments: Any) -> None:
        raise ValueError(f"no {arguments['pages']}")

    @checked_by(refuse)
    def program(task: object, *, pages: int = 1) -> None: ...

    with pytest.raises(ValueError, match="no 7"):
        check_arguments(program, {"pages": 7})
    check_arguments(server, {})


def test_a_bare_suffix_is_a_name():
    assert split_unit("_ns") == ("_ns", None)


def takes_too_much(task: object, other: object, *, pages: int) -> None: ...
def takes_no_task(*, pages: int) -> None: ...
def untyped(task: object, *, pages) -> None: ...  # type: ignore[no-untyped-def]
def twice(task: object, *, size_bytes: int, size: int) -> None: ...
def reserved(task: object, *, start_ns: int) -> None: ...


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (takes_too_much, "keyword-only"),
        (takes_no_task, "keyword-only"),
        (untyped, "needs a type"),
        (twice, "taken"),
        (reserved, "taken"),
    ],
)
def test_a_signature_that_cannot_be_a_program_is_refused(program, message):
    with pytest.raises(TypeError, match=message):
        parameters_of(program)
