"""What an application hears from the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lichen_crdt import Patch

from lichen.ids import DeviceKey, DocId, SpaceId


@dataclass(frozen=True, slots=True)
class SpaceChanged:
    """A space was created or joined, or its members changed."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class SpaceLeft:
    """A space is not on this device any more."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class DocumentChanged:
    """A document is new, or has changed."""

    space: SpaceId
    doc: DocId
    local: bool
    """By a transaction of this process."""
    patches: tuple[Patch, ...] = ()
    """What changed, for changes of other devices to a document in memory; empty otherwise."""
    authors: tuple[DeviceKey, ...] = ()


@dataclass(frozen=True, slots=True)
class PathsChanged:
    """Who is reachable, or over which path, has changed."""


@dataclass(frozen=True, slots=True)
class PresenceChanged:
    """Someone's presence in a document has changed."""

    space: SpaceId
    doc: DocId
    device: DeviceKey
    data: Mapping[str, Any] | None = field(hash=False)
    """What that device says of itself; None when it is gone."""


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Everything that a peer had in a space is here."""

    space: SpaceId
    peer: DeviceKey


@dataclass(frozen=True, slots=True)
class Served:
    """A peer has stored everything that this device had in a space."""

    space: SpaceId
    peer: DeviceKey


@dataclass(frozen=True, slots=True)
class Rejected:
    """A change set or an access operation is invalid for good, and was left out."""

    space: SpaceId
    id: bytes
    reason: str


Event = SpaceChanged | SpaceLeft | DocumentChanged | PathsChanged | PresenceChanged | CaughtUp | Served | Rejected
