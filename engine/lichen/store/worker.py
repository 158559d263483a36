"""A thread with a connection of its own, which runs queued jobs in groups: one transaction each."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import Connection

from lichen.errors import LimitExceeded, StoreError
from lichen.store import forks
from lichen.store.backend import Backend
from lichen.store.failure import Failure, Scope
from lichen.store.loan import Loan, loans_here
from lichen.store.patience import Patience
from lichen.turns import turn

log = logging.getLogger("lichen.store")

Job = Callable[[Connection], Any]
Done = Callable[[Any, BaseException | None], None]
Item = tuple[Job, Done]


class Worker:
    """Runs jobs in the order in which they were put.

    A group is what is queued when the group before it is done, up to `together` jobs: one transaction, one commit, and
    only then is each job's `done(result, error)` called, on this thread. When something goes wrong, the group is rolled
    back, and

    1. a job that failed by itself fails alone: the jobs are run again one by one, each in its own transaction. So a job
       may run twice, and must have no effect but on its connection;
    2. a damaged page fails the job that read it, and the connection is made anew;
    3. a full disk, or anything else that stops the whole store, fails the group and all that is queued behind it, so
       that nothing is kept that follows something lost; where the connection is lost, it is made anew, and whether the
       group is kept is not known.

    A loan takes its turn between two groups: the thread stops until its borrower, who has another connection, is done.
    `before_commit(conn)` is called at the end of each transaction, which it fails by raising, and `ended(committed)`
    after it, before any `done`.
    """

    def __init__(
        self,
        connect: Callable[[], Connection],
        backend: Backend,
        *,
        name: str,
        begin: str,
        together: int,
        most_jobs: int,
        most_wait_s: float,
        before_commit: Callable[[Connection], None] = lambda _: None,
        ended: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._connect = connect
        self._backend = backend
        self._begin = begin
        self._together = together
        self._most_jobs = most_jobs
        self.patience = Patience(most_wait_s)
        """Who gives up when a loan is out for too long."""
        self._before_commit = before_commit
        self._ended = ended
        self._jobs: SimpleQueue[Item | Loan | None] = SimpleQueue()
        self._loan: Loan | None = None
        """What is out, or comes next."""
        self._loans: list[Loan] = []
        """What is out or queued, and perhaps some that are over."""
        self._gate = threading.Lock()
        self._closed = False
        with forks.inside():
            self._conn: Connection | None = connect()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job, done: Done) -> None:
        """Queue a job. Raises `StoreError` after `close`, and `LimitExceeded` when too many are queued."""
        self._put((job, done))

    def lend(self, loan: Loan) -> None:
        """Queue a loan; raises as `put` does."""
        self._put(loan)
        with self._gate:
            self._loans = [*(one for one in self._loans if not one.is_back), loan]

    def _put(self, item: Item | Loan) -> None:
        with self._gate:
            if self._closed:
                raise StoreError(f"the store {self._backend.name} is closed")
            if self._jobs.qsize() >= self._most_jobs:
                raise LimitExceeded(
                    f"{self._most_jobs} jobs wait for the store already", hint="wait for earlier ones (writer_jobs)"
                )
            self._jobs.put(item)

    def refuse_borrower(self, *, blocking: bool = False) -> None:
        """Raises `StoreError` for who has a loan out and would wait for a job behind it; see `Loan`."""
        for loan in self._loans:
            loan.refuse_borrower(blocking=blocking)

    def loans_here(self) -> list[Loan]:
        """Loans of this within which whoever calls runs."""
        return [loan for loan in loans_here() if loan in self._loans]

    def refuse_late(self, waiting: Future[Any]) -> None:
        """Let who waits for a future not wait for ever where it is within a loan that comes before."""
        for loan in self.loans_here():
            loan.refuse_late(waiting)

    def close(self) -> None:
        """Run what is queued, then end the thread and its connection; idempotent. Loans are recalled and refused."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
            if self._loan is not None:
                self._loan.recall()
        self._thread.join()

    def _run(self) -> None:
        try:
            while True:
                if group := self._next_group():
                    self._run_group(group)
                elif self._loan is None:
                    return
                else:
                    self._lend()
                del group  # jobs hold what they write, such as whole documents
        finally:
            with self._gate:
                self._closed = True
            self._tell_all(self._drain(), StoreError(f"the store {self._backend.name} is closed"))
            self._disconnect()

    def _next_group(self) -> list[Item]:
        """What is queued, at least one job; nothing before a loan, and at the end."""
        group: list[Item] = []
        if self._loan is not None:
            return group
        item = self._jobs.get()
        with suppress(Empty):
            while item is not None:
                if isinstance(item, Loan):
                    self._loan = item
                    return group
                group.append(item)
                if len(group) == self._together:
                    return group
                item = self._jobs.get_nowait()
            if group:
                self._jobs.put(None)  # the end was taken with the last group: take it again after it
        return group

    def _lend(self) -> None:
        with self._gate:
            loan, closed = self._loan, self._closed
        assert loan is not None
        if closed:
            loan.refuse(StoreError(f"the store {self._backend.name} is closed"))
        else:
            loan.lend(self.patience)
        with self._gate:
            self._loan = None

    def _drain(self) -> list[Item | Loan]:
        """Everything that is queued, but for the end."""
        items: list[Item | Loan] = []
        ended = False
        with suppress(Empty):
            while True:
                item = self._jobs.get_nowait()
                if item is None:
                    ended = True
                else:
                    items.append(item)
        if ended:
            self._jobs.put(None)
        return items

    def _run_group(self, group: Sequence[Item]) -> None:
        failure = self._try(group)
        if failure is None:
            return
        if failure.scope in (Scope.STORE, Scope.LOST):
            self._tell_all([*group, *self._drain()], failure.error)
        elif len(group) == 1:
            _tell(group[0][1], None, failure.error)
        else:
            self._run_alone(group)

    def _run_alone(self, group: Sequence[Item]) -> None:
        for index, item in enumerate(group):
            failure = self._try([item])
            if failure is None:
                continue
            if failure.scope in (Scope.STORE, Scope.LOST):
                self._tell_all([*group[index:], *self._drain()], failure.error)
                return
            _tell(item[1], None, failure.error)

    def _try(self, group: Sequence[Item]) -> Failure | None:
        """Run a group and tell its results; or say why it was rolled back."""
        try:
            with turn(), forks.inside():
                results = self._transact([job for job, _ in group])
        except BaseException as error:
            failure = self._backend.failure(error)
            if failure.scope in (Scope.CONNECTION, Scope.LOST):
                self._disconnect()
            return failure
        for (_, done), result in zip(group, results, strict=True):
            _tell(done, result, None)
        return None

    def _transact(self, jobs: Sequence[Job]) -> list[Any]:
        if self._conn is None:
            self._conn = self._connect()
        conn = self._conn
        try:
            _dbapi(conn).execute(self._begin)
            results = [job(conn) for job in jobs]
            self._before_commit(conn)
            conn.exec_driver_sql("COMMIT")
        except BaseException:
            with suppress(Exception):  # it was not begun, or SQLite has rolled back by itself
                _dbapi(conn).execute("ROLLBACK")
            self._ended(False)
            raise
        self._ended(True)
        return results

    def _disconnect(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(Exception):
                conn.close()

    def _tell_all(self, items: Sequence[Item | Loan], error: BaseException) -> None:
        for item in items:
            own = copy.copy(error)  # each is raised elsewhere, and gathers its own traceback
            if isinstance(item, Loan):
                item.refuse(own)
            else:
                _tell(item[1], None, own)


def _dbapi(conn: Connection) -> Any:  # Any: the drivers have no types in common
    return conn.connection.dbapi_connection


def _tell(done: Done, result: Any, error: BaseException | None) -> None:
    try:
        done(result, error)
    except Exception:
        log.exception("a store job's callback failed")
