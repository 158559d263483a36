"""Devices without a network: a store each, and sessions on it. What one has written is handed to another by hand."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Sequence
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
from lichen_adapters.orm.projection import begun, fixed, read_row, root_of, sources
from lichen_adapters.orm.unique_keys import CLASH
from lichen_crdt import Document
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
        self.began: dict[tuple[str, uuid.UUID], int] = {}
        self.spaces: dict[tuple[str, uuid.UUID], bytes] = {}
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
            select(changes.c.num, changes.c.doc, changes.c.body, documents.c.space)
            .join(documents, documents.c.doc == changes.c.doc)
            .where(changes.c.num > since)
            .order_by(changes.c.num)
        )
        found = other.store.read(lambda conn: [tuple(row) for row in conn.execute(query)]).result(9)

        def job(conn: Connection) -> None:
            for _, doc, body, space in found:
                if conn.scalar(select(changes.c.num).where(changes.c.doc == doc, changes.c.body == body)) is None:
                    tails.create_document(conn, doc, space, 0)
                    tails.append_changes(conn, doc, [body])

        self.store.write(job).result(9)
        if found:
            self._read_to[other] = found[-1][0]

    def edit(self, doc: uuid.UUID, work: Callable[[Document], object]) -> None:
        """A change that another program makes of a document."""

        def job(conn: Connection) -> None:
            document = build_crdt(*tails.load_tail(conn, doc.bytes), None)
            with document.change() as made:
                work(document)
            tails.append_changes(conn, doc.bytes, [change for _, change in made.changes])

        self.store.write(job).result(9)

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

    def flagged(self) -> set[tuple[str, uuid.UUID]]:
        """The rows that stand back for another."""

        def job(conn: Connection) -> set[tuple[str, uuid.UUID]]:
            unique = [planned for planned in self.sessions.plan if planned.unique]
            return {
                (planned.name, key)
                for planned in unique
                for key in conn.scalars(select(planned.table.c.id).where(planned.table.c[CLASH]))
            }

        return self.store.read(job).result(9)

    def projected(self) -> dict[tuple[str, uuid.UUID], dict[str, Any] | None]:
        """What the documents on the disk stand for, worked out apart from the rows; None for what does not fit."""

        def job(conn: Connection) -> dict[tuple[str, uuid.UUID], dict[str, Any] | None]:
            found: dict[tuple[str, uuid.UUID], dict[str, Any] | None] = {}
            for doc, space in list(conn.execute(select(documents.c.doc, documents.c.space))):
                document = build_crdt(*tails.load_tail(conn, doc), None)
                name = uuid.UUID(bytes=doc)
                root = root_of(self.sessions.plan, document)
                for (planned, key), source in ({} if root is None else sources(root, name, document)).items():
                    found[planned.name, key] = None
                    with contextlib.suppress(Misfit):
                        found[planned.name, key] = read_row(planned, source, fixed(planned, name, key))
                    self.began[planned.name, key] = begun(source)
                    self.spaces[planned.name, key] = space
            return found

        return self.store.read(job).result(9)

    def check(self) -> None:
        """Rows are what the documents say, but for those that are held."""
        held = self.held()
        projected = self.projected()
        assert held <= projected.keys()
        wanted = {place: row for place, row in projected.items() if place not in held}
        assert self.rows() == wanted
        assert self.flagged() == self._losers(projected) - held

    def _losers(self, projected: dict[tuple[str, uuid.UUID], dict[str, Any] | None]) -> set[tuple[str, uuid.UUID]]:
        """Which rows have a key that another has had for longer, worked out from all rows that documents stand for."""
        winners: dict[Any, uuid.UUID] = {}
        losers = set()
        for place in sorted(projected, key=lambda place: (self.began[place], place[1])):
            row = projected[place] or {}
            for number, names in enumerate(self.sessions.plan.tables[place[0]].unique):
                values = tuple(row.get(name) for name in names)
                if (
                    None not in values
                    and winners.setdefault((place[0], self.spaces[place], number, values), place[1]) != place[1]
                ):
                    losers.add(place)
        return losers
