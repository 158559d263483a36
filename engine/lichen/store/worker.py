"""A thread with a connection of its own, which runs queued jobs in groups: one transaction each."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import Connection

from lichen.errors import LimitExceeded, StoreError
from lichen.store.failure import Failure, Scope, failure_of

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
       that nothing is kept that follows something lost.
    """

    def __init__(
        self, connect: Callable[[], Connection], path: Path, *, name: str, begin: str, together: int, most_jobs: int
    ) -> None:
        self._connect = connect
        self._path = path
        self._begin = begin
        self._together = together
        self._most_jobs = most_jobs
        self._jobs: SimpleQueue[Item | None] = SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._conn: Connection | None = connect()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, job: Job, done: Done) -> None:
        """Queue a job. Raises `StoreError` after `close`, and `LimitExceeded` when too many are queued."""
        with self._gate:
            if self._closed:
                raise StoreError(f"the store {self._path} is closed")
            if self._jobs.qsize() >= self._most_jobs:
                raise LimitExceeded(
                    f"{self._most_jobs} jobs wait for the store already", hint="wait for earlier ones (writer_jobs)"
                )
            self._jobs.put((job, done))

    def close(self) -> None:
        """Run what is queued, then end the thread and its connection; idempotent."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            while group := self._next_group():
                self._run_group(group)
                del group  # jobs hold what they write, such as whole documents
        finally:
            with self._gate:
                self._closed = True
            self._tell_all(self._drain(), StoreError(f"the store {self._path} is closed"))
            self._disconnect()

    def _next_group(self) -> list[Item]:
        """What is queued, at least one job; nothing at the end."""
        group: list[Item] = []
        item = self._jobs.get()
        with suppress(Empty):
            while item is not None:
                group.append(item)
                if len(group) == self._together:
                    return group
                item = self._jobs.get_nowait()
            if group:
                self._jobs.put(None)  # the end was taken with the last group: take it again after it
        return group

    def _drain(self) -> list[Item]:
        """Everything that is queued, but for the end."""
        items: list[Item] = []
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
        if failure.scope is Scope.STORE:
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
            if failure.scope is Scope.STORE:
                self._tell_all([*group[index:], *self._drain()], failure.error)
                return
            _tell(item[1], None, failure.error)

    def _try(self, group: Sequence[Item]) -> Failure | None:
        """Run a group and tell its results; or say why it was rolled back."""
        try:
            results = self._transact([job for job, _ in group])
        except BaseException as error:
            failure = failure_of(error, self._path)
            if failure.scope is Scope.CONNECTION:
                self._disconnect()
            return failure
        for (_, done), result in zip(group, results, strict=True):
            _tell(done, result, None)
        return None

    def _transact(self, jobs: Sequence[Job]) -> list[Any]:
        if self._conn is None:
            self._conn = self._connect()
        conn = self._conn
        conn.exec_driver_sql(self._begin)
        try:
            results = [job(conn) for job in jobs]
            conn.exec_driver_sql("COMMIT")
        except BaseException:
            with suppress(Exception):  # SQLite has rolled back by itself after some errors
                conn.exec_driver_sql("ROLLBACK")
            raise
        return results

    def _disconnect(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(Exception):
                conn.close()

    def _tell_all(self, items: Sequence[Item], error: BaseException) -> None:
        for _, done in items:
            _tell(done, None, copy.copy(error))  # each is raised elsewhere, and gathers its own traceback


def _tell(done: Done, result: Any, error: BaseException | None) -> None:
    try:
        done(result, error)
    except Exception:
        log.exception("a store job's callback failed")
