"""Actors: one for each author, document and session."""

from __future__ import annotations

import hashlib

from lichen.core.actors import actor_id
from lichen.ids import DeviceKey, DocId, Session

AUTHOR, DOC, SESSION = DeviceKey(b"a" * 32), DocId(b"d" * 16), Session(b"s" * 16)


def test_an_actor_is_the_hash_of_author_document_and_session() -> None:
    expected = hashlib.sha256(b"lichen/actor/v1" + AUTHOR + DOC + SESSION).digest()[:16]
    assert actor_id(AUTHOR, DOC, SESSION) == expected


def test_another_author_document_or_session_is_another_actor() -> None:
    actors = {
        actor_id(AUTHOR, DOC, SESSION),
        actor_id(DeviceKey(b"b" * 32), DOC, SESSION),
        actor_id(AUTHOR, DocId(b"e" * 16), SESSION),
        actor_id(AUTHOR, DOC, Session(b"t" * 16)),
    }
    assert len(actors) == 4
