"""How the records name each other."""

from typing import Final

NONE: Final = -1
