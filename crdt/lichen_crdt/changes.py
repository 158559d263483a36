"""Looking into changes without applying them."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index

from lichen_crdt import _native

MAX_OPERATIONS = _native.MAX_OPERATIONS
"""Most operations in one change; a larger transaction becomes several changes."""


@dataclass(frozen=True, slots=True)
class ChangeHeader:
    """What a change says about itself beside its operations."""

    actor: bytes
    """Who wrote it: the id of one run of one program, not of a person."""
    seq: int
    """Its number among the actor's changes, from 1."""
    start_op: int
    """The number of its first operation."""
    operations: int
    """How many operations it has."""
    deps: tuple[bytes, ...]
    """Hashes of the changes that it directly builds on, sorted."""
    time: int
    """When it was made by its writer's clock, in seconds since 1970; 0 if it does not say."""
    message: str | None
    """What its writer said about it."""
    hash: bytes
    """Its identity, 32 bytes."""


@dataclass(frozen=True, slots=True)
class ChangeInfo(ChangeHeader):
    """The header of a change that is in no document yet; its operations are counted from run lengths."""

    size: int
    """The length of its bytes."""


def inspect(change: bytes) -> ChangeInfo:
    """Read the header of one change, in time and memory in proportion to its bytes.

    Nothing is built of the operations: a few bytes that stand for a million of them are an
    `InvalidChange`, as is whatever is not exactly one uncompressed change chunk with its right checksum.
    """
    actor, seq, start_op, operations, deps, time, message, digest, size = _native.inspect(change)
    return ChangeInfo(actor, seq, start_op, operations, tuple(deps), time, message, digest, size)


def seconds(time: int | None) -> int:
    """A time as a change has it, 0 for None; `ValueError` if it is out of range, `TypeError` if it is no integer."""
    if time is None:
        return 0
    try:
        number = index(time)
    except TypeError:
        kind = type(time).__name__
        raise TypeError(f"a time is whole seconds since 1970, as `int(time.time())`, and its type is {kind}") from None
    if not -_native.MAX_TIME <= number < _native.MAX_TIME:
        raise ValueError(_native.TIMES)
    return number
