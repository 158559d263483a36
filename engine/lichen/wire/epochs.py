"""Bodies of access operations about epochs: keys, each wrapped to those who may read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

from lichen.errors import InvalidOperation
from lichen.ids import EpochId, SpaceId
from lichen.wire.keys import is_acceptable_ed25519, is_acceptable_x25519
from lichen.wire.membership import OperationKind, SignatureCheck, recovery_hash
from lichen.wire.reader import Reader, Writer

WRAPS: Final = 4_096
"""Most recipients in one operation."""

WRAPPED_BYTES: Final = 32 + 32 + 16
"""Length of a wrapped epoch key: the HPKE encapsulation, then key and tag."""

EARLIER_KEYS: Final = 4_096
"""Most earlier epoch keys that an epoch may seal."""

EARLIER_BYTES: Final = 24 + 32 * EARLIER_KEYS + 16
"""Most bytes of the sealed earlier keys: salt, keys, tag."""


@dataclass(frozen=True, slots=True)
class Wrap:
    """One epoch key, wrapped to one X25519 key (HPKE base mode; see `lichen.crypto.lockbox`)."""

    recipient: bytes
    """A device's or the recovery's sealing key."""
    wrapped: bytes
    """80 bytes."""


def _write_wraps(writer: Writer, wraps: tuple[Wrap, ...]) -> None:
    writer.number(len(wraps), 2)
    for wrap in wraps:
        writer.raw(wrap.recipient, 32).raw(wrap.wrapped, WRAPPED_BYTES)


def _read_wraps(reader: Reader) -> tuple[Wrap, ...]:
    count = reader.count(2, 1, WRAPS, "wraps")
    wraps = tuple(Wrap(reader.take(32), reader.take(WRAPPED_BYTES)) for _ in range(count))
    reader.ascending(tuple(wrap.recipient for wrap in wraps), "recipients")
    if not all(is_acceptable_x25519(wrap.recipient) for wrap in wraps):
        raise InvalidOperation("a recipient is not an acceptable X25519 key")
    return wraps


@dataclass(frozen=True, slots=True)
class Epoch:
    """Begin an epoch."""

    KIND: ClassVar[OperationKind] = OperationKind.EPOCH
    generation: int
    """1 + the highest generation in the operation's past; 1 for the first."""
    epoch: EpochId
    recovery_signing_key: bytes
    """Ed25519: with the next field, what the genesis' `recovery_hash` commits to."""
    recovery_sealing_key: bytes
    """X25519: here so that whoever begins the next epoch can wrap its key to the recovery as well."""
    wraps: tuple[Wrap, ...]
    """1 to 4,096, sorted by recipient."""
    earlier: bytes = field(default=b"", repr=False)
    """The earlier epoch keys, sealed under this epoch's; may be empty."""

    @property
    def recovery_hash(self) -> bytes:
        """Must equal the one in the genesis."""
        return recovery_hash(self.recovery_signing_key, self.recovery_sealing_key)

    def encode(self) -> bytes:
        """The bytes of the body."""
        writer = Writer().number(self.generation, 4).raw(self.epoch, 32)
        writer.raw(self.recovery_signing_key, 32).raw(self.recovery_sealing_key, 32)
        _write_wraps(writer, self.wraps)
        return writer.blob(self.earlier, 4).done()

    @classmethod
    def read(cls, reader: Reader) -> Epoch:
        """Take it off a reader."""
        generation = reader.count(4, 1, 2**32 - 1, "as its generation")
        epoch, signing_key, sealing_key = (EpochId(reader.take(32)), reader.take(32), reader.take(32))
        if not (is_acceptable_ed25519(signing_key) and is_acceptable_x25519(sealing_key)):
            raise InvalidOperation("the recovery's keys are not acceptable")
        wraps = _read_wraps(reader)
        return cls(generation, epoch, signing_key, sealing_key, wraps, reader.blob(4, EARLIER_BYTES, "earlier keys"))

    def signature_checks(self, _space: SpaceId) -> list[SignatureCheck]:
        """None."""
        return []


@dataclass(frozen=True, slots=True)
class WrapKeys:
    """Wrap an epoch's key to more recipients."""

    KIND: ClassVar[OperationKind] = OperationKind.WRAP
    epoch: EpochId
    wraps: tuple[Wrap, ...]
    """1 to 4,096, sorted by recipient."""

    def encode(self) -> bytes:
        """The bytes of the body."""
        writer = Writer().raw(self.epoch, 32)
        _write_wraps(writer, self.wraps)
        return writer.done()

    @classmethod
    def read(cls, reader: Reader) -> WrapKeys:
        """Take it off a reader."""
        return cls(EpochId(reader.take(32)), _read_wraps(reader))

    def signature_checks(self, _space: SpaceId) -> list[SignatureCheck]:
        """None."""
        return []
