"""The keys of one device: three independent pairs, none derived from another."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lichen.crypto.signing import Signer
from lichen.errors import StoreDamaged
from lichen.ids import DeviceKey, MemberId, SpaceId
from lichen.wire import domains
from lichen.wire.operation import DeviceRecord

MAGIC = b"lid1"
PRIVATE_BYTES = 96


class Identity:
    """A device's private keys: Ed25519 to sign, X25519 for HPKE, X25519 as the Noise static key.

    It never leaves the device but inside the store, which is encrypted.
    """

    __slots__ = ("_private", "sealing_key", "sealing_private", "signer", "static_key", "static_private")

    def __init__(self, private: bytes) -> None:
        """`private` is 96 bytes: the three private keys, in that order."""
        if len(private) != PRIVATE_BYTES:
            raise ValueError(f"an identity is {PRIVATE_BYTES} bytes, not {len(private)}")
        self._private = private
        self.signer = Signer(private[:32])
        self.sealing_private = X25519PrivateKey.from_private_bytes(private[32:64])
        self.sealing_key = self.sealing_private.public_key().public_bytes_raw()
        self.static_private = X25519PrivateKey.from_private_bytes(private[64:])
        self.static_key = self.static_private.public_key().public_bytes_raw()

    @classmethod
    def generate(cls, random: bytes) -> Identity:
        """A new identity from 96 fresh random bytes."""
        return cls(random)

    @property
    def device(self) -> DeviceKey:
        """The device's key: its peer id."""
        return self.signer.public

    def record(self, space: SpaceId, member: MemberId) -> DeviceRecord:
        """The public keys, signed for one member of one space (32 zero bytes in a genesis)."""
        return DeviceRecord.sign(
            space=space, member=member, signer=self.signer, sealing_key=self.sealing_key, static_key=self.static_key
        )

    def derive_secret(self, purpose: str) -> bytes:
        """32 secret bytes that only this device can make, always the same for one purpose (HKDF-SHA256, RFC 5869)."""
        return domains.hkdf(self._private, b"", domains.APPLICATION_SECRET + b"/" + purpose.encode(), 32)

    def to_bytes(self) -> bytes:
        """For the store."""
        return MAGIC + self._private

    @classmethod
    def from_bytes(cls, data: bytes) -> Identity:
        """From the store. Raises `StoreDamaged`."""
        if len(data) != len(MAGIC) + PRIVATE_BYTES or not data.startswith(MAGIC):
            raise StoreDamaged("the device's keys in the store are not readable", hint="restore it from a backup")
        return cls(data[len(MAGIC) :])

    def __repr__(self) -> str:
        return f"Identity({self.device.hex()[:12]}…)"
