"""Options of the whole test suite."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--regen-golden",
        action="store_true",
        help="write the golden files anew, and fail: read the diff and explain it in CHANGELOG.md",
    )
