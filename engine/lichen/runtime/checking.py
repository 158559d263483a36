"""The costly checks of change sets from outside: pure functions of bytes, on a worker thread when there are many."""

from __future__ import annotations

from collections.abc import Sequence

from lichen.core.events import CheckedSet
from lichen.crypto.sealing import open_set
from lichen.crypto.signing import verify_many
from lichen.errors import CannotOpen, InvalidChangeSet
from lichen.wire.changeset import ChangeSet

INLINE_BYTES = 8 * 1024
"""Batches below this size are checked on the loop: a thread's start would cost more."""
INLINE_SETS = 2


def small(sets: Sequence[tuple[int, ChangeSet, bytes | None]]) -> bool:
    """Whether a batch is cheaper to check at once than on a thread."""
    return len(sets) <= INLINE_SETS and sum(len(change_set.ciphertext) for _, change_set, _ in sets) <= INLINE_BYTES


def check(sets: Sequence[tuple[int, ChangeSet, bytes | None]]) -> tuple[CheckedSet, ...]:
    """Verify signatures, then open what verified and has its key."""
    verified = verify_many([(s.header.author, s.signed_message, s.signature) for _, s, _ in sets])
    return tuple(
        _open(link, change_set, key) if good else CheckedSet(change_set, link, False, "bad signature", None)
        for (link, change_set, key), good in zip(sets, verified, strict=True)
    )


def _open(link: int, change_set: ChangeSet, key: bytes | None) -> CheckedSet:
    if key is None:
        return CheckedSet(change_set, link, True, "", None)
    try:
        return CheckedSet(change_set, link, True, "", tuple(open_set(change_set, key)))
    except (CannotOpen, InvalidChangeSet) as error:
        return CheckedSet(change_set, link, True, str(error), None)
