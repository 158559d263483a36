"""Rows that a document stands for and the database does not take: noted beside the tables, with the reason."""

from __future__ import annotations

import uuid

from sqlalchemy import Column, Connection, MetaData, String, Table, Text, Uuid, delete, insert, select

from lichen_adapters.orm.plan import SyncedTable

metadata = MetaData()

held_rows = Table(
    "lichen_held_rows",
    metadata,
    Column("table_name", String, primary_key=True),
    Column("id", Uuid, primary_key=True),
    Column("doc", Uuid, nullable=False),
    Column("reason", Text, nullable=False),
)


class Held:
    """The held rows. Which tables have some is kept in memory, since hardly ever one has."""

    def __init__(self) -> None:
        self._tables: set[str] | None = None

    def _known(self, conn: Connection) -> set[str]:
        """The tables that have, or had lately, held rows."""
        if self._tables is None:
            self._tables = set(conn.scalars(select(held_rows.c.table_name).distinct()))
        return self._tables

    def holds(self, conn: Connection, planned: SyncedTable, key: uuid.UUID) -> bool:
        """Whether a row is held."""
        if planned.name not in self._known(conn):
            return False
        c = held_rows.c
        query = select(c.id).where(c.table_name == planned.name, c.id == key)
        return conn.scalar(query) is not None

    def hold(self, conn: Connection, planned: SyncedTable, key: uuid.UUID, doc: uuid.UUID, reason: str) -> None:
        """Note a row, instead of what was noted of it before."""
        self.release(conn, planned, key)
        self._known(conn).add(planned.name)
        conn.execute(insert(held_rows).values(table_name=planned.name, id=key, doc=doc, reason=reason))

    def release(self, conn: Connection, planned: SyncedTable, key: uuid.UUID) -> None:
        """It is in its table, or gone."""
        if planned.name in self._known(conn):
            c = held_rows.c
            conn.execute(delete(held_rows).where(c.table_name == planned.name, c.id == key))
