"""Which Automerge actor writes in which document: one for each session of each device."""

from __future__ import annotations

from lichen.ids import DeviceKey, DocId, Session
from lichen.wire import domains

ACTOR_BYTES = 16


def actor_id(author: DeviceKey, doc: DocId, session: Session) -> bytes:
    """The actor, 16 bytes, under which a session of a device writes in a document.

    A change by any other actor in a change set of that session is foreign, and makes the set invalid.
    """
    return domains.digest(domains.ACTOR, author, doc, session)[:ACTOR_BYTES]
