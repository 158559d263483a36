"""The domain strings: every hash, MAC, signature and key derivation begins with its own.

They are ASCII, stand at the very beginning of the input, and none is the beginning of another, so no input of one
purpose can be an input of another. The table in `docs/reference/wire.md` is checked against this module.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

CHANGE_SET: Final = b"lichen/change-set/v1"
CHANGE_SET_SIGNATURE: Final = b"lichen/change-set-signature/v1"
CIPHERTEXT: Final = b"lichen/ciphertext/v1"
SEAL: Final = b"lichen/seal/v1"
SALT: Final = b"lichen/salt/v1"
TIP_KEY: Final = b"lichen/tip-key/v1"
TIP: Final = b"lichen/tip/v1"
MERGE_TIP: Final = b"lichen/merge-tip/v1"
DOCUMENT: Final = b"lichen/document/v1"
OPERATION: Final = b"lichen/operation/v1"
OPERATION_SIGNATURE: Final = b"lichen/operation-signature/v1"
DEVICE: Final = b"lichen/device/v1"
EPOCH: Final = b"lichen/epoch/v1"
LOCKBOX: Final = b"lichen/lockbox/v1"
EARLIER: Final = b"lichen/earlier-epochs/v1"
RECOVERY: Final = b"lichen/recovery/v1"
RECOVERY_SIGNING: Final = b"lichen/recovery-signing-key/v1"
RECOVERY_SEALING: Final = b"lichen/recovery-sealing-key/v1"
RECOVERY_TEXT: Final = b"lichen/recovery-text/v1"
EPHEMERAL: Final = b"lichen/ephemeral/v1"
EPHEMERAL_SIGNATURE: Final = b"lichen/ephemeral-signature/v1"
EPHEMERAL_SEAL: Final = b"lichen/ephemeral-seal/v1"
TICKET_TEXT: Final = b"lichen/ticket-text/v1"
TICKET_ID: Final = b"lichen/ticket-id/v1"
TICKET_PSK: Final = b"lichen/ticket-psk/v1"
APPLICATION_SECRET: Final = b"lichen/application-secret/v1"
ACTOR: Final = b"lichen/actor/v1"


def digest(domain: bytes, *parts: bytes) -> bytes:
    """SHA-256 over a domain string and parts of fixed length (or one last part of any length): 32 bytes."""
    return hashlib.sha256(domain + b"".join(parts)).digest()


def mac(key: bytes, domain: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 over a domain string and parts: 32 bytes."""
    return hmac.digest(key, domain + b"".join(parts), "sha256")


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """HKDF-SHA256 (RFC 5869) of `length` bytes, at most 8,160; `info` begins with a domain string."""
    key = hmac.digest(salt or bytes(32), secret, "sha256")
    block = hmac.digest(key, info + b"\x01", "sha256")
    blocks = [block]
    for counter in range(2, -(-length // 32) + 1):
        block = hmac.digest(key, block + info + bytes((counter,)), "sha256")
        blocks.append(block)
    return b"".join(blocks)[:length]
