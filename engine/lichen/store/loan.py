"""The right to write, lent by the writer thread to a connection of the application's own.

SQLite has one writer at a time. A session of the application that wants to write waits in the same queue as the jobs
of the engine, so neither can starve the other, and nobody polls for the lock.

Who has borrowed must not wait for what comes after it: that would be for ever. What runs in the same task is refused at
once. What was begun by it, as a task of its own or in a thread, may be something that nobody waits for: it waits, and
is refused after a time. Whatever else waits is refused after a longer one (`lichen.store.patience`), but for what the
engine does by itself, for which nobody waits.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from contextvars import Context, ContextVar, copy_context
from typing import Any

from lichen.errors import StoreError
from lichen.store.patience import Patience

log = logging.getLogger("lichen.store")

LONG_S = 5.0
"""A loan that is out so long is reported, and what waits within it is refused; so after each further such time."""
SHORT_S = 0.01
"""It is looked at no more often."""

_within: ContextVar[Loan | None] = ContextVar("lichen_loan", default=None)
"""The last loan of whoever runs here, or of what began it."""


class Loan:
    """Made by `Store.borrow`. The borrower waits for it, writes and commits, and gives it back."""

    def __init__(self, borrower: str) -> None:
        self.borrower = borrower
        self._place = _place()
        self._outer = next(loans_here(), None)
        self.granted: Future[None] = Future()
        """Resolves when the writer thread has stopped for the borrower. Raises `StoreError` when it never will."""
        self._back = threading.Event()
        self._recalled = False
        self._waiting: deque[Future[Any]] = deque()

    def enter(self) -> None:
        """The borrower runs here from now on: that, and what it begins, is within this loan."""
        self._place = _place()
        _within.set(self)

    def follow(self) -> None:
        """The borrower runs here now: threads of a pool may hand a session on."""
        if self._place != _place():
            self.enter()

    @property
    def is_back(self) -> bool:
        """It is over, or the borrower has given up waiting for it."""
        return self._back.is_set()

    @property
    def outer(self) -> Loan | None:
        """The loan within which this was asked for."""
        return self._outer

    def give_back(self) -> None:
        """The writer thread may go on; idempotent, and right also for a loan that was not granted yet."""
        self.granted.cancel()
        self._back.set()

    def check(self) -> None:
        """Raises `StoreError` when the store was closed while this was out."""
        if self._recalled:
            raise StoreError(f"the store was closed while {self.borrower} was writing", hint="end sessions before that")

    def refuse_borrower(self, *, blocking: bool) -> None:
        """Raises `StoreError` for who would wait for what can only come after this is given back: itself.

        Where it waits `blocking` its thread, that is each task of the thread.
        """
        if self._back.is_set():
            return
        here = _place()
        if self.granted.done() and self._place == here and self in loans_here():  # else its thread serves another now
            raise StoreError(
                f"{self.borrower} has written and not ended: what the store is asked for now would never come",
                hint="end that session first, by commit or rollback; or write all in one",
            )
        thread, runs_on_loop = self._place
        if blocking and runs_on_loop is not None and thread == here[0]:
            raise StoreError(
                f"{self.borrower} writes first, and could not go on while its thread waits for that",
                hint="beside an AsyncSession, write with one too, or in another thread (asyncio.to_thread)",
            )

    def refuse_late(self, waiting: Future[Any]) -> None:
        """Refuse who waits for a future, within this loan, when this is out for long."""
        self._waiting.append(waiting)

    # For the worker

    def lend(self, others: Patience) -> None:
        """Let the borrower write, and return when it has. Others do not wait for it for ever."""
        if not begins(self.granted):
            return
        self.granted.set_result(None)
        began = reported = time.monotonic()
        while not self._back.wait(min(LONG_S, max(others.most_s, SHORT_S))):
            for waiting, busy in others.overdue(self.borrower, began):
                refuse(waiting, busy)
            now = time.monotonic()
            if now - reported < LONG_S:
                continue
            reported, held_s = now, now - began
            log.warning("%s has held up every write for %.0f s", self.borrower, held_s)
            while self._waiting:
                late = StoreError(
                    f"{self.borrower} has written and not ended for {held_s:.0f} s: what was begun within it cannot be "
                    "written before it ends",
                    hint="end that session before you wait for the task or thread that writes; or write all in one",
                )
                refuse(self._waiting.popleft(), late)
        self._waiting.clear()

    def refuse(self, error: BaseException) -> None:
        """It is not granted."""
        self._back.set()
        refuse(self.granted, error)

    def recall(self) -> None:
        """The store closes and waits for it no longer."""
        self._recalled = True
        self._back.set()


def loans_here() -> Iterator[Loan]:
    """Those within which whoever calls runs, of any store, the innermost first."""
    loan = _within.get()
    while loan is not None:
        if not loan.is_back:
            yield loan
        loan = loan.outer


def outside() -> Context:
    """A context for what is begun here, and is within no loan: nobody here waits for it."""
    context = copy_context()
    context.run(_within.set, None)
    return context


def begins(future: Future[Any]) -> bool:
    """Whether a future can be given its result, which it is given on the writer thread alone; else it has one."""
    if future.done() and not future.cancelled():
        return False
    return future.set_running_or_notify_cancel()


def refuse(future: Future[Any], error: BaseException) -> None:
    """Give a future an error, on the writer thread, unless it has a result."""
    if not future.done() and begins(future):
        future.set_exception(error)


def _place() -> tuple[int, object]:
    """Where this runs: the thread, and on a loop the task, or the loop itself in what it calls back."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return threading.get_ident(), None
    return threading.get_ident(), weakref.ref(asyncio.current_task(loop) or loop)
