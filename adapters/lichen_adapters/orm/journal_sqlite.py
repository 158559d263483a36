"""The journal on SQLite: temporary triggers, which belong to the connection and leave the schema alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

from lichen_adapters.orm.driver import schema_version
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.journal import JOURNAL, Touched
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.sql_names import quoted

_TABLE = f"CREATE TEMP TABLE IF NOT EXISTS {JOURNAL} (tbl INTEGER, key TEXT, owner TEXT)"


class SqliteJournal:
    """A `lichen_adapters.orm.journal.Journal`."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._schema = -1
        """The version of the schema that the triggers were made for."""
        self._watched = False
        """Every synced table has its triggers on this connection."""

    def opened(self, dbapi: Any) -> None:
        """Triggers are made when they are needed."""

    def begin(self, dbapi: Any, statement: str) -> None:
        """Begin a transaction that writes."""
        dbapi.execute(statement)
        schema = schema_version(dbapi)
        if self._schema != schema:  # a table that was made again has lost its triggers
            self._schema, self._watched = schema, False

    def watch(self, dbapi: Any) -> None:
        """Make the triggers that are missing."""
        if not self._watched:
            self._watched = _install(dbapi.cursor(), self._plan)

    def touch(self, conn: Connection, planned: SyncedTable, row: uuid.UUID, owner: uuid.UUID) -> None:
        """Note a row."""
        conn.exec_driver_sql(f"INSERT INTO {JOURNAL} VALUES (?, ?, ?)", (planned.number, row.hex, owner.hex))

    def take(self, dbapi: Any) -> dict[SyncedTable, Touched]:
        """What the transaction has touched, by table; the journal is empty then. Raises `SessionMisuse`."""
        if not self._watched:
            return {}
        rows = dbapi.execute(f"SELECT tbl, key, owner FROM {JOURNAL} ORDER BY rowid").fetchall()
        if rows:
            dbapi.execute(f"DELETE FROM {JOURNAL}")
        numbered = {planned.number: planned for planned in self._plan}
        found: dict[SyncedTable, Touched] = {}
        for number, key, owner in rows:
            touched = found.setdefault(numbered[number], Touched({}, {}))
            touched.add(uuid.UUID(key), None if owner is None else uuid.UUID(owner))
        if found and schema_version(dbapi) != self._schema:
            raise SessionMisuse(
                "a transaction that changes the schema cannot write synced rows: tables made again look deleted",
                hint="write rows in another; migrate with `migrating(sessions)`",
            )
        return found

    def forget(self, dbapi: Any) -> None:
        """Empty the journal."""
        dbapi.execute(f"DELETE FROM {JOURNAL}")

    def rolled_back(self) -> None:
        """Triggers that were made in the transaction are gone with it."""
        self._watched = False


def _install(cursor: Any, plan: Plan) -> bool:
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


def _triggers(planned: SyncedTable) -> Iterable[tuple[str, str]]:
    table = quoted(planned.name)
    key = quoted(planned.key.name)
    owner = key if planned.owner is None else quoted(planned.owner.name)

    def note(row: str) -> str:
        return f"INSERT INTO {JOURNAL} SELECT {planned.number}, {row}.{key}, {row}.{owner}"

    moved = f"{note('OLD')} WHERE OLD.{key} IS NOT NEW.{key} OR OLD.{owner} IS NOT NEW.{owner}"
    columns = ", ".join({key, owner, *map(quoted, planned.columns)})
    for event, body in (
        ("INSERT", note("NEW")),
        (f"UPDATE OF {columns}", f"{note('NEW')}; {moved}"),
        ("DELETE", note("OLD")),
    ):
        trigger = f"{JOURNAL}_{planned.number}_{event.split()[0].lower()}"
        yield trigger, f"CREATE TEMP TRIGGER {trigger} AFTER {event} ON main.{table} BEGIN {body}; END"
