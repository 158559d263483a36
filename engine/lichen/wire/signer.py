"""Who signs: what the layouts need of a device's or the recovery's private key."""

from __future__ import annotations

from typing import Protocol

from lichen.ids import DeviceKey

SIGNATURE_BYTES = 64
"""Length of every signature (Ed25519)."""


class Signer(Protocol):
    """An Ed25519 private key that signs (RFC 8032)."""

    @property
    def public(self) -> DeviceKey:
        """The public key."""

    def sign(self, message: bytes) -> bytes:
        """A signature of 64 bytes."""
