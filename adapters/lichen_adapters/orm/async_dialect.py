"""SQLAlchemy's dialect for SQLCipher files on an event loop: its aiosqlite dialect, over connections of sqlcipher3."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiosqlite
import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.aiosqlite import AsyncAdapt_aiosqlite_dbapi, SQLiteDialect_aiosqlite
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool


class _Driver:
    """What the dialect needs of the module aiosqlite, with the errors of sqlcipher3: else they come out unwrapped."""

    __version__ = aiosqlite.__version__
    Connection = aiosqlite.Connection
    DatabaseError = sqlcipher.DatabaseError
    Error = sqlcipher.Error
    IntegrityError = sqlcipher.IntegrityError
    NotSupportedError = sqlcipher.NotSupportedError
    OperationalError = sqlcipher.OperationalError
    ProgrammingError = sqlcipher.ProgrammingError
    sqlite_version = sqlcipher.sqlite_version
    sqlite_version_info = sqlcipher.sqlite_version_info

    @staticmethod
    def connect(_file: str, *, connector: Callable[[], Any], **_options: object) -> aiosqlite.Connection:
        """A connection that `connector` makes on the thread of its own."""
        return aiosqlite.Connection(connector, iter_chunk_size=64)


class SqlcipherDialect(SQLiteDialect_aiosqlite):
    """The dialect `sqlite+lichen`; the connector that it needs gives connections their key."""

    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> AsyncAdapt_aiosqlite_dbapi:
        """The driver."""
        return AsyncAdapt_aiosqlite_dbapi(_Driver, sqlcipher)  # type: ignore[arg-type]  # it stands for a module


registry.register("sqlite.lichen", __name__, SqlcipherDialect.__name__)


def async_engine(connector: Callable[[], Any]) -> AsyncEngine:
    """An engine whose connections are made by `connector`, each on a thread of its own."""
    return create_async_engine(
        "sqlite+lichen:///store", connect_args={"connector": connector}, poolclass=AsyncAdaptedQueuePool
    )
