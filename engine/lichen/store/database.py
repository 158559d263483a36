"""The database of one node: one writer thread with group commit, one reader thread.

A store on SQLite is a SQLCipher file under a raw 32-byte key, in WAL mode. Jobs are functions of a SQLAlchemy
connection; how they are grouped, and what fails when something fails, is told in `lichen.store.worker`.

Sources: https://www.sqlite.org/wal.html, https://www.zetetic.net/sqlcipher/sqlcipher-api/.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import sqlcipher3.dbapi2 as sqlcipher
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool, Pool, QueuePool

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.errors import ConfigError, LimitExceeded, StoreDamaged, StoreError
from lichen.store.failure import failure_of
from lichen.store.following import FOLLOWERS, Follower
from lichen.store.loan import Loan
from lichen.store.migrate import migrate
from lichen.store.worker import Done, Job, Worker

log = logging.getLogger("lichen.store")

T = TypeVar("T")
Durability = Literal["process", "power"]
"""What an acknowledged write survives: the death of this process (kill -9), or also that of the machine."""

PAGE_BYTES = 4_096
"""SQLCipher's page, of which a store has at least one."""
BUSY_MS = 5_000
CACHE_KIB = 16 * 1024
GROUP_JOBS = 4_096
"""Most jobs in one transaction: bounds how long the first of them waits for the last."""
WAL_KEPT_BYTES = 16 * 1024 * 1024
"""A write-ahead log that a burst made longer is cut to this."""

_SETTINGS: dict[str, tuple[str, ...]] = {
    # WAL with NORMAL leaves a commit with the kernel, which outlives the process, and waits for no disk.
    "process": ("synchronous = NORMAL",),
    "power": ("synchronous = FULL", "fullfsync = ON", "checkpoint_fullfsync = ON"),
}


class Store:
    """An open database. Made by `Store.open`; `lichen.runtime.unlock.open_store` finds the key and locks the file."""

    def __init__(
        self,
        path: Path,
        engine: Engine,
        sessions: Callable[[], Engine],
        connect: Callable[[], Any],
        limits: Limits,
        closed: Callable[[], None],
    ) -> None:
        self.path = path
        self.session_engine = sessions
        """Makes an engine for sessions of the application on the same database. They `borrow` before they write."""
        self.connect = connect
        """Makes a connection of the driver, sqlcipher3, to the same database, for another pool of such sessions."""
        self._engine = engine
        self._followers: list[Follower] = []
        self._closed = closed
        self._closing = threading.Lock()
        self._open = True

        worker = partial(Worker, self._connect, path, most_jobs=limits.writer_jobs)
        self._writer = worker(
            name="lichen writer",
            begin="BEGIN IMMEDIATE",
            together=GROUP_JOBS,
            before_commit=self._before_commit,
            ended=self._ended,
        )
        try:
            self._reader = worker(name="lichen reader", begin="BEGIN", together=1)
        except BaseException:
            self._writer.close()
            raise

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
        """Open or make the SQLCipher file at `path` under a 32-byte key, and bring its schema up to date; blocking.

        `closed` is called once, when it is closed. Raises `StoreError`, and `ConfigError` for another durability.
        """
        if durability not in _SETTINGS:
            raise ConfigError(f"there is no durability {durability!r}", hint="it is process or power")

        if 0 < _size_bytes(path) < PAGE_BYTES:  # SQLite would take it for an empty database
            raise StoreDamaged(f"{path} is no store, or was cut short", hint="name another file, or restore it")
        engine = _engine(path, key, durability)
        try:
            with engine.connect() as conn:
                migrate(conn)
            sessions = partial(_engine, path, key, durability, QueuePool)
            return cls(path, engine, sessions, partial(_connection, path, key, durability), limits, closed)
        except Exception as error:
            raise failure_of(error, path).error from error

    def write(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run a job in the next group; the future resolves after its commit, on the writer thread.

        The job may be run twice (see `Worker`); cancelling the future does not stop it. Raises `LimitExceeded` when
        `Limits.writer_jobs` wait already, and `StoreError` after `close`; the future may raise `StoreError`, or what
        the job raises.
        """
        future: Future[T] = Future()
        self._writer.refuse_borrower()
        self._writer.put(job, _resolver(future))
        return future

    def write_soon(self, job: Job, done: Done) -> None:
        """As `write`, for hot paths: `done(result, error)` is called on the writer thread, after the commit.

        A job that cannot be queued raises nothing: `done` has the error at once, on this thread.
        """
        try:
            self._writer.put(job, done)
        except StoreError as error:
            done(None, error)
        except LimitExceeded as error:
            refused = StoreError(str(error), hint=error.hint)
            refused.__cause__ = error
            done(None, refused)

    def read(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run a job that only reads; it sees one state, of all that was committed when it began."""
        future: Future[T] = Future()
        self._reader.put(job, _resolver(future))
        return future

    def borrow(self, borrower: str) -> Loan:
        """Ask for the right to write with another connection; `borrower` is named when it keeps it for long.

        Raises `StoreError` after `close` and when who asks has one out, and `LimitExceeded`.
        """
        self._writer.refuse_borrower()
        loan = Loan(borrower)
        self._writer.lend(loan)
        return loan

    def refuse_borrower(self) -> None:
        """Raises `StoreError` when whoever calls has borrowed, and would wait for ever for what is written next."""
        self._writer.refuse_borrower()

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Let `follower` write along with every change of a document. Returns what ends that.

        Called in a job, it holds from that job on. Raises `ConfigError` when there is one already: each would have to
        know what the other writes.
        """
        if self._followers:
            raise ConfigError("this store is followed already", hint="use what follows it, or close that first")
        self._followers.append(follower)
        return lambda: self._followers.remove(follower)

    def _before_commit(self, conn: Connection) -> None:
        for follower in self._followers:
            follower.before_commit(conn)

    def _ended(self, committed: bool) -> None:
        for follower in self._followers:
            try:
                follower.ended(committed=committed)
            except Exception:
                log.exception("a follower of the store %s failed after a transaction", self.path)

    def size_bytes(self) -> int:
        """Bytes of the database and its write-ahead log."""
        return sum(_size_bytes(Path(f"{self.path}{suffix}")) for suffix in ("", "-wal"))

    def close(self) -> None:
        """Run what is queued, fold the write-ahead log into the file, and end; idempotent.

        Not to be called from a `done`.
        """
        with self._closing:
            self._reader.close()
            self._writer.close()  # SQLite folds the log when the last connection closes
            if self._open:
                self._open = False
                self._engine.dispose()
                self._closed()

    def _connect(self) -> Connection:
        conn = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        conn.info[FOLLOWERS] = self._followers
        return conn


def _settings(durability: Durability) -> tuple[str, ...]:
    return (
        "cipher_log_level = NONE",  # errors are raised; they need no line on stderr too
        f"busy_timeout = {BUSY_MS}",
        "journal_mode = WAL",
        f"journal_size_limit = {WAL_KEPT_BYTES}",
        *_SETTINGS[durability],
        f"cache_size = -{CACHE_KIB}",
        "temp_store = MEMORY",
        "foreign_keys = ON",  # for tables of applications; the own ones have none
        "recursive_triggers = ON",  # else INSERT OR REPLACE hides what it deletes
    )


def _connection(path: Path, key: bytes, durability: Durability) -> Any:
    made = sqlcipher.connect(str(path), check_same_thread=False, isolation_level=None)
    for setting in (f"key = \"x'{key.hex()}'\"", *_settings(durability)):
        made.execute(f"PRAGMA {setting}")
    return made


def _engine(path: Path, key: bytes, durability: Durability, pool: type[Pool] = NullPool) -> Engine:
    url = URL.create("sqlite+pysqlcipher", password=f"x'{key.hex()}'", database=str(path))
    engine = create_engine(
        url,
        module=sqlcipher,
        poolclass=pool,
        connect_args={"check_same_thread": False, "isolation_level": None},
    )

    def set_up(connection: Any, _record: object) -> None:
        for setting in _settings(durability):
            connection.execute(f"PRAGMA {setting}")

    event.listen(engine, "connect", set_up)
    return engine


def _size_bytes(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _resolver(future: Future[Any]) -> Done:
    def done(result: Any, error: BaseException | None) -> None:
        if not future.set_running_or_notify_cancel():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    return done
