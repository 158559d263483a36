"""What a node keeps in memory of each change set that it holds."""

from __future__ import annotations

from typing import NamedTuple

from lichen.ids import DeviceKey, DocId, OpId, Session, SetId


class KnownSet(NamedTuple):
    """The part of a header that later change sets are checked against."""

    doc: DocId
    author: DeviceKey
    session: Session
    seq: int
    access: tuple[OpId, ...]
    deps: tuple[SetId, ...]
    tip: bytes
    """What a merge that names the set is checked against."""
    last_hash: bytes | None
    """The Automerge hash of the set's last change; None at a node without the key, and for a merge."""
