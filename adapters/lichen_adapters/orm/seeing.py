"""Rows that a session has written, made to point at what is seen of the rows that they point at."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy import Connection, RowMapping, delete, insert, select

from lichen_adapters.orm.joins import Joins
from lichen_adapters.orm.journal import Touched
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.rows import CHUNK, update_row

Pair = tuple[uuid.UUID, uuid.UUID]
"""A row of an association: its owner, and the other end."""


class Seeing:
    """What rows of joining tables are seen as, for a transaction that has touched these."""

    def __init__(self, conn: Connection, joins: Joins, touched: Mapping[SyncedTable, Touched]) -> None:
        self._conn = conn
        self._joins = joins
        self._apart = {planned: set(self._separated(planned, what)) for planned, what in touched.items()}
        """The rows that were joined, and that this transaction has put into their tables."""

    def _separated(self, planned: SyncedTable, what: Touched) -> Iterator[uuid.UUID]:
        joined = [key for key in what.keys if key in self._joins.of(self._conn, planned)] if planned.joins else []
        for start in range(0, len(joined), CHUNK):
            chosen = planned.table.c.id.in_(joined[start : start + CHUNK])
            yield from self._conn.scalars(select(planned.table.c.id).where(chosen))

    def is_apart(self, planned: SyncedTable, row: uuid.UUID) -> bool:
        """Whether a row was joined, and this transaction has put it into its table."""
        return row in self._apart.get(planned, ())

    def of(self, target: SyncedTable) -> Mapping[uuid.UUID, uuid.UUID]:
        """What the rows of a table are seen as; without those that are seen as themselves."""
        seen, apart = self._joins.of(self._conn, target), self._apart.get(target)
        return {row: to for row, to in seen.items() if row not in apart} if apart else seen

    def followers(self, target: SyncedTable, row: uuid.UUID) -> list[uuid.UUID]:
        """The rows that are seen as this one."""
        apart = self._apart.get(target, ())
        return [one for one in self._joins.followers(self._conn, target, row) if one not in apart]

    def links(self, planned: SyncedTable, pair: Pair) -> tuple[str, ...]:
        """The keys of a document that stand for a row of an association; the first is that of the row itself."""
        others = (one for target in planned.references.values() for one in self.followers(target, pair[1]))
        return tuple(planned.link(pair[0], one) for one in (pair[1], *others))

    def fit(self, planned: SyncedTable, rows: Mapping[uuid.UUID, RowMapping]) -> bool:
        """Let rows point at what is seen; whether any did not."""
        wrong = False
        for name, target in planned.references.items():
            seen = self.of(target)
            for key in [key for key, row in rows.items() if seen and row[name] in seen]:
                update_row(self._conn, (planned, key), {name: seen[rows[key][name]]})
                wrong = True
        return wrong

    def fit_pairs(self, planned: SyncedTable, pairs: Iterable[Pair]) -> list[Pair]:
        """As `fit`, for rows of an association, which may be there no more; returns what they are then."""
        found = list(pairs)
        for target in planned.references.values():
            seen = self.of(target)
            for owner, other in [pair for pair in found if pair[1] in seen]:
                self._exchange(planned, owner, other, seen[other])
            found = [(owner, seen.get(other, other)) for owner, other in found]
        return [*dict.fromkeys(found)]

    def _exchange(self, planned: SyncedTable, owner: uuid.UUID, other: uuid.UUID, shown: uuid.UUID) -> None:
        assert planned.owner is not None
        mine = planned.owner == owner
        if self._conn.execute(delete(planned.table).where(mine, planned.key == other)).rowcount:
            there = select(planned.key).where(mine, planned.key == shown)
            if self._conn.execute(there).first() is None:
                self._conn.execute(insert(planned.table).values({planned.owner.name: owner, planned.key.name: shown}))
