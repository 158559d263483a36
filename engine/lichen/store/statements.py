"""Statements that differ between the databases, or are given to the driver itself because they run often.

SQLAlchemy's own part of a short statement takes five times as long as SQLite's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import repeat
from typing import Any, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError

from lichen.store.sealed import key_of

T = TypeVar("T")

CHUNK = 512
"""Parameters of one statement."""

_OPENS_NOTHING: Mapping[int, str] = {}


def upsert(conn: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that can be told what to do where the row is there already."""
    return sqlite.insert(table) if conn.dialect.name == "sqlite" else postgresql.insert(table)


class Statement:
    """SQL with `?` for each parameter.

    `sealed` says which parameters are values of sealed columns, and of which.
    """

    def __init__(self, sql: str, sealed: dict[int, str] | None = None) -> None:
        self.sql = sql
        self._postgres = sql.replace("?", "%s")
        self._sealed = sealed or {}

    def one(self, conn: Connection, row: tuple[Any, ...]) -> int:
        """Run it; how many rows it was for."""
        if conn.dialect.name == "sqlite":
            with _cursor(conn, self.sql) as cursor:
                cursor.execute(self.sql, row)
                return int(cursor.rowcount)
        return conn.exec_driver_sql(self._postgres, self._seal(conn, row)).rowcount

    def many(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it for each of these."""
        if conn.dialect.name == "sqlite":
            with _cursor(conn, self.sql) as cursor:
                cursor.executemany(self.sql, rows)
        else:
            conn.exec_driver_sql(self._postgres, [self._seal(conn, row) for row in rows])

    def fetch(
        self, conn: Connection, row: tuple[Any, ...], opened: Mapping[int, str] = _OPENS_NOTHING
    ) -> Sequence[Sequence[Any]]:
        """Run it; what it finds, with these columns opened."""
        if conn.dialect.name == "sqlite":
            with _cursor(conn, self.sql) as cursor:
                cursor.execute(self.sql, row)
                rows: Sequence[Sequence[Any]] = cursor.fetchall()
            return rows
        found = conn.exec_driver_sql(self._postgres, self._seal(conn, row))
        return [_each(key_of(conn.dialect).open, opened, tuple(one)) for one in found]

    def _seal(self, conn: Connection, row: tuple[Any, ...]) -> tuple[Any, ...]:
        return _each(key_of(conn.dialect).seal, self._sealed, row)


@contextmanager
def _cursor(conn: Connection, sql: str) -> Iterator[DBAPICursor]:
    """One of the driver's; raises what SQLAlchemy makes of its errors."""
    errors = conn.dialect.loaded_dbapi.Error
    cursor = conn.connection.cursor()
    try:
        yield cursor
    except errors as error:
        raise DBAPIError.instance(sql, None, error, errors) from error
    finally:
        cursor.close()


def fetch_among(
    conn: Connection, sql: str, keys: Sequence[Any], opened: Mapping[int, str] = _OPENS_NOTHING
) -> Iterator[Sequence[Any]]:
    """Run SQL with one `IN (?)` for these keys, some at a time; what it finds, with these columns opened."""
    for start in range(0, len(keys), CHUNK):
        chunk = padded(keys[start : start + CHUNK])
        marks = ", ".join("?" * len(chunk))
        yield from Statement(sql.replace("(?)", f"({marks})")).fetch(conn, chunk, opened)


def padded(keys: Sequence[T]) -> tuple[T, ...]:
    """The keys, the last one as often as makes their number a power of two: a statement for each other number of keys
    would take the place of others among those that a connection keeps compiled."""
    if not keys:
        return ()
    wanted = 1 << (len(keys) - 1).bit_length()
    return (*keys, *repeat(keys[-1], wanted - len(keys)))


def _each(work: Callable[[str, bytes], bytes], columns: Mapping[int, str], row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row with what is done to some of its values; what is null or text is taken as such."""
    values = list(row)
    for index, column in columns.items():
        value = values[index]
        if value is not None:
            values[index] = work(column, value.encode() if isinstance(value, str) else value)
    return tuple(values)
