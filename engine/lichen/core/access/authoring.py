"""Making access operations: pure builders that sign what they are given.

Nothing is signed that the log would refuse: then `AccessDenied` says why. (HPKE draws its own randomness, inside
`cryptography`; a wrap is other bytes each time.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lichen.config import DEFAULT_LIMITS
from lichen.core.access.log import AccessLog
from lichen.crypto.identity import Identity
from lichen.crypto.lockbox import seal_earlier, wrap_to_all
from lichen.crypto.recovery import RecoveryKey
from lichen.crypto.sealing import epoch_id
from lichen.errors import AccessDenied, NotFound
from lichen.ids import EpochId, MemberId, OpId, SpaceId
from lichen.wire.epochs import WRAPS
from lichen.wire.membership import AddDevice, AddMember, DeviceRecord, Genesis, Merge, Role
from lichen.wire.operation import NO_SPACE, Body, Epoch, Operation, WrapKeys
from lichen.wire.signer import Signer

MOST_PARENTS = DEFAULT_LIMITS.access_heads
"""Most heads that an operation, or a change set, can name."""


@dataclass(frozen=True, slots=True)
class Founded:
    """A new space: its first operations, and what must be kept or shown."""

    space: SpaceId
    member: MemberId
    operations: tuple[Operation, ...]
    """The genesis and the first epoch."""
    epoch: EpochId
    recovery_key: RecoveryKey
    """To be shown once."""


def found_space(
    identity: Identity, *, member: MemberId, nonce: bytes, recovery_seed: bytes, epoch_key: bytes, time: int
) -> Founded:
    """A new space, owned by one member with this device. `nonce`, seed and key are 32 random bytes each."""
    recovery = RecoveryKey(recovery_seed)
    first = genesis(identity, member=member, nonce=nonce, recovery_hash=recovery.hash, time=time)
    epoch = first_epoch(identity, first, recovery=recovery, key=epoch_key, time=time)
    return Founded(SpaceId(first.id), member, (first, epoch), epoch_id(epoch_key), recovery)


def genesis(identity: Identity, *, member: MemberId, nonce: bytes, recovery_hash: bytes, time: int) -> Operation:
    """The operation whose id is a new space's id. `nonce` is 32 random bytes."""
    body = Genesis(member, identity.record(NO_SPACE, member), nonce, 0, recovery_hash)
    return Operation.sign(body, space=NO_SPACE, parents=(), time=time, signer=identity.signer)


def first_epoch(identity: Identity, first: Operation, *, recovery: RecoveryKey, key: bytes, time: int) -> Operation:
    """The first epoch of a space, for its creator's device and the recovery. `key` is 32 random bytes."""
    space = SpaceId(first.id)
    wraps = wrap_to_all(key, [identity.sealing_key, recovery.sealing_key], space)
    body = Epoch(1, epoch_id(key), recovery.public, recovery.sealing_key, wraps)
    return Operation.sign(body, space=space, parents=(first.id,), time=time, signer=identity.signer)


def add_member(
    log: AccessLog, signer: Signer, *, member: MemberId, role: Role, devices: Sequence[DeviceRecord], time: int
) -> Operation:
    """Add a member, which is not one yet, with its devices. Raises `AccessDenied`."""
    if member in log.members():
        raise AccessDenied(f"member {member.hex()} is in this space already", hint="join under another member id")
    body = AddMember(member, role, tuple(sorted(devices, key=lambda device: device.key)))
    return _sign(log, signer, body, log.heads, time)


def add_device(log: AccessLog, signer: Signer, *, member: MemberId, device: DeviceRecord, time: int) -> Operation:
    """Add a device to a member. Raises `AccessDenied`."""
    return _sign(log, signer, AddDevice(member, device), log.heads, time)


def wrap_keys(
    log: AccessLog,
    signer: Signer,
    *,
    keys: Mapping[EpochId, bytes],
    recipients: Sequence[bytes],
    parents: Sequence[OpId],
    time: int,
) -> list[Operation]:
    """Wrap every one of these epoch keys to the recipients, each operation after the one before. Raises `AccessDenied`.

    `parents` may name an operation that is not in the log yet: the one that adds the recipients.
    """
    made: list[Operation] = []
    for epoch in sorted(keys):
        for some in _in_parts(sorted(set(recipients))):
            body = WrapKeys(epoch, wrap_to_all(keys[epoch], some, log.space))
            made.append(_sign(log, signer, body, parents, time))
            parents = (made[-1].id,)
    return made


def next_epoch(
    log: AccessLog, signer: Signer, *, key: bytes, keys: Mapping[EpochId, bytes], random: bytes, time: int
) -> list[Operation]:
    """Begin the next epoch under `key`, for everyone who may read; it seals the earlier `keys`.

    One operation, and further wraps where more than 4,096 devices may read. `key` is 32, `random` 24 random bytes.
    Raises `NotFound` while no earlier epoch, which names the recovery, is known; `AccessDenied`.
    """
    newest = log.newest_epoch()
    earlier = None if newest is None else log.epoch(newest)
    if earlier is None:
        raise NotFound("no earlier epoch of this space is known yet")
    parts = _in_parts(sorted(log.required_recipients()))
    body = Epoch(
        log.next_generation(),
        epoch_id(key),
        earlier.recovery_signing_key,
        earlier.recovery_sealing_key,
        wrap_to_all(key, parts[0], log.space),
        seal_earlier(sorted(keys.values()), key, log.space, random),
    )
    begun = _sign(log, signer, body, log.heads, time)
    rest = [recipient for part in parts[1:] for recipient in part]
    more = wrap_keys(log, signer, keys={body.epoch: key}, recipients=rest, parents=(begun.id,), time=time)
    return [begun, *more]


def merge_heads(log: AccessLog, signer: Signer, *, time: int) -> list[Operation]:
    """Empty merges after which one head is left; none when there is one. An operation names at most 64 parents."""
    heads = list(log.heads)
    made: list[Operation] = []
    while len(heads) > 1:
        made.append(_sign(log, signer, Merge(), heads[:MOST_PARENTS], time))
        heads = [*heads[MOST_PARENTS:], made[-1].id]
    return made


def _in_parts(recipients: list[bytes]) -> list[list[bytes]]:
    """As many at a time as one operation holds."""
    return [recipients[start : start + WRAPS] for start in range(0, len(recipients), WRAPS)]


def _sign(log: AccessLog, signer: Signer, body: Body, parents: Iterable[OpId], time: int) -> Operation:
    operation = Operation.sign(body, space=log.space, parents=parents, time=time, signer=signer)
    reason = log.why_not(operation)
    if reason is not None:
        raise AccessDenied(f"this device may not do that: {reason}")
    return operation
