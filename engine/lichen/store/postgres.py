"""A store in a PostgreSQL database, beside the tables of an application.

The database is not encrypted as a whole: what tells content, and every secret, is sealed value by value, under a key
that lies in the table `lichen_store`, wrapped. The rows of the application are in the clear.

One process has the store: it holds an advisory lock for as long as its connection lives. Should that be lost, another
process may come; so each writing transaction first takes the row of `lichen_store`, and fails when the process that
opened it last is another one.

Sources: https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS, and for the codes of errors
https://www.postgresql.org/docs/current/errcodes-appendix.html.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import psycopg
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, Pool, QueuePool

from lichen.crypto.values import ValueKey
from lichen.errors import ConfigError, StoreDamaged, StoreError, StoreFull, StoreLocked, StoreReadOnly
from lichen.store.backend import Durability
from lichen.store.failure import Failure, Scope
from lichen.store.migrate import migrate
from lichen.store.sealed import seal_under

LOCK = (0x6C696368, 0x656E)
"""The advisory lock of a store, of which a database has one."""
LOCK_MS = 2_000
"""How long it is waited for: PostgreSQL takes a moment to see that a process has died."""
TAKEN = "LCH01"
"""The code of the error by which a process learns that another has the store now."""

_SETTINGS: dict[str, str] = {
    # A transaction that a server acknowledged outlives this process whatever the server's own durability is.
    "process": "",
    "power": "SET synchronous_commit = on; ",
}
_NOTICE_HANG_UPS = (
    "DO $$ BEGIN SET client_connection_check_interval = '2s';"
    " EXCEPTION WHEN undefined_object OR invalid_parameter_value THEN NULL; END $$; "
)
"""A statement whose client is gone ends, and keeps others waiting no longer; from PostgreSQL 14 on, on most systems."""
_AUTOCOMMIT = {"autocommit": True}
"""Transactions are begun and ended in SQL."""
_TABLE = (
    "CREATE TABLE IF NOT EXISTS lichen_store"
    " (one boolean PRIMARY KEY DEFAULT true CHECK (one), key bytea NOT NULL, owner bytea NOT NULL)"
)
_TAKE = f"""
CREATE OR REPLACE FUNCTION lichen_take(mine bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM lichen_store WHERE owner = mine FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another process has opened this store' USING ERRCODE = '{TAKEN}';
    END IF;
END $$
"""
_HOLDER = (
    "SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)

Unlock = Callable[[bytes | None], tuple[bytes, bytes]]
"""Given the wrapped key of a store, or None for a new one: its key of 32 bytes, and the wrapped key to keep."""


class PostgresDatabase:
    """A `lichen.store.backend.Backend`."""

    begin_read = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

    def __init__(self, url: URL, unlock: Unlock, durability: Durability = "process") -> None:
        """Take the store at `url` for this process, make it where there is none, and bring its schema up to date.

        Raises `StoreError`, `ConfigError` for another durability, and what `unlock` raises.
        """
        if durability not in _SETTINGS:
            raise ConfigError(f"there is no durability {durability!r}", hint="it is process or power")
        self._url = url
        self._durability = durability
        owner = os.urandom(16)
        self.begin_write = f"BEGIN ISOLATION LEVEL READ COMMITTED; SELECT lichen_take('\\x{owner.hex()}')"
        engine = self._engine_with(NullPool)
        try:
            self._guard = engine.connect()  # what it has locked is free when it closes
            try:
                self._take()
                self._key = ValueKey(self._unlocked(unlock, owner))
                seal_under(engine.dialect, self._key)
                self._guard.exec_driver_sql("SET lock_timeout = 0")
                migrate(self._guard)
            except BaseException:
                self._guard.close()
                raise
        except Exception as error:
            raise self.failure(error).error from error
        self._engine = engine

    @property
    def name(self) -> str:
        """The URL, without its password."""
        return self._url.render_as_string(hide_password=True)

    def connect(self) -> Connection:
        """A connection of the store's own. Triggers of an application know it by the setting `lichen.writer`."""
        conn = self._engine.connect()
        conn.exec_driver_sql("SET lichen.writer = 'engine'")
        return conn

    def session_engine(self) -> Engine:
        """An engine for sessions of the application."""
        engine = self._engine_with(QueuePool)
        seal_under(engine.dialect, self._key)
        return engine

    def for_event_loop(self) -> AsyncEngine:
        """An engine for sessions of the application on an event loop."""
        engine = create_async_engine(self._driver_url, poolclass=AsyncAdaptedQueuePool, connect_args=_AUTOCOMMIT)
        self._set_up(engine.sync_engine)
        seal_under(engine.dialect, self._key)
        return engine

    def failure(self, error: BaseException) -> Failure:
        """What an exception in a job means."""
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not isinstance(cause, psycopg.Error):
            return Failure(error, Scope.JOB)
        found = _failure(cause, self.name)
        found.error.__cause__ = error
        return found

    def size_bytes(self) -> int:
        """Bytes of the whole database, with the tables of the application."""
        with self._engine.connect() as conn:
            return int(conn.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())

    def close(self) -> None:
        """Let other processes have the store."""
        self._guard.close()
        self._engine.dispose()

    def _engine_with(self, pool: type[Pool]) -> Engine:
        engine = create_engine(self._driver_url, poolclass=pool, connect_args=_AUTOCOMMIT)
        self._set_up(engine)
        return engine

    @property
    def _driver_url(self) -> URL:
        return self._url.set(drivername="postgresql+psycopg")

    def _set_up(self, engine: Engine) -> None:
        # Times with a zone are read in UTC everywhere: documents have them as text.
        time_and_name = f"SET TIME ZONE 'UTC'; SET application_name = 'lichen {os.getpid()}'"
        set_up = _SETTINGS[self._durability] + _NOTICE_HANG_UPS + time_and_name
        event.listen(engine, "connect", lambda dbapi, _: dbapi.execute(set_up))

    def _take(self) -> None:
        self._guard.exec_driver_sql(f"SET lock_timeout = {LOCK_MS}")
        try:
            self._guard.exec_driver_sql("SELECT pg_advisory_lock(%s, %s)", LOCK)
        except DBAPIError as error:
            if not isinstance(error.orig, psycopg.errors.LockNotAvailable):
                raise
            holder = self._guard.exec_driver_sql(_HOLDER, LOCK).scalar() or "another program"
            hint = "close that program, or use another database"
            raise StoreLocked(f"the store {self.name} is in use by {holder}", hint=hint) from error

    def _unlocked(self, unlock: Unlock, owner: bytes) -> bytes:
        """The key of the store, which is this process's from now on."""
        conn = self._guard
        there = conn.exec_driver_sql("SELECT to_regclass('lichen_store')").scalar() is not None
        wrapped = conn.exec_driver_sql("SELECT key FROM lichen_store").scalar() if there else None
        key, kept = unlock(wrapped)
        conn.exec_driver_sql("BEGIN")
        try:
            conn.exec_driver_sql(_TABLE)
            conn.exec_driver_sql(_TAKE)
            keep = "INSERT INTO lichen_store (key, owner) VALUES (%s, %s)"
            again = " ON CONFLICT (one) DO UPDATE SET owner = excluded.owner"
            conn.exec_driver_sql(keep + again, (kept, owner))
            conn.exec_driver_sql("COMMIT")
        except BaseException:
            conn.exec_driver_sql("ROLLBACK")
            raise
        return key


def _failure(cause: psycopg.Error, name: str) -> Failure:
    code = cause.sqlstate or ""
    what = f"{name}: {str(cause).strip()}"
    match code:
        case "53100":
            return Failure(StoreFull(f"no space is left for {what}", hint="free some on the server"), Scope.STORE)
        case "25006":
            hint = "use the primary server"
            return Failure(StoreReadOnly(f"the store cannot be written, {what}", hint=hint), Scope.STORE)
        case "55P03" | "LCH01":
            hint = "close the other program that uses this store"
            return Failure(StoreLocked(f"another program holds {what}", hint=hint), Scope.STORE)
        case "XX001" | "XX002":
            hint = "restore the database from a backup"
            return Failure(StoreDamaged(f"a page does not verify in {what}", hint=hint), Scope.JOB)
        case "42501":
            hint = "let its role create tables, and write the store's"
            return Failure(StoreReadOnly(f"the store cannot be written, {what}", hint=hint), Scope.JOB)
    if (
        code[:2] in ("08", "28", "3D")
        or code[:4] == "57P0"
        or (not code and isinstance(cause, psycopg.OperationalError))
    ):
        hint = "look at the server, and at the URL of the store"
        return Failure(StoreError(f"the database cannot be reached, {what}", hint=hint), Scope.LOST)
    if code[:2] == "53":
        return Failure(StoreError(f"the server has no room for {what}", hint="look at the server"), Scope.STORE)
    return Failure(StoreError(f"the store could not do it, {what}"), Scope.JOB)
