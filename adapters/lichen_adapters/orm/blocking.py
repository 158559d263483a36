"""Rows for programs without an event loop: sessions of a `lichen.blocking.Engine`, and live queries to wait for.

    with Engine.open("sqlite:///notes.db") as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        for notes in live(sessions, select(Note).order_by(Note.title)):
            show(notes)

The `with` closes both.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Self, TypeVar, TypeVarTuple, overload

from lichen.blocking import Deliver, Document, Engine
from lichen.blocking.deadline import remaining
from lichen.errors import ConfigError
from sqlalchemy import Executable
from sqlalchemy.engine import Row
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.selectable import TypedReturnsRows

from lichen_adapters.orm import sessions
from lichen_adapters.orm.listing import Rows
from lichen_adapters.orm.live import LiveFactory
from lichen_adapters.orm.live import call_live as call_live_anywhere
from lichen_adapters.orm.query import Query

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Sessions(sessions.Sessions):
    """Makes sessions: `with sessions(space) as session:` as a `sessionmaker` does.

    One for each engine and declarative base. It is a context manager, which closes it; close it before the engine.
    What it has of `lichen_adapters.orm.Sessions` blocks there too.
    """

    def __init__(self, engine: Engine, base: type[DeclarativeBase]) -> None:
        if not isinstance(engine, Engine):
            raise ConfigError(
                "these sessions are of an engine of lichen.blocking, and this is another",
                hint="import Sessions from lichen_adapters.orm",
            )
        super().__init__(engine.asynchronous, base)
        self._blocking = engine

    def document(self, instance: Any) -> Document:  # type: ignore[override]  # the blocking form of a coroutine
        """The engine's handle of the document in which an object's row lies: its editors, presence and events.

        What has not been committed is not in it. Raises `SessionMisuse` for an object that has not been flushed.
        """
        return Document(self._blocking, self._blocking.run(super().document, instance))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@overload
def live(sessions: LiveFactory, statement: TypedReturnsRows[T], reads: Iterable[Any] = ()) -> Generator[Rows[T]]: ...


@overload
def live(  # type: ignore[overload-cannot-match]  # it is, for more than one thing
    sessions: LiveFactory, statement: TypedReturnsRows[*Ts], reads: Iterable[Any] = ()
) -> Generator[Rows[Row[*Ts]]]: ...


@overload
def live(
    sessions: LiveFactory, statement: Executable, reads: Iterable[Any] = ()
) -> Generator[Rows[Any]]: ...  # Any: a text does not say what its rows hold


def live(sessions: LiveFactory, statement: Executable, reads: Iterable[Any] = ()) -> Generator[Rows[Any]]:
    """As `lichen_adapters.orm.live`, for a plain loop: `for notes in live(sessions, select(Note))`.

    The statement runs on the thread of the loop. Raises `TimeoutError` as set by `lichen.blocking.timeout`, which
    ends it.
    """
    return _live(sessions, Query(sessions, statement, reads))


def _live(sessions: LiveFactory, query: Query) -> Generator[Rows[Any]]:
    woken = threading.Event()
    end = query.listen(woken.set)
    try:
        while not sessions.feed.closed:
            rows = query.next()
            if rows is not None:
                yield rows
            elif woken.wait(remaining("a live query")):
                woken.clear()
            else:
                raise TimeoutError("the rows of a live query stayed the same for the time of the block")
    finally:
        end()


def call_live(
    sessions: LiveFactory,
    statement: Executable,
    callback: Callable[[Rows[Any]], object],
    reads: Iterable[Any] = (),
    *,
    deliver: Deliver,
) -> Callable[[], None]:
    """As `lichen_adapters.orm.call_live`, with the callback called on the thread that `deliver` chooses.

    The statement runs on a thread of the sessions, again only after the callback has seen the rows before. Once the
    function that is returned was called on the callback's thread, the callback is called no more.
    """
    return call_live_anywhere(sessions, statement, callback, reads, deliver=deliver)
