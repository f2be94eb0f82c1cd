"""What stands in a study's store, to be compared with another's."""

import sqlite3

ROWS = {
    "runs": "SELECT key, status, reason, body FROM runs",  # and how long it took
    "plan": "SELECT * FROM plan",
    "scenarios": "SELECT * FROM scenarios",
    "gists": "SELECT key, kind, made_of, body FROM gists",
    "meta": "SELECT * FROM meta WHERE name != 'session'",  # when it was begun
}


def rows_of(out):
    """Return all rows of the store in `out`, but for when and how long."""
    with sqlite3.connect(out / "runs.sqlite") as db:
        rows = {name: sorted(db.execute(query)) for name, query in ROWS.items()}
    db.close()
    return rows
