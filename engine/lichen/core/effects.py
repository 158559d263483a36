"""What a node wants done, in the imperative. The driver carries these out, in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lichen.ids import DeviceKey, DocId, EpochId, SetId, SpaceId
from lichen.wire.changeset import ChangeSet
from lichen.wire.frames import Message
from lichen.wire.operation import Operation


@dataclass(frozen=True, slots=True)
class Send:
    """Queue a message on a link."""

    link: int
    message: Message


@dataclass(frozen=True, slots=True)
class CloseLink:
    """End a link whose peer broke the protocol."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class CheckSets:
    """Verify these sets' signatures and open those whose key is given; answer with `SetsChecked`."""

    space: SpaceId
    sets: tuple[tuple[int, ChangeSet, bytes | None], ...]
    """Link it came from, the set, its epoch key."""


class AcceptedSet(NamedTuple):
    """A change set that counts."""

    set: ChangeSet
    changes: tuple[bytes, ...] | None
    """None at a relay."""
    last_hash: bytes | None
    """The Automerge hash of its last change, where it is known."""


@dataclass(frozen=True, slots=True)
class StoreSets:
    """Store these sets and apply their changes; ancestors first."""

    space: SpaceId
    sets: tuple[AcceptedSet, ...]


@dataclass(frozen=True, slots=True)
class StoreOperations:
    """Store access operations; parents first."""

    space: SpaceId
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """Store epoch keys."""

    space: SpaceId
    keys: tuple[tuple[EpochId, bytes], ...]


@dataclass(frozen=True, slots=True)
class StoreSpace:
    """A relay admitted a space."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class ReadCursor:
    """Answer with `CursorRead`."""

    link: int
    peer: DeviceKey
    space: SpaceId


@dataclass(frozen=True, slots=True)
class StoreCursor:
    """All that a peer had up to this position is here; answer with `CursorStored`."""

    link: int
    peer: DeviceKey
    space: SpaceId
    store: bytes
    position: int


@dataclass(frozen=True, slots=True)
class ReadCatchUp:
    """Read what arrived after a position and does not lie in the past of the sample; answer with
    `CatchUpRead` in batches, waiting for the link between them."""

    link: int
    space: SpaceId
    since: int
    sample: tuple[SetId, ...]


@dataclass(frozen=True, slots=True)
class ReadSets:
    """Read single sets; answer with `SetsRead`."""

    link: int
    space: SpaceId
    ids: tuple[SetId, ...]


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """Answer with `PositionRead`."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class ConnectDirect:
    """Open a direct path to a peer; answer with `LinkOpened` or `DirectFailed`."""

    peer: DeviceKey
    offers: bool


@dataclass(frozen=True, slots=True)
class DeliverSignal:
    """A peer negotiates a direct path."""

    peer: DeviceKey
    payload: bytes


@dataclass(frozen=True, slots=True)
class DeliverMail:
    """Mail for this device came over a link."""

    link: int
    sender: DeviceKey
    body: bytes


@dataclass(frozen=True, slots=True)
class StoreMail:
    """Keep a mail for a device that is not there."""

    to: DeviceKey
    sender: DeviceKey
    body: bytes


@dataclass(frozen=True, slots=True)
class ReadMail:
    """Take the mail kept for a device; answer with `MailRead`."""

    link: int
    device: DeviceKey


@dataclass(frozen=True, slots=True)
class TellSpace:
    """The access log of a space has changed: members, devices or keys."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class TellPeers:
    """Who is reachable in a space, or over which path, has changed."""

    space: SpaceId


@dataclass(frozen=True, slots=True)
class TellPresence:
    """A device's presence in a document has changed; None: it is gone."""

    space: SpaceId
    doc: DocId
    device: DeviceKey
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class TellCaughtUp:
    """Everything that a peer had when asked is here."""

    space: SpaceId
    peer: DeviceKey


@dataclass(frozen=True, slots=True)
class TellServed:
    """A peer has stored everything that this device had in a space when it last told its position."""

    space: SpaceId
    peer: DeviceKey


@dataclass(frozen=True, slots=True)
class TellInvalid:
    """A change set or an operation is invalid for good."""

    space: SpaceId
    id: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class TellSplit:
    """A device wrote several change sets at one place of its log; their headers prove it."""

    space: SpaceId
    doc: DocId
    author: DeviceKey
    branches: tuple[SetId, ...]


Effect = (
    Send
    | CloseLink
    | CheckSets
    | StoreSets
    | StoreOperations
    | StoreKeys
    | StoreSpace
    | ReadCursor
    | StoreCursor
    | ReadCatchUp
    | ReadSets
    | ReadPosition
    | ConnectDirect
    | DeliverSignal
    | DeliverMail
    | StoreMail
    | ReadMail
    | TellSpace
    | TellPeers
    | TellPresence
    | TellCaughtUp
    | TellServed
    | TellInvalid
    | TellSplit
)
