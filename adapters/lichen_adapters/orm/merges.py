"""Which objects of an open session a merge has changed: told between its units of work."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary, ref

from sqlalchemy import event, inspect
from sqlalchemy.orm import InstanceState, Session, SessionTransaction

from lichen_adapters.orm.feed import Changes, Feed, both

log = logging.getLogger("lichen.orm")


@dataclass(frozen=True, slots=True)
class Merged:
    """An object of a session whose row has been changed by another device, or by an edit of its document."""

    instance: Any  # Any: it is of any mapped class
    attributes: frozenset[str] | None
    """Those that may be out of date; None for all of them: the row is gone, or too much changed to say."""


AfterMerge = Callable[[Session, Sequence[Merged]], object]


class Merges:
    """Gathers what merges change for each open session, and tells it when the session is in no transaction.

    A session that was made on an event loop is told there, as soon as it is in no transaction; another at the end of
    its next transaction, or by `tell`. Nothing is expired or refreshed by this: the callback may.
    """

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._callbacks: tuple[AfterMerge, ...] = ()
        self._end: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._pending: WeakKeyDictionary[Session, Changes | None] = WeakKeyDictionary()
        self._loops: WeakKeyDictionary[Session, asyncio.AbstractEventLoop] = WeakKeyDictionary()

    def listen(self, callback: AfterMerge) -> Callable[[], None]:
        """Call it for the sessions that are made from now on. Returns what ends that."""
        with self._lock:
            if not self._callbacks:
                self._end = self._feed.listen(self._told)
            self._callbacks = (*self._callbacks, callback)

        def end() -> None:
            with self._lock:
                self._callbacks = tuple(one for one in self._callbacks if one is not callback)
                if not self._callbacks:
                    self._end()

        return end

    def add(self, session: Session) -> None:
        """A session was made, on this thread."""
        if not self._callbacks:
            return
        event.listen(session, "after_transaction_end", self._ended)
        with self._lock:
            self._pending[session] = None
            try:
                self._loops[session] = asyncio.get_running_loop()
            except RuntimeError:  # none runs here
                return

    def tell(self, session: Session) -> None:
        """Tell now what has been merged, unless the session is in a transaction. On the session's own thread."""
        if session.in_transaction():
            return
        with self._lock:
            changes = self._pending.get(session)
            if changes is not None:
                self._pending[session] = None
        merged = [] if changes is None else list(_merged(session, changes))
        for callback in self._callbacks if merged else ():
            try:
                callback(session, merged)
            except Exception:
                log.exception("what was called after a merge failed")

    def _ended(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:
            self.tell(session)

    def _told(self, changes: Changes) -> None:
        if not changes.merged:
            return
        with self._lock:
            for session, before in list(self._pending.items()):
                self._pending[session] = changes if before is None else both(before, changes)
            loops = [(loop, ref(session)) for session, loop in self._loops.items()]
        for loop, session_ref in loops:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._tell_if_there, session_ref)

    def _tell_if_there(self, session_ref: ref[Session]) -> None:
        session = session_ref()
        if session is not None:
            self.tell(session)


def _merged(session: Session, changes: Changes) -> Iterator[Merged]:
    for instance in list(session.identity_map.values()):
        state: InstanceState[Any] = inspect(instance)
        found: frozenset[str] = frozenset()
        for table in state.mapper.tables:
            rows = changes.tables.get(table.name, {})
            columns = None if rows is None else rows.get(state.identity[0], frozenset())  # type: ignore[index]  # it has one
            if columns is None:
                yield Merged(instance, None)
                break
            changed = {table.c[name] for name in columns}
            found |= {one.key for one in state.mapper.column_attrs if changed.intersection(one.columns)}
            found |= {one.key for one in state.mapper.relationships if changed & one.local_columns}
        else:
            if found:
                yield Merged(instance, found)
