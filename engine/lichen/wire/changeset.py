"""The change set: one or more changes of one device, sealed (encrypted, then signed).

Layout, big-endian, every width in `docs/reference/wire.md`::

    magic 4 | suite 1 | kind 1 | flags 2 | space 32 | doc 16 | author 32 | session 16 | seq 8 | prev 32 | time 8
    | epoch 32 | salt 24 | tip 32 | n 1 | n access heads of 32 | m 2 | m deps of 32 | length 4        (the prefix)
    ciphertext hash 32 | signature 64 | ciphertext

`id = H(prefix, ciphertext hash)`, and the signature is over the id: so a second signature makes no second id,
and a node that lacks the ciphertext can check the header. The prefix is the AAD of the ciphertext.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final, NamedTuple

from lichen.config import DEFAULT_LIMITS
from lichen.errors import InvalidChangeSet
from lichen.ids import DeviceKey, DocId, EpochId, OpId, Session, SetId, SpaceId
from lichen.wire import domains
from lichen.wire.signer import SIGNATURE_BYTES, Signer

MAGIC: Final = b"lcs1"
SUITE: Final = 1
"""Ed25519, ChaCha20-Poly1305, HKDF-SHA256, SHA-256."""

NO_PREV: Final = bytes(32)
"""`prev` of the first change set of a session that does not create the document."""

TAG_BYTES: Final = 16
LEAST_CIPHERTEXT_BYTES: Final = 32 + TAG_BYTES
"""The smallest padded plaintext, and the tag of the AEAD."""

NONCE_BYTES: Final = 16
"""A document's nonce: the first half of `prev` in the change set that creates it."""

_FIXED: Final = struct.Struct(">4sBBH32s16s32s16sQ32sQ32s24s32sB")
_DEPS: Final = struct.Struct(">H")
_LENGTH: Final = struct.Struct(">I")
_HASH_AND_SIGNATURE_BYTES: Final = 32 + SIGNATURE_BYTES
_MOST_BYTES: Final = DEFAULT_LIMITS.object_bytes
_MOST_ACCESS: Final = DEFAULT_LIMITS.access_heads
_MOST_DEPS: Final = DEFAULT_LIMITS.set_deps
FIXED_BYTES: Final = _FIXED.size
"""Length of the prefix up to and with the count of access heads."""


class Kind(IntEnum):
    """What a change set does."""

    CREATE = 1
    """Begins its document."""
    CHANGES = 2
    """Carries changes."""
    MERGE = 3
    """Carries none: it adopts its deps."""


_KINDS: Final = {int(kind): kind for kind in Kind}


class Header(NamedTuple):
    """The signed, readable part of a change set, in the order of its fields."""

    suite: int
    kind: Kind
    flags: int
    """Always 0."""
    space: SpaceId
    doc: DocId
    author: DeviceKey
    session: Session
    seq: int
    """1 for the first of a session in a document, then each one more."""
    prev: bytes
    """The id of the session's change set before, `NO_PREV`, or for `CREATE` the document's nonce and 16 zero bytes."""
    time: int
    """Hybrid logical time: Unix milliseconds in the upper 48 bits, a counter in the lower 16."""
    epoch: EpochId
    salt: bytes
    """24 bytes."""
    tip: bytes
    """32 bytes: the keyed MAC of the set's last change."""
    access: tuple[OpId, ...]
    """The heads of the access log at the author, sorted: 1 to 64."""
    deps: tuple[SetId, ...]
    """The sets that this one follows, sorted: 1 to 1,024, `prev` among them; none for `CREATE`."""
    length: int
    """Bytes of ciphertext."""

    def encode(self) -> bytes:
        """The prefix. Raises `InvalidChangeSet` when a field breaks the rules."""
        try:
            prefix = _FIXED.pack(
                MAGIC,
                self.suite,
                self.kind,
                self.flags,
                _sized(self.space, 32),
                _sized(self.doc, 16),
                _sized(self.author, 32),
                _sized(self.session, 16),
                self.seq,
                _sized(self.prev, 32),
                self.time,
                _sized(self.epoch, 32),
                _sized(self.salt, 24),
                _sized(self.tip, 32),
                len(self.access),
            )
            prefix += b"".join(self.access) + _DEPS.pack(len(self.deps)) + b"".join(self.deps)
            prefix += _LENGTH.pack(self.length)
        except struct.error as error:
            raise InvalidChangeSet(f"a field of a change set does not fit: {error}") from error
        if len(prefix) != _prefix_bytes(len(self.access), len(self.deps)):
            raise InvalidChangeSet("an access head or a dep of a change set is not 32 bytes")
        _check(self)
        return prefix


def _sized(value: bytes, length: int) -> bytes:
    if len(value) != length:  # struct would cut or pad
        raise InvalidChangeSet(f"a field of a change set is {len(value)} bytes instead of {length}")
    return value


def _prefix_bytes(access: int, deps: int) -> int:
    return FIXED_BYTES + 32 * access + _DEPS.size + 32 * deps + _LENGTH.size


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """A change set whose format and ciphertext hash were checked; its signature was not."""

    header: Header
    ciphertext_hash: bytes
    signature: bytes
    ciphertext: bytes = field(repr=False)
    prefix: bytes = field(repr=False, compare=False)
    """The header's bytes."""
    id: SetId

    @classmethod
    def sign(cls, header: Header, prefix: bytes, ciphertext: bytes, signer: Signer) -> ChangeSet:
        """Sign a sealed set whose header encodes to `prefix`."""
        ciphertext_hash = hashlib.sha256(domains.CIPHERTEXT + ciphertext).digest()
        set_id = change_set_id(prefix, ciphertext_hash)
        signature = signer.sign(domains.CHANGE_SET_SIGNATURE + set_id)
        return cls(header, ciphertext_hash, signature, ciphertext, prefix, set_id)

    @property
    def signed_message(self) -> bytes:
        """What the signature is over."""
        return domains.CHANGE_SET_SIGNATURE + self.id

    @property
    def size_bytes(self) -> int:
        """How long the whole set is."""
        return len(self.prefix) + _HASH_AND_SIGNATURE_BYTES + len(self.ciphertext)

    def encode(self) -> bytes:
        """The bytes of the whole set."""
        return b"".join((self.prefix, self.ciphertext_hash, self.signature, self.ciphertext))

    @classmethod
    def decode(cls, data: bytes) -> ChangeSet:
        """The change set in `data`, all of it. Raises `InvalidChangeSet` for anything else.

        Checks format, bounds and the ciphertext's hash; not the signature.
        """
        header, end = decode_header(data)
        start = end + _HASH_AND_SIGNATURE_BYTES
        if len(data) != start + header.length:
            raise InvalidChangeSet("a change set's length is not what its header says")
        ciphertext = data[start:]
        ciphertext_hash = data[end : end + 32]
        if hashlib.sha256(domains.CIPHERTEXT + ciphertext).digest() != ciphertext_hash:
            raise InvalidChangeSet("a change set's ciphertext is not the one its header names")
        prefix = data[:end]
        set_id = change_set_id(prefix, ciphertext_hash)
        return cls(header, ciphertext_hash, data[end + 32 : start], ciphertext, prefix, set_id)


def change_set_id(prefix: bytes, ciphertext_hash: bytes) -> SetId:
    """The id of the set with this prefix and this ciphertext hash."""
    return SetId(hashlib.sha256(domains.CHANGE_SET + prefix + ciphertext_hash).digest())


def doc_id(space: SpaceId, creator: DeviceKey, nonce: bytes) -> DocId:
    """The id of the document that `creator` began in `space` under a nonce of 16 bytes."""
    return DocId(domains.digest(domains.DOCUMENT, space, creator, nonce)[:16])


def create_prev(nonce: bytes) -> bytes:
    """The `prev` of a set of kind `CREATE`: the document's nonce, then zeros."""
    return nonce + bytes(32 - NONCE_BYTES)


def decode_header(data: bytes) -> tuple[Header, int]:
    """The header at the beginning of `data`, and the length of its prefix. Raises `InvalidChangeSet`."""
    size = len(data)
    if size < FIXED_BYTES:
        raise InvalidChangeSet("a change set is cut short")
    if size > _MOST_BYTES:
        raise InvalidChangeSet(f"a change set of {size} bytes is larger than {_MOST_BYTES}")
    (magic, suite, kind, flags, space, doc, author, session, seq, prev, time, epoch, salt, tip, heads) = (
        _FIXED.unpack_from(data)
    )
    known = _KINDS.get(kind)
    if magic != MAGIC or known is None:
        raise InvalidChangeSet(f"not a change set of a known kind: {magic!r}, {kind}")
    access, offset = _ids(data, FIXED_BYTES, heads)
    if offset + _DEPS.size > size:
        raise InvalidChangeSet("a change set is cut short")
    (count,) = _DEPS.unpack_from(data, offset)
    deps, offset = _ids(data, offset + _DEPS.size, count)
    if offset + _LENGTH.size > size:
        raise InvalidChangeSet("a change set is cut short")
    (length,) = _LENGTH.unpack_from(data, offset)
    header = Header(
        suite, known, flags, space, doc, author, session, seq, prev, time, epoch, salt, tip, access, deps, length
    )
    _check(header)
    return header, offset + _LENGTH.size


def _ids(data: bytes, offset: int, count: int) -> tuple[tuple[Any, ...], int]:
    """`count` ids of 32 bytes at `offset`, and where they end."""
    end = offset + 32 * count
    if end > len(data):
        raise InvalidChangeSet("a change set is cut short")
    if count == 1:
        return (data[offset:end],), end
    return tuple([data[at : at + 32] for at in range(offset, end, 32)]), end


def _check(header: Header) -> None:
    """The rules that a header must keep by itself."""
    if header.suite != SUITE or header.flags != 0:
        raise InvalidChangeSet(f"a change set has suite {header.suite} and flags {header.flags}, not {SUITE} and 0")
    if not 1 <= len(header.access) <= _MOST_ACCESS or not _ascending(header.access):
        raise InvalidChangeSet("a change set's access heads are not 1 to 64 sorted ids")
    if len(header.deps) > _MOST_DEPS or not _ascending(header.deps):
        raise InvalidChangeSet("a change set's deps are not at most 1,024 sorted ids")
    if header.length < LEAST_CIPHERTEXT_BYTES:
        raise InvalidChangeSet("a change set's ciphertext is too short")
    if header.kind is Kind.CREATE:
        _check_create(header)
    elif not header.deps:
        raise InvalidChangeSet("a change set that does not create its document follows nothing")
    elif header.seq < 1 or (header.seq == 1) != (header.prev == NO_PREV):
        raise InvalidChangeSet("only the first change set of a session has no predecessor")
    elif header.seq > 1 and header.prev not in header.deps:
        raise InvalidChangeSet("a change set's predecessor is not among its deps")


def _check_create(header: Header) -> None:
    if header.deps or header.seq != 1 or header.prev[NONCE_BYTES:] != bytes(32 - NONCE_BYTES):
        raise InvalidChangeSet("a document's first change set follows something, or its nonce is malformed")
    if doc_id(header.space, header.author, header.prev[:NONCE_BYTES]) != header.doc:
        raise InvalidChangeSet("a document's id is not that of its space, creator and nonce")


def _ascending(ids: tuple[bytes, ...]) -> bool:
    return len(ids) < 2 or all(left < right for left, right in itertools.pairwise(ids))
