"""The space of what is written, named by its id or by a handle of it."""

from __future__ import annotations

from typing import Protocol

from lichen.ids import SpaceId


class HandleOfSpace(Protocol):
    """A `lichen.Space` or a `lichen.blocking.Space`."""

    @property
    def id(self) -> SpaceId:
        """32 bytes."""


def id_of(space: HandleOfSpace | SpaceId) -> SpaceId:
    """The id of a space."""
    return SpaceId(space) if isinstance(space, bytes) else space.id
