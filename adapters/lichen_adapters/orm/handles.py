"""From rows to the documents in which they lie."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import Table, inspect

from lichen_adapters.orm.errors import SessionMisuse
from lichen_adapters.orm.objects import state_of
from lichen_adapters.orm.synced import OWNER, SYNCED


def document_of(instance: Any) -> uuid.UUID:
    """The id of the document in which an object's row lies: its own, or its owner's.

    Raises `SessionMisuse` for what is not synced or has not been flushed.
    """
    state = state_of(instance)
    table = None if state is None else state.mapper.local_table
    if state is None or not isinstance(table, Table) or SYNCED not in table.info:
        raise SessionMisuse(f"{instance!r} is no object of a synced class")
    column = table.c[table.info.get(OWNER, "id")]
    found = getattr(instance, inspect(type(instance)).get_property_by_column(column).key)
    if not isinstance(found, uuid.UUID):
        raise SessionMisuse(f"this {type(instance).__name__} lies in no document yet", hint="flush it first")
    return found
