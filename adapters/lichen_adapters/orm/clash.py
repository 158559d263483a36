"""Which of several rows with one unique key stands: the one that was begun first, the others are flagged.

Two devices can give one key to two rows while they do not hear of each other. Of all the live rows of a space that
claim a key, held ones too, the one that was begun first wins, by the clocks of the devices that began them, and of
those begun in the same millisecond the one with the smaller id. A row that loses one of its keys is flagged. This is
the same on every device, whatever came first, and nothing is lost: a flagged row is an ordinary one, outside the
unique index, and stands again when it wins.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, bindparam, or_, select, update

from lichen_adapters.orm.claims import Claim, Key, keys_of
from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.held import Held
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.projection import Content, Place, begun
from lichen_adapters.orm.rows import kept
from lichen_adapters.orm.unique_keys import BEGUN, CLASH, SPACE


class Clashes:
    """Keeps the flags of rows with unique keys right."""

    def __init__(self, held: Held) -> None:
        self._held = held

    def contested(self, conn: Connection, planned: SyncedTable) -> bool:
        """Whether any row of a table stands back, or is held: else the unique index has seen to everything."""
        clash = planned.table.c[CLASH]
        return conn.execute(select(clash).where(clash).limit(1)).first() is not None or self._held.any(conn, planned)

    def claim(self, conn: Connection, place: Place) -> Claim | None:
        """What a row claims as it is stored, in its table or held."""
        planned, key = place
        c = planned.table.c
        row = conn.execute(_claims(planned).where(c.id == key)).mappings().first()
        if row is None or row[SPACE] is None:
            return self._held.claims(conn, planned).get(key)
        return Claim(row[SPACE], row[BEGUN], keys_of(planned, row))

    def disclaim(self, conn: Connection, place: Place) -> None:
        """What a row claims is not what is in its table any more, from which it could not be deleted."""
        planned, key = place
        if planned.unique:
            chosen = update(planned.table).where(planned.table.c.id == key)
            conn.execute(chosen.values(kept(planned.table) | {SPACE: None, CLASH: False}))

    def columns(self, conn: Connection, place: Place, claim: Claim) -> dict[str, Any]:
        """What is written with a row that claims this: it stands back at first, where another claims the same."""
        planned, key = place
        found: dict[str, Any] = {SPACE: claim.space, BEGUN: claim.begun}
        if planned.joins:  # those in its way have been flagged
            return found | {CLASH: False}
        claimants = (one for wanted in claim.keys for one in self.claimants(conn, planned, claim.space, wanted))
        return found | {CLASH: True} if any(other != key for _, other in claimants) else found

    def changed(self, conn: Connection, planned: SyncedTable, *claims: Claim | None) -> None:
        """Rows that had or have these claims were written: make the flags right of all that share a key with them."""
        if planned.joins or not self.contested(conn, planned):
            return
        keys: dict[bytes, set[Key]] = {}
        for claim in claims:
            if claim is not None:
                keys.setdefault(claim.space, set()).update(claim.keys)
        for space, shared in keys.items():
            self._settle(conn, planned, space, shared)
        self._let_stand(conn, planned)

    def _let_stand(self, conn: Connection, planned: SyncedTable) -> None:
        """What has lost its last key to a null claims nothing, and stands back for nobody."""
        c = planned.table.c
        if all(any(c[name].nullable for name in names) for names in planned.unique):
            keyless = and_(*(or_(*(c[name].is_(None) for name in names)) for names in planned.unique))
            chosen = update(planned.table).where(c[CLASH], keyless)
            conn.execute(chosen.values(kept(planned.table) | {CLASH: False}))

    def losers(self, conn: Connection, planned: SyncedTable, rows: Iterable[uuid.UUID]) -> list[uuid.UUID]:
        """Those of these rows that stand back, or are about to be joined to another."""
        if planned.joins:
            return [row for row in rows if self.lost(conn, (planned, row))]
        c = planned.table.c
        return [row for row in rows if conn.scalar(select(c[CLASH]).where(c.id == row))]

    def lost(self, conn: Connection, place: Place) -> list[tuple[tuple[str, ...], uuid.UUID]]:
        """The keys that a row has lost, each with the row that has it."""
        claim = self.claim(conn, place)
        found = []
        for names, values in sorted(claim.keys if claim is not None else (), key=lambda one: one[0]):
            assert claim is not None
            winner = min(self.claimants(conn, place[0], claim.space, (names, values)))[1]
            if winner != place[1]:
                found.append((names, winner))
        return found

    def _settle(self, conn: Connection, planned: SyncedTable, space: bytes, keys: Iterable[Key]) -> None:
        table = planned.table
        winners: dict[Key, uuid.UUID] = {}

        def wins(row: uuid.UUID, key: Key) -> bool:
            if key not in winners:
                winners[key] = min(self.claimants(conn, planned, space, key))[1]
            return winners[key] == row

        flags: dict[bool, list[uuid.UUID]] = {True: [], False: []}
        rows = {row["id"]: row for key in keys for row in _rows(conn, planned, space, key)}
        for row in rows.values():
            stands_back = not all(wins(row["id"], key) for key in keys_of(planned, row))
            if stands_back != row[CLASH]:
                flags[stands_back].append(row["id"])
        for flag in (True, False):  # in this order: a row may stand only when the one in its way does not
            if flags[flag]:
                chosen = update(table).where(table.c.id == bindparam("row")).values(kept(table) | {CLASH: flag})
                conn.execute(chosen, [{"row": row} for row in flags[flag]])

    def claimants(self, conn: Connection, planned: SyncedTable, space: bytes, key: Key) -> list[tuple[int, uuid.UUID]]:
        """All that claim a key, held or not: when they were begun, and their ids."""
        found = [(row[BEGUN], row["id"]) for row in _rows(conn, planned, space, key)]
        claims = self._held.claims(conn, planned)
        return found + [(one.begun, row) for row, one in claims.items() if one.space == space and key in one.keys]


def claim_in(planned: SyncedTable, source: Content, fixed: dict[str, Any], space: bytes) -> Claim | None:
    """What a row claims as a document has it, beside the columns in `fixed`; None when that does not fit."""
    with suppress(Misfit):
        columns = planned.claiming - fixed.keys()
        row = fixed | {name: planned.columns[name].read(source) for name in columns}
        return Claim(space, begun(source), keys_of(planned, row))
    return None


def _claims(planned: SyncedTable) -> Select[Any]:
    c = planned.table.c
    return select(c.id, c[SPACE], c[BEGUN], c[CLASH], *(c[name] for name in sorted(planned.claiming)))


def _rows(conn: Connection, planned: SyncedTable, space: bytes, key: Key) -> list[RowMapping]:
    """The rows in the table that have a key: the one that stands, and those that stand back."""
    c = planned.table.c
    wanted = [c[SPACE] == space, *(c[name] == value for name, value in zip(*key, strict=True))]
    query = _claims(planned).where(*wanted)
    return [row for one in (~c[CLASH], c[CLASH]) for row in conn.execute(query.where(one)).mappings()]
