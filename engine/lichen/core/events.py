"""What happens to a node, in the past tense. The driver feeds these to `Node.handle`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lichen.core.known import KnownSet
from lichen.ids import DeviceKey, DocId, EpochId, SetId, SpaceId
from lichen.wire.changeset import ChangeSet
from lichen.wire.frames import Message
from lichen.wire.operation import Operation


@dataclass(frozen=True, slots=True)
class LinkOpened:
    """A link is authenticated and ready."""

    link: int
    """A number that the driver never uses again."""
    peer: DeviceKey
    path: str
    """The kind of path below it: `websocket`, `webrtc`, `memory`."""
    handshake_hash: bytes
    """32 bytes that only the two ends know."""
    dialled: bool
    """This side chose the address, and so trusts it to be a relay if it says so."""
    token: bytes
    """What to show a relay at this address."""


@dataclass(frozen=True, slots=True)
class LinkLost:
    """A link has ended, whoever ended it."""

    link: int


@dataclass(frozen=True, slots=True)
class LinkCongested:
    """More waits for this link than it may queue: live pushes to it are dropped until it drains."""

    link: int


@dataclass(frozen=True, slots=True)
class LinkDrained:
    """A congested link can take more."""

    link: int


@dataclass(frozen=True, slots=True)
class MessageArrived:
    """A well-formed message came in; change sets in it are unpacked already."""

    link: int
    message: Message


@dataclass(frozen=True, slots=True)
class SpaceLoaded:
    """A space was read from the store, created here, or is about to be joined (then with nothing in it)."""

    space: SpaceId
    operations: tuple[Operation, ...]
    """In an order in which parents come first."""
    sets: tuple[tuple[SetId, KnownSet], ...]
    """In the order of their arrival."""
    keys: tuple[tuple[EpochId, bytes], ...]
    inviter: DeviceKey | None = None
    """Whose ticket let us in, while nothing else is known of the space."""


@dataclass(frozen=True, slots=True)
class SpaceLeft:
    """This node holds a space no longer. What still comes of it leads to nothing."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class OperationsAuthored:
    """This device wrote access operations; they are stored already."""

    space: SpaceId
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class SetSealed:
    """This device sealed a change set; it is stored already."""

    space: SpaceId
    set: ChangeSet
    last_hash: bytes


class CheckedSet(NamedTuple):
    """A change set from outside after the costly checks."""

    set: ChangeSet
    link: int
    verified: bool
    """The signature is the author's; nothing is remembered of a set without that."""
    error: str
    """Why it is invalid by itself; empty when it is not."""
    changes: tuple[bytes, ...] | None
    """Its Automerge changes; None without the key."""


@dataclass(frozen=True, slots=True)
class SetsChecked:
    """Signatures were verified and ciphertexts opened, in the order asked for."""

    space: SpaceId
    checked: tuple[CheckedSet, ...]


@dataclass(frozen=True, slots=True)
class SetsNotStored:
    """The store could not keep these sets: they count as never seen, so that they are fetched again."""

    space: SpaceId
    ids: tuple[SetId, ...]


@dataclass(frozen=True, slots=True)
class CursorRead:
    """How far this device had read a peer's store."""

    link: int
    space: SpaceId
    store: bytes
    """The store that the position counts in; empty when none is known."""
    position: int


@dataclass(frozen=True, slots=True)
class CursorStored:
    """How far a peer's store was read is on disk, and all that was read too."""

    link: int
    space: SpaceId
    position: int


@dataclass(frozen=True, slots=True)
class CatchUpRead:
    """A batch of what a peer asked for was read from the store."""

    link: int
    space: SpaceId
    sets: tuple[bytes, ...]
    position: int
    """Everything up to here is sent with this batch, when `done`."""
    done: bool


@dataclass(frozen=True, slots=True)
class SetsRead:
    """Single change sets that a peer asked for were read."""

    link: int
    space: SpaceId
    sets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PositionRead:
    """The newest position of this store in a space; all up to it was pushed to every live link."""

    space: SpaceId
    position: int


@dataclass(frozen=True, slots=True)
class PositionNotRead:
    """The store could not tell its newest position in a space: it is asked again after a while."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class PresenceSet:
    """The application's presence in a document; None ends it."""

    space: SpaceId
    doc: DocId
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class SignalWritten:
    """The direct path to a peer has something to negotiate."""

    peer: DeviceKey
    payload: bytes


@dataclass(frozen=True, slots=True)
class DirectFailed:
    """No direct path to a peer could be opened this time."""

    peer: DeviceKey


@dataclass(frozen=True, slots=True)
class DirectEnabled:
    """The application allows direct paths, and a transport for them is there."""


@dataclass(frozen=True, slots=True)
class MailWritten:
    """A mail is to go to a device, by whatever link may carry it."""

    to: DeviceKey
    body: bytes


@dataclass(frozen=True, slots=True)
class MailRead:
    """Mail kept for a device that has come was read from the relay's store."""

    link: int
    mails: tuple[tuple[DeviceKey, bytes], ...]


@dataclass(frozen=True, slots=True)
class TimeReached:
    """The moment that `Node.next_timer` named has come."""


Event = (
    LinkOpened
    | LinkLost
    | LinkCongested
    | LinkDrained
    | MessageArrived
    | SpaceLoaded
    | SpaceLeft
    | OperationsAuthored
    | SetSealed
    | SetsChecked
    | SetsNotStored
    | CursorRead
    | CursorStored
    | CatchUpRead
    | SetsRead
    | PositionRead
    | PositionNotRead
    | PresenceSet
    | SignalWritten
    | DirectFailed
    | DirectEnabled
    | MailWritten
    | MailRead
    | TimeReached
)
