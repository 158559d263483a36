"""A document made of what the store has of it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from lichen_crdt import CrdtError, Document

from lichen.runtime.folding import load_snapshot


def build_crdt(snapshot: bytes | None, tail: Sequence[bytes], actor: bytes | None) -> Document:
    """A document of what the store has of it."""
    crdt = load_snapshot(snapshot, actor) if snapshot else Document(actor=actor)
    try:
        crdt.apply_changes(tail)
    except CrdtError:
        _apply_what_is_valid(crdt, tail)
    return crdt


def _apply_what_is_valid(crdt: Document, tail: Sequence[bytes]) -> None:
    """The tail holds a change that is not valid in its past: leave it out, with what follows it, as when it came."""
    for change in tail:
        with contextlib.suppress(CrdtError):
            crdt.apply_changes([change], strict=True)
