"""Folding: the tail of single changes that a document has in the store gives way to a snapshot."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lichen_crdt import Document, InvalidDocument

from lichen.runtime import rows

if TYPE_CHECKING:
    from lichen.runtime.document import OpenDocument

OWN = 1 << 40
"""No bound, in bytes and operations, for what this device wrote itself."""


async def fold(opened: OpenDocument) -> None:
    """Replace the tail by a snapshot, once that has been loaded again."""
    upto = await opened.write(lambda conn: rows.tail_position(conn, opened.id))
    await opened.level_turn()
    try:
        changes, tail_bytes = opened.tail_changes, opened.tail_bytes
        snapshot = await asyncio.to_thread(opened.crdt.save)
    finally:
        opened.end_turn()
    await opened.saved()  # or a crash could leave a snapshot with changes that are nowhere to be sealed
    await opened.write(lambda _conn: None)  # what others wrote is stored by now, or the document has failed
    await asyncio.to_thread(_verify, opened.crdt, snapshot)
    if opened.failure is not None:  # now, when what is written next is queued: the document may have left the device
        raise opened.failure
    await opened.write(lambda conn: rows.replace_snapshot(conn, opened.id, snapshot, upto))
    opened.tail_changes -= changes
    opened.tail_bytes -= tail_bytes


def load_snapshot(snapshot: bytes, actor: bytes | None = None) -> Document:
    """A document from a snapshot that this device made; it may be larger than what is loaded of strangers."""
    return Document.load(snapshot, actor, max_bytes=OWN, max_operations=OWN)


def _verify(crdt: Document, snapshot: bytes) -> None:
    """A snapshot replaces nothing until it has been loaded again, to heads that the document had."""
    if crdt.missing(load_snapshot(snapshot).heads):
        raise InvalidDocument("a saved document did not load again to its heads")
