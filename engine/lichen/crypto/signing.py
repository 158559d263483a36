"""Ed25519: signing, and the one equation by which every node verifies.

S below the group's order, public key and R canonical and not of small order, cofactorless, one signature at a time:
nodes that verified by different equations would accept different sets, and split.
"""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lichen._native import is_acceptable_key as _is_acceptable_key
from lichen._native import verify_many as _verify_many
from lichen.ids import DeviceKey

SignatureCheck = tuple[bytes, bytes, bytes]
"""Public key, message, signature."""


class Signer:
    """An Ed25519 private key that signs (RFC 8032)."""

    __slots__ = ("_key", "public")

    def __init__(self, private: bytes) -> None:
        """`private` is 32 bytes."""
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self.public = DeviceKey(self._key.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """A signature of 64 bytes."""
        return self._key.sign(message)


def verify_many(checks: Sequence[SignatureCheck]) -> list[bool]:
    """Whether each signature is its key's; on native threads, with the GIL released. Anything malformed is False."""
    return _verify_many(list(checks))


def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether one signature is its key's."""
    return _verify_many([(key, message, signature)])[0]


def is_acceptable_key(key: bytes) -> bool:
    """Whether 32 bytes are a canonical Ed25519 public key that is not of small order."""
    return _is_acceptable_key(key)
