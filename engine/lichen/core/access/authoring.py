"""Making access operations: pure builders that sign what they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lichen.core.access.log import AccessLog
from lichen.crypto.identity import Identity
from lichen.crypto.lockbox import seal_earlier, wrap_to_all
from lichen.crypto.recovery import RecoveryKey
from lichen.crypto.sealing import epoch_id
from lichen.errors import NotFound
from lichen.ids import EpochId, MemberId, OpId, SpaceId
from lichen.wire.membership import AddDevice, AddMember, DeviceRecord, Genesis, Role
from lichen.wire.operation import NO_SPACE, Epoch, Operation, WrapKeys
from lichen.wire.signer import Signer


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
    """A new space owned by one member with this device. `nonce`, `recovery_seed` and `epoch_key` are 32 random bytes."""
    recovery = RecoveryKey(recovery_seed)
    body = Genesis(member, identity.record(NO_SPACE, member), nonce, 0, recovery.hash)
    genesis = Operation.sign(body, space=NO_SPACE, parents=(), time=time, signer=identity.signer)
    space = SpaceId(genesis.id)
    wraps = wrap_to_all(epoch_key, [identity.sealing_key, recovery.sealing_key], space)
    first = Epoch(1, epoch_id(epoch_key), recovery.public, recovery.sealing_key, wraps)
    epoch = Operation.sign(first, space=space, parents=(genesis.id,), time=time, signer=identity.signer)
    return Founded(space, member, (genesis, epoch), first.epoch, recovery)


def add_member(
    log: AccessLog, signer: Signer, *, member: MemberId, role: Role, devices: Sequence[DeviceRecord], time: int
) -> Operation:
    """Add a member with its devices."""
    body = AddMember(member, role, tuple(sorted(devices, key=lambda device: device.key)))
    return Operation.sign(body, space=log.space, parents=log.heads, time=time, signer=signer)


def add_device(log: AccessLog, signer: Signer, *, member: MemberId, device: DeviceRecord, time: int) -> Operation:
    """Add a device to a member."""
    body = AddDevice(member, device)
    return Operation.sign(body, space=log.space, parents=log.heads, time=time, signer=signer)


def wrap_keys(
    log: AccessLog,
    signer: Signer,
    *,
    keys: Mapping[EpochId, bytes],
    recipients: Sequence[bytes],
    parents: Sequence[OpId],
    time: int,
) -> list[Operation]:
    """Wrap every one of these epoch keys to the recipients: one operation an epoch, each after the one before."""
    made: list[Operation] = []
    for epoch in sorted(keys):
        body = WrapKeys(epoch, wrap_to_all(keys[epoch], recipients, log.space))
        made.append(Operation.sign(body, space=log.space, parents=parents, time=time, signer=signer))
        parents = (made[-1].id,)
    return made


def next_epoch(
    log: AccessLog, signer: Signer, *, key: bytes, keys: Mapping[EpochId, bytes], random: bytes, time: int
) -> Operation:
    """Begin the next epoch under `key`, for everyone who may read; it seals the earlier `keys`.

    Raises `NotFound` while no earlier epoch, which names the recovery, is known.
    """
    newest = log.newest_epoch()
    earlier = None if newest is None else log.epoch(newest)
    if earlier is None:
        raise NotFound("no earlier epoch of this space is known yet")
    body = Epoch(
        log.highest_generation(log.mask(log.heads)) + 1,
        epoch_id(key),
        earlier.recovery.public,
        earlier.recovery_sealing_key,
        wrap_to_all(key, sorted(log.required_recipients()), log.space),
        seal_earlier(sorted(keys.values()), key, log.space, random),
    )
    return Operation.sign(body, space=log.space, parents=log.heads, time=time, signer=signer)
