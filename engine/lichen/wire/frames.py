"""The messages of a link, between two authenticated nodes.

A message is one CBOR array (RFC 8949): its kind, then its fields in the order of the dataclass. CBOR is
used only here, inside frames that the link has already authenticated; what is signed never lies in it.
Every field is checked for type and size on the way in; anything else is `ProtocolError`. A message longer
than a frame is sent in pieces, each with one leading byte (see `lichen.runtime.link`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import cbor2

from lichen.config import Limits
from lichen.errors import ProtocolError
from lichen.ids import DeviceKey, OpId, SetId, SpaceId
from lichen.wire import cbor

VERSION = 1
"""The version of the link protocol that this code speaks."""

BLINDED_BYTES = 16
"""Length of a blinded space id."""

SHORT_ID_BYTES = 8
"""Length of the short set ids in announcements."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message of each side."""

    KIND: ClassVar[int] = 0
    version: int
    relay: bool
    """This side stores and forwards for others, without keys."""
    store: bytes
    """16 bytes: which store the positions of this side count in."""
    token: bytes = dataclasses.field(repr=False)
    """What a relay asks of strangers; empty when none is known."""
    blinded: tuple[bytes, ...]
    """The sender's spaces, each as `HMAC(handshake hash, space id)` cut to 16 bytes."""


@dataclass(frozen=True, slots=True)
class Access:
    """Operations of a space's access log that the other side seems to lack, and the sender's heads."""

    KIND: ClassVar[int] = 1
    space: SpaceId
    heads: tuple[OpId, ...]
    operations: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pull:
    """Ask for every change set that arrived after a position, and for new ones as they come."""

    KIND: ClassVar[int] = 2
    space: SpaceId
    number: int
    """Counts the sender's pulls of this space on this link, from 1."""
    since: int
    """A position of the receiver's store; 0 for the beginning."""
    sample: tuple[SetId, ...]
    """Ids that the sender holds with all their ancestors: its frontier, and older ones at growing distance."""


@dataclass(frozen=True, slots=True)
class Sets:
    """Change sets, ancestors first."""

    KIND: ClassVar[int] = 3
    space: SpaceId
    sets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Announce:
    """Short ids of new change sets that are not sent unless asked for."""

    KIND: ClassVar[int] = 4
    space: SpaceId
    short_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Graft:
    """Send these change sets, and again all that these authors write (Plumtree's GRAFT)."""

    KIND: ClassVar[int] = 5
    space: SpaceId
    short_ids: tuple[bytes, ...]
    authors: tuple[DeviceKey, ...]


@dataclass(frozen=True, slots=True)
class Prune:
    """What this author writes arrives elsewhere: only announce it here (Plumtree's PRUNE)."""

    KIND: ClassVar[int] = 6
    space: SpaceId
    author: DeviceKey


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """One sealed presence or signal, forwarded but never stored."""

    KIND: ClassVar[int] = 7
    body: bytes


@dataclass(frozen=True, slots=True)
class Peers:
    """The devices of a space that a relay is connected to, without the receiver."""

    KIND: ClassVar[int] = 8
    space: SpaceId
    devices: tuple[DeviceKey, ...]


@dataclass(frozen=True, slots=True)
class Mail:
    """An opaque message to one device, kept by a relay until that device is there."""

    KIND: ClassVar[int] = 9
    to: DeviceKey
    sender: DeviceKey
    """Who sent it, as the relay authenticated it; a relay overwrites whatever stands here."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Position:
    """All up to this position of the sender's store was sent or announced on this link."""

    KIND: ClassVar[int] = 10
    space: SpaceId
    position: int
    pull: int
    """The receiver's newest pull that was answered before."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Nothing to say, still here."""

    KIND: ClassVar[int] = 11


@dataclass(frozen=True, slots=True)
class Refused:
    """The sender will not serve this space to the receiver, or not yet."""

    KIND: ClassVar[int] = 12
    space: SpaceId
    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The sender has stored everything up to this position of the receiver's store: the answer to a `Position`."""

    KIND: ClassVar[int] = 13
    space: SpaceId
    position: int


Message = (
    Hello
    | Access
    | Pull
    | Sets
    | Announce
    | Graft
    | Prune
    | Ephemeral
    | Peers
    | Mail
    | Position
    | Beat
    | Refused
    | Settled
)


def encode(message: Message) -> bytes:
    """The bytes of a message."""
    fields = (getattr(message, field.name) for field in dataclasses.fields(message))
    return cbor2.dumps([message.KIND, *fields])


def decode(data: bytes, limits: Limits) -> Message:
    """The message in `data`. Raises `ProtocolError` for anything but one well-formed message."""
    try:
        array = cbor.loads(data)
    except ValueError as error:
        raise ProtocolError("a link message is not CBOR") from error
    if not isinstance(array, list) or not array or type(array[0]) is not int:
        raise ProtocolError("a link message is not an array that begins with its kind")
    decoder = _DECODERS.get(array[0])
    if decoder is None:
        raise ProtocolError(f"a link message has the unknown kind {array[0]}")
    return decoder(array[1:], limits)


def _bytes(value: Any, length: int) -> bytes:
    if type(value) is not bytes or len(value) != length:
        raise ProtocolError(f"a field of a link message is not {length} bytes")
    return value


def _blob(value: Any, most: int) -> bytes:
    if type(value) is not bytes or len(value) > most:
        raise ProtocolError(f"a field of a link message is not bytes, at most {most}")
    return value


def _many(value: Any, most: int, check: Callable[[Any], bytes]) -> tuple[Any, ...]:
    if type(value) is not list or len(value) > most:
        raise ProtocolError(f"a field of a link message is not a list of at most {most}")
    return tuple(check(item) for item in value)


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ProtocolError("a field of a link message is not a number below 2^63")
    return value


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ProtocolError("a field of a link message is not true or false")
    return value


def _text(value: Any, most: int) -> str:
    if type(value) is not str or len(value) > most:
        raise ProtocolError(f"a field of a link message is not text of at most {most} characters")
    return value


def _hash(value: Any) -> bytes:
    return _bytes(value, 32)


def _short(value: Any) -> bytes:
    return _bytes(value, SHORT_ID_BYTES)


_MANY_SHORT = 65_536
_MANY_SETS = 16_384
_MANY_OPERATIONS = 16_384
_TOKEN_BYTES = 256
_REASON_CHARACTERS = 500


def _fields(values: list[Any], count: int) -> list[Any]:
    if len(values) != count:
        raise ProtocolError(f"a link message has {len(values)} fields instead of {count}")
    return values


def _hello(values: list[Any], limits: Limits) -> Hello:
    version, relay, store, token, blinded = _fields(values, 5)
    if version != VERSION:
        raise ProtocolError(f"the peer speaks link protocol {version!r}, this side {VERSION}")
    ids = _many(blinded, limits.spaces, lambda value: _bytes(value, BLINDED_BYTES))
    return Hello(_number(version), _flag(relay), _bytes(store, 16), _blob(token, _TOKEN_BYTES), ids)


def _access(values: list[Any], limits: Limits) -> Access:
    space, heads, operations = _fields(values, 3)
    return Access(
        SpaceId(_hash(space)),
        _many(heads, limits.access_heads, _hash),
        _many(operations, _MANY_OPERATIONS, lambda value: _blob(value, limits.object_bytes)),
    )


def _pull(values: list[Any], limits: Limits) -> Pull:
    space, number, since, sample = _fields(values, 4)
    return Pull(SpaceId(_hash(space)), _number(number), _number(since), _many(sample, limits.frontier_ids, _hash))


def _sets(values: list[Any], limits: Limits) -> Sets:
    space, sets = _fields(values, 2)
    return Sets(SpaceId(_hash(space)), _many(sets, _MANY_SETS, lambda value: _blob(value, limits.object_bytes)))


def _announce(values: list[Any], _limits: Limits) -> Announce:
    space, short_ids = _fields(values, 2)
    return Announce(SpaceId(_hash(space)), _many(short_ids, _MANY_SHORT, _short))


def _graft(values: list[Any], limits: Limits) -> Graft:
    space, short_ids, authors = _fields(values, 3)
    return Graft(SpaceId(_hash(space)), _many(short_ids, _MANY_SHORT, _short), _many(authors, limits.spaces, _hash))


def _prune(values: list[Any], _limits: Limits) -> Prune:
    space, author = _fields(values, 2)
    return Prune(SpaceId(_hash(space)), DeviceKey(_hash(author)))


def _ephemeral(values: list[Any], limits: Limits) -> Ephemeral:
    (body,) = _fields(values, 1)
    return Ephemeral(_blob(body, limits.ephemeral_bytes))


def _peers(values: list[Any], _limits: Limits) -> Peers:
    space, devices = _fields(values, 2)
    return Peers(SpaceId(_hash(space)), _many(devices, _MANY_OPERATIONS, _hash))


def _mail(values: list[Any], limits: Limits) -> Mail:
    to, sender, body = _fields(values, 3)
    return Mail(DeviceKey(_hash(to)), DeviceKey(_hash(sender)), _blob(body, limits.mail_bytes))


def _position(values: list[Any], _limits: Limits) -> Position:
    space, position, pull = _fields(values, 3)
    return Position(SpaceId(_hash(space)), _number(position), _number(pull))


def _settled(values: list[Any], _limits: Limits) -> Settled:
    space, position = _fields(values, 2)
    return Settled(SpaceId(_hash(space)), _number(position))


def _beat(values: list[Any], _limits: Limits) -> Beat:
    _fields(values, 0)
    return Beat()


def _refused(values: list[Any], _limits: Limits) -> Refused:
    space, reason = _fields(values, 2)
    return Refused(SpaceId(_hash(space)), _text(reason, _REASON_CHARACTERS))


_DECODERS: dict[int, Callable[[list[Any], Limits], Message]] = {
    Hello.KIND: _hello,
    Access.KIND: _access,
    Pull.KIND: _pull,
    Sets.KIND: _sets,
    Announce.KIND: _announce,
    Graft.KIND: _graft,
    Prune.KIND: _prune,
    Ephemeral.KIND: _ephemeral,
    Peers.KIND: _peers,
    Mail.KIND: _mail,
    Position.KIND: _position,
    Beat.KIND: _beat,
    Refused.KIND: _refused,
    Settled.KIND: _settled,
}
