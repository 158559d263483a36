"""Devices without a network: a store each, and sessions on it. What one has written is handed to another by hand."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from lichen.ids import DeviceKey, Session, SpaceId
from lichen.runtime.building import build_crdt
from lichen.runtime.rows import WrittenDocument
from lichen.runtime.unsealed_rows import UnsealedDocument
from lichen.store import Store
from lichen.store import documents as tails
from lichen.store.membership import add_space
from lichen.store.postgres import PostgresDatabase
from lichen.store.schema import changes, documents
from lichen.testing.postgres import PostgresServer
from lichen_adapters.orm import Misfit, Sessions, search_index
from lichen_adapters.orm.columns import SEARCH
from lichen_adapters.orm.disputes import disputed
from lichen_adapters.orm.held import held_rows
from lichen_adapters.orm.joins import joined_rows
from lichen_adapters.orm.plan import DELETED
from lichen_adapters.orm.projection import (
    Link,
    Place,
    begun,
    contents,
    fixed,
    links,
    owner_of,
    read_row,
    root_of,
    sources,
)
from lichen_adapters.orm.unique_keys import CLASH
from lichen_crdt import Document, List, Map
from lichen_crdt.views import plain
from orm_models import Base
from sqlalchemy import URL, Connection, make_url, select
from sqlalchemy.orm import DeclarativeBase

KEY = bytes(range(32))
SPACE = SpaceId(hashlib.sha256(b"space").digest())
OTHER_SPACE = SpaceId(hashlib.sha256(b"other space").digest())

Rows = dict[tuple[str, Any], dict[str, Any]]


@dataclass
class Projected:
    """What documents stand for."""

    rows: dict[tuple[str, uuid.UUID], dict[str, Any] | None] = field(default_factory=dict)
    """The rows that are shown; None for one that does not fit."""
    keys: dict[tuple[str, uuid.UUID], dict[str, Any]] = field(default_factory=dict)
    """What they claim, held or not: the columns of their unique keys, if all of these fit."""
    copies: set[tuple[str, uuid.UUID, uuid.UUID]] = field(default_factory=set)
    """Rows that live in a document, and are shown as they live in another: their table, id and document."""
    links: set[Link] = field(default_factory=set)
    """The rows of associations."""
    incomplete: set[tuple[str, uuid.UUID]] = field(default_factory=set)
    """Rows of objects over joined tables that have not all the rows that their class says."""
    joined: dict[tuple[str, uuid.UUID], uuid.UUID] = field(default_factory=dict)
    """The rows that are seen as others of the same name."""

    def add(self, place: Place, doc: uuid.UUID, source: Map) -> None:
        """A row is shown as it lies in this document."""
        planned, key = place
        self.rows[planned.name, key] = None
        with contextlib.suppress(Misfit):
            self.rows[planned.name, key] = read_row(planned, source, fixed(planned, doc, key))
        self.keys[planned.name, key] = {}
        with contextlib.suppress(Misfit):
            names = planned.claiming & planned.columns.keys()
            claimed = {name: planned.columns[name].read(source) for name in names}
            self.keys[planned.name, key] = claimed | fixed(planned, doc, key)


def _is_shown(place: Place, doc: uuid.UUID, source: Map, shown: dict[Place, uuid.UUID]) -> bool:
    """Whether what owns a row is shown as it lies in this document."""
    owner = None if place[0].owner is None else owner_of(place, doc, source)
    return owner is None or shown.get(owner) == doc


class Device:
    """One device: what sessions need of an engine, and the sessions."""

    server: ClassVar[PostgresServer | None] = None
    """Where the stores of new devices lie; None for SQLite."""

    def __init__(self, folder: Path, name: str, base: type[DeclarativeBase] = Base) -> None:
        self.device = DeviceKey(hashlib.sha256(name.encode()).digest())
        self.began: dict[tuple[str, uuid.UUID], int] = {}
        self.spaces: dict[tuple[str, uuid.UUID], bytes] = {}
        self.told: list[Sequence[WrittenDocument]] = []
        self.expected: list[Session] = []
        self.kept: set[tuple[str, uuid.UUID]] = set()
        """Held rows that are to be in their tables as they were, since a table without sync points at them."""
        self._path = folder / f"{name}.db"
        self._base = base
        self._read_to: dict[Device, int] = {}
        self._url: URL | None = None
        try:
            if self.server is not None:
                tables = f"{base.__module__}.{base.__qualname__} {id(base)}"
                self._url = make_url(self.server.copy(tables, self._make))
            self.start()
        except BaseException:
            self.store.close()
            raise

    def _make(self, url: str) -> None:
        """Make an empty store, with the tables, in a database."""
        self._url = make_url(url)
        self.start()
        self.stop()

    @property
    def url(self) -> str:
        """Where its store lies, in PostgreSQL."""
        assert self._url is not None
        return self._url.render_as_string(hide_password=False)

    def start(self, *, create: bool = True) -> None:
        """Open the store; it stays so where sessions are refused, to be looked at."""
        if self._url is None:
            self.store = Store.open(self._path, KEY)
        else:
            self.store = Store(PostgresDatabase(self._url, lambda wrapped: (KEY, wrapped or b"wrapped")))
        self.store.write(lambda conn: [add_space(conn, space, 0, None) for space in (SPACE, OTHER_SPACE)]).result(9)
        self.sessions = Sessions(self, self._base)
        self.sessions.prepare(create=create)

    def stop(self) -> None:
        """Close the store; a session that is writing is lost."""
        self.sessions.close()
        self.store.close()

    def expect_writer(self, session: Session) -> None:
        """Nothing is sealed here: note it."""
        self.expected.append(session)

    def written_elsewhere(self, written: Sequence[WrittenDocument], unsealed: Sequence[UnsealedDocument]) -> None:
        """Note it."""
        self.told.append(written)

    def take_from(self, other: Device, only: uuid.UUID | None = None) -> None:
        """Take over every change that another device has and this one has not, or those of one document."""
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
                if only is not None and doc != only.bytes:
                    continue
                if body not in conn.scalars(select(changes.c.body).where(changes.c.doc == doc)).all():
                    tails.create_documents(conn, [doc], space, 0)
                    tails.append_changes(conn, {doc: [body]})

        self.store.write(job).result(9)
        if found and only is None:
            self._read_to[other] = found[-1][0]

    def edit(self, doc: uuid.UUID, work: Callable[[Document], object]) -> None:
        """A change that another program makes of a document."""

        def job(conn: Connection) -> None:
            document = build_crdt(*tails.load_tail(conn, doc.bytes), None)
            with document.change() as made:
                work(document)
            tails.append_changes(conn, {doc.bytes: [change for _, change in made.changes]})

        self.store.write(job).result(9)

    def rows(self) -> Rows:
        """Every row of a synced table, without what is local; those of associations under both ends."""

        def job(conn: Connection) -> Rows:
            found: Rows = {}
            for planned in self.sessions.plan:
                owner = [] if planned.owner is None else [planned.owner]
                columns = [planned.key, *owner, *(one.column for one in planned.columns.values())]
                for row in conn.execute(select(*dict.fromkeys(columns))).mappings():
                    key = row[planned.key.name]
                    found[planned.name, key if planned.other is None else (row[owner[0].name], key)] = dict(row)
            return found

        return self.store.read(job).result(9)

    def held(self) -> set[tuple[str, uuid.UUID]]:
        """The rows that their tables did not take."""
        return {(table, key) for table, key, _ in self.held_in()}

    def held_in(self) -> set[tuple[str, uuid.UUID, uuid.UUID]]:
        """As `held`, with the documents."""
        query = select(held_rows.c.table_name, held_rows.c.id, held_rows.c.doc)
        return self.store.read(lambda conn: {(row[0], row[1], row[2]) for row in conn.execute(query)}).result(9)

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

    def disputed(self) -> set[tuple[str, uuid.UUID, uuid.UUID, str]]:
        """What is noted as being in dispute."""
        query = select(disputed.c.table_name, disputed.c.id, disputed.c.doc, disputed.c.column_name)
        return self.store.read(lambda conn: {tuple(row) for row in conn.execute(query)}).result(9)

    def disputes(self) -> set[tuple[str, uuid.UUID, uuid.UUID, str]]:
        """What is in dispute in the documents on the disk, worked out apart from the notes."""

        def job(conn: Connection) -> set[tuple[str, uuid.UUID, uuid.UUID, str]]:
            found = set()
            for doc in list(conn.scalars(select(documents.c.doc))):
                document = build_crdt(*tails.load_tail(conn, doc), None)
                root, name = root_of(self.sessions.plan, document), uuid.UUID(bytes=doc)
                for (planned, key), source in ({} if root is None else sources(root, name, document)).items():
                    columns = (one for one in planned.columns if len(source.conflicts(one)) > 1)
                    found |= {(planned.name, key, name, column) for column in columns}
                there = {} if root is None else contents(root, name, document)
                for place, source in there.items():
                    if source.get(DELETED) and _edited(document, place, name, there):
                        found.add((place[0].name, place[1], name, DELETED))
            return found

        return self.store.read(job).result(9)

    def projected(self) -> Projected:
        """What the documents on the disk stand for, worked out apart from the rows."""

        def job(conn: Connection) -> Projected:
            found = Projected()
            lives: dict[Place, dict[uuid.UUID, tuple[Map, bytes]]] = {}
            associated: list[tuple[Link, uuid.UUID]] = []
            for doc, space in list(conn.execute(select(documents.c.doc, documents.c.space))):
                document = build_crdt(*tails.load_tail(conn, doc), None)
                name = uuid.UUID(bytes=doc)
                root = root_of(self.sessions.plan, document)
                if root is not None:
                    there = sources(root, name, document)
                    for place, source in there.items():
                        lives.setdefault(place, {})[name] = source, space
                    associated += [(link, name) for link in links(root, name, document, there)]
            shown: dict[Place, uuid.UUID] = {}
            for place in sorted(lives, key=lambda place: place[0].number):
                docs = [doc for doc, (source, _) in lives[place].items() if _is_shown(place, doc, source, shown)]
                if docs:
                    shown[place] = doc = min(docs)
                    source, space = lives[place][doc]
                    found.add(place, doc, source)
                    self.began[place[0].name, place[1]] = begun(source)
                    self.spaces[place[0].name, place[1]] = space
                found.copies |= {(place[0].name, place[1], doc) for doc in lives[place] if doc != shown.get(place)}
            found.links |= {link for link, doc in associated if shown.get(link.owner) == doc}
            return found

        found = self.store.read(job).result(9)
        self._class(found)
        self._join(found)
        return found

    def _class(self, projected: Projected) -> None:
        """See of each object the rows that its class says, and no others."""
        for mapper in self._base.registry.mappers:
            table, tells = str(mapper.local_table), mapper.polymorphic_on
            if mapper.inherits is not None or tells is None or table not in self.sessions.plan.tables:
                continue
            tables = {str(one.local_table) for one in mapper.self_and_descendants}
            for name, key in [place for place in projected.rows if place[0] == table]:
                cls = mapper.polymorphic_map.get((projected.rows[name, key] or {}).get(str(tells.name)))
                own = tables if cls is None else {str(one.local_table) for one in cls.iterate_to_root()}
                assert all((one, key) not in projected.rows for one in tables - own), "no rows of other classes"
                there = {(one, key) for one in own if (one, key) in projected.rows}
                if cls is not None and len(there) < len(own):
                    projected.incomplete |= there

    def _join(self, projected: Projected) -> None:
        """See rows of joining tables that have one key as the one that was begun first."""
        first: dict[Any, uuid.UUID] = {}
        for place in sorted(projected.rows, key=lambda place: (self.began[place], place[1])):
            planned, row = self.sessions.plan.tables[place[0]], projected.rows[place] or {}
            key = tuple(row.get(name) for name in planned.claiming) if planned.joins else (None,)
            if None not in key and (one := first.setdefault((place[0], self.spaces[place], key), place[1])) != place[1]:
                projected.joined[place] = one
        seen = projected.joined
        for place in seen:
            del projected.rows[place]
        for (table, _), row in projected.rows.items():
            for column in self.sessions.plan.tables[table].table.columns:
                for key in column.foreign_keys:
                    target = key.column.table.name, (row or {}).get(column.name)
                    if row is not None and target in seen:
                        row[column.name] = seen[target]
        to = {link: next(iter(link.table.key.foreign_keys)).column.table.name for link in projected.links}
        projected.links = {
            Link(link.table, link.owner, seen.get((to[link], link.other), link.other)) for link in projected.links
        }

    def joined(self) -> dict[tuple[str, uuid.UUID], uuid.UUID]:
        """The rows that are noted as seen as others."""
        c = joined_rows.c
        query = select(c.table_name, c.id, c.seen_as)
        return self.store.read(lambda conn: {(row[0], row[1]): row[2] for row in conn.execute(query)}).result(9)

    def check(self) -> None:
        """Rows are what the documents say, but for those that are held."""
        projected = self.projected()
        assert self.joined() == projected.joined
        assert self.held_in() >= projected.copies
        held = {(table, key) for table, key, _ in self.held_in() - projected.copies}
        assert self.kept <= held
        assert held - self.kept <= projected.rows.keys()
        assert projected.incomplete <= held, "objects are shown whole"
        tables = self.sessions.plan.tables
        assert {(base.name, key) for table, key in held for base in tables[table].bases} <= held, (
            "objects are held whole"
        )
        wanted: dict[Any, Any] = {place: row for place, row in projected.rows.items() if place not in held}
        wanted |= {place: self.rows()[place] for place in self.kept}
        for link in projected.links:
            table, owner, other = link.table, link.owner, link.other
            assert table.owner is not None
            if (owner[0].name, owner[1]) not in held:
                wanted[table.name, (owner[1], other)] = {table.owner.name: owner[1], table.key.name: other}
        rows = self.rows()
        assert rows == wanted, {
            place: (rows.get(place), wanted.get(place))
            for place in rows.keys() | wanted.keys()
            if rows.get(place) != wanted.get(place)
        }
        assert self.disputed() == self.disputes()
        assert self.flagged() == self._losers(projected) - held
        self.store.write(self._check_indexes).result(9)

    def _check_indexes(self, conn: Connection) -> None:
        """What is searched is what rows hold: FTS5 compares them."""
        for planned in self.sessions.plan:
            if SEARCH in planned.table.info and conn.dialect.name == "sqlite":
                search_index.check(conn, planned.table)

    def _losers(self, projected: Projected) -> set[tuple[str, uuid.UUID]]:
        """Which rows have a key that another has had for longer, worked out from all rows that documents stand for."""
        winners: dict[Any, uuid.UUID] = {}
        losers = set()
        for place in sorted(projected.rows, key=lambda place: (self.began[place], place[1])):
            row = projected.keys[place]
            for number, names in enumerate(self.sessions.plan.tables[place[0]].unique):
                values = tuple(row.get(name) for name in names)
                if (
                    not self.sessions.plan.tables[place[0]].joins
                    and None not in values
                    and winners.setdefault((place[0], self.spaces[place], number, values), place[1]) != place[1]
                ):
                    losers.add(place)
        return losers


def exchange(*devices: Device) -> None:
    """All hear all, and their rows are what their documents say."""
    for one in devices:
        for other in devices:
            if one is not other:
                one.take_from(other)
    for device in devices:
        device.check()


def _edited(document: Document, place: Place, doc: uuid.UUID, there: dict[Place, Map]) -> bool:
    """Whether a deleted row, of which no owner is deleted, or what it owns, is not what it was when it was deleted.

    That an edit lost against another is seen too.
    """
    owners: list[Place] = []
    at: Place | None = place
    # The rows of one object are beneath each other, whether those between are there or not.
    while at is not None and at[0].owner is not None and (at in there or at[0].owner is at[0].key):
        at = owner_of(at, doc, there.get(at, there[place]))
        owners += [] if at is None else [at]
    if any(owner in there and there[owner].get(DELETED) for owner in owners):
        return False
    heads = there[place][DELETED]
    before = [heads[start : start + 32] for start in range(0, len(heads), 32)]
    names = None if place[0].owner is None else {part[0].place(part[1]) for part in _owned(place, doc, there)}
    then, now = (
        {name: value for name, value in _shown(one).items() if names is None or name in names}
        for one in (document.at(before), document)
    )
    links = {name for name in then if name.startswith("@") and then[name][0] is True and name not in now}
    return {name: then[name] for name in then.keys() - links} != now


def _shown(content: Map) -> dict[str, tuple[Any, bool]]:
    """At each key the value that won, and whether others lost; without marks of deletion."""
    return {key: (_inside(value), len(content.conflicts(key)) > 1) for key, value in content.items() if key != DELETED}


def _inside(value: Any) -> Any:
    if isinstance(value, Map):
        return _shown(value)
    if isinstance(value, List):
        return [(_inside(one), len(value.conflicts(place)) > 1) for place, one in enumerate(value)]
    return plain(value)


def _owned(place: Place, doc: uuid.UUID, there: dict[Place, Map]) -> list[Place]:
    found = [place]
    for owner in found:
        found += [one for one in there if one[0].owner is not None and owner_of(one, doc, there[one]) == owner]
    return found
