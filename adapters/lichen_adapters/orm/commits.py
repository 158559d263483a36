"""What one commit of a session wrote, so that it can be taken back."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from lichen.runtime.rows import WrittenDocument
from sqlalchemy.orm import Session

LAST = "lichen.commit"
"""Where a session has its last commit, in `Session.info`."""


@dataclass(frozen=True, slots=True)
class Commit:
    """The changes of one commit: a plain value, which can be kept."""

    changes: tuple[tuple[uuid.UUID, tuple[bytes, ...]], ...]
    """By document their hashes, the newest last."""


def last_commit(session: Session) -> Commit | None:
    """What the last commit of a session that wrote into documents wrote there, for `undo`; None when none did."""
    found = session.info.get(LAST)
    return found if isinstance(found, Commit) else None


def commit_of(written: Sequence[WrittenDocument]) -> Commit:
    """The commit that wrote this."""
    return Commit(tuple((uuid.UUID(bytes=one.doc), tuple(made.hash for made in one.changes)) for one in written))
