"""Live queries: the rows of a statement now, and again whenever they are others.

::

    async for notes in live(sessions, select(Note).where(Note.stars > 3).order_by(Note.title)):
        show(notes)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol, TypeVar, TypeVarTuple, overload

from lichen.blocking.events import SLICE_S
from sqlalchemy import Executable
from sqlalchemy.engine import Row
from sqlalchemy.sql.selectable import TypedReturnsRows

from lichen_adapters.orm.listing import Rows
from lichen_adapters.orm.query import Factory, Query

log = logging.getLogger("lichen.orm")

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class LiveFactory(Factory, Protocol):
    """What live queries need of `Sessions`."""

    @property
    def readers(self) -> Executor:
        """Where statements run, off the event loop."""

    @property
    def checkers(self) -> Executor:
        """Where it is looked whether they are to run: apart, so that of many those come first whose rows changed."""


@overload
def live(
    sessions: LiveFactory, statement: TypedReturnsRows[T], reads: Iterable[Any] = ()
) -> AsyncGenerator[Rows[T]]: ...


@overload
def live(  # type: ignore[overload-cannot-match]  # it is, for more than one thing
    sessions: LiveFactory, statement: TypedReturnsRows[*Ts], reads: Iterable[Any] = ()
) -> AsyncGenerator[Rows[Row[*Ts]]]: ...


@overload
def live(
    sessions: LiveFactory, statement: Executable, reads: Iterable[Any] = ()
) -> AsyncGenerator[Rows[Any]]: ...  # Any: a text does not say what its rows hold


def live(sessions: LiveFactory, statement: Executable, reads: Iterable[Any] = ()) -> AsyncGenerator[Rows[Any]]:
    """The rows of a statement, and again after each commit, of a session or a merge, that makes them others.

    Rows are objects where the statement selects one thing, else `Row`; they are detached, and stay the same objects
    as long as they hold the same. `rows.difference` says what differs from the rows before. What changes while rows are
    in use comes together as the next ones. It ends when the sessions are closed, and cannot begin then. A statement
    with parts that are text needs `reads`, the classes or tables that it reads. Raises `SessionMisuse`, and what
    running it raises.
    """
    return _live(sessions, Query(sessions, statement, reads))


async def _live(sessions: LiveFactory, query: Query) -> AsyncGenerator[Rows[Any]]:
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(woken.set)

    end = query.listen(wake)
    try:
        while not sessions.feed.closed:
            rows = await loop.run_in_executor(_executor(sessions, query), query.next)
            if rows is not None:
                yield rows
            else:
                await woken.wait()
                woken.clear()
    finally:
        end()


def call_live(
    sessions: LiveFactory,
    statement: Executable,
    callback: Callable[[Rows[Any]], object],
    reads: Iterable[Any] = (),
    *,
    deliver: Callable[[Callable[[], None]], object] = lambda call: call(),
) -> Callable[[], None]:
    """As `live`, with a callback: it is called with the first rows soon, and then with each that differ.

    It is called on a thread for such queries, or where `deliver` has it called, never twice at once. Returns what ends
    it. What it raises is logged, as is what running the statement raises; then it is run again after the next change.
    A callback that is a generator function does its work in steps: after each `yield` its thread may get to other
    things, and is delivered to again, every few milliseconds. Raises `SessionMisuse`.
    """
    return _Calls(sessions, Query(sessions, statement, reads), callback, deliver).begin()


def _executor(sessions: LiveFactory, query: Query) -> Executor:
    return sessions.checkers if query.unlikely else sessions.readers


class _Calls:
    def __init__(
        self,
        sessions: LiveFactory,
        query: Query,
        callback: Callable[[Rows[Any]], object],
        deliver: Callable[[Callable[[], None]], object],
    ) -> None:
        self._sessions = sessions
        self._query = query
        self._callback = callback
        self._deliver = deliver
        self._ended = False
        self._end: Callable[[], None] = lambda: None

    def begin(self) -> Callable[[], None]:
        self._end = self._query.listen(self._wake)
        self._wake()
        return self._stop

    def _stop(self) -> None:
        self._ended = True
        self._end()

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the sessions are closed
            _executor(self._sessions, self._query).submit(self._work)

    def _work(self) -> None:
        """The query wakes nobody until `next` has returned None: until then it is either here, or with the callback."""
        with _logged():
            try:
                rows = None if self._ended else self._query.next()
            except Exception:
                if not self._sessions.feed.closed:  # else it ends with them
                    raise
                return
            if rows is not None:
                self._give(rows)

    def _give(self, rows: Rows[Any]) -> None:
        self._have(partial(self._show, rows))

    def _have(self, call: Callable[[], None]) -> None:
        try:
            self._deliver(call)
        except BaseException:
            self._query.failed()
            raise

    def _show(self, rows: Rows[Any]) -> None:
        with _logged():
            steps = None if self._ended else self._callback(rows)
            if isinstance(steps, Generator):
                self._go_on(steps)
                return
        self._wake()

    def _go_on(self, steps: Generator[object]) -> None:
        ends = time.monotonic() + SLICE_S
        with _logged():
            for _ in steps:
                if self._ended:
                    break
                if time.monotonic() > ends:
                    self._have(partial(self._go_on, steps))
                    return
        self._wake()


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except Exception:
        log.exception("a live query failed")
