"""Connections of the driver, in a thread or adapted to an event loop by SQLAlchemy, used in the same way."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from lichen.store.loan import Loan
from sqlalchemy import AdaptedConnection, Connection
from sqlalchemy.exc import DBAPIError


def borrower() -> str:
    """Whoever runs here, as a log names it."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        task = None
    return (
        f"a session on thread {threading.current_thread().name}" if task is None else f"a session of {task.get_name()}"
    )


def in_transaction(dbapi: Any) -> bool:
    """Whether a transaction has begun."""
    try:
        return bool(_driver(dbapi).in_transaction)
    except ValueError:  # aiosqlite's way of saying that it is closed
        return False


def wait_for(dbapi: Any, loan: Loan) -> None:
    """Wait until a loan is granted: in a thread, or without holding up the event loop. Raises `StoreError`."""
    if isinstance(dbapi, AdaptedConnection):
        dbapi.run_async(lambda _: _granted(loan))
    else:
        loan.granted.result()


async def _granted(loan: Loan) -> None:
    await asyncio.wrap_future(loan.granted)


def commit(conn: Connection) -> asyncio.CancelledError | None:
    """Commit. A task that is cancelled meanwhile learns it after that: returned is what is to be raised then.

    Raises what SQLAlchemy makes of the driver's errors.
    """
    dbapi: Any = conn.connection.dbapi_connection
    try:
        if isinstance(dbapi, AdaptedConnection):
            return dbapi.run_async(_commit_to_the_end)
        dbapi.execute("COMMIT")
    except Exception as error:
        raise DBAPIError.instance("COMMIT", None, error, conn.dialect.loaded_dbapi.Error) from error
    return None


async def _commit_to_the_end(driver: Any) -> asyncio.CancelledError | None:
    """The thread of the connection would commit all the same, and nobody would know."""
    committing = asyncio.ensure_future(driver.execute("COMMIT"))
    cancelled: asyncio.CancelledError | None = None
    while not committing.done():
        try:
            await asyncio.shield(committing)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            break
    committing.result()
    return cancelled


def _driver(dbapi: Any) -> Any:
    return dbapi.driver_connection if isinstance(dbapi, AdaptedConnection) else dbapi
