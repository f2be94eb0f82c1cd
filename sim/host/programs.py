"""Programs that are run for real on one CPU, and what they leave behind that is removed again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType


def run_on_cpu(
    command: Sequence[str | Path],
    cpu: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end on one CPU, by default the first that is allowed."""
    cpus = {min(os.sched_getaffinity(0)) if cpu is None else cpu}
    return subprocess.run(
        command,
        capture_output=True,
        check=False,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),  # no threads here
    )


class Folders:
    """A context that makes folders, and removes them with all that is in them."""

    def __init__(self) -> None:
        self._made: list[Path] = []

    def new_folder(self, where: Path | str | None) -> Path:
        """Make a folder in `where`, by default among temporary files."""
        self._made.append(Path(tempfile.mkdtemp(prefix="cowpool-", dir=where)))
        return self._made[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folders."""
        for folder in self._made:
            shutil.rmtree(folder, ignore_errors=True)
