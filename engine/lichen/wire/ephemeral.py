"""Ephemeral messages: presence and signalling, sealed and signed like a change set, forwarded and never stored.

Layout, big-endian, every width in `docs/reference/wire.md`::

    magic 4 | suite 1 | kind 1 | flags 2 | space 32 | doc 16 | author 32 | session 16 | counter 8 | to 32
    | epoch 32 | salt 24 | length 4                                                            (the prefix)
    ciphertext | signature 64

The prefix is the AAD of the ciphertext; the signature is over `H(prefix, ciphertext)`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from lichen.config import DEFAULT_LIMITS
from lichen.errors import ProtocolError
from lichen.ids import DeviceKey, DocId, EpochId, Session, SpaceId
from lichen.wire import domains
from lichen.wire.signer import SIGNATURE_BYTES

MAGIC: Final = b"lep1"
SUITE: Final = 1
TAG_BYTES: Final = 16
LEAST_CIPHERTEXT_BYTES: Final = 32 + TAG_BYTES

NO_DOC: Final = DocId(bytes(16))
"""The document of a message that concerns none."""

TO_ALL: Final = DeviceKey(bytes(32))
"""The receiver of a message to everybody in the space."""

_FIXED: Final = struct.Struct(">4sBBH32s16s32s16sQ32s32s24sI")
PREFIX_BYTES: Final = _FIXED.size


class EphemeralKind(IntEnum):
    """What an ephemeral message is about."""

    PRESENCE = 1
    SIGNAL = 2
    """Negotiates a direct path."""


_KINDS: Final = {int(kind): kind for kind in EphemeralKind}


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """An ephemeral message whose format was checked; its signature was not."""

    kind: EphemeralKind
    space: SpaceId
    doc: DocId
    author: DeviceKey
    session: Session
    counter: int
    """Rises with every message of the session."""
    to: DeviceKey
    epoch: EpochId
    salt: bytes
    ciphertext: bytes = field(repr=False)
    signature: bytes = field(default=b"", repr=False)

    @property
    def prefix(self) -> bytes:
        """Everything before the ciphertext. Raises `ProtocolError` when a field breaks the rules."""
        lengths = ((self.space, 32), (self.doc, 16), (self.author, 32), (self.session, 16), (self.to, 32))
        if any(len(value) != length for value, length in (*lengths, (self.epoch, 32), (self.salt, 24))):
            raise ProtocolError("a field of an ephemeral message has another length")
        try:
            return _FIXED.pack(
                MAGIC,
                SUITE,
                self.kind,
                0,
                self.space,
                self.doc,
                self.author,
                self.session,
                self.counter,
                self.to,
                self.epoch,
                self.salt,
                len(self.ciphertext),
            )
        except struct.error as error:
            raise ProtocolError(f"a field of an ephemeral message does not fit: {error}") from error

    @property
    def signed_message(self) -> bytes:
        """What the signature is over."""
        digest = domains.digest(domains.EPHEMERAL, self.prefix, self.ciphertext)
        return domains.EPHEMERAL_SIGNATURE + digest

    def encode(self) -> bytes:
        """The bytes of the whole message."""
        return self.prefix + self.ciphertext + self.signature

    @classmethod
    def decode(cls, data: bytes) -> Ephemeral:
        """The message in `data`, all of it. Raises `ProtocolError` for anything else."""
        if not PREFIX_BYTES < len(data) <= DEFAULT_LIMITS.ephemeral_bytes:
            raise ProtocolError(f"an ephemeral message of {len(data)} bytes is too short or too long")
        (magic, suite, kind, flags, space, doc, author, session, counter, to, epoch, salt, length) = _FIXED.unpack_from(
            data
        )
        known = _KINDS.get(kind)
        if magic != MAGIC or suite != SUITE or known is None or flags != 0:
            raise ProtocolError("not an ephemeral message of a known suite and kind")
        end = PREFIX_BYTES + length
        if length < LEAST_CIPHERTEXT_BYTES or len(data) != end + SIGNATURE_BYTES:
            raise ProtocolError("an ephemeral message's length is not what it says")
        ciphertext, signature = data[PREFIX_BYTES:end], data[end:]
        return cls(known, space, doc, author, session, counter, to, epoch, salt, ciphertext, signature)
