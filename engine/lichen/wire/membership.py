"""Bodies of access operations about members and their devices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Final

from lichen.errors import InvalidOperation
from lichen.ids import DeviceKey, MemberId, SpaceId
from lichen.wire import domains
from lichen.wire.keys import is_acceptable_ed25519, is_acceptable_x25519
from lichen.wire.reader import Reader, Writer
from lichen.wire.signer import SIGNATURE_BYTES, Signer

MEMBER_DEVICES: Final = 16
"""Most devices that one operation may bring."""

SignatureCheck = tuple[DeviceKey, bytes, bytes]
"""Key, message, signature."""


class OperationKind(IntEnum):
    """What an operation does; later kinds get later numbers."""

    GENESIS = 1
    ADD_MEMBER = 2
    ADD_DEVICE = 3
    EPOCH = 4
    WRAP = 5
    MERGE = 6


class Role(IntEnum):
    """What a member may do, in ascending order."""

    RELAY = 1
    READER = 2
    WRITER = 3
    ADMIN = 4
    OWNER = 5


@dataclass(frozen=True, slots=True)
class DeviceRecord:
    """A device's three public keys, signed by itself for one member of one space."""

    key: DeviceKey
    """Ed25519: it signs, and names the device."""
    sealing_key: bytes
    """X25519 (HPKE): epoch keys are wrapped to it."""
    static_key: bytes
    """X25519 (Noise): it authenticates links."""
    signature: bytes
    """Over domain, space (zeros in a genesis), member and the three keys."""

    BYTES: ClassVar[int] = 3 * 32 + SIGNATURE_BYTES

    def signed_message(self, space: SpaceId, member: MemberId) -> bytes:
        """What the device's signature is over, for a record in an operation of `space`."""
        return _record_message(space, member, self.key, self.sealing_key, self.static_key)

    @classmethod
    def sign(
        cls, *, space: SpaceId, member: MemberId, signer: Signer, sealing_key: bytes, static_key: bytes
    ) -> DeviceRecord:
        """The record of the signer's device; `space` is 32 zero bytes for a genesis."""
        message = _record_message(space, member, signer.public, sealing_key, static_key)
        return cls(signer.public, sealing_key, static_key, signer.sign(message))

    def write(self, writer: Writer) -> None:
        """Append its 160 bytes."""
        writer.raw(self.key, 32).raw(self.sealing_key, 32).raw(self.static_key, 32).raw(self.signature, SIGNATURE_BYTES)

    @classmethod
    def read(cls, reader: Reader) -> DeviceRecord:
        """Take it off a reader; its keys must be acceptable, its signature is not checked."""
        record = cls(DeviceKey(reader.take(32)), reader.take(32), reader.take(32), reader.take(SIGNATURE_BYTES))
        if not is_acceptable_ed25519(record.key):
            raise InvalidOperation("a device's key is not an acceptable Ed25519 key")
        if not (is_acceptable_x25519(record.sealing_key) and is_acceptable_x25519(record.static_key)):
            raise InvalidOperation("a device's key is not an acceptable X25519 key")
        return record


def _record_message(space: SpaceId, member: MemberId, key: DeviceKey, sealing_key: bytes, static_key: bytes) -> bytes:
    return b"".join((domains.DEVICE, space, member, key, sealing_key, static_key))


def recovery_hash(signing_key: bytes, sealing_key: bytes) -> bytes:
    """What a genesis commits to: the recovery's Ed25519 and X25519 public keys."""
    return domains.digest(domains.RECOVERY, signing_key, sealing_key)


@dataclass(frozen=True, slots=True)
class Genesis:
    """Begin a space, with its creator as owner."""

    KIND: ClassVar[OperationKind] = OperationKind.GENESIS
    member: MemberId
    device: DeviceRecord
    """Signed for the space of 32 zero bytes."""
    nonce: bytes
    """32 random bytes."""
    policy: int
    """0; other policies come later."""
    recovery_hash: bytes

    def encode(self) -> bytes:
        """The bytes of the body."""
        writer = Writer().raw(self.member, 16)
        self.device.write(writer)
        return writer.raw(self.nonce, 32).number(self.policy, 2).raw(self.recovery_hash, 32).done()

    @classmethod
    def read(cls, reader: Reader) -> Genesis:
        """Take it off a reader."""
        member, device, nonce = (MemberId(reader.take(16)), DeviceRecord.read(reader), reader.take(32))
        policy = reader.count(2, 0, 0, "as its policy")
        return cls(member, device, nonce, policy, reader.take(32))

    def signature_checks(self, space: SpaceId) -> list[SignatureCheck]:
        """The signatures of the devices it brings."""
        return _checks(space, self.member, (self.device,))


@dataclass(frozen=True, slots=True)
class AddMember:
    """Add a member with its devices, or give a member a higher role."""

    KIND: ClassVar[OperationKind] = OperationKind.ADD_MEMBER
    member: MemberId
    role: Role
    devices: tuple[DeviceRecord, ...]
    """1 to 16, sorted by their keys."""

    def encode(self) -> bytes:
        """The bytes of the body."""
        writer = Writer().raw(self.member, 16).number(self.role, 1).number(len(self.devices), 1)
        for device in self.devices:
            device.write(writer)
        return writer.done()

    @classmethod
    def read(cls, reader: Reader) -> AddMember:
        """Take it off a reader."""
        member = MemberId(reader.take(16))
        role = Role(reader.count(1, Role.RELAY, Role.OWNER, "as its role"))
        count = reader.count(1, 1, MEMBER_DEVICES, "devices")
        devices = tuple(DeviceRecord.read(reader) for _ in range(count))
        reader.ascending(tuple(device.key for device in devices), "devices")
        return cls(member, role, devices)

    def signature_checks(self, space: SpaceId) -> list[SignatureCheck]:
        """The signatures of the devices it brings."""
        return _checks(space, self.member, self.devices)


@dataclass(frozen=True, slots=True)
class AddDevice:
    """Add a device to a member."""

    KIND: ClassVar[OperationKind] = OperationKind.ADD_DEVICE
    member: MemberId
    device: DeviceRecord

    def encode(self) -> bytes:
        """The bytes of the body."""
        writer = Writer().raw(self.member, 16)
        self.device.write(writer)
        return writer.done()

    @classmethod
    def read(cls, reader: Reader) -> AddDevice:
        """Take it off a reader."""
        return cls(MemberId(reader.take(16)), DeviceRecord.read(reader))

    def signature_checks(self, space: SpaceId) -> list[SignatureCheck]:
        """The signature of the device it brings."""
        return _checks(space, self.member, (self.device,))


@dataclass(frozen=True, slots=True)
class Merge:
    """Nothing but its parents: it makes several heads one."""

    KIND: ClassVar[OperationKind] = OperationKind.MERGE

    def encode(self) -> bytes:
        """No bytes."""
        return b""

    @classmethod
    def read(cls, _reader: Reader) -> Merge:
        """Take nothing off a reader."""
        return cls()

    def signature_checks(self, _space: SpaceId) -> list[SignatureCheck]:
        """None."""
        return []


def _checks(space: SpaceId, member: MemberId, devices: tuple[DeviceRecord, ...]) -> list[SignatureCheck]:
    return [(device.key, device.signed_message(space, member), device.signature) for device in devices]
