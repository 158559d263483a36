"""Connections of the driver, in a thread or adapted to an event loop by SQLAlchemy, used in the same way."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Coroutine, Iterator
from concurrent import futures
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from lichen.store.loan import Loan
from sqlalchemy import AdaptedConnection, Connection
from sqlalchemy.exc import DBAPIError

_BELOW = ("lichen_adapters", "lichen", "sqlalchemy", "contextlib", "greenlet")
"""What calls from the application go through."""


def borrower() -> str:
    """Whoever runs here, as a log names it."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        task = None
    who = f"thread {threading.current_thread().name}" if task is None else task.get_name()
    return f"a session {'on' if task is None else 'of'} {who}{_where()}"


def _where() -> str:
    """Where the application is, as far as the stack says: that of a task ends in SQLAlchemy."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # a whole traceback would read files
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BELOW:
        frame = frame.f_back
    return "" if frame is None else f", which began to write in {frame.f_code.co_filename}, line {frame.f_lineno},"


def blocks(dbapi: Any) -> bool:
    """Whether who uses a connection waits in its thread, and not in a coroutine."""
    return not isinstance(dbapi, AdaptedConnection)


def wait_for(dbapi: Any, loan: Loan) -> None:
    """Wait until a loan is granted: in a thread, or without holding up the event loop.

    Returns too when somebody else has given it back meanwhile. Raises `StoreError`.
    """
    if not blocks(dbapi):
        dbapi.run_async(lambda _: _granted(loan))
        return
    with suppress(futures.CancelledError):
        loan.granted.result()


async def _granted(loan: Loan) -> None:
    try:
        await asyncio.wrap_future(loan.granted)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not loan.is_back or (task is not None and task.cancelling()):
            raise


def commit(conn: Connection) -> asyncio.CancelledError | None:
    """Commit. A task that is cancelled meanwhile learns it after that: returned is what is to be raised then.

    Raises what SQLAlchemy makes of the driver's errors.
    """
    dbapi: Any = conn.connection.dbapi_connection
    with wrapping(conn, "COMMIT"):
        if isinstance(dbapi, AdaptedConnection):
            return dbapi.run_async(lambda driver: _to_the_end(driver.execute("COMMIT")))
        dbapi.execute("COMMIT")
    return None


@contextmanager
def wrapping(conn: Connection, statement: str) -> Iterator[None]:
    """Raise what SQLAlchemy makes of the driver's errors."""
    errors = conn.dialect.loaded_dbapi.Error
    try:
        yield
    except errors as error:
        raise DBAPIError.instance(statement, None, error, errors) from error


def roll_back(dbapi: Any, after: futures.Future[None] | None = None) -> asyncio.CancelledError | None:
    """Roll back, if a transaction has begun, `after` what another task, or thread, is at. Returned is what is to be
    raised once it has, as for `commit`.

    The driver looks whether one has begun on the connection's own thread, after what a cancelled task left it to do.
    """
    if not isinstance(dbapi, AdaptedConnection):
        if after is not None:
            after.result()
        dbapi.rollback()
        return None
    try:
        return dbapi.run_async(lambda driver: _to_the_end(_roll_back(driver, after)))
    except ValueError:  # aiosqlite's way of saying that it is closed: that has rolled back
        return None


async def _roll_back(driver: Any, after: futures.Future[None] | None) -> None:
    if after is not None:
        await asyncio.wrap_future(after)
    await driver.rollback()


async def _to_the_end(work: Coroutine[Any, Any, Any]) -> asyncio.CancelledError | None:
    """The thread of the connection does it all the same, and nobody would know when and how it ended."""
    doing = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not doing.done():
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            break
    doing.result()
    return cancelled


def of(dbapi: Any) -> Any:
    """The connection as the driver has it, also where it is adapted: to be asked, not to be used."""
    return dbapi.driver_connection if isinstance(dbapi, AdaptedConnection) else dbapi


def run_script(dbapi: Any, sql: str) -> None:
    """Run SQL that the driver is to keep no prepared statement of; in no transaction, which it would commit."""
    if isinstance(dbapi, AdaptedConnection):
        dbapi.run_async(lambda driver: driver.executescript(sql))
    else:
        dbapi.executescript(sql)


def schema_version(dbapi: Any, schema: str = "main") -> int:
    """On SQLite, a number that is another after every change of the schema; `temp` is the connection's own."""
    (version,) = dbapi.execute(f"PRAGMA {schema}.schema_version").fetchone()
    return int(version)
