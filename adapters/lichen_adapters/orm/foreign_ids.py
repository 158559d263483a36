"""Ids that a new row must not have."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.plan import TABLE, SyncedTable
from lichen_adapters.orm.projection import Content

_HINT = "leave the id out, or set it to None: it is made when the row is flushed"


def not_ours(row: uuid.UUID) -> SessionMisuse:
    """The error for an id that begins no document of this device."""
    return SessionMisuse(f"row {row} has an id that the engine did not make for this space", hint=_HINT)


def refuse_another_class(doc: uuid.UUID, tables: Iterable[SyncedTable], content: Content) -> None:
    """A document is of rows of one table for good. Raises `SessionMisuse` where it would be of others of `tables`."""
    for planned in tables:
        name = content.get(TABLE, planned.name)
        if planned.owner is None and name != planned.name:
            raise SessionMisuse(f"row {doc} of {planned.name} has the id of a row of {name}", hint=_HINT)
