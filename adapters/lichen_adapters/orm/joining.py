"""Makes rows of one natural key one, and what points at them follow."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import Connection, and_, column, delete, exists, select, table, update
from sqlalchemy.exc import IntegrityError

from lichen_adapters.orm.claims import Claim
from lichen_adapters.orm.clash import Clashes
from lichen_adapters.orm.joins import Joins
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.projection import Place
from lichen_adapters.orm.rows import delete_rows, home_of, kept
from lichen_adapters.orm.savepoints import savepoint
from lichen_adapters.orm.unique_keys import CLASH


@dataclass(frozen=True, slots=True)
class Joining:
    """Decides which rows are one, in a transaction that has changed what they claim.

    Of the live rows of a space that claim one key, held ones too, the one that stands (see `clash`) is seen, and the
    others are seen as it. `rebuild` makes the rows of a document what it says; `flush` writes rows that wait.
    """

    plan: Plan
    clashes: Clashes
    joins: Joins
    rebuild: Callable[[Connection, uuid.UUID], object]
    flush: Callable[[Connection], None]

    def stands(self, conn: Connection, place: Place, claim: Claim) -> bool:
        """Whether a row that claims this is seen as itself; then those of its key in the table stand back."""
        planned, key = place
        others = self._claimants(conn, planned, claim) | {key: claim}
        if _winner(others) != key:
            return False
        for other in others.keys() - {key}:
            self._stand_back(conn, planned, other)
        return True

    def changed(
        self, conn: Connection, planned: SyncedTable, rows: Mapping[uuid.UUID, tuple[Claim | None, Claim | None]]
    ) -> None:
        """Make right what these rows, and all that share a key with them, are seen as.

        Each row comes with what it claimed before, and claims now; None for nothing.
        """
        now: dict[uuid.UUID, Claim | None] = {}
        for claims in rows.values():
            for claim in claims:
                now |= {} if claim is None else self._claimants(conn, planned, claim)
        now |= {row: claim for row, (_, claim) in rows.items()}
        self._see(conn, planned, now)

    def _claimants(self, conn: Connection, planned: SyncedTable, claim: Claim) -> dict[uuid.UUID, Claim]:
        """The rows that claim the same."""
        found: dict[uuid.UUID, Claim] = {}
        for key in claim.keys:
            found |= self.joins.claims(conn, planned, claim.space, key)
            joined = self.joins.of(conn, planned)  # what these claim is noted, whatever their table still has
            for begun, row in self.clashes.claimants(conn, planned, claim.space, key):
                if row not in joined:
                    found[row] = Claim(claim.space, begun, frozenset({key}))
        return found

    def _see(self, conn: Connection, planned: SyncedTable, now: Mapping[uuid.UUID, Claim | None]) -> None:
        """Given all that claim any of some keys, see each as what it is."""
        before = {row: self.joins.of(conn, planned).get(row, row) for row in now}
        seen = {row: row if claim is None else _winner_for(claim, now) for row, claim in now.items()}
        for row, claim in now.items():
            if claim is not None and seen[row] != row:
                self.joins.join(conn, planned, row, seen[row], claim)
            else:
                self.joins.part(conn, planned, row)
        moved = [row for row in now if before[row] != seen[row]]
        hidden = [row for row in now if seen[row] != row and self._is_shown(conn, planned, row)]
        if not moved and not hidden:
            return
        self.flush(conn)
        pointing = self._pointing(conn, planned, {before[row] for row in moved if before[row] != row})
        for row in hidden:
            self._stand_back(conn, planned, row)
        for row in moved:
            if now[row] is not None and seen[row] == row and not self._is_shown(conn, planned, row):
                self.rebuild(conn, row)
        for row in moved:
            if before[row] == row:
                self._redirect(conn, planned, row, seen[row])
        for row in hidden:
            with suppress(IntegrityError), savepoint(conn):  # a table of others may point at it: then it stays
                delete_rows(conn, planned, [row])
        for doc in pointing:
            self.rebuild(conn, doc)

    def _stand_back(self, conn: Connection, planned: SyncedTable, row: uuid.UUID) -> None:
        """Take a row out of the way of the unique index."""
        chosen = update(planned.table).where(planned.table.c.id == row)
        conn.execute(chosen.values(kept(planned.table) | {CLASH: True}))

    def _is_shown(self, conn: Connection, planned: SyncedTable, row: uuid.UUID) -> bool:
        return conn.scalar(select(planned.table.c.id).where(planned.table.c.id == row)) is not None

    def _redirect(self, conn: Connection, planned: SyncedTable, row: uuid.UUID, to: uuid.UUID) -> None:
        """What is seen to point at one row now points at another."""
        for one in self.plan:
            for name, target in one.references.items():
                if target is not planned:
                    continue
                points, owner = one.table.c[name], one.owner
                if one.other is not None and owner is not None:  # its owner may be associated with both
                    pair = table(one.name, column(name), column(owner.name)).alias()
                    both = exists().where(and_(pair.c[name] == to, pair.c[owner.name] == owner))
                    conn.execute(delete(one.table).where(points == row, both))
                conn.execute(update(one.table).where(points == row).values(kept(one.table) | {name: to}))
        for local in self.plan.local_references[planned]:
            with suppress(IntegrityError), savepoint(conn):  # it may be unique, or the other held: then it stays
                conn.execute(update(local.table).where(local == row).values(kept(local.table) | {local.name: to}))

    def _pointing(self, conn: Connection, planned: SyncedTable, rows: set[uuid.UUID]) -> list[uuid.UUID]:
        """The documents in which something is seen to point at one of these rows."""
        found: dict[uuid.UUID, None] = {}
        for one in self.plan if rows else ():
            for name, target in one.references.items():
                if target is not planned:
                    continue
                key, above = (one.table.c.id, one) if one.other is None else (one.owner, one.above)
                assert key is not None
                assert above is not None
                for place in conn.scalars(select(key).where(one.table.c[name].in_(rows)).distinct()).all():
                    home = home_of(conn, (above, place))
                    found |= {} if home is None else {home: None}
        return list(found)


def _winner(claims: Mapping[uuid.UUID, Claim]) -> uuid.UUID:
    return min((claim.begun, row) for row, claim in claims.items())[1]


def _winner_for(claim: Claim, now: Mapping[uuid.UUID, Claim | None]) -> uuid.UUID:
    """Which row stands of those that claim the same."""
    return _winner(
        {
            row: one
            for row, one in now.items()
            if one is not None and one.space == claim.space and (one.keys & claim.keys or one is claim)
        }
    )
