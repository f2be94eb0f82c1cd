"""Whose rules were checked: the kernels on which a difference is a failure."""

import os
import re

import pytest

_CHECKED = re.compile(r"6\.18\.")


def is_checked() -> bool:
    """Whether the rules were checked on the running kernel's release."""
    return _CHECKED.match(os.uname().release) is not None


def verdict(text: str) -> None:
    """Fail on a kernel whose rules were checked; say it on any other."""
    if is_checked():
        pytest.fail(text, pytrace=False)
    release = os.uname().release
    pytest.skip(f"kernel {release} is not one whose rules were checked; it differs: {text}")
