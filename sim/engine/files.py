"""Files by name, as programs and images of programs know them."""

from sim.machine.layout import KIND_FILE
from sim.machine.machine import Machine


class FileNames:
    """The files of one machine that have names, and their rows."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._rows: dict[str, int] = {}
        self._cold: set[str] = set()
        self._devices: dict[str, int] = {}

    def row(self, name: str, pages: int, *, cold: bool = False) -> int:
        """Return the row of a file, made with this many pages if it is new.

        A `cold` one is on the disk only; others are in the page cache once they are mapped.
        """
        if name not in self._rows:
            cold = cold or name in self._cold
            row = self._machine.new_file(KIND_FILE, pages, known=True, cold=cold)
            self._machine.arrays.files[row].bdev = self._devices.get(name, 0)
            self._rows[name] = row
        return self._rows[name]

    def known(self, name: str) -> int | None:
        """Return the row of a file that somebody has named before, else ``None``."""
        return self._rows.get(name)

    def make_cold(self, name: str) -> None:
        """Have a file that is still to be made be on the disk only."""
        self._cold.add(name)

    def place(self, name: str, device: int) -> None:
        """Have a file that is still to be made lie on a device other than the disk."""
        self._devices[name] = device
