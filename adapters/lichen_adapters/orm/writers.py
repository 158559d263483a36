"""Whose the actors of a document are."""

from __future__ import annotations

import uuid

from lichen.core.actors import actor_id
from lichen.ids import DeviceKey, DocId
from lichen.ids import Session as WriterSession
from lichen.store.schema import change_sets, sessions
from sqlalchemy import Connection, literal, select, union


def devices_of(conn: Connection, doc: uuid.UUID, own: DeviceKey) -> dict[bytes, DeviceKey]:
    """The device behind each actor of a document that is known to be one's; `own` is this device."""
    sets, mine = change_sets.c, sessions.c
    sealed = select(sets.author, sets.session).where(sets.doc == doc.bytes)
    query = union(sealed, select(literal(bytes(own)), mine.session).where(mine.doc == doc.bytes))
    return {
        actor_id(DeviceKey(author), DocId(doc.bytes), WriterSession(session)): DeviceKey(author)
        for author, session in conn.execute(query)
    }
