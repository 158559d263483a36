"""The journal of a connection: which rows of synced tables a transaction has touched.

Triggers write it. They see what no session event does: bulk and Core statements, raw SQL, upserts, and what the
database itself deletes along with something else; and a savepoint that is rolled back takes its part of the journal
with it. What the rows held before stands in their documents, so the journal keeps only keys.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from lichen.store.schema import documents
from sqlalchemy import Connection

from lichen_adapters.orm.plan import SyncedTable

JOURNAL = "lichen_journal"
"""The table, which each connection has for itself."""


@dataclass(frozen=True, slots=True)
class Touched:
    """The rows that a transaction has touched, in one table."""

    keys: dict[uuid.UUID, None]
    """Their ids; of an association, the other ends."""
    owners: dict[uuid.UUID, dict[uuid.UUID, None]]
    """Every owner that a row had or has, or a document that holds it; a document's row is its own."""

    def add(self, key: uuid.UUID, owner: uuid.UUID | None) -> None:
        """One row."""
        self.keys[key] = None
        if owner is not None:
            self.owners.setdefault(key, {})[owner] = None


def has_documents(dbapi: Any) -> bool:
    """Whether the store has any: without them, there is nothing that rows could differ from."""
    return dbapi.execute(f"SELECT 1 FROM {documents.name} LIMIT 1").fetchone() is not None


class Journal(Protocol):
    """The journal of one connection, whatever the database. `dbapi` is that connection, of the driver."""

    def opened(self, dbapi: Any) -> None:
        """The connection is new."""

    def guard(self, dbapi: Any) -> None:
        """Let nothing be written on the connection before `begin`."""

    def begin(self, dbapi: Any, statement: str) -> None:
        """Begin a transaction that writes, by this statement of the store's."""

    def goes_on(self, dbapi: Any) -> bool:
        """Whether the transaction that `begin` has begun has not ended yet, as the driver knows without asking."""

    def watch(self, dbapi: Any) -> None:
        """A statement that may write comes next."""

    def touch(self, conn: Connection, planned: SyncedTable, row: uuid.UUID, doc: uuid.UUID) -> None:
        """Have the commit bring a row up to date in a document, though no statement has written it."""

    def take(self, dbapi: Any) -> dict[SyncedTable, Touched]:
        """What the transaction has touched, by table; just before it is committed, and once."""

    def forget(self, dbapi: Any) -> None:
        """What the transaction has touched since then is to be in no other's journal."""

    def rolled_back(self) -> None:
        """The transaction is not committed."""
