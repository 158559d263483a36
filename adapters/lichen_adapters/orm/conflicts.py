"""What a merge left to people: the sides of each conflict, and a call that settles it.

A merge decides everything by itself, so that rows are valid and the same everywhere; these are the decisions that
somebody may want to look at. Each is settled within the session, by its commit.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from lichen.ids import DeviceKey
from lichen_crdt import Map
from sqlalchemy import Connection, Row, Table, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, class_mapper

from lichen_adapters.orm.clash import Clashes
from lichen_adapters.orm.disputes import disputed
from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.held import held_rows, repaired_rows
from lichen_adapters.orm.joins import joined_rows
from lichen_adapters.orm.objects import attribute_of, column_of
from lichen_adapters.orm.plan import DELETED, SyncedTable
from lichen_adapters.orm.projection import Content, Place, content_of, fitting, is_of_its_class
from lichen_adapters.orm.restoring import accept, put, read_document, restore, sessions_of, settle
from lichen_adapters.orm.unique_keys import CLASH
from lichen_adapters.orm.writers import devices_of


@dataclass(frozen=True, slots=True)
class Clash:
    """Two rows have one unique key: one stands, and this one stands back."""

    row: Any  # an object of the application's
    """The row that stands back."""
    standing: Any | None  # as above
    """The row that has the key; None when that one is held."""
    columns: tuple[str, ...]
    """The attributes of the key."""
    session: Session = field(repr=False)

    def resolve(self, **values: Any) -> None:
        """Give the row that stands back other values, such as a key of its own."""
        for name, value in values.items():
            setattr(self.row, name, value)

    def remove(self) -> None:
        """Delete the row that stands back."""
        self.session.delete(self.row)


@dataclass(frozen=True, slots=True)
class Side:
    """One of several values of a column."""

    value: Any  # as the column has it
    device: DeviceKey | None
    """Whose it is; None when that device's changes are not known to be of a device, as those of another program."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """Several devices wrote one column at the same time: one value won."""

    row: Any  # an object of the application's
    column: str
    """The attribute."""
    sides: tuple[Side, ...]
    """The one that won is the last."""
    document: uuid.UUID = field(repr=False)
    """The document in which the row lies."""
    session: Session = field(repr=False)

    def resolve(self, value: Any) -> None:
        """Write a value, which may be one of these: the others are gone with the commit."""
        setattr(self.row, self.column, value)
        column = class_mapper(type(self.row)).attrs[self.column].columns[0]
        settle(self.session, type(self.row), self.row.id, self.document, column.name)


@dataclass(frozen=True, slots=True)
class HeldRow:
    """The database does not take a row; of an object over joined tables, one of its rows."""

    cls: type[Any]
    id: uuid.UUID
    reason: str
    """In the database's words, or in those of the column that it does not fit."""
    values: Mapping[str, Any]
    """Its attributes, without those that do not fit their columns."""
    document: uuid.UUID = field(repr=False)
    """The document in which the row lies."""
    session: Session = field(repr=False)

    def resolve(self, **values: Any) -> Any:
        """Put the row in its table with other values, and its parts; returns the object. Raises `IntegrityError`."""
        given: dict[object, dict[str, Any]] = {}
        mapper = class_mapper(self.cls)
        for name, value in values.items():
            column = column_of(class_mapper(self.cls), name)
            given.setdefault(column.table, {})[name] = value
            if column is mapper.polymorphic_on:
                mapper = mapper.polymorphic_map.get(value, mapper)
        found = None
        classes = sessions_of(self.session).classes
        with self.session.begin_nested():
            for table in dict.fromkeys(one.local_table for one in reversed([*mapper.iterate_to_root()])):
                found = put(self.session, classes[table], self.id, given.get(table, {}), self.document)
        for rows in self._objects()[1:]:
            with suppress(IntegrityError), self.session.begin_nested():
                for cls, row in rows:
                    put(self.session, cls, row, {}, self.document)
        return found

    def remove(self) -> None:
        """Delete the row, and its parts."""
        for rows in self._objects():
            for cls, row in rows:
                settle(self.session, cls, row, self.document, DELETED)

    def _objects(self) -> list[list[tuple[type[Any], uuid.UUID]]]:
        """The rows of this object, those of bases first; then of its parts, if it is a document: held with it."""
        sessions = sessions_of(self.session)
        noted = self.session.connection().execute(select(held_rows).where(held_rows.c.doc == self.document)).all()
        tables = ((sessions.plan.tables.get(row.table_name), row.id) for row in noted)
        held = [(planned, row) for planned, row in tables if planned is not None]
        own = sessions.plan.tables[str(class_mapper(self.cls).local_table)].first, self.id
        found: dict[Place, list[tuple[type[Any], uuid.UUID]]] = {own: []}
        for planned, row in sorted(held, key=lambda one: one[0].number):
            found.setdefault((planned.first, row), []).append((sessions.classes[planned.table], row))
        return [*found.values()] if self.id == self.document else [found[own]]


@dataclass(frozen=True, slots=True)
class Repaired:
    """The database does not take a row as its document has it, and shows it as its class puts it right."""

    row: Any  # an object of the application's
    """The row as it is shown."""
    reason: str
    """In the database's words, or in those of the column that it does not fit."""
    values: Mapping[str, Any]
    """Its attributes as the document has them, without those that do not fit their columns."""
    document: uuid.UUID = field(repr=False)
    """The document in which the row lies."""
    session: Session = field(repr=False)

    def resolve(self, **values: Any) -> None:
        """Write the row into its document as it is shown, or with other values."""
        for name, value in values.items():
            setattr(self.row, name, value)
        accept(self.session, type(self.row), self.row.id, self.document)

    def remove(self) -> None:
        """Delete the row."""
        self.session.delete(self.row)


@dataclass(frozen=True, slots=True)
class EditedDeletion:
    """One device deleted a row, and another that did not know of it edited it: it is deleted."""

    cls: type[Any]
    id: uuid.UUID
    values: Mapping[str, Any]
    """Its attributes, with the edits."""
    document: uuid.UUID = field(repr=False)
    """The document in which the row lies."""
    session: Session = field(repr=False)

    def restore(self) -> Any:
        """Bring the row back, with the edits and with the parts that were deleted with it; returns the object."""
        return restore(self.session, self.cls, self.id, document=self.document)

    def remove(self) -> None:
        """Leave it deleted: it is no conflict any more."""
        settle(self.session, self.cls, self.id, self.document, DELETED)


@dataclass(frozen=True, slots=True)
class Joined:
    """Several devices made rows of one natural key: they are seen as one, and this one is not seen itself."""

    row: Any | None  # an object of the application's
    """The row that is seen; None when that one is held."""
    cls: type[Any]
    id: uuid.UUID
    """The row that is seen as it."""
    values: Mapping[str, Any]
    """Its attributes."""
    session: Session = field(repr=False)

    def separate(self, **values: Any) -> Any:
        """Make it a row of its own, with another key; what was made to point at it does again. Returns the object.

        Raises `IntegrityError` when another row has that key.
        """
        return put(self.session, self.cls, self.id, values, self.id)


Conflict = Clash | Dispute | EditedDeletion | HeldRow | Joined | Repaired


def conflicts(session: Session) -> list[Conflict]:
    """Everything that merges left to people, in all spaces. Raises `SessionMisuse` for a session of another kind."""
    return [*_clashes(session), *_held(session), *_repaired(session), *_disputes(session), *_joined(session)]


def _attributes(cls: type[Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    mapper = class_mapper(cls)
    return {attribute_of(mapper, mapper.local_table.c[name]): value for name, value in columns.items()}


def _clashes(session: Session) -> list[Clash]:
    sessions = sessions_of(session)
    clashes: Clashes = sessions.projector.clashes
    conn = session.connection()
    found = []
    for planned in sessions.plan:
        table = planned.table
        for row in list(conn.scalars(select(table.c.id).where(table.c[CLASH]))) if planned.unique else ():
            cls = sessions.classes[table]
            for names, standing in clashes.lost(conn, (planned, row)):
                key = tuple(_attributes(cls, dict.fromkeys(names)))
                found.append(Clash(session.get(cls, row), session.get(cls, standing), key, session))
    return found


def _noted(session: Session, notes: Table, doc: str = "doc") -> Iterator[tuple[Row[Any], type[Any], dict[str, Any]]]:
    """What is noted of rows, with the class of each, and its values in the document that the column `doc` names."""
    sessions, conn = sessions_of(session), session.connection()
    for row in conn.execute(select(notes)).all():
        planned = sessions.plan.tables.get(row.table_name)
        content = None if planned is None else content_of(read_document(conn, getattr(row, doc)), planned, row.id)
        if planned is not None and content is not None:
            cls, said = sessions.classes[planned.table], planned.class_of(content)
            yield row, cls if said is None else said.class_, _attributes(cls, fitting(planned, content))


def _held(session: Session) -> list[HeldRow]:
    of_whole = select(held_rows.c.doc).where(held_rows.c.id == held_rows.c.doc)
    whole = set(session.connection().scalars(of_whole))
    found: dict[tuple[SyncedTable, uuid.UUID, uuid.UUID], HeldRow] = {}
    tables = sessions_of(session).plan.tables
    noted = sorted(_noted(session, held_rows), key=lambda one: tables[one[0].table_name].number)
    for row, cls, values in noted:
        if row.id == row.doc or row.doc not in whole:
            one = tables[row.table_name].first, row.id, row.doc
            base = found.get(one)
            if base is None:
                found[one] = HeldRow(cls, row.id, row.reason, values, row.doc, session)
            else:
                lower = cls if issubclass(cls, base.cls) else base.cls
                found[one] = replace(base, cls=lower, values={**base.values, **values})
    return [*found.values()]


def _repaired(session: Session) -> list[Repaired]:
    return [
        Repaired(session.get(cls, row.id), row.reason, values, row.doc, session)
        for row, cls, values in _noted(session, repaired_rows)
    ]


def _joined(session: Session) -> list[Joined]:
    return [
        Joined(session.get(cls, row.seen_as), cls, row.id, values, session)
        for row, cls, values in _noted(session, joined_rows, doc="id")
    ]


def _disputes(session: Session) -> list[Dispute | EditedDeletion]:
    sessions = sessions_of(session)
    conn = session.connection()
    found: list[Dispute | EditedDeletion] = []
    held = {(row.table_name, row.id, row.doc) for row in conn.execute(select(held_rows))}
    for noted in conn.execute(select(disputed)).all():
        if (noted.table_name, noted.id, noted.doc) in held:
            continue
        planned = sessions.plan.tables.get(noted.table_name)
        content = None if planned is None else content_of(read_document(conn, noted.doc), planned, noted.id)
        if planned is None or content is None:
            continue
        cls = sessions.classes[planned.table]
        if noted.column_name == DELETED and planned.base is not None:
            document = read_document(conn, noted.doc)
            bases: dict[Place, Content] = {
                (base, noted.id): content_of(document, base, noted.id) or {} for base in planned.bases
            }
            if not is_of_its_class((planned, noted.id), bases):
                continue
        if noted.column_name == DELETED:
            values = _attributes(cls, fitting(planned, content))
            found.append(EditedDeletion(cls, noted.id, values, noted.doc, session))
        elif (row := session.get(cls, noted.id)) is not None:
            sides = _sides_of(conn, sessions.memory.device, planned, content, noted.doc, noted.column_name)
            (attribute,) = _attributes(cls, {noted.column_name: None})
            found.append(Dispute(row, attribute, sides, noted.doc, session))
    return found


def _sides_of(
    conn: Connection, own: DeviceKey, planned: SyncedTable, content: Map, doc: uuid.UUID, column: str
) -> tuple[Side, ...]:
    devices = devices_of(conn, doc, own)
    found = []
    for one in content.conflicts(column):
        with suppress(Misfit):
            value = None if one.value is None else planned.columns[column].merging.read(one.value)
            found.append(Side(value, devices.get(one.actor)))
    return tuple(found)
