"""The history of a document: who changed it when and why, without what was changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lichen_crdt import _native
from lichen_crdt.authors import Authors
from lichen_crdt.changes import ChangeHeader

if TYPE_CHECKING:
    from lichen_crdt._native import Core


@dataclass(frozen=True, slots=True)
class HistoryEntry(ChangeHeader):
    """The header of one change of a document."""

    author: str | None = None
    """Whose the actor is, by the `Authors` that were asked with."""


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which changes a history is asked for; every condition that is given must hold."""

    authors: Authors | None = None
    author: str | None = None
    """A name among the authors."""
    since: int | None = None
    """The first second, since 1970."""
    until: int | None = None
    """The second after the last one."""
    message: str | None = None
    """What the message has in it."""

    def keeps(self, entry: HistoryEntry) -> bool:
        """Whether a change fits; its `author` must be set already."""
        return (
            (self.author is None or entry.author == self.author)
            and (self.since is None or entry.time >= self.since)
            and (self.until is None or entry.time < self.until)
            and (self.message is None or self.message in (entry.message or ""))
        )


def read(core: Core, since: Iterable[bytes], wanted: HistoryFilter | None = None) -> list[HistoryEntry]:
    """The changes that are not in the past of `since`, each after what it builds on."""
    wanted = wanted or HistoryFilter()
    of = wanted.authors.of if wanted.authors else lambda _: None
    entries = (HistoryEntry(*fields, of(fields[0])) for fields in _native.headers(core, [*since]))
    return [entry for entry in entries if wanted.keeps(entry)]
