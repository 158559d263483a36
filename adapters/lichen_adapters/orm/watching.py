"""What the transactions of a connection change in rows, for the feed.

Triggers see it, as they do for the journal, and a savepoint that is rolled back takes back what they saw.
They see every table of the application, every column, and every writer: sessions, and the writer thread's merges.
On SQLite they are temporary, and there only while somebody listens; on PostgreSQL they note nothing while nobody does.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lichen.store.following import Follower
from sqlalchemy import Connection, Dialect, Table

from lichen_adapters.orm.driver import schema_version
from lichen_adapters.orm.feed import MOST_ROWS, Changes, Columns, Feed
from lichen_adapters.orm.postgres_triggers import MOST_COLUMNS, SEEN, key_of
from lichen_adapters.orm.sql_names import quoted

_TABLE = f"CREATE TEMP TABLE IF NOT EXISTS {SEEN} (tbl INTEGER, key TEXT, changed INTEGER)"
_POSTGRES_TABLE = f"CREATE TEMP TABLE IF NOT EXISTS {SEEN} (tbl text, key uuid, changed bigint) ON COMMIT DELETE ROWS"
_NEVER = -1

Tables = Mapping[str, Mapping[uuid.UUID, Columns] | None]


class Watch:
    """Sees what the writing transactions of one connection change."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._tables: Sequence[Table] = ()
        self._version = self._version_before = _NEVER
        """The version of the schema that triggers are there for; also when the transaction began."""
        self._whole = False
        """Triggers were there when this transaction began."""

    def begun(self, dbapi: Any) -> None:
        """A transaction that writes has begun, and has written nothing yet."""
        self._version_before = self._version
        self._whole = self._feed.listened
        if self._whole:
            version = schema_version(dbapi)
            if version != self._version:
                self._install(dbapi)
                self._version = version
        elif self._version != _NEVER:
            _remove(dbapi)
            self._version = _NEVER

    def take(self, dbapi: Any) -> Tables | None:
        """What the transaction has changed; None when it cannot be said. Before the commit."""
        if not self._whole or schema_version(dbapi) != self._version:
            return None
        rows = _noted(dbapi, SEEN)
        if rows:
            dbapi.execute(f"DELETE FROM {SEEN}")
        return read(dict(enumerate(self._tables)), rows)

    def committed(self, seen: Tables | None, *, merged: bool) -> None:
        """The transaction is committed: tell what it has changed."""
        if seen is None and self._feed.listened:
            seen = {table.name: None for table in self._feed.tables}
        if seen:
            self._feed.tell(Changes(seen, merged))

    def rolled_back(self) -> None:
        """The transaction is not committed."""
        self._version = self._version_before

    def _install(self, dbapi: Any) -> None:
        _remove(dbapi)
        dbapi.execute(_TABLE)
        there = {name for (name,) in dbapi.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()}
        self._tables = [table for table in self._feed.tables if table.name in there]
        for number, table in enumerate(self._tables):
            for ddl in _triggers(number, table):
                dbapi.execute(ddl)


class PostgresWatch(Watch):
    """As `Watch`, by triggers that are there already and see what is written while a setting is on."""

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._on = self._on_before = False

    def begun(self, dbapi: Any) -> None:
        """As for `Watch`."""
        self._on_before = self._on
        self._whole = self._feed.listened
        if self._whole and not self._on:
            dbapi.execute(f"{_POSTGRES_TABLE}; SET lichen.seen = 'on'")
        elif self._on and not self._whole:
            dbapi.execute("SET lichen.seen = 'off'")
        self._on = self._whole

    def take(self, dbapi: Any) -> Tables | None:
        """As for `Watch`; the table is emptied by the commit."""
        if not self._whole:
            return None
        rows = _noted(dbapi, f"pg_temp.{SEEN}")
        return read({table.name: table for table in self._feed.tables}, rows)

    def rolled_back(self) -> None:
        """As for `Watch`."""
        self._on = self._on_before


def watch_of(dialect: Dialect, feed: Feed) -> Watch:
    """What sees the changes of a connection to such a database."""
    return Watch(feed) if dialect.name == "sqlite" else PostgresWatch(feed)


class WatchedFollower:
    """A follower of the store whose transactions are told to the feed."""

    def __init__(self, follower: Follower, feed: Feed) -> None:
        self._follower = follower
        self._feed = feed
        self._conn: Connection | None = None
        self._watch = Watch(feed)
        self._begun = False
        self._seen: Tables | None = None

    def begun(self, conn: Connection) -> None:
        """A job on the writer thread is about to write rows."""
        if self._begun:
            return
        if conn is not self._conn:
            self._conn, self._watch = conn, watch_of(conn.dialect, self._feed)
        self._watch.begun(conn.connection.dbapi_connection)
        self._begun = True

    def changed(self, conn: Connection, changes: Mapping[bytes, Sequence[bytes]]) -> None:
        """As a follower's."""
        self.begun(conn)
        self._follower.changed(conn, changes)

    def gone(self, conn: Connection, docs: Sequence[bytes]) -> None:
        """As a follower's."""
        self.begun(conn)
        self._follower.gone(conn, docs)

    def before_commit(self, conn: Connection) -> None:
        """As a follower's."""
        self._follower.before_commit(conn)
        if self._begun:
            self._seen = self._watch.take(conn.connection.dbapi_connection)

    def ended(self, *, committed: bool) -> None:
        """As a follower's."""
        self._follower.ended(committed=committed)
        begun, self._begun = self._begun, False
        if not begun:
            return
        if not committed:
            self._watch.rolled_back()
        else:
            self._watch.committed(self._seen, merged=True)


def _noted(dbapi: Any, table: str) -> Sequence[tuple[Any, Any, int | None]]:
    """What was noted: table, key and changed columns each; of many rows the tables alone."""
    rows: Sequence[Any] = dbapi.execute(
        f"SELECT DISTINCT tbl, key, changed FROM {table} LIMIT {MOST_ROWS + 1}"
    ).fetchall()
    if len(rows) <= MOST_ROWS:
        return rows
    return [(name, None, None) for (name,) in dbapi.execute(f"SELECT DISTINCT tbl FROM {table}").fetchall()]


def read(tables: Mapping[Any, Table], rows: Sequence[tuple[Any, Any, int | None]]) -> Tables:
    """What rows that were noted tell of tables, which they name by the keys of this mapping."""
    found: dict[str, dict[uuid.UUID, Columns] | None] = {}
    for name, key, changed in rows:
        table = tables[name]
        known = found.setdefault(table.name, {})
        row = key if isinstance(key, uuid.UUID) else _uuid(key)
        if known is None or row is None:
            found[table.name] = None
            continue
        columns = None if changed is None else _names(table, changed)
        before = known.get(row, frozenset())
        known[row] = None if columns is None or before is None else before | columns
    return found


def _remove(dbapi: Any) -> None:
    found = dbapi.execute(f"SELECT name FROM sqlite_temp_master WHERE type = 'trigger' AND name LIKE '{SEEN}_%'")
    for (name,) in found.fetchall():
        dbapi.execute(f"DROP TRIGGER temp.{name}")


def _triggers(number: int, table: Table) -> Iterator[str]:
    columns = [quoted(column.name) for column in table.columns]
    changed = "NULL"
    if len(columns) <= MOST_COLUMNS:
        changed = " | ".join(f"((OLD.{name} IS NOT NEW.{name}) << {bit})" for bit, name in enumerate(columns))
    column = key_of(table)
    key = None if column is None else quoted(column.name)

    def note(row: str, changed: str) -> str:
        return f"INSERT INTO {SEEN} SELECT {number}, {'NULL' if key is None else f'{row}.{key}'}, {changed}"

    updated = f"{note('NEW', changed)} WHERE {changed} IS NOT 0"
    if key is not None:
        moved = f"WHERE OLD.{key} IS NOT NEW.{key}"
        updated += f"; {note('OLD', 'NULL')} {moved}; {note('NEW', 'NULL')} {moved}"
    for event, body in (("INSERT", note("NEW", "NULL")), ("UPDATE", updated), ("DELETE", note("OLD", "NULL"))):
        name = f"{SEEN}_{number}_{event.lower()}"
        yield f"CREATE TEMP TRIGGER {name} AFTER {event} ON main.{quoted(table.name)} BEGIN {body}; END"


def _names(table: Table, changed: int) -> frozenset[str]:
    return frozenset(column.name for bit, column in enumerate(table.columns) if changed >> bit & 1)


def _uuid(key: str | None) -> uuid.UUID | None:
    try:
        return None if key is None else uuid.UUID(key)
    except ValueError:
        return None
