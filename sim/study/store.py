"""The store: one SQLite file that is complete after every finished run.

A run is known by the SHA-256 of what determines it, so whatever was finished once is never done
again: not after a kill, not in a study that has grown by an axis.  One process writes, and holds
the file alone while it does; results are compressed JSON.
"""

import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sim.base.errors import ScenarioError
from sim.base.files import CannotWriteError
from sim.study.packed import is_whole, pack, whole
from sim.study.stored import Ended, Outcome, Place, PlannedRun, Session

STORE_NAME: Final = "runs.sqlite"
"""What the store of a folder of results is called."""
SCHEMA_VERSION: Final = 1
READ_ONLY: Final = "use that version, or make the study anew in another folder"
"""What to do about a store of another version, where it was only to be read."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS scenarios (sha TEXT PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS runs (
    key TEXT PRIMARY KEY,
    status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
    reason TEXT,
    body BLOB,
    wall_s REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS plan (
    part TEXT NOT NULL,
    point INTEGER NOT NULL,
    host INTEGER NOT NULL,
    replication INTEGER NOT NULL,
    key TEXT NOT NULL,
    scenario TEXT NOT NULL REFERENCES scenarios (sha),
    PRIMARY KEY (part, point, host, replication)
) STRICT;
CREATE TABLE IF NOT EXISTS gists (
    key TEXT NOT NULL,
    kind TEXT NOT NULL,
    made_of INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (key, kind)
) STRICT;
"""


class Reader:
    """What a store says, over a connection to its file: this never writes.

    Use it as a context manager.  `sim.study.snapshot` opens one while somebody else writes.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self.path = path
        self._db = db
        self._last: tuple[str, dict[str, Any]] | None = None

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
        """Give the file back; everything put so far is in it."""
        self._db.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn what SQLite complains of into what the user can do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if "locked" in str(error):
                raise self._busy() from error
            if isinstance(error, sqlite3.OperationalError):  # a full disk, a lost one
                message = f"cannot be written ({error}); check room and rights there"
                raise CannotWriteError(message, str(self.path)) from error
            message = f"is damaged ({error}); move it away and run the study again"
            raise ScenarioError(message, str(self.path)) from error

    def _busy(self) -> ScenarioError:
        return ScenarioError("another cowpool is at work here", str(self.path))

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._told():
            return self._db.execute(statement, values).fetchall()

    def _row(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        rows = self._rows(statement, *values)
        return rows[0] if rows else None

    def version(self) -> str | None:
        """Return the version of the schema that the store was written with; None if none is."""
        row = self._row("SELECT value FROM meta WHERE name = 'schema_version'")
        return None if row is None else str(row[0])

    def require_version(self, instead: str = READ_ONLY) -> None:
        """Raise `ScenarioError`, which says `instead`, if this cowpool cannot read its version."""
        version = self.version()
        if version != str(SCHEMA_VERSION):
            schema = f"(store schema {version}, not {SCHEMA_VERSION})"
            message = f"was written by another version of cowpool {schema}; {instead}"
            raise ScenarioError(message, str(self.path))

    def result(self, key: str) -> dict[str, Any] | None:
        """Return the result of the finished run `key`; None when there is none, or no whole one."""
        row = self._row("SELECT body FROM runs WHERE key = ?", key)
        result = None if row is None else whole(row[0])
        return result if isinstance(result, dict) else None

    def finished(self, key: str) -> tuple[bytes, None, float] | None:
        """Return the row of the finished run `key`: packed result, no reason, and time in s.

        None when there is none, or no whole one.
        """
        row = self._row("SELECT body, reason, wall_s FROM runs WHERE key = ?", key)
        return None if row is None or self.result(key) is None else (row[0], row[1], row[2])

    def failure(self, key: str) -> str | None:
        """Return why the run `key` failed; None when it did not."""
        row = self._row("SELECT reason FROM runs WHERE key = ?", key)
        return None if row is None else row[0]

    def wall_s(self) -> float:
        """Return the time that the finished runs of the current plan took, in s, all workers."""
        row = self._row("SELECT sum(wall_s) FROM runs WHERE key IN (SELECT key FROM plan)")
        return float((row and row[0]) or 0.0)

    def ended(self) -> Ended:
        """Return how many runs of this and all earlier plans have ended, done or failed."""
        row = self._row("SELECT count(*), total(wall_s) FROM runs")
        return Ended(*row) if row else Ended(0, 0.0)

    def study(self) -> dict[str, Any]:
        """Return the study that the current plan belongs to.

        Raises `ScenarioError` when nothing was ever planned here.
        """
        row = self._row("SELECT value FROM meta WHERE name = 'study'")
        if row is None:
            raise ScenarioError("holds no study; run `cowpool study` first", str(self.path))
        study = None
        with suppress(ValueError):
            study = json.loads(row[0])
        if not isinstance(study, dict):
            raise self._damaged("study")
        return study

    def plan(self, most: int = -1) -> list[PlannedRun]:
        """Return the current plan in order of part, point, host and replication.

        At `most` so many runs, if that is not negative.
        """
        rows = self._rows(
            "SELECT part, point, host, replication, key, scenario FROM plan"
            " ORDER BY part, point, host, replication LIMIT ?",
            most,
        )
        return [
            PlannedRun(Place(part, point, host, replication), key, scenario)
            for part, point, host, replication, key, scenario in rows
        ]

    def outcomes(self) -> dict[str, Outcome]:
        """Return what became of the runs of the current plan by their keys, without results.

        A run that was never finished is in it no more than one that was never begun.
        """
        rows = self._rows(
            "SELECT key, reason, wall_s FROM runs WHERE key IN (SELECT key FROM plan)"
        )
        return {key: Outcome(reason, wall_s) for key, reason, wall_s in rows}

    def damaged(self) -> set[str]:
        """Return the finished runs of the current plan whose results are not whole any more."""
        done = "SELECT key, body FROM runs WHERE status = 'done' AND key IN (SELECT key FROM plan)"
        with self._told():
            return {key for key, body in self._db.execute(done) if not is_whole(body)}

    def session(self) -> Session | None:
        """Return when the current plan was begun or gone on with; None if that is not known."""
        row = self._row("SELECT value FROM meta WHERE name = 'session'")
        if row is None:
            return None
        try:
            kept = json.loads(row[0])
            return Session(kept["began_s"], Ended(**kept["before"]))
        except (ValueError, TypeError, KeyError):
            return None

    def planned(self, part: str) -> dict[int, set[int]]:
        """Return the replications that are planned of a part, by point."""
        found: dict[int, set[int]] = {}
        for run in self.plan():
            if run.place.part == part:
                found.setdefault(run.place.point, set()).add(run.place.replication)
        return found

    def scenario(self, sha: str) -> dict[str, Any]:
        """Return the resolved scenario with this SHA-256, to be read only; it has been planned."""
        if self._last is not None and self._last[0] == sha:  # many questions about one point
            return self._last[1]
        row = self._row("SELECT body FROM scenarios WHERE sha = ?", sha)
        scenario = None if row is None else whole(row[0])
        if not isinstance(scenario, dict):
            raise self._damaged("scenario")
        self._last = sha, scenario
        return scenario

    def _damaged(self, what: str) -> ScenarioError:
        message = f"a {what} in it is damaged; `cowpool study` writes it again"
        return ScenarioError(message, str(self.path))


class Store(Reader):
    """The results of a study's runs, on disk.

    It is held alone: a second process that opens the same file is refused at once, and the hold
    ends with the process, however that ends.
    """

    def __init__(self, path: Path, instead: str = "choose another folder with --out") -> None:
        self._intact: set[str] = set()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not path.is_file():  # a pipe would have us wait for ever
                raise ScenarioError("is no file; choose another folder", str(path))
            if path.exists() and not os.access(path, os.R_OK | os.W_OK):
                raise ScenarioError("may not be read and written; choose another folder", str(path))
            super().__init__(path, sqlite3.connect(path, isolation_level=None, timeout=0.5))
        except (OSError, sqlite3.OperationalError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            message = f"cannot be a folder of results ({why}); choose another with --out"
            raise ScenarioError(message, str(path.parent)) from None
        try:
            self._db.create_function("crc32", 1, zlib.crc32, deterministic=True)
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")  # see `put_done`
            with self._transaction():
                for statement in _SCHEMA.split(";"):
                    self._db.execute(statement)
            if self.version() is None:
                self._put_meta("schema_version", str(SCHEMA_VERSION))
            self.require_version(instead)
        except ScenarioError:
            self._db.close()
            raise
        except sqlite3.OperationalError as error:
            self._db.close()
            if "locked" in str(error):
                raise self._busy() from error
            raise ScenarioError(f"cannot be used as a store: {error}", str(path)) from error
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise ScenarioError("is not a cowpool store", str(path)) from error

    def put_done(
        self, key: str, body: bytes, wall_s: float, gists: Iterable[tuple[str, bytes]] = ()
    ) -> None:
        """Keep the packed result of a finished run, however this process ends from here on.

        And packed parts of it beside it, by their kinds, as `put_gists` does.  A machine that loses
        power may lose the last runs, and no others: they are made again.
        """
        with self._transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO runs VALUES (?, 'done', NULL, ?, ?)", (key, body, wall_s)
            )
            made_of = zlib.crc32(body)
            self._db.executemany(
                "INSERT OR REPLACE INTO gists VALUES (?, ?, ?, ?)",
                [(key, kind, made_of, part) for kind, part in gists],
            )
        self._intact.add(key)

    def put_gists(self, gists: Iterable[tuple[str, str, Any]]) -> None:
        """Keep parts of results beside them: the key of each one's run, of what kind it is, and it.

        They are of the results that are there now, and count for no others.
        """
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO gists SELECT key, ?, crc32(body), ? FROM runs"
                " WHERE key = ? AND body NOT NULL",
                [(kind, pack(part), key) for key, kind, part in gists],
            )

    def gists(self, kind: str, keys: Iterable[str]) -> dict[str, Any]:
        """Return what was kept of the results of runs, by their keys.

        A run has none if nothing was kept of it, or if that is of another result.
        """
        rows = self._rows(
            "SELECT gists.key, gists.body FROM json_each(?) AS asked"
            " JOIN gists ON gists.key = asked.value JOIN runs ON runs.key = asked.value"
            " WHERE kind = ? AND made_of = crc32(runs.body)",
            *(json.dumps(list(keys)), kind),
        )
        found = ((key, whole(body)) for key, body in rows)
        return {key: gist for key, gist in found if gist is not None}

    def put_failed(self, key: str, reason: str, wall_s: float) -> None:
        """Keep why a run failed, as `put_done` keeps results."""
        self._rows(
            "INSERT OR REPLACE INTO runs VALUES (?, 'failed', ?, NULL, ?)", key, reason, wall_s
        )

    def done_keys(self) -> set[str]:
        """Return the keys of all finished runs, of this plan or an earlier one.

        A run whose result is damaged is not finished: it is made again.
        """
        keys = {key for (key,) in self._rows("SELECT key FROM runs WHERE status = 'done'")}
        for key in keys - self._intact:
            if self.result(key) is not None:
                self._intact.add(key)
        return keys & self._intact

    def start_plan(self, study: Mapping[str, Any]) -> None:
        """Begin the plan of `study` afresh; results of earlier plans stay and are used again."""
        with self._transaction():
            self._db.execute("DELETE FROM plan")
            self._put_meta("study", json.dumps(study))
            session = Session(time.time(), self.ended())
            self._put_meta("session", json.dumps(asdict(session)))

    def add_to_plan(self, runs: Iterable[PlannedRun], scenarios: Mapping[str, bytes]) -> None:
        """Write down where `runs` stand, and the packed `scenarios` that they name."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO scenarios VALUES (?, ?)", list(scenarios.items())
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO plan VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(run.place.part, run.place.point, run.place.host, run.place.replication),
                        *(run.key, run.scenario),
                    )
                    for run in runs
                ],
            )

    def _put_meta(self, name: str, value: str) -> None:
        self._rows("INSERT OR REPLACE INTO meta VALUES (?, ?)", name, value)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, for statements that belong together."""
        with self._told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._db.in_transaction:  # a full disk has rolled back by itself
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
