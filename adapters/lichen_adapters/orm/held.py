"""Rows that a document stands for and the database does not take: noted beside the tables, with the reason."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import Column, Connection, LargeBinary, MetaData, String, Table, Text, Uuid, delete, insert, select

from lichen_adapters.orm import claims
from lichen_adapters.orm.claims import Claim
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.projection import Place

metadata = MetaData()

held_rows = Table(
    "lichen_held_rows",
    metadata,
    Column("table_name", String, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("doc", Uuid, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("claim", LargeBinary),
)

repaired_rows = Table(
    "lichen_repaired_rows",
    metadata,
    Column("table_name", String, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("doc", Uuid, primary_key=True),
    Column("reason", Text, nullable=False),
)
"""Rows that are in their tables, but not as their documents have them: their class has put them right."""


class Held:
    """The held rows. Which tables have some is kept in memory, since hardly ever one has."""

    def __init__(self) -> None:
        self._tables: dict[Table, set[str]] = {}

    def _known(self, conn: Connection, noted: Table = held_rows) -> set[str]:
        """The tables that have, or had lately, held rows, or repaired ones."""
        if noted not in self._tables:
            self._tables[noted] = set(conn.scalars(select(noted.c.table_name).distinct()))
        return self._tables[noted]

    def holds(self, conn: Connection, planned: SyncedTable, key: uuid.UUID) -> bool:
        """Whether a row is held."""
        if not self.any(conn, planned):
            return False
        c = held_rows.c
        query = select(c.id).where(c.table_name == planned.name, c.id == key).limit(1)
        return conn.scalar(query) is not None

    def any(self, conn: Connection, planned: SyncedTable) -> bool:
        """Whether a table has held rows, or had lately."""
        return planned.name in self._known(conn)

    def of(self, conn: Connection, tables: Iterable[SyncedTable], doc: uuid.UUID) -> list[Place]:
        """The held rows of a document, of these tables."""
        c = held_rows.c
        return [
            (planned, key)
            for planned in tables
            if self.any(conn, planned)
            for key in conn.scalars(select(c.id).where(c.table_name == planned.name, c.doc == doc))
        ]

    def claims(self, conn: Connection, planned: SyncedTable) -> dict[uuid.UUID, Claim]:
        """What the held rows of a table claim."""
        if not self.any(conn, planned):
            return {}
        c = held_rows.c
        query = select(c.id, c.claim).where(c.table_name == planned.name, c.claim.is_not(None))
        return {row.id: claims.loads(planned, row.claim) for row in conn.execute(query)}

    def hold(self, conn: Connection, place: Place, doc: uuid.UUID, reason: str, claim: Claim | None) -> None:
        """Note a row, instead of what was noted of it before."""
        planned, key = place
        self.release(conn, planned, key, doc)
        self._known(conn).add(planned.name)
        written = None if claim is None else claims.dumps(planned, claim)
        conn.execute(insert(held_rows).values(table_name=planned.name, id=key, doc=doc, reason=reason, claim=written))

    def docs(self, conn: Connection, planned: SyncedTable, key: uuid.UUID) -> set[uuid.UUID]:
        """The documents whose row of this id is held."""
        if not self.any(conn, planned):
            return set()
        c = held_rows.c
        return set(conn.scalars(select(c.doc).where(c.table_name == planned.name, c.id == key)))

    def release(self, conn: Connection, planned: SyncedTable, key: uuid.UUID, doc: uuid.UUID) -> None:
        """It is in its table as its document has it, or gone from this document."""
        for noted in (held_rows, repaired_rows):
            if planned.name in self._known(conn, noted):
                c = noted.c
                conn.execute(delete(noted).where(c.table_name == planned.name, c.id == key, c.doc == doc))

    def notes(self, conn: Connection, planned: SyncedTable) -> bool:
        """Whether a table has held or repaired rows, or had lately."""
        return any(planned.name in self._known(conn, noted) for noted in (held_rows, repaired_rows))

    def repaired(self, conn: Connection, place: Place, doc: uuid.UUID, reason: str) -> None:
        """Note a row that is in its table as its class has put it right."""
        planned, key = place
        self.release(conn, planned, key, doc)
        self._known(conn, repaired_rows).add(planned.name)
        conn.execute(insert(repaired_rows).values(table_name=planned.name, id=key, doc=doc, reason=reason))
