"""Work that may fail without the transaction it is part of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

_NAME = "lichen_attempt"


@contextmanager
def savepoint(conn: Connection) -> Iterator[None]:
    """What is written in this block is taken back when it raises."""
    conn.exec_driver_sql(f"SAVEPOINT {_NAME}")
    try:
        yield
    except BaseException:
        conn.exec_driver_sql(f"ROLLBACK TO {_NAME}")
        conn.exec_driver_sql(f"RELEASE {_NAME}")
        raise
    conn.exec_driver_sql(f"RELEASE {_NAME}")


@contextmanager
def trial(conn: Connection) -> Iterator[None]:
    """What is written in this block is taken back."""
    conn.exec_driver_sql(f"SAVEPOINT {_NAME}")
    try:
        yield
    finally:
        conn.exec_driver_sql(f"ROLLBACK TO {_NAME}")
        conn.exec_driver_sql(f"RELEASE {_NAME}")


@contextmanager
def attempt(conn: Connection) -> Iterator[None]:
    """One statement that the database may refuse: on PostgreSQL, all that follows in the transaction would fail too."""
    if conn.dialect.name == "sqlite":
        yield
    else:
        with savepoint(conn):
            yield
