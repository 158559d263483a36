"""Operations of the access log: who may do what in a space, and under which keys.

Layout, big-endian, every width in `docs/reference/wire.md`::

    magic 4 | suite 1 | kind 1 | flags 2 | space 32 | author 32 | n 1 | n parents of 32 | time 8 | length 4 | body
    | signature 64

`id = H(all but the signature)`, and the signature is over the id. The id of the genesis is the space's id, so in
the genesis, and in what its device signs, the space is 32 zero bytes. The bodies are in `wire.membership` and
`wire.epochs`. Operations are readable by relays; what only members may read in them is sealed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from lichen.config import DEFAULT_LIMITS
from lichen.errors import InvalidOperation
from lichen.ids import DeviceKey, OpId, SpaceId
from lichen.wire import domains
from lichen.wire.epochs import Epoch, Wrap, WrapKeys
from lichen.wire.keys import is_acceptable_ed25519
from lichen.wire.membership import (
    AddDevice,
    AddMember,
    DeviceRecord,
    Genesis,
    Merge,
    OperationKind,
    Role,
    SignatureCheck,
    recovery_hash,
)
from lichen.wire.reader import Reader, Writer
from lichen.wire.signer import SIGNATURE_BYTES, Signer

__all__ = [
    "AddDevice",
    "AddMember",
    "Body",
    "DeviceRecord",
    "Epoch",
    "Genesis",
    "Merge",
    "Operation",
    "OperationKind",
    "Role",
    "Wrap",
    "WrapKeys",
    "operation_id",
    "recovery_hash",
]

MAGIC: Final = b"lop1"
SUITE: Final = 1
"""Ed25519, X25519, ChaCha20-Poly1305, HKDF-SHA256, SHA-256."""

NO_SPACE: Final = SpaceId(bytes(32))
"""The space field of a genesis."""

Body = Genesis | AddMember | AddDevice | Epoch | WrapKeys | Merge
"""What an operation does."""

_BODIES: Final[dict[int, type[Body]]] = {
    body.KIND: body for body in (Genesis, AddMember, AddDevice, Epoch, WrapKeys, Merge)
}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation whose format was checked; its signatures were not (see `signature_checks`)."""

    space: SpaceId
    """The space; for a genesis its own id, though its bytes hold zeros."""
    author: DeviceKey
    parents: tuple[OpId, ...]
    """The heads of the log that the author saw, sorted: 1 to 64; none for the genesis."""
    time: int
    """Hybrid logical time, as in change sets. It decides nothing."""
    body: Body
    signature: bytes
    id: OpId
    _bytes: bytes = field(repr=False, compare=False)

    @property
    def kind(self) -> OperationKind:
        """The kind of its body."""
        return self.body.KIND

    @property
    def signed_message(self) -> bytes:
        """What the author's signature is over."""
        return domains.OPERATION_SIGNATURE + self.id

    def signature_checks(self) -> list[SignatureCheck]:
        """Every signature in it, as (key, message, signature): the author's, and that of each device it brings."""
        space = NO_SPACE if self.kind is OperationKind.GENESIS else self.space
        return [(self.author, self.signed_message, self.signature), *self.body.signature_checks(space)]

    def encode(self) -> bytes:
        """The bytes of the whole operation."""
        return self._bytes

    @classmethod
    def sign(cls, body: Body, *, space: SpaceId, parents: Iterable[OpId], time: int, signer: Signer) -> Operation:
        """A new operation of the signer's device. `space` is ignored for a genesis.

        Raises `InvalidOperation` when it would not decode.
        """
        genesis = body.KIND is OperationKind.GENESIS
        writer = Writer().raw(MAGIC, 4).number(SUITE, 1).number(body.KIND, 1).number(0, 2)
        writer.raw(NO_SPACE if genesis else space, 32).raw(signer.public, 32)
        writer.ids(sorted(set(parents)), 1).number(time, 8).blob(body.encode(), 4)
        unsigned = writer.done()
        signature = signer.sign(domains.OPERATION_SIGNATURE + operation_id(unsigned))
        return cls.decode(unsigned + signature)

    @classmethod
    def decode(cls, data: bytes) -> Operation:
        """The operation in `data`, all of it. Raises `InvalidOperation` for anything else.

        Checks format, bounds and that its keys are acceptable; not the signatures, nor the right to do it.
        """
        if len(data) > DEFAULT_LIMITS.object_bytes:
            raise InvalidOperation(f"an operation of {len(data)} bytes is larger than {DEFAULT_LIMITS.object_bytes}")
        reader = Reader(data, "an operation", InvalidOperation)
        kind = _head(reader)
        space, author = SpaceId(reader.take(32)), DeviceKey(reader.take(32))
        parents = tuple(map(OpId, reader.ids(1, 0, DEFAULT_LIMITS.access_heads, "parents")))
        time = reader.number(8)
        body = _body(kind, reader.blob(4, DEFAULT_LIMITS.object_bytes, "body"))
        own_id = operation_id(data[: reader.offset])
        signature = reader.take(SIGNATURE_BYTES)
        reader.end()
        _check(space, author, parents, body)
        if isinstance(body, Genesis):
            space = SpaceId(own_id)
        return cls(space, author, parents, time, body, signature, own_id, bytes(data))


def operation_id(unsigned: bytes) -> OpId:
    """The id of the operation whose bytes before the signature are `unsigned`."""
    return OpId(domains.digest(domains.OPERATION, unsigned))


def _head(reader: Reader) -> int:
    reader.expect(MAGIC, "magic")
    reader.expect(bytes((SUITE,)), "suite")
    kind = reader.number(1)
    reader.expect(bytes(2), "set of flags than none")
    return kind


def _body(kind: int, data: bytes) -> Body:
    body = _BODIES.get(kind)
    if body is None:
        raise InvalidOperation(f"an operation has the unknown kind {kind}")
    reader = Reader(data, f"the body of an operation of kind {OperationKind(kind).name}", InvalidOperation)
    decoded = body.read(reader)
    reader.end()
    return decoded


def _check(space: SpaceId, author: DeviceKey, parents: tuple[OpId, ...], body: Body) -> None:
    if not is_acceptable_ed25519(author):
        raise InvalidOperation("an operation's author is not an acceptable key")
    genesis = isinstance(body, Genesis)
    if genesis != (not parents) or genesis != (space == NO_SPACE):
        raise InvalidOperation("a genesis, and nothing else, has no parents and no space")
    if isinstance(body, Genesis) and body.device.key != author:
        raise InvalidOperation("a genesis is not signed by the device that it brings")
