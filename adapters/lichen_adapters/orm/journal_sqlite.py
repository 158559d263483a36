"""The journal on SQLite: temporary triggers, which belong to the connection and leave the schema alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection

from lichen_adapters.orm import driver
from lichen_adapters.orm.driver import schema_version
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.journal import JOURNAL, Touched, has_documents
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.sql_names import quoted

_TABLE = f"CREATE TEMP TABLE IF NOT EXISTS {JOURNAL} (tbl INTEGER, key TEXT, owner TEXT)"

_QUERY_ONLY = "PRAGMA query_only"
_TRIGGERS = 3
"""How many each synced table has."""


class SqliteJournal:
    """A `lichen_adapters.orm.journal.Journal`."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._schema = -1
        """The version of the schema that the triggers were made for."""
        self._watched = False
        """Every synced table has its triggers on this connection."""
        self._looked = (-1, -1)
        """The versions of the store's schema and of the connection's own in which all was as it should be."""
        self._guarded = False
        self._switch = _QUERY_ONLY
        """What lets a connection only read, or not."""

    def opened(self, dbapi: Any) -> None:
        """Triggers are made when they are needed.

        SQLite compiles every statement anew once it has run a `PRAGMA` that sets a flag, which takes longer than most
        statements. It sets this one when it compiles the `PRAGMA`, so to explain it does, where that has not changed
        (https://sqlite.org/pragma.html).
        """
        driver.run_script(dbapi, f"EXPLAIN {_QUERY_ONLY} = ON")
        if dbapi.execute(_QUERY_ONLY).fetchone() == (1,):
            self._switch = f"EXPLAIN {_QUERY_ONLY}"
            driver.run_script(dbapi, f"{self._switch} = OFF")

    def guard(self, dbapi: Any) -> None:
        """Let nothing be written before `begin`: what a connection of the driver is told, no event sees."""
        if not self._guarded:
            driver.run_script(dbapi, f"{self._switch} = ON")
            self._guarded = True

    def begin(self, dbapi: Any, statement: str) -> None:
        """Begin a transaction that writes."""
        if self._guarded:
            self._guarded = False  # a task may be cancelled while its connection does this
            driver.run_script(dbapi, f"{self._switch} = OFF")
        try:
            dbapi.execute(statement)
        except Exception:
            self.guard(dbapi)
            raise
        schema = schema_version(dbapi)
        if self._schema != schema:  # a table that was made again has lost its triggers
            self._schema, self._watched = schema, False

    def goes_on(self, dbapi: Any) -> bool:
        """SQLite ends one by itself when a disk is full, and for `OR ROLLBACK` and `RAISE(ROLLBACK)`."""
        return bool(driver.of(dbapi).in_transaction)

    def watch(self, dbapi: Any) -> None:
        """Make the triggers that are missing."""
        if not self._watched:
            self._watched = _install(dbapi.cursor(), self._plan)

    def touch(self, conn: Connection, planned: SyncedTable, row: uuid.UUID, doc: uuid.UUID) -> None:
        """Note a row."""
        conn.exec_driver_sql(f"INSERT INTO {JOURNAL} VALUES (?, ?, ?)", (planned.number, row.hex, doc.hex))

    def take(self, dbapi: Any) -> dict[SyncedTable, Touched]:
        """What the transaction has touched, by table; the journal is empty then. Raises `SessionMisuse`."""
        schema = schema_version(dbapi)
        if self._looked != (found := (schema, schema_version(dbapi, "temp"))):
            _refuse_hidden(dbapi)
            self._watched = self._watched and self._is_watched(dbapi)
            self._looked = found
        rows = dbapi.execute(f"SELECT tbl, key, owner FROM {JOURNAL} ORDER BY rowid").fetchall()
        if not rows:
            return {}
        dbapi.execute(f"DELETE FROM {JOURNAL}")
        numbered = {planned.number: planned for planned in self._plan}
        touched: dict[SyncedTable, Touched] = {}
        for number, key, owner in rows:
            planned = numbered[number]
            what = touched.setdefault(planned, Touched({}, {}))
            what.add(_id(planned, key), None if owner is None else _id(planned, owner))
        if not self._watched or schema != self._schema:
            raise SessionMisuse(
                "a transaction that changes the schema, or lacks a table, cannot write synced rows: they look deleted",
                hint="write rows in another; migrate with `migrating(sessions)`",
            )
        return touched

    def _is_watched(self, dbapi: Any) -> bool:
        """Whether every table still has its triggers.

        Raises `SessionMisuse` where one has them no more, and the store has documents.
        """
        query = f"SELECT tbl_name, count(*) FROM sqlite_temp_master WHERE name GLOB '{JOURNAL}_[0-9]*' GROUP BY 1"
        watched = dict(dbapi.execute(query).fetchall())
        lacking = [planned.name for planned in self._plan if watched.get(planned.name) != _TRIGGERS]
        if lacking and has_documents(dbapi):
            raise SessionMisuse(
                f"a transaction of a session has dropped table {lacking[0]} or made it again, or its triggers",
                hint="migrate with `migrating(sessions)`: what is written into such a table is in no document",
            )
        return not lacking

    def forget(self, dbapi: Any) -> None:
        """Empty the journal."""
        dbapi.execute(f"DELETE FROM {JOURNAL}")

    def rolled_back(self) -> None:
        """Triggers that were made in the transaction are gone with it, and the versions may come again."""
        self._watched = False
        self._looked = (-1, -1)


def _refuse_hidden(dbapi: Any) -> None:
    """Raises `SessionMisuse` where a temporary table of the connection is read and written in place of one of ours."""
    query = (
        "SELECT t.name FROM sqlite_temp_master t JOIN sqlite_master m ON t.name = m.name COLLATE NOCASE"
        " WHERE t.type IN ('table', 'view')"
    )
    if found := [name for (name,) in dbapi.execute(query).fetchall()]:
        raise SessionMisuse(
            f"a temporary table or view has the name of a table of the store: {found[0]}",
            hint="give it another name, and roll the session back",
        )


def _id(planned: SyncedTable, value: Any) -> uuid.UUID:
    """An id as the database has it. Raises `SessionMisuse` where it is not as SQLAlchemy writes it, and finds it."""
    with suppress(ValueError, TypeError, AttributeError):
        found = uuid.UUID(value)
        if found.hex == value:
            return found
    raise SessionMisuse(
        f"table {planned.name} was to have a row with the id {value!r}, which is not 32 small hexadecimal digits",
        hint="in plain SQL, write an id as its `hex`",
    )


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
    bodies = (note("NEW"), f"{note('NEW')}; {moved}", note("OLD"))
    for event, body in zip(("INSERT", f"UPDATE OF {columns}", "DELETE"), bodies, strict=True):
        trigger = f"{JOURNAL}_{planned.number}_{event.split()[0].lower()}"
        yield trigger, f"CREATE TEMP TRIGGER {trigger} AFTER {event} ON main.{table} BEGIN {body}; END"
