"""Rows that are not in their tables brought back into them, from their documents."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from lichen.errors import NotFound
from lichen.runtime.building import build_crdt
from lichen.store.documents import load_tail
from lichen_crdt import Document, Map
from sqlalchemy import Connection, insert, select
from sqlalchemy.orm import Session, class_mapper

from lichen_adapters.orm.clash import claim_in
from lichen_adapters.orm.disputes import deletion_heads, disputed
from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.held import held_rows
from lichen_adapters.orm.objects import column_of
from lichen_adapters.orm.plan import DELETED, SyncedTable
from lichen_adapters.orm.projection import (
    Link,
    Place,
    begun,
    content_of,
    contents,
    fitting,
    fixed,
    is_of_its_class,
    links,
    owner_of,
    root_of,
)
from lichen_adapters.orm.rows import update_row, write_links
from lichen_adapters.orm.sessions import Sessions
from lichen_adapters.orm.synced import SESSIONS
from lichen_adapters.orm.transactions import WRITING
from lichen_adapters.orm.unique_keys import BEGUN, SPACE


def restore(session: Session, cls: type[Any], row: uuid.UUID, *, document: uuid.UUID | None = None) -> Any:
    """Bring a deleted row back, with the parts and rows of associations that were deleted with it; returns the object.

    `document` is the row in whose document a part lies; it can be left out where an edit is in conflict with the
    deletion. Where another row has its key, the one that was begun first stands, as after a merge. Raises `NotFound`,
    and `IntegrityError` when it does not fit any more.
    """
    planned = planned_of(session, cls)
    _refuse_other_class(session, cls, planned, row)
    doc = doc_of(session, planned, row) if document is None else document
    crdt = read_document(session.connection(), doc)
    root = root_of(sessions_of(session).plan, crdt)
    lying = {} if root is None else contents(root, doc, crdt)
    own = [(one, row) for one in (planned, *planned.bases)]
    deleted = [place for place in own if place in lying and lying[place].get(DELETED)]
    if root is None or not deleted or not is_of_its_class(own[0], lying):
        raise NotFound(f"there is no deleted row {row} of {planned.name}")
    top = deleted[-1]
    content = lying[top]
    classes = sessions_of(session).classes
    put(session, classes[top[0].table], row, {}, doc)
    back: set[Place] = {top}
    for place, there in lying.items():
        part, key = place
        mine = part.owner is not None and owner_of(place, doc, there) in back
        with_it = there.get(DELETED) in (None, content.get(DELETED))  # others may have added some
        if mine and (with_it if part.base is None else is_of_its_class(place, lying)):
            put(session, classes[part.table], key, {}, doc)
            back.add(place)
    then = _before_deletion(crdt, content)
    lost = {} if then is None else links(root, doc, then, contents(root, doc, then))
    _associate(session, [link for link in lost if link.owner in back and not _is_deleted(session, link)])
    return session.get(cls, row, populate_existing=True)


def _refuse_other_class(session: Session, cls: type[Any], planned: SyncedTable, row: uuid.UUID) -> None:
    """Raises `NotFound` for an object that is of another class in this session, since that was resolved so."""
    said, table = planned.first.discriminator, planned.first.table
    value = None if said is None else session.scalar(select(table.c[said.name]).where(table.c.id == row))
    now = class_mapper(cls).polymorphic_map.get(value)
    if now is not None and not issubclass(now.class_, cls):
        raise NotFound(
            f"there is no deleted row {row} of {planned.name}: it is a {now.class_.__name__} now",
            hint="to have it as it was, roll the session back and restore it",
        )


def sessions_of(session: Session) -> Sessions:
    """What made a session. Raises `SessionMisuse` for one of another kind."""
    found = session.info.get(SESSIONS)
    if not isinstance(found, Sessions):
        raise SessionMisuse("this session is not the engine's", hint="make sessions with `Sessions(engine, Base)`")
    return found


def planned_of(session: Session, cls: type[Any]) -> SyncedTable:
    """How a class is synced. Raises `SessionMisuse`."""
    table = str(class_mapper(cls).local_table)
    planned = sessions_of(session).plan.tables.get(table)
    if planned is None:
        raise SessionMisuse(
            f"{cls.__name__} is not a synced class of this session",
            hint="it takes what has the mixin Synced, and the base of these sessions",
        )
    return planned


def doc_of(session: Session, planned: SyncedTable, row: uuid.UUID) -> uuid.UUID:
    """In which document a row lies that is not in its table."""
    if planned.owner is None:
        return row
    conn = session.connection()
    for noted in (held_rows, disputed):
        chosen = noted.c.table_name == planned.name, noted.c.id == row
        if isinstance(doc := conn.scalar(select(noted.c.doc).where(*chosen)), uuid.UUID):
            return doc
    raise NotFound(f"it is not known in which document row {row} of {planned.name} lies")


def read_document(conn: Connection, doc: uuid.UUID) -> Document:
    """A document as it is in the database, for reading. Raises `NotFound`."""
    snapshot, tail = load_tail(conn, doc.bytes)
    if snapshot is None and not tail:
        raise NotFound(f"document {doc} is not on this device")
    return build_crdt(snapshot, tail, None)


def settle(session: Session, cls: type[Any], row: uuid.UUID, doc: uuid.UUID, column: str) -> None:
    """Have the commit write a column, or the deletion, anew, whatever the document holds."""
    planned = planned_of(session, cls)
    conn = session.connection()
    _touch(conn, planned, row, doc)
    conn.info[WRITING].told.settled.add((planned, row, column))


def accept(session: Session, cls: type[Any], row: uuid.UUID, doc: uuid.UUID) -> None:
    """Have the commit write a row into its document as its table has it."""
    _touch(session.connection(), planned_of(session, cls), row, doc)


def _touch(conn: Connection, planned: SyncedTable, row: uuid.UUID, doc: uuid.UUID) -> None:
    conn.info[WRITING].journal.touch(conn, planned, row, doc)


def put(session: Session, cls: type[Any], row: uuid.UUID, values: Mapping[str, Any], doc: uuid.UUID) -> Any:
    """Write a row into its table as its document has it, but for these attributes."""
    planned = planned_of(session, cls)
    conn = session.connection()
    document = read_document(conn, doc)
    content: Mapping[str, Any] | None = content_of(document, planned, row)
    if content is None and planned.base is not None:
        content = {}  # its object has never had this row
    if content is None:
        raise NotFound(f"row {row} of {planned.name} is not in its document")
    mapper = class_mapper(cls)
    given = {column_of(mapper, name).name: value for name, value in values.items()}
    here = fixed(planned, doc, row)
    whole = fitting(planned, content) | given | here
    if planned.unique:
        space = sessions_of(session).memory.space(conn, doc)
        whole |= {BEGUN: begun(content), SPACE: space} if content else {}
        claim = claim_in(planned, content, here, space)
        if claim is not None:  # another row may have a key that this one had: the commit decides, as a merge does
            had = frozenset(key for key in claim.keys if given.keys().isdisjoint(key[0]))
            clashes = sessions_of(session).projector.clashes
            whole |= clashes.columns(conn, (planned, row), replace(claim, keys=had))
    table = planned.table
    if conn.scalar(select(table.c.id).where(table.c.id == row)) is None:
        session.execute(insert(table).values(whole))
        root = root_of(sessions_of(session).plan, document)
        if root is not None and planned.associations:
            _associate(session, links(root, doc, document, {(planned, row): content}))
    else:
        update_row(conn, (planned, row), whole)
        _touch(conn, planned, row, doc)
    return session.get(cls, row, populate_existing=True)


def _associate(session: Session, found: Iterable[Link]) -> None:
    """Write rows of associations into their tables, where they are not there."""
    conn = session.connection()
    wanted = sessions_of(session).projector.joins.seen_links(conn, found)
    write_links(conn, wanted, wanted)


def _is_deleted(session: Session, link: Link) -> bool:
    """Whether the other end of an association is a row that is deleted, and not just not here."""
    with suppress(NotFound):
        return bool(read_document(session.connection(), link.other).get(DELETED))
    return False


def _before_deletion(document: Document, deleted: Map) -> Map | None:
    """The document as a deletion found it; None where that is not known."""
    heads = deletion_heads(deleted)
    return None if heads is None or document.missing(heads) else document.at(heads)
