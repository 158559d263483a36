"""Blame: who wrote what is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lichen_crdt._native import Core, Obj
    from lichen_crdt.authors import Authors


@dataclass(frozen=True, slots=True)
class Blame:
    """One change wrote the code points of a text, or the items of a list, from `start` to before `end`."""

    start: int
    end: int
    actor: bytes
    """Who wrote them."""
    change: bytes
    """The hash of the change."""
    time: int = 0
    """When, by the writer's clock, in seconds since 1970; 0 if the change does not say."""
    message: str | None = None
    """What the writer said about the change."""
    author: str | None = None
    """Whose the actor is, by the `Authors` that were asked with."""


def blame(core: Core, obj: Obj, part: slice, authors: Authors | None) -> list[Blame]:
    """The runs of a part of a text or list."""
    start, end, _ = part.indices(core.length(obj))
    runs = core.blame(obj, start, max(start, end))
    return [Blame(*run, authors.of(run[2]) if authors else None) for run in runs]
