"""Devices without a network: a store each, and sessions on it. What one has written is handed to another by hand."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lichen.ids import DeviceKey, Session, SpaceId
from lichen.runtime.documents import build_crdt
from lichen.runtime.rows import WrittenDocument
from lichen.store import Store
from lichen.store import documents as tails
from lichen.store.schema import changes, documents
from lichen_adapters.orm import Misfit, Sessions
from lichen_adapters.orm.held import held_rows
from lichen_adapters.orm.projection import fixed, read_row, root_of, sources
from orm_models import Base
from sqlalchemy import Connection, select
from sqlalchemy.orm import DeclarativeBase

KEY = bytes(range(32))
SPACE = SpaceId(hashlib.sha256(b"space").digest())

Rows = dict[tuple[str, uuid.UUID], dict[str, Any]]


class Device:
    """One device: what sessions need of an engine, and the sessions."""

    def __init__(self, folder: Path, name: str, base: type[DeclarativeBase] = Base) -> None:
        self.device = DeviceKey(hashlib.sha256(name.encode()).digest())
        self.told: list[Sequence[WrittenDocument]] = []
        self._path = folder / f"{name}.db"
        self._base = base
        self._read_to: dict[Device, int] = {}
        self.start()

    def start(self) -> None:
        """Open the store."""
        self.store = Store.open(self._path, KEY)
        self.sessions = Sessions(self, self._base)
        self.sessions.prepare()

    def stop(self) -> None:
        """Close the store; a session that is writing is lost."""
        self.sessions.close()
        self.store.close()

    def expect_writer(self, session: Session) -> None:
        """Nothing is sealed here."""

    def written_elsewhere(self, written: Sequence[WrittenDocument]) -> None:
        """Note it."""
        self.told.append(written)

    def take_from(self, other: Device) -> None:
        """Take over every change that another device has and this one has not."""
        since = self._read_to.get(other, 0)
        query = (
            select(changes.c.num, changes.c.doc, changes.c.body).where(changes.c.num > since).order_by(changes.c.num)
        )
        found = other.store.read(lambda conn: [tuple(row) for row in conn.execute(query)]).result(9)

        def job(conn: Connection) -> None:
            for _, doc, body in found:
                if conn.scalar(select(changes.c.num).where(changes.c.doc == doc, changes.c.body == body)) is None:
                    tails.create_document(conn, doc, SPACE, 0)
                    tails.append_changes(conn, doc, [body])

        self.store.write(job).result(9)
        if found:
            self._read_to[other] = found[-1][0]

    def rows(self) -> Rows:
        """Every row of a synced table, without what is local."""

        def job(conn: Connection) -> Rows:
            found: Rows = {}
            for planned in self.sessions.plan:
                owner = [] if planned.owner is None else [planned.owner]
                columns = [planned.table.c.id, *owner, *(one.column for one in planned.columns.values())]
                for row in conn.execute(select(*columns)).mappings():
                    found[planned.name, row["id"]] = dict(row)
            return found

        return self.store.read(job).result(9)

    def held(self) -> set[tuple[str, uuid.UUID]]:
        """The rows that their tables did not take."""
        query = select(held_rows.c.table_name, held_rows.c.id)
        return self.store.read(lambda conn: {(row.table_name, row.id) for row in conn.execute(query)}).result(9)

    def projected(self) -> dict[tuple[str, uuid.UUID], dict[str, Any] | None]:
        """What the documents on the disk stand for, worked out apart from the rows; None for what does not fit."""

        def job(conn: Connection) -> dict[tuple[str, uuid.UUID], dict[str, Any] | None]:
            found: dict[tuple[str, uuid.UUID], dict[str, Any] | None] = {}
            for doc in list(conn.scalars(select(documents.c.doc))):
                document = build_crdt(*tails.load_tail(conn, doc), None)
                name = uuid.UUID(bytes=doc)
                root = root_of(self.sessions.plan, document)
                for (planned, key), source in ({} if root is None else sources(root, name, document)).items():
                    found[planned.name, key] = None
                    with contextlib.suppress(Misfit):
                        found[planned.name, key] = read_row(planned, source, fixed(planned, name, key))
            return found

        return self.store.read(job).result(9)

    def check(self) -> None:
        """Rows are what the documents say, but for those that are held."""
        held = self.held()
        projected = self.projected()
        assert held <= projected.keys()
        wanted = {place: row for place, row in projected.items() if place not in held}
        assert self.rows() == wanted
