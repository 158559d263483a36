"""Single values sealed for a database that is not encrypted as a whole.

AES-256-GCM-SIV (RFC 8452): a nonce that comes twice tells only that two values are equal, so random ones of 12 bytes
are enough for as many values as a store can hold. A sealed value is the nonce, the ciphertext and the tag of 16 bytes.
The name of its column is bound to it: a value that somebody moves to another column does not open. One that is moved
to another row, or put back from before, does; against who can write to the database, only what is signed is safe.
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from lichen.errors import StoreDamaged

NONCE_BYTES = 12
_FIXED = bytes(NONCE_BYTES)


class ValueKey:
    """Seals and opens values under a key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCMSIV(key)

    def seal(self, column: str, value: bytes, *, equal: bool = False) -> bytes:
        """A value of a column. With `equal`, equal values are equal when sealed, so that they can be found."""
        nonce = _FIXED if equal else os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, column.encode())

    def open(self, column: str, sealed: bytes) -> bytes:
        """What was sealed. Raises `StoreDamaged`."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], column.encode())
        except (InvalidTag, ValueError):
            raise StoreDamaged(
                f"a value of {column} does not open: it was not written under this store's key",
                hint="restore the database from a backup",
            ) from None
