"""The database of one node: one writer thread with group commit, one reader thread.

SQLite files are SQLCipher files under a raw 32-byte key, in WAL mode. Jobs are functions of a SQLAlchemy connection. The
writer takes all jobs that are queued, runs them in one transaction, and reports each done after the commit; when a job of
a group fails, the group is rolled back and its jobs are run again one by one, so that only the bad one fails.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.errors import LimitExceeded, StoreDamaged, StoreError, StoreFull, StoreLocked, StoreReadOnly
from lichen.store.migrate import migrate

log = logging.getLogger("lichen.store")

T = TypeVar("T")
Job = Callable[[Connection], Any]
Done = Callable[[Any, BaseException | None], None]
Durability = Literal["process", "power"]

BUSY_MS = 5_000
CACHE_KIB = 16 * 1024

_MEANINGS: tuple[tuple[str, type[StoreError], str], ...] = (
    ("disk is full", StoreFull, "free some space, and try again"),
    ("readonly database", StoreReadOnly, "make the file and its folder writable"),
    ("unable to open", StoreReadOnly, "make the file and its folder writable"),
    ("database is locked", StoreLocked, "close the other program that uses this store"),
    ("not a database", StoreDamaged, "restore it from a backup"),
    ("malformed", StoreDamaged, "restore it from a backup"),
    ("disk i/o error", StoreError, "look at the disk and its free space"),
)


def meaning_of(error: BaseException) -> BaseException:
    """The error of ours that says what a database error means; other errors as they are."""
    if not isinstance(error, DBAPIError | sqlcipher.Error):
        return error
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = str(cause).lower()
    for part, kind, hint in _MEANINGS:
        if part in text:
            return kind(f"the store could not do it: {cause}", hint=hint)
    return StoreError(f"the store could not do it: {cause}")


class Store:
    """An open database. Made by `Store.open`; `lichen.runtime.unlock.open_store` finds the key and locks the file."""

    def __init__(self, path: Path, engine: Engine, limits: Limits, closed: Callable[[], None]) -> None:
        self.path = path
        self._engine = engine
        self._closed = closed
        self._writer = _Worker(engine, limits, "lichen writer", writes=True)
        self._reader = _Worker(engine, limits, "lichen reader", writes=False)

    @classmethod
    def open(
        cls,
        path: Path,
        key: bytes,
        *,
        durability: Durability = "process",
        limits: Limits = DEFAULT_LIMITS,
        closed: Callable[[], None] = lambda: None,
    ) -> Store:
        """Open or make the SQLCipher file at `path`; blocking. `closed` is called once it is closed. Raises `StoreError`."""
        if durability not in ("process", "power"):
            raise StoreError(f"there is no durability {durability!r}", hint="process or power")

        def connect() -> Any:
            return _connect(path, key, durability)

        engine = create_engine("sqlite://", module=sqlcipher, creator=connect, poolclass=NullPool)
        try:
            with engine.connect() as conn:
                migrate(conn)
        except (DBAPIError, sqlcipher.Error) as error:
            raise meaning_of(error) from error
        return cls(path, engine, limits, closed)

    def write(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run a job in the next group; the future resolves after its commit. Raises `LimitExceeded`, `StoreError`."""
        future: Future[T] = Future()
        self._writer.put(job, _resolver(future))
        return future

    def write_soon(self, job: Job, done: Done) -> None:
        """As `write`, for hot paths: `done(result, error)` is called on the writer thread, after the commit."""
        self._writer.put(job, done)

    def read(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run a job that only reads; it sees what was committed."""
        future: Future[T] = Future()
        self._reader.put(job, _resolver(future))
        return future

    def size_bytes(self) -> int:
        """Bytes of the database and its write-ahead log."""
        return sum(
            file.stat().st_size for suffix in ("", "-wal") if (file := Path(f"{self.path}{suffix}")).exists()
        )

    def close(self) -> None:
        """Run what is queued, fold the write-ahead log into the file, and end; idempotent."""
        self._writer.close()
        self._reader.close()
        self._engine.dispose()
        self._closed()


def _connect(path: Path, key: bytes, durability: Durability) -> Any:
    connection = sqlcipher.connect(str(path), check_same_thread=False, isolation_level=None)
    try:
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durability == 'power' else 'NORMAL'}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
    except BaseException:
        connection.close()
        raise
    return connection


def _resolver(future: Future[Any]) -> Done:
    def done(result: Any, error: BaseException | None) -> None:
        if not future.set_running_or_notify_cancel():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    return done


class _Worker:
    """One thread with one connection, and a queue of jobs."""

    def __init__(self, engine: Engine, limits: Limits, name: str, *, writes: bool) -> None:
        self._engine = engine
        self._limits = limits
        self._writes = writes
        self._jobs: deque[tuple[Job, Done]] = deque()
        self._something = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job, done: Done) -> None:
        """Queue a job."""
        with self._something:
            if self._closing:
                raise StoreError("the store is closed")
            if len(self._jobs) >= self._limits.writer_jobs:
                raise LimitExceeded(f"{len(self._jobs)} jobs wait for the store already")
            self._jobs.append((job, done))
            self._something.notify()

    def close(self) -> None:
        """Run what is queued, then end the thread."""
        with self._something:
            self._closing = True
            self._something.notify()
        self._thread.join()

    def _run(self) -> None:
        with self._engine.connect() as connection:
            conn = connection.execution_options(isolation_level="AUTOCOMMIT")
            while group := self._next_group():
                self._run_group(conn, group)
            if self._writes:
                with suppress(DBAPIError):
                    conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def _next_group(self) -> list[tuple[Job, Done]]:
        with self._something:
            while not self._jobs and not self._closing:
                self._something.wait()
            group = list(self._jobs)
            self._jobs.clear()
            return group

    def _run_group(self, conn: Connection, group: list[tuple[Job, Done]]) -> None:
        try:
            results = self._transact(conn, [job for job, _ in group])
        except Exception as error:
            if len(group) == 1:
                _tell(group[0][1], None, meaning_of(error))
                return
            for pair in group:
                self._run_group(conn, [pair])
            return
        for (_, done), result in zip(group, results, strict=True):
            _tell(done, result, None)

    def _transact(self, conn: Connection, jobs: list[Job]) -> list[Any]:
        conn.exec_driver_sql("BEGIN IMMEDIATE" if self._writes else "BEGIN")
        try:
            results = [job(conn) for job in jobs]
            conn.exec_driver_sql("COMMIT")
        except BaseException:
            with suppress(DBAPIError):
                conn.exec_driver_sql("ROLLBACK")
            raise
        return results


def _tell(done: Done, result: Any, error: BaseException | None) -> None:
    try:
        done(result, error)
    except Exception:
        log.exception("a store job's callback failed")
