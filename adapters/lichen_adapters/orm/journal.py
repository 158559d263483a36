"""The journal of a connection: which rows of synced tables a transaction has touched.

Temporary triggers write it, which belong to the connection and leave the schema alone. They see what no session event
does: bulk and Core statements, raw SQL, upserts, and what the database itself deletes along with something else; and
a savepoint that is rolled back takes its part of the journal with it. What the rows held before stands in their
documents, so the journal keeps only keys.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from lichen_adapters.orm.plan import Plan, SyncedTable

JOURNAL = "lichen_journal"
_TABLE = f"CREATE TEMP TABLE IF NOT EXISTS {JOURNAL} (tbl INTEGER, key TEXT, owner TEXT)"


@dataclass(frozen=True, slots=True)
class Touched:
    """The rows that a transaction has touched, in one table."""

    keys: dict[uuid.UUID, None]
    """Their ids; of an association, the other ends."""
    owners: dict[uuid.UUID, dict[uuid.UUID, None]]
    """Every owner that a row had or has; a document's row is its own."""


def _triggers(planned: SyncedTable) -> Iterable[tuple[str, str]]:
    table = _quoted(planned.name)
    key = _quoted(planned.key.name)
    owner = key if planned.owner is None else _quoted(planned.owner.name)

    def note(row: str) -> str:
        return f"INSERT INTO {JOURNAL} SELECT {planned.number}, {row}.{key}, {row}.{owner}"

    moved = f"{note('OLD')} WHERE OLD.{key} IS NOT NEW.{key} OR OLD.{owner} IS NOT NEW.{owner}"
    columns = ", ".join({key, owner, *map(_quoted, planned.columns)})
    for event, body in (
        ("INSERT", note("NEW")),
        (f"UPDATE OF {columns}", f"{note('NEW')}; {moved}"),
        ("DELETE", note("OLD")),
    ):
        trigger = f"{JOURNAL}_{planned.number}_{event.split()[0].lower()}"
        yield trigger, f"CREATE TEMP TRIGGER {trigger} AFTER {event} ON main.{table} BEGIN {body}; END"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def install(cursor: Any, plan: Plan) -> bool:
    """Make what is missing, for tables that exist; whether every synced table is watched now."""
    cursor.execute(_TABLE)
    cursor.execute("SELECT name FROM sqlite_temp_master WHERE type = 'trigger'")
    there = {name for (name,) in cursor.fetchall()}
    cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    tables = {name for (name,) in cursor.fetchall()}
    for planned in plan:
        if planned.name in tables:
            for name, ddl in _triggers(planned):
                if name not in there:
                    cursor.execute(ddl)
    return all(planned.name in tables for planned in plan)


def touch(conn: Connection, planned: SyncedTable, row: uuid.UUID, owner: uuid.UUID) -> None:
    """Have the commit bring a row up to date in its document, though no statement has written it."""
    conn.exec_driver_sql(f"INSERT INTO {JOURNAL} VALUES (?, ?, ?)", (planned.number, row.hex, owner.hex))


def take(cursor: Any, plan: Plan) -> dict[SyncedTable, Touched]:
    """What the transaction has touched, by table; the journal is empty then."""
    cursor.execute(f"SELECT tbl, key, owner FROM {JOURNAL} ORDER BY rowid")
    rows = cursor.fetchall()
    if rows:
        cursor.execute(f"DELETE FROM {JOURNAL}")
    numbered = {planned.number: planned for planned in plan}
    found: dict[SyncedTable, Touched] = {}
    for number, key, owner in rows:
        touched = found.setdefault(numbered[number], Touched({}, {}))
        row = uuid.UUID(key)
        touched.keys[row] = None
        if owner is not None:
            touched.owners.setdefault(row, {})[uuid.UUID(owner)] = None
    return found
