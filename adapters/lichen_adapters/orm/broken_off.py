"""What breaks off the transaction of a session, other than the session, told in words."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine.interfaces import ExceptionContext

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.journal import Journal

_NO_CURSOR = "34000"
"""How PostgreSQL says that there is no such cursor."""
_CLOSED = "Cannot operate on a closed cursor"
"""How the driver of SQLite says that the transaction of a cursor has ended."""


def refuse_ended(journal: Journal, dbapi: Any) -> None:
    """What was written from now on would be committed by itself, without its documents. Raises `SessionMisuse`."""
    if not journal.goes_on(dbapi):
        raise SessionMisuse(
            "the transaction of this session was ended by the database, or on the connection of the driver",
            hint="roll the session back; check() tells whether something was committed that is in no document",
        )


def reads_in_parts() -> SessionMisuse:
    """The error for who writes while rows of an older state are still to come."""
    return SessionMisuse(
        "this session writes while rows that it reads in parts are still to come, of an older state",
        hint="fetch them all first, without yield_per, or write in another session",
    )


def explain_parts(context: ExceptionContext) -> None:
    """Say why a cursor is gone: its session has ended its transaction.

    On PostgreSQL, one that has only read ends too where one begins to write.

    A `handle_error`. Raises `SessionMisuse`.
    """
    if getattr(context.original_exception, "sqlstate", None) == _NO_CURSOR:
        raise reads_in_parts() from context.original_exception
    if str(context.original_exception).startswith(_CLOSED):
        raise SessionMisuse(
            "the transaction in which these rows were selected has ended, and they were not all fetched",
            hint="fetch them, as with all(), before commit(), rollback() or close()",
        ) from context.original_exception
