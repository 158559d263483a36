"""From rows to documents: what a database transaction has touched becomes one transaction in each document."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lichen.crypto.plaintext import CHANGE_BYTES
from lichen.ids import DocId, SpaceId
from lichen.runtime import rows
from lichen.runtime.document import too_large
from lichen.runtime.sealer import run_of
from lichen_crdt import Document, Map
from sqlalchemy import Connection, RowMapping, select

from lichen_adapters.orm import plan
from lichen_adapters.orm.claims import Claim
from lichen_adapters.orm.clash import Clashes, claim_in
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.journal import Touched
from lichen_adapters.orm.memory import Memory
from lichen_adapters.orm.plan import DELETED, TABLE, SyncedTable
from lichen_adapters.orm.projection import fixed
from lichen_adapters.orm.settlement import complete, settle
from lichen_adapters.orm.unique_keys import BEGUN, SPACE

CHUNK = 500
"""Keys in one statement."""

Rows = dict[uuid.UUID, RowMapping]
Keys = dict[SyncedTable, list[uuid.UUID]]


@dataclass(frozen=True, slots=True)
class Begun:
    """A document that a new row begins: in which space, and under which nonce its id was made."""

    space: SpaceId
    nonce: bytes


class Capture:
    """Writes what was touched into documents, and these into the store, on the connection that touched it."""

    def __init__(
        self, conn: Connection, memory: Memory, clashes: Clashes, begun: Mapping[uuid.UUID, Begun], now_ms: int
    ) -> None:
        self._conn = conn
        self._memory = memory
        self._clashes = clashes
        self._begun = begun
        self._now_ms = now_ms
        self._rows: dict[SyncedTable, Rows] = {}

    def write(self, touched: Mapping[SyncedTable, Touched]) -> list[rows.WrittenDocument]:
        """One CRDT transaction in each document; returns what each made.

        Raises `SessionMisuse`, `Misfit` for values that cannot merge, and `ChangeTooLarge`.
        """
        work: dict[uuid.UUID, Keys] = {}
        for planned, what in touched.items():
            self._rows[planned] = self._fetch(planned, list(what.keys))
            if planned.unique and complete(self._conn, planned, self._rows[planned], self._space_of, self._now_ms):
                self._rows[planned] = self._fetch(planned, list(what.keys))
            for key in what.keys:
                for doc in what.owners[key]:
                    work.setdefault(doc, {}).setdefault(planned, []).append(key)
        self._memory.load(self._conn, (doc for doc in work if doc not in self._begun))
        before = {planned: self._claims(planned, what) for planned, what in touched.items() if self._contested(planned)}
        written = [one for doc, keys in work.items() if (one := self._document(doc, keys)) is not None]
        rows.write_many(self._conn, written, self._now_ms)
        for planned, claims in before.items():
            settle(self._conn, self._clashes, planned, claims, self._rows[planned])
        return written

    def _fetch(self, planned: SyncedTable, keys: Sequence[uuid.UUID]) -> Rows:
        query = select(planned.table.c.id, *([] if planned.owner is None else [planned.owner]))
        query = query.add_columns(*(one.column for one in planned.columns.values()))
        if planned.unique:
            query = query.add_columns(planned.table.c[SPACE], planned.table.c[BEGUN])
        found: Rows = {}
        for start in range(0, len(keys), CHUNK):
            chosen = query.where(planned.table.c.id.in_(keys[start : start + CHUNK]))
            found.update((row["id"], row) for row in self._conn.execute(chosen).mappings())
        return found

    def _space_of(self, doc: uuid.UUID) -> SpaceId:
        begun = self._begun.get(doc)
        return self._memory.space(self._conn, doc) if begun is None else begun.space

    def _contested(self, planned: SyncedTable) -> bool:
        return bool(planned.unique) and self._clashes.contested(self._conn, planned)

    def _claims(self, planned: SyncedTable, touched: Touched) -> dict[uuid.UUID, Claim | None]:
        """What rows claimed before, by their documents."""
        found: dict[uuid.UUID, Claim | None] = {}
        for key, owners in touched.owners.items():
            for doc in owners:
                document = None if doc in self._begun else self._memory.get(self._conn, doc)
                content = None if document is None else content_of(document, planned, key)
                if content is not None and not content.get(DELETED):
                    found[key] = claim_in(planned, content, fixed(planned, doc, key), self._space_of(doc))
        return found

    def _document(self, doc: uuid.UUID, keys: Keys) -> rows.WrittenDocument | None:
        begun = self._begun.get(doc)
        document = self._memory.get(self._conn, doc) if begun is None else None
        if document is None:
            if not any(doc in self._rows[planned] for planned in keys if planned.owner is None):
                return None  # it came and went in this transaction
            if begun is None:
                raise SessionMisuse(
                    f"row {doc} has an id that the engine did not make",
                    hint="leave the id out: it is made when the row is flushed",
                )
            document = self._memory.new(doc)
        deps = self._memory.deps(doc)
        try:
            with document.change(None, self._now_ms // 1000, max_bytes=CHANGE_BYTES) as made:
                for planned, touched in keys.items():
                    for key in touched:
                        _write_row(document, doc, planned, key, self._rows[planned].get(key))
        except OverflowError as refused:
            raise too_large(refused) from refused
        if not made.changes:
            return None
        self._memory.wrote(doc, made.changes[-1][0])
        return rows.WrittenDocument(
            DocId(doc.bytes),
            document.heads,
            rows.title_of(document),
            run_of(self._memory.session, made.changes, deps),
            None if begun is None else (begun.space, begun.nonce),
        )


def _write_row(
    document: Document, doc: uuid.UUID, planned: SyncedTable, key: uuid.UUID, row: RowMapping | None
) -> None:
    if planned.owner is None:
        _fill(document, planned, row, {TABLE: planned.name})
        return
    here = row is not None and row[planned.owner.name] == doc  # else it was deleted, or is in another document now
    content = content_of(document, planned, key)
    if content is None:
        if not here:
            return
        rows_of_part = document.setdefault(planned.place, {})
        rows_of_part[key.hex] = {}
        content = rows_of_part[key.hex]
    _fill(content, planned, row if here else None, {})


def content_of(document: Document, planned: SyncedTable, key: uuid.UUID) -> Map | None:
    """Where a row lies in a document; None where it does not."""
    if planned.owner is None:
        return document
    part = document.get(planned.place)
    content = part.get(key.hex) if isinstance(part, Map) else None
    return content if isinstance(content, Map) else None


def _fill(target: Map, planned: SyncedTable, row: RowMapping | None, fixed: dict[str, Any]) -> None:
    """Make a map hold a row; None marks it as deleted."""
    if row is None:
        if not target.get(DELETED):
            target[DELETED] = True
        return
    if not len(target):
        if planned.unique:
            fixed = fixed | {plan.BEGUN: row[BEGUN]}
        target.update(fixed | {name: column.new(row[name]) for name, column in planned.columns.items()})
        return
    if target.get(DELETED):
        del target[DELETED]
    target.update(fixed)
    for name, column in planned.columns.items():
        column.write(target, row[name])
