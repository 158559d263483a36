"""Rows that are one with another: several devices gave them one natural key, in a class with `clash="join"`.

The one that was begun first is the row that is seen. The others are noted here, beside the tables; what points at them
in documents is read as if it pointed at that one.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import BigInteger, Column, Connection, Index, LargeBinary, String, Table, Uuid, delete, insert, select

from lichen_adapters.orm import claims
from lichen_adapters.orm.claims import Claim, Key
from lichen_adapters.orm.held import metadata
from lichen_adapters.orm.plan import SyncedTable
from lichen_adapters.orm.projection import Link, Row

joined_rows = Table(
    "lichen_joined_rows",
    metadata,
    Column("table_name", String, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("seen_as", Uuid, nullable=False),
    Column("space", LargeBinary, nullable=False),
    Column("begun", BigInteger, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Index("lichen_joined_rows_key", "table_name", "space", "key"),
)


class Joins:
    """Which rows are seen as which others; kept in memory, since few are."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[uuid.UUID, uuid.UUID]] | None = None

    def forget(self) -> None:
        """A transaction that may have changed it was rolled back."""
        self._seen = None

    def forget_others(self, conn: Connection, tables: Collection[str]) -> None:
        """Only the rows of these tables are joined now."""
        conn.execute(delete(joined_rows).where(joined_rows.c.table_name.not_in(tables)))
        self._seen = None

    def of(self, conn: Connection, planned: SyncedTable) -> Mapping[uuid.UUID, uuid.UUID]:
        """The rows of a table that are joined, and what each is seen as."""
        return self._all(conn).get(planned.name, {})

    def _all(self, conn: Connection) -> dict[str, dict[uuid.UUID, uuid.UUID]]:
        if self._seen is None:
            found: dict[str, dict[uuid.UUID, uuid.UUID]] = {}
            for row in conn.execute(select(joined_rows.c.table_name, joined_rows.c.id, joined_rows.c.seen_as)):
                found.setdefault(row.table_name, {})[row.id] = row.seen_as
            self._seen = found
        return self._seen

    def followers(self, conn: Connection, planned: SyncedTable, row: uuid.UUID) -> list[uuid.UUID]:
        """The rows that are seen as this one."""
        if row not in self.of(conn, planned).values():
            return []
        c = joined_rows.c
        return list(conn.scalars(select(c.id).where(c.table_name == planned.name, c.seen_as == row).order_by(c.id)))

    def claim(self, conn: Connection, planned: SyncedTable, row: uuid.UUID) -> Claim | None:
        """What a joined row claims."""
        if row not in self.of(conn, planned):
            return None
        c = joined_rows.c
        found = conn.execute(select(joined_rows).where(c.table_name == planned.name, c.id == row)).one()
        return Claim(found.space, found.begun, frozenset({claims.loads_key(planned, found.key)}))

    def claims(self, conn: Connection, planned: SyncedTable, space: bytes, key: Key) -> dict[uuid.UUID, Claim]:
        """The joined rows that have a key."""
        if not self.of(conn, planned):
            return {}
        c = joined_rows.c
        chosen = c.table_name == planned.name, c.space == space, c.key == claims.dumps_key(planned, key)
        query = select(c.id, c.begun).where(*chosen)
        return {row.id: Claim(space, row.begun, frozenset({key})) for row in conn.execute(query)}

    def join(self, conn: Connection, planned: SyncedTable, row: uuid.UUID, to: uuid.UUID, claim: Claim) -> None:
        """Note that a row is seen as another, instead of what was noted of it before."""
        self.part(conn, planned, row)
        (key,) = claim.keys
        conn.execute(
            insert(joined_rows).values(
                table_name=planned.name,
                id=row,
                seen_as=to,
                space=claim.space,
                begun=claim.begun,
                key=claims.dumps_key(planned, key),
            )
        )
        self._all(conn).setdefault(planned.name, {})[row] = to

    def part(self, conn: Connection, planned: SyncedTable, row: uuid.UUID) -> None:
        """A row is its own again, or gone."""
        if self._all(conn).get(planned.name, {}).pop(row, None) is not None:
            c = joined_rows.c
            conn.execute(delete(joined_rows).where(c.table_name == planned.name, c.id == row))

    def seen(self, conn: Connection, planned: SyncedTable, row: Row) -> Row:
        """A row of any table, with what is seen of the rows that it points at."""
        for name, target in planned.references.items():
            if row.get(name) is not None and (there := self.of(conn, target)):
                row[name] = there.get(row[name], row[name])
        return row

    def seen_links(self, conn: Connection, links: Iterable[Link]) -> dict[Link, None]:
        """The rows of associations that are seen for these, of documents."""
        return {self._seen_link(conn, link): None for link in links}

    def _seen_link(self, conn: Connection, link: Link) -> Link:
        for target in link.table.references.values():
            return Link(link.table, link.owner, self.of(conn, target).get(link.other, link.other))
        return link
