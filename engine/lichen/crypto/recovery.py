"""The recovery key of a space: shown once when the space is begun, kept offline, an owner for ever.

It is 32 random bytes, written down as text. Two keys are derived from them: an Ed25519 key that signs operations, and
an X25519 key that every epoch is wrapped to. The genesis commits to the public halves by their hash only.
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lichen.errors import ConfigError
from lichen.ids import DeviceKey
from lichen.wire import base32, domains
from lichen.wire.operation import recovery_hash

SECRET_BYTES: Final = 32
TEXT_CHARACTERS: Final = 1_024
"""Longest text that is looked at."""

_GROUP: Final = 5
_LOOKALIKES: Final = str.maketrans({"0": "o", "8": "b", "-": None})
_HINT: Final = "it is the text that was shown once when the space was begun"


class RecoveryKey:
    """Both private keys, usable wherever a signer or a recipient of epoch keys is."""

    __slots__ = ("_secret", "_signing_private", "sealing_private")

    sealing_private: X25519PrivateKey
    """Unwraps epoch keys."""

    def __init__(self, secret: bytes) -> None:
        """Of 32 random bytes."""
        if len(secret) != SECRET_BYTES:
            raise ConfigError(f"a recovery key is made of {SECRET_BYTES} bytes, not {len(secret)}")
        self._secret = secret
        signing = domains.hkdf(secret, b"", domains.RECOVERY_SIGNING, 32)
        sealing = domains.hkdf(secret, b"", domains.RECOVERY_SEALING, 32)
        self._signing_private = Ed25519PrivateKey.from_private_bytes(signing)
        self.sealing_private = X25519PrivateKey.from_private_bytes(sealing)

    @classmethod
    def parse(cls, text: str) -> RecoveryKey:
        """The key that `text` was written from; case, spaces, dashes and the digits 0 and 8 are forgiven.

        Raises `ConfigError`.
        """
        if len(text) > TEXT_CHARACTERS:
            raise ConfigError("this is too long for a recovery key", hint=_HINT)
        tidy = base32.tidy(text).translate(_LOOKALIKES)
        try:
            return cls(base32.from_text(tidy, domains.RECOVERY_TEXT))
        except ValueError as error:
            raise ConfigError(f"this is not a recovery key: {error}", hint=_HINT) from error

    @property
    def text(self) -> str:
        """The key in groups of five letters and digits, to be written down."""
        letters = base32.to_text(self._secret, domains.RECOVERY_TEXT)
        return "-".join(letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))

    @property
    def public(self) -> DeviceKey:
        """The Ed25519 public key, 32 bytes."""
        return DeviceKey(self._signing_private.public_key().public_bytes_raw())

    @property
    def sealing_key(self) -> bytes:
        """The X25519 public key, 32 bytes."""
        return self.sealing_private.public_key().public_bytes_raw()

    @property
    def hash(self) -> bytes:
        """What a genesis commits to: 32 bytes."""
        return recovery_hash(self.public, self.sealing_key)

    def sign(self, message: bytes) -> bytes:
        """A signature of 64 bytes."""
        return self._signing_private.sign(message)

    def __repr__(self) -> str:
        return f"RecoveryKey(public={self.public.hex()})"
