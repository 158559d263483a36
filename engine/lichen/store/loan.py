"""The right to write, lent by the writer thread to a connection of the application's own.

SQLite has one writer at a time. A session of the application that wants to write waits in the same queue as the jobs
of the engine, so neither can starve the other, and nobody polls for the lock.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from concurrent.futures import Future

from lichen.errors import StoreError

log = logging.getLogger("lichen.store")

LONG_S = 5.0
"""A loan that is out so long is reported, and again after each further such time."""


class Loan:
    """Made by `Store.borrow`. The borrower waits for it, writes and commits, and gives it back."""

    def __init__(self, borrower: str) -> None:
        self.borrower = borrower
        self._place = _place()
        self.granted: Future[None] = Future()
        """Resolves when the writer thread has stopped for the borrower. Raises `StoreError` when it never will."""
        self._back = threading.Event()
        self._recalled = False

    def give_back(self) -> None:
        """The writer thread may go on; idempotent, and right also for a loan that was not granted yet."""
        self.granted.cancel()
        self._back.set()

    def check(self) -> None:
        """Raises `StoreError` when the store was closed while this was out."""
        if self._recalled:
            raise StoreError(f"the store was closed while {self.borrower} was writing", hint="end sessions before that")

    def refuse_borrower(self) -> None:
        """Raises `StoreError` for who would wait for what can only come after this is given back: itself."""
        if self.granted.done() and not self._back.is_set() and self._place == _place():
            raise StoreError(
                f"{self.borrower} has written and not ended: what the store is asked for now would never come",
                hint="end that session first, by commit or rollback; or write all in one",
            )

    # For the worker

    def lend(self) -> None:
        """Let the borrower write, and return when it has."""
        if not self.granted.set_running_or_notify_cancel():
            return
        self.granted.set_result(None)
        began = time.monotonic()
        while not self._back.wait(LONG_S):
            log.warning("%s has held up every write for %.0f s", self.borrower, time.monotonic() - began)

    def refuse(self, error: BaseException) -> None:
        """It is not granted."""
        if self.granted.set_running_or_notify_cancel():
            self.granted.set_exception(error)

    def recall(self) -> None:
        """The store closes and waits for it no longer."""
        self._recalled = True
        self._back.set()


def _place() -> tuple[int, object]:
    """Where this runs: the thread, and the task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs here
        task = None
    return threading.get_ident(), task
