"""Who wants to know is told which rows a committed transaction has changed, of a session here or of a merge."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import MetaData, Table

from lichen_adapters.orm.errors import SessionMisuse

log = logging.getLogger("lichen.orm")

MOST_ROWS = 4_000
"""Of changes to more rows of a table, or of a transaction, only the tables are told."""

Columns = frozenset[str] | None
"""The names of the columns that have another value now; None for a row that came, went, or has another key."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What one committed transaction has changed."""

    tables: Mapping[str, Mapping[uuid.UUID, Columns] | None]
    """By the name of the table the changed rows by their id; None where any of its rows may have changed: the table
    has another key than a UUID, the transaction changed many rows, or it was not seen from its begin."""
    merged: bool
    """It was not written by a session here, but came from another device or from an edit of a document."""


def both(one: Changes, other: Changes) -> Changes:
    """The changes of two transactions."""
    tables = dict(one.tables)
    for table, rows in other.tables.items():
        before = tables.get(table, {})
        if before is None or rows is None or len(before) + len(rows) > MOST_ROWS:
            tables[table] = None
            continue
        both = dict(before)
        for row, columns in rows.items():
            known = both.get(row, frozenset())
            both[row] = None if known is None or columns is None else known | columns
        tables[table] = both
    return Changes(tables, one.merged and other.merged)


Listener = Callable[[Changes], None]


class Feed:
    """Tells listeners of changes, soon after the commit, on the thread that committed.

    Two transactions that follow each other closely may be told in any order. What a listener raises is logged.
    """

    def __init__(self, metadata: MetaData) -> None:
        self._metadata = metadata
        self._listeners: tuple[tuple[Listener, Callable[[], None]], ...] = ()
        """Replaced as a whole, so that who tells needs no lock."""
        self.closed = False
        """Nothing is told any more."""

    @property
    def tables(self) -> list[Table]:
        """Those whose changes are told: all that the application has declared."""
        return self._metadata.sorted_tables

    @property
    def names(self) -> set[str]:
        """The names of these tables."""
        return {table.name for table in self._metadata.tables.values()}

    @property
    def listened(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    def refuse_closed(self) -> None:
        """Raises `SessionMisuse` when nothing is told any more."""
        if self.closed:
            raise SessionMisuse(
                "these sessions are closed: rows are not kept up to date with documents any more",
                hint="make `Sessions(engine, Base)` anew, and call its prepare()",
            )

    def listen(self, listener: Listener, closed: Callable[[], None] = lambda: None) -> Callable[[], None]:
        """Call `listener` after every commit that changes rows, and `closed` when there will be no more; neither may
        block. Returns what ends that.

        What is committed from now on is told, also by a transaction that has begun already.
        """
        entry = (listener, closed)
        with _lock:
            self._listeners = (*self._listeners, entry)

        def end() -> None:
            with _lock:
                self._listeners = tuple(one for one in self._listeners if one is not entry)

        return end

    def tell(self, changes: Changes) -> None:
        """To be called after the commit."""
        for listener, _ in self._listeners:
            try:
                listener(changes)
            except Exception:
                log.exception("a listener to changes of rows failed")

    def close(self) -> None:
        """Let all who listen go; idempotent."""
        self.closed = True
        with _lock:
            listeners, self._listeners = self._listeners, ()
        for _, closed in listeners:
            closed()


_lock = threading.Lock()
