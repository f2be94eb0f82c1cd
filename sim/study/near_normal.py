"""Metrics whose mean over runs has a confidence interval that holds."""

from collections.abc import Mapping
from typing import Final

NEAR_NORMAL: Final[Mapping[str, str]] = {
    "cow_copies": "a sum over many pages, each written or not",
}
