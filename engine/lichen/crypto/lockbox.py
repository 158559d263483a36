"""Wrapping epoch keys: to a device or the recovery with HPKE, and older ones under a newer one.

HPKE (RFC 9180) in base mode, one shot: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305. Who may wrap is
not HPKE's business: wraps stand in signed access operations, and a key that is not the epoch's is found out by
its hash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from lichen.crypto.sealing import epoch_id
from lichen.errors import CannotOpen, LimitExceeded
from lichen.ids import EpochId, SpaceId
from lichen.wire import domains
from lichen.wire.epochs import EARLIER_KEYS, WRAPPED_BYTES, Wrap

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_SALT_BYTES: Final = 24
_KEY_BYTES: Final = 32
_TAG_BYTES: Final = 16


class Recipient(Protocol):
    """Who can be wrapped to: an identity or a recovery key."""

    @property
    def sealing_private(self) -> X25519PrivateKey:
        """The private half of its sealing key."""


def wrap_epoch_key(key: bytes, recipient: bytes, space: SpaceId, epoch: EpochId) -> bytes:
    """The epoch key wrapped to an X25519 public key: 80 bytes, other ones each time.

    Raises `CannotOpen` when nothing can be wrapped to that key.
    """
    try:
        return _SUITE.encrypt(key, X25519PublicKey.from_public_bytes(recipient), info=_info(space, epoch))
    except ValueError as error:
        raise CannotOpen("nothing can be wrapped to this key") from error


def wrap_to_all(key: bytes, recipients: Sequence[bytes], space: SpaceId) -> tuple[Wrap, ...]:
    """The epoch key wrapped to each recipient once, sorted as an operation needs them."""
    epoch = epoch_id(key)
    return tuple(Wrap(recipient, wrap_epoch_key(key, recipient, space, epoch)) for recipient in sorted(set(recipients)))


def unwrap_epoch_key(wrapped: bytes, recipient: Recipient, space: SpaceId, epoch: EpochId) -> bytes:
    """The epoch key, 32 bytes. Raises `CannotOpen` when it was not wrapped to us, or is not that epoch's."""
    if len(wrapped) != WRAPPED_BYTES:
        raise CannotOpen(f"a wrapped epoch key has {WRAPPED_BYTES} bytes, not {len(wrapped)}")
    try:
        key = _SUITE.decrypt(wrapped, recipient.sealing_private, info=_info(space, epoch))
    except (InvalidTag, ValueError) as error:
        raise CannotOpen("a wrapped epoch key does not open with this device's key") from error
    if epoch_id(key) != epoch:
        raise CannotOpen("a wrapped key is not that of its epoch")
    return key


def _info(space: SpaceId, epoch: EpochId) -> bytes:
    return domains.LOCKBOX + space + epoch


def seal_earlier(keys: Sequence[bytes], epoch_key: bytes, space: SpaceId, random: bytes) -> bytes:
    """Earlier epoch keys sealed under a newer one; empty for none. `random` is 24 fresh random bytes or more.

    Raises `LimitExceeded` for more than 4,096.
    """
    if not keys:
        return b""
    if len(keys) > EARLIER_KEYS:
        raise LimitExceeded(f"an epoch can seal {EARLIER_KEYS} earlier keys, not {len(keys)}")
    if len(random) < _SALT_BYTES:
        raise ValueError("sealing needs 24 random bytes")
    salt = random[:_SALT_BYTES]
    cipher, nonce = _earlier_cipher(epoch_key, salt, space)
    return salt + cipher.encrypt(nonce, b"".join(sorted(set(keys))), None)


def open_earlier(sealed: bytes, epoch_key: bytes, space: SpaceId) -> Mapping[EpochId, bytes]:
    """The earlier epoch keys by their ids. Raises `CannotOpen`."""
    if not sealed:
        return {}
    length = len(sealed) - _SALT_BYTES - _TAG_BYTES
    if length <= 0 or length % _KEY_BYTES:
        raise CannotOpen("sealed earlier epoch keys have another length")
    cipher, nonce = _earlier_cipher(epoch_key, sealed[:_SALT_BYTES], space)
    try:
        opened = cipher.decrypt(nonce, sealed[_SALT_BYTES:], None)
    except InvalidTag as error:
        raise CannotOpen("sealed earlier epoch keys do not open with this epoch's key") from error
    keys = (opened[at : at + _KEY_BYTES] for at in range(0, len(opened), _KEY_BYTES))
    return {epoch_id(key): key for key in keys}


def _earlier_cipher(epoch_key: bytes, salt: bytes, space: SpaceId) -> tuple[ChaCha20Poly1305, bytes]:
    derived = domains.hkdf(epoch_key, salt, domains.EARLIER + space, 44)
    return ChaCha20Poly1305(derived[:32]), derived[32:]
