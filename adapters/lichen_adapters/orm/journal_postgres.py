"""The journal on PostgreSQL: what its triggers have noted, which belong to the schema."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Connection, MetaData

from lichen_adapters.orm import driver
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.journal import JOURNAL, Touched
from lichen_adapters.orm.plan import Plan, SyncedTable
from lichen_adapters.orm.postgres_triggers import require

_TABLE = f"CREATE TEMP TABLE {JOURNAL} (tbl text, key uuid, owner uuid) ON COMMIT DELETE ROWS"
_FAILED = "25P02"
"""How PostgreSQL says that it takes no statement any more in this transaction."""


class PostgresJournal:
    """A `lichen_adapters.orm.journal.Journal`."""

    def __init__(self, metadata: MetaData, plan: Plan) -> None:
        self._metadata = metadata
        self._plan = plan

    def opened(self, dbapi: Any) -> None:
        """Give the connection its table."""
        dbapi.execute(_TABLE)

    def guard(self, dbapi: Any) -> None:
        """The triggers refuse it."""

    def begin(self, dbapi: Any, statement: str) -> None:
        """Begin a transaction that writes."""
        dbapi.execute(f"{statement}; SET LOCAL lichen.writer = 'session'")

    def goes_on(self, dbapi: Any) -> bool:
        """One in which a statement has failed has not ended."""
        return bool(driver.of(dbapi).info.transaction_status.name != "IDLE")

    def watch(self, dbapi: Any) -> None:
        """Triggers are looked for at the commit."""

    def touch(self, conn: Connection, planned: SyncedTable, row: uuid.UUID, doc: uuid.UUID) -> None:
        """Note a row."""
        conn.exec_driver_sql(f"INSERT INTO pg_temp.{JOURNAL} VALUES (%s, %s, %s)", (planned.name, row, doc))

    def take(self, dbapi: Any) -> dict[SyncedTable, Touched]:
        """What the transaction has touched, by table.

        Raises `SessionMisuse` where a trigger is missing, or one of its statements has failed.
        """
        found: dict[SyncedTable, Touched] = {}
        query = f"SELECT tbl, key, owner FROM pg_temp.{JOURNAL} ORDER BY ctid"
        try:
            dbapi.execute("SET CONSTRAINTS ALL IMMEDIATE")  # triggers that were to fire at the commit write too
            rows = dbapi.execute(query).fetchall()
        except Exception as error:
            if getattr(error, "sqlstate", None) != _FAILED:
                raise
            raise SessionMisuse(
                "a statement of this transaction has failed, after which PostgreSQL keeps nothing of it",
                hint="roll it back; run a statement that may fail in `session.begin_nested()`",
            ) from error
        require(dbapi, self._metadata, self._plan)
        for name, key, owner in rows:
            found.setdefault(self._plan.tables[name], Touched({}, {})).add(key, owner)
        return found

    def forget(self, dbapi: Any) -> None:
        """The commit empties it."""

    def rolled_back(self) -> None:
        """Nothing is remembered of it."""
