"""The database of one node: one writer thread with group commit, one reader thread.

Jobs are functions of a SQLAlchemy connection; how they are grouped, and what fails when something fails, is told in
`lichen.store.worker`. What differs between SQLite and PostgreSQL is behind `lichen.store.backend`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.errors import ConfigError, LimitExceeded, StoreError
from lichen.store import following
from lichen.store.backend import Backend, Durability
from lichen.store.following import Follower
from lichen.store.loan import Loan, begins
from lichen.store.sqlite_file import SqliteFile
from lichen.store.worker import Done, Job, Worker

log = logging.getLogger("lichen.store")

T = TypeVar("T")

GROUP_JOBS = 4_096
"""Most jobs in one transaction: bounds how long the first of them waits for the last."""


class Store:
    """An open database. `lichen.runtime.unlock.open_store` finds the key, and holds the store for this process."""

    def __init__(
        self, backend: Backend, *, limits: Limits = DEFAULT_LIMITS, closed: Callable[[], None] = lambda: None
    ) -> None:
        """Begin to work in a database, and close it at the end; then `closed` is called once. Raises `StoreError`."""
        self.backend = backend
        """The database. Sessions of the application on connections of it `borrow` before they write."""
        self._followers: list[Follower] = []
        self._leaving: list[Follower] = []
        """Those that are to hear of the end of this transaction, and of no other."""
        self._closed = closed
        self._closing = threading.Lock()
        self._open = True

        worker = partial(Worker, self._connect, backend, most_jobs=limits.writer_jobs, most_wait_s=limits.writer_wait_s)
        try:
            self._writer = worker(
                name="lichen writer",
                begin=backend.begin_write,
                together=GROUP_JOBS,
                before_commit=self._before_commit,
                ended=self._ended,
            )
            try:
                self._reader = worker(name="lichen reader", begin=backend.begin_read, together=1)
            except BaseException:
                self._writer.close()
                raise
        except BaseException as error:
            backend.close()
            raise backend.failure(error).error from error

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
        return cls(SqliteFile(path, key, durability), limits=limits, closed=closed)

    def write(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run a job in the next group; the future resolves after its commit, on the writer thread.

        The job may be run twice (see `Worker`); cancelling the future does not stop it. Raises `LimitExceeded` when
        `Limits.writer_jobs` wait already, and `StoreError` after `close`; the future may raise `StoreError`, or what
        the job raises.
        """
        future: Future[T] = Future()
        self._writer.refuse_borrower()
        self._writer.put(job, _resolver(future))
        self._writer.refuse_late(future)
        return future

    def write_in_time(self, job: Callable[[Connection], T]) -> Future[T]:
        """As `write`, for who waits for it and has nothing if it comes late.

        Where one session keeps the right to write for longer than `Limits.writer_wait_s`, the job is not run, and the
        future raises `StoreBusy`.
        """

        def unless_refused(conn: Connection) -> Any:
            return None if future.done() and not future.cancelled() else job(conn)

        future: Future[T] = Future()
        self._writer.refuse_borrower()
        self._writer.put(unless_refused, _resolver(future))
        self._writer.refuse_late(future)
        self._writer.patience.add(future)
        return future

    @contextlib.asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """In it, a task waits for what others have written first.

        Raises `StoreBusy` where one session keeps the right to write for longer than `Limits.writer_wait_s`.
        """
        loop, refused = asyncio.get_running_loop(), Future[None]()

        def end(limit: asyncio.Timeout) -> None:
            with contextlib.suppress(RuntimeError):  # it is over
                limit.reschedule(loop.time())

        try:
            async with asyncio.timeout(None) as limit:
                refused.add_done_callback(lambda one: one.cancelled() or loop.call_soon_threadsafe(end, limit))
                self._writer.patience.add(refused)
                yield
        except TimeoutError:
            busy = refused.exception() if limit.expired() else None
            raise (busy or TimeoutError()) from None
        finally:
            refused.cancel()

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

    def borrow(self, borrower: str, *, blocking: bool) -> Loan:
        """Ask for the right to write with another connection; `borrower` is named when it keeps it for long.

        It is going to wait for that, `blocking` its thread or in a coroutine, and gives up as in `write_in_time`.
        Raises `StoreError` after `close` and when it would wait for itself, and `LimitExceeded`.
        """
        self._writer.refuse_borrower(blocking=blocking)
        loan = Loan(borrower)
        self._writer.lend(loan)
        self._writer.refuse_late(loan.granted)
        self._writer.patience.add(loan.granted)
        loan.enter()
        return loan

    def refuse_borrower(self, *, blocking: bool = False) -> None:
        """Raises `StoreError` when whoever calls has borrowed, and would wait for ever for what is written next.

        Where it waits `blocking` its thread, that holds for each task of the thread.
        """
        self._writer.refuse_borrower(blocking=blocking)

    async def refuse_within(self) -> None:
        """As `refuse_borrower`; and what was begun by who has borrowed waits until that has ended, for some seconds."""
        self._writer.refuse_borrower()
        if self._writer.loans_here():
            await asyncio.wrap_future(self.write(lambda _: None))

    def follow(self, follower: Follower) -> Callable[[], None]:
        """Let `follower` write along with every change of a document. Returns what ends that, after the transaction.

        Called in a job, it holds from that job on. Raises `ConfigError` when there is one already: each would have to
        know what the other writes.
        """
        self.refuse_follower()
        self._followers.append(follower)

        def leave() -> None:
            self._leaving.append(follower)
            self._followers.remove(follower)

        return leave

    def refuse_follower(self) -> None:
        """To be called in a job. Raises `ConfigError` when somebody follows this store."""
        if self._followers:
            raise ConfigError(
                "rows are made of this store's documents already",
                hint="make one Sessions for each engine, with all models under one base, or close the other first",
            )

    def _before_commit(self, conn: Connection) -> None:
        for follower in dict.fromkeys((*self._followers, *self._leaving)):
            follower.before_commit(conn)

    def _ended(self, committed: bool) -> None:
        leaving, self._leaving = self._leaving, []
        for follower in dict.fromkeys((*self._followers, *leaving)):
            try:
                follower.ended(committed=committed)
            except Exception:
                log.exception("a follower of the store %s failed after a transaction", self.backend.name)

    def close(self) -> None:
        """Run what is queued, and end; idempotent. On SQLite the write-ahead log is folded into the file.

        Not to be called from a `done`.
        """
        with self._closing:
            self._reader.close()
            self._writer.close()
            if self._open:
                self._open = False
                self.backend.close()
                self._closed()

    def _connect(self) -> Connection:
        conn = self.backend.connect()
        following.begin(conn, self._followers)
        return conn


def _resolver(future: Future[Any]) -> Done:
    def done(result: Any, error: BaseException | None) -> None:
        if not begins(future):
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    return done
