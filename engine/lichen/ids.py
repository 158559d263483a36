"""The identifiers of lichen: plain bytes with distinct types.

Every id is a fixed number of bytes, named here, and is printed and parsed as lower-case hexadecimal.
"""

from __future__ import annotations

from typing import NewType

SpaceId = NewType("SpaceId", bytes)
"""32 bytes: the hash of the space's genesis operation."""

DocId = NewType("DocId", bytes)
"""16 bytes: the hash of space, creator key and nonce, cut."""

DeviceKey = NewType("DeviceKey", bytes)
"""32 bytes: a device's Ed25519 public key, which is its peer id."""

MemberId = NewType("MemberId", bytes)
"""16 random bytes: a member of one space."""

Session = NewType("Session", bytes)
"""16 random bytes: one process start of a device."""

SetId = NewType("SetId", bytes)
"""32 bytes: the id of a change set."""

OpId = NewType("OpId", bytes)
"""32 bytes: the id of an access operation."""

EpochId = NewType("EpochId", bytes)
"""32 bytes: the hash of an epoch's key."""

ChangeHash = NewType("ChangeHash", bytes)
"""32 bytes: the hash of an Automerge change. It never leaves a device unkeyed."""

HASH_BYTES = 32
"""Length of every hash, key and set id."""

SHORT_BYTES = 16
"""Length of document, member and session ids."""
