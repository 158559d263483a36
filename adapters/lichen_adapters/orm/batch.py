"""Rows that wait to be written many at a time: one statement for all that write the same columns of a table."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, update
from sqlalchemy.exc import StatementError

from lichen_adapters.orm.projection import Place, Row
from lichen_adapters.orm.rows import kept
from lichen_adapters.orm.savepoints import savepoint

MOST = 1_000
"""Rows that wait."""
_KEY = "@@"


class Write(NamedTuple):
    """A row that is inserted, or whose columns are updated."""

    doc: uuid.UUID
    place: Place
    new: bool
    row: Row

    @property
    def group(self) -> tuple[bool, int, tuple[str, ...]]:
        """What can be written together, in the order in which it must be: owners are declared before their parts."""
        return not self.new, self.place[0].number, tuple(self.row)


@dataclass(slots=True)
class Batch:
    """What waits, for rows whose tables have neither unique keys nor held rows.

    `one` writes a row by itself, where the database does not take it together with the others.
    """

    one: Callable[[Connection, Write], None]
    _waiting: list[Write] = field(default_factory=list)
    _docs: set[uuid.UUID] = field(default_factory=set)

    def add(self, conn: Connection, write: Write) -> None:
        """Write this with the next batch."""
        self._waiting.append(write)
        self._docs.add(write.doc)
        if len(self._waiting) >= MOST:
            self.flush(conn)

    def settle(self, conn: Connection, doc: uuid.UUID) -> None:
        """The rows of this document are about to be read, or written again."""
        if doc in self._docs:
            self.flush(conn)

    def flush(self, conn: Connection) -> None:
        """Write all that waits."""
        while self._waiting:  # a row that is held may have more to be written
            groups: dict[tuple[Any, ...], list[Write]] = {}
            for write in self._waiting:
                groups.setdefault(write.group, []).append(write)
            self.clear()
            for group in sorted(groups):
                _write_together(conn, groups[group], self.one)

    def clear(self) -> None:
        """The transaction is over."""
        self._waiting.clear()
        self._docs.clear()


def _write_together(conn: Connection, writes: list[Write], one: Callable[[Connection, Write], None]) -> None:
    try:
        with savepoint(conn):
            _execute(conn, writes)
    except StatementError:
        for write in writes:
            one(conn, write)


def _execute(conn: Connection, writes: list[Write]) -> None:
    planned = writes[0].place[0]
    if writes[0].new:
        conn.execute(insert(planned.table), [write.row for write in writes])
    else:
        values: Row = {name: bindparam(f"@{name}") for name in writes[0].row}
        chosen = update(planned.table).where(planned.table.c.id == bindparam(_KEY))
        rows = [{f"@{name}": value for name, value in write.row.items()} | {_KEY: write.place[1]} for write in writes]
        conn.execute(chosen.values(kept(planned.table) | values), rows)
