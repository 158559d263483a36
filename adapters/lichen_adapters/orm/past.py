"""Rows as they were, from the documents in which they lie."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable
from typing import Any, TypeVar, overload

from lichen.errors import ConfigError, NotFound
from lichen_crdt import CrdtError, Document, Map
from sqlalchemy import inspect
from sqlalchemy.orm import Session

from lichen_adapters.orm.assembling import Objects
from lichen_adapters.orm.projection import Place
from lichen_adapters.orm.restoring import doc_of, planned_of, read_document, sessions_of
from lichen_adapters.orm.rows import home_of
from lichen_adapters.orm.synced import Synced

T = TypeVar("T", bound=Synced)
When = datetime.datetime | Iterable[bytes]


@overload
def at(session: Session, what: T, when: When) -> T: ...


@overload
def at(session: Session, what: type[T], when: When, *, row: uuid.UUID, document: uuid.UUID | None = None) -> T: ...


def at(
    session: Session, what: Any, when: When, *, row: uuid.UUID | None = None, document: uuid.UUID | None = None
) -> Any:  # Any: an object of a synced class, or such a class
    """An object as it was, with the rows that lay in its document: detached, and `ReadOnly` when it is written.

    `when` is a time, by the clocks of the devices that wrote, or heads of the document, such as `Edit.heads`. An object
    that is not there any more is named by its class and its `row`; a part that is in no table by its `document` too,
    which is the row in whose document it lay. Rows of other documents are not loaded. Raises `NotFound` when it was not
    there then, and for heads that are not here; `ConfigError` for a time without a time zone.
    """
    (planned, key), doc = located(session, what, row, document)
    crdt = read_document(session.connection(), doc)
    found = Objects(sessions_of(session), doc, version(crdt, when)).get(planned.table, key)
    if found is None:
        raise NotFound(f"row {key} of {planned.name} was not there then")
    return found


def located(session: Session, what: Any, row: uuid.UUID | None, document: uuid.UUID | None) -> tuple[Place, uuid.UUID]:
    """The row that an object stands for, or that its class and id name, and the document in which it lies."""
    cls = what if isinstance(what, type) else type(what)
    planned = planned_of(session, cls)
    key = row or (None if isinstance(what, type) else inspect(what).identity and what.id)
    if not isinstance(key, uuid.UUID):
        raise ConfigError(f"it is not said which {cls.__name__} is meant", hint="give a stored object, or row=")
    doc = document or home_of(session.connection(), (planned, key)) or doc_of(session, planned, key)
    return (planned, key), doc


def version(document: Document, when: When) -> Map:
    """A document as it was. Raises `NotFound`, `ConfigError`."""
    if not isinstance(when, datetime.datetime):
        try:
            return document.at(when)
        except CrdtError as error:
            raise NotFound("the document was never at these heads, as far as is known here") from error
    if when.tzinfo is None:
        raise ConfigError("a time without a time zone says nothing", hint="datetime.now(UTC), or .astimezone()")
    return document.at(_heads_at(document, when.timestamp()))


def _heads_at(document: Document, seconds: float) -> list[bytes]:
    """The heads of all changes that are not later, and build on none that is."""
    heads: dict[bytes, None] = {}
    known: set[bytes] = set()
    for entry in document.history():  # each after what it builds on
        if entry.time <= seconds and known.issuperset(entry.deps):
            known.add(entry.hash)
            for dep in entry.deps:
                heads.pop(dep, None)
            heads[entry.hash] = None
    return [*heads]
