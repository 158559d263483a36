"""The access log of one space: a signed DAG of operations, and what follows from it.

Every answer is a pure function of a set of operations (the past of some heads), so replicas with the same operations agree,
whatever the order in which they came (protocol section 4). Pasts are bit sets: bit i is the i-th operation that was added.

There are no reductions (removals, demotions) in this version, so every valid operation counts. Where they come in, `_in_force`
will drop what they reach; everything else already asks through it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.core.access.rules import Reject, check
from lichen.ids import DeviceKey, EpochId, MemberId, OpId, SpaceId
from lichen.wire.epochs import Epoch, Wrap, WrapKeys
from lichen.wire.membership import AddDevice, AddMember, DeviceRecord, Genesis, Role
from lichen.wire.operation import Operation


class Outcome(Enum):
    """What became of an operation."""

    VALID = "valid"
    INVALID = "invalid"
    """For good, and with it whatever follows it."""
    WAITING = "waiting"
    """A parent is not here yet."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member as the whole known log has it."""

    id: MemberId
    role: Role
    devices: tuple[DeviceRecord, ...]


@dataclass(frozen=True, slots=True)
class _Grant:
    """An operation that gives a member a role."""

    bit: int
    role: Role


class AccessLog:
    """The access log of one space, as far as it is known here."""

    def __init__(self, space: SpaceId, limits: Limits = DEFAULT_LIMITS) -> None:
        self.space = space
        self._limits = limits
        self._operations: list[Operation] = []
        self._index: dict[OpId, int] = {}
        self._pasts: list[int] = []
        self._heads: dict[OpId, None] = {}
        self._invalid: dict[OpId, str] = {}
        self._waiting: OrderedDict[OpId, Operation] = OrderedDict()
        self._grants: dict[MemberId, list[_Grant]] = {}
        self._devices: dict[DeviceKey, list[tuple[int, MemberId, DeviceRecord]]] = {}
        self._epochs: dict[EpochId, tuple[int, Epoch]] = {}
        self._wraps: dict[EpochId, dict[bytes, bytes]] = {}
        self._roles: dict[tuple[DeviceKey, int], Role | None] = {}
        self._eligible: EpochId | None = None
        self._eligible_known = False

    # Adding

    def add(self, operation: Operation) -> Outcome:
        """Take an operation whose signatures were verified. Idempotent; retries what waited for it."""
        outcome = self._add_one(operation)
        if outcome is Outcome.VALID:
            self._retry()
        return outcome

    def _add_one(self, operation: Operation) -> Outcome:
        if operation.id in self._index:
            return Outcome.VALID
        if operation.id in self._invalid:
            return Outcome.INVALID
        reason = self._reason_against(operation)
        if reason is not None:
            self._invalid[operation.id] = reason
            return Outcome.INVALID
        if any(parent not in self._index for parent in operation.parents):
            self._waiting[operation.id] = operation
            if len(self._waiting) > self._limits.waiting_sets:
                self._waiting.popitem(last=False)
            return Outcome.WAITING
        try:
            check(operation, self, self.mask(operation.parents))
        except Reject as rejected:
            self._invalid[operation.id] = str(rejected)
            return Outcome.INVALID
        self._take(operation)
        return Outcome.VALID

    def _reason_against(self, operation: Operation) -> str | None:
        if operation.space != self.space:
            return "it belongs to another space"
        if not operation.parents and operation.id != self.space:
            return "it is another space's genesis"
        if any(parent in self._invalid for parent in operation.parents):
            return "it follows an invalid operation"
        return None

    def _retry(self) -> None:
        progress = True
        while progress:
            progress = False
            for operation in list(self._waiting.values()):
                if all(parent in self._index or parent in self._invalid for parent in operation.parents):
                    del self._waiting[operation.id]
                    self._add_one(operation)
                    progress = True

    def _take(self, operation: Operation) -> None:
        bit = len(self._operations)
        self._operations.append(operation)
        self._index[operation.id] = bit
        self._pasts.append(self.mask(operation.parents) | 1 << bit)
        for parent in operation.parents:
            self._heads.pop(parent, None)
        self._heads[operation.id] = None
        match operation.body:
            case Genesis(member=member, device=device):
                self._grants.setdefault(member, []).append(_Grant(bit, Role.OWNER))
                self._add_device(bit, member, device)
            case AddMember(member=member, role=role, devices=devices):
                self._grants.setdefault(member, []).append(_Grant(bit, role))
                for device in devices:
                    self._add_device(bit, member, device)
            case AddDevice(member=member, device=device):
                self._add_device(bit, member, device)
            case Epoch() as epoch:
                self._epochs.setdefault(epoch.epoch, (bit, epoch))
                self._add_wraps(epoch.epoch, epoch.wraps)
            case WrapKeys(epoch=epoch_id, wraps=wraps):
                self._add_wraps(epoch_id, wraps)
        self._roles.clear()
        self._eligible_known = False

    def _add_device(self, bit: int, member: MemberId, device: DeviceRecord) -> None:
        self._devices.setdefault(device.key, []).append((bit, member, device))

    def _add_wraps(self, epoch: EpochId, wraps: Iterable[Wrap]) -> None:
        held = self._wraps.setdefault(epoch, {})
        for wrap in wraps:
            held.setdefault(wrap.recipient, wrap.wrapped)

    # The DAG

    @property
    def heads(self) -> tuple[OpId, ...]:
        """The operations that no other follows, sorted."""
        return tuple(sorted(self._heads))

    @property
    def count(self) -> int:
        """How many operations are part of the log."""
        return len(self._operations)

    @property
    def genesis(self) -> Operation | None:
        """The first operation, once it is here."""
        return self._operations[0] if self._operations else None

    def operations(self) -> list[Operation]:
        """Every operation that is part of the log, parents first, in the order in which they were added."""
        return list(self._operations)

    def known(self, operation: OpId) -> bool:
        """Whether an operation is part of the log."""
        return operation in self._index

    def reason(self, operation: OpId) -> str:
        """Why an operation is invalid; empty when it is not."""
        return self._invalid.get(operation, "")

    def unknown(self, heads: Iterable[OpId]) -> tuple[OpId, ...]:
        """Those of these operations that are not part of the log."""
        return tuple(head for head in heads if head not in self._index)

    def mask(self, heads: Iterable[OpId]) -> int:
        """The past of these heads, themselves included, as a bit set; those unknown are passed over."""
        past = 0
        for head in heads:
            index = self._index.get(head)
            if index is not None:
                past |= self._pasts[index]
        return past

    def covers(self, heads: Iterable[OpId], others: Iterable[OpId]) -> bool:
        """Whether the past of `heads` holds every one of `others`."""
        past = self.mask(heads)
        return all((index := self._index.get(other)) is not None and past >> index & 1 for other in others)

    def since(self, heads: Iterable[OpId]) -> list[Operation]:
        """The operations outside the past of these heads, parents first."""
        past = self.mask(heads)
        return [operation for bit, operation in enumerate(self._operations) if not past >> bit & 1]

    # Rights

    def _in_force(self, bit: int, past: int) -> bool:
        """Whether the operation counts in a past."""
        return bool(past >> bit & 1)

    @property
    def _everything(self) -> int:
        return (1 << len(self._operations)) - 1

    def member_role(self, member: MemberId, past: int) -> Role | None:
        """A member's role in a past: the lowest of the latest concurrent grants."""
        grants = [grant for grant in self._grants.get(member, ()) if self._in_force(grant.bit, past)]
        latest = [
            grant
            for grant in grants
            if not any(other.bit != grant.bit and self._pasts[other.bit] >> grant.bit & 1 for other in grants)
        ]
        return min((grant.role for grant in latest), default=None)

    def members_with(self, device: DeviceKey, past: int) -> list[MemberId]:
        """The members that a device belongs to in a past: one, unless two were added to concurrently."""
        found = {member for bit, member, _ in self._devices.get(device, ()) if self._in_force(bit, past)}
        return sorted(found)

    def role_in(self, device: DeviceKey, past: int) -> Role | None:
        """A device's role in a past."""
        key = (device, past)
        if key not in self._roles:
            roles = [self.member_role(member, past) for member in self.members_with(device, past)]
            self._roles[key] = min((role for role in roles if role is not None), default=None)
        return self._roles[key]

    def role_of(self, device: DeviceKey, heads: Iterable[OpId] | None = None) -> Role | None:
        """A device's role at these heads, by default in the whole known log; None for a stranger."""
        return self.role_in(device, self._everything if heads is None else self.mask(heads))

    def member_of(self, device: DeviceKey) -> MemberId | None:
        """The member that a device belongs to."""
        return next(iter(self.members_with(device, self._everything)), None)

    def members(self) -> Mapping[MemberId, Member]:
        """Every member with its role and devices, sorted by id."""
        devices: dict[MemberId, dict[DeviceKey, DeviceRecord]] = {}
        for entries in self._devices.values():
            for _, member, record in entries:
                devices.setdefault(member, {})[record.key] = record
        found = {}
        for member in sorted(self._grants):
            role = self.member_role(member, self._everything)
            if role is not None:
                held = devices.get(member, {})
                found[member] = Member(member, role, tuple(held[key] for key in sorted(held)))
        return found

    # Epochs

    def highest_generation(self, past: int) -> int:
        """The highest generation of an epoch in a past, 0 for none."""
        return max((epoch.generation for bit, epoch in self._epochs.values() if self._in_force(bit, past)), default=0)

    def epoch(self, epoch: EpochId) -> Epoch | None:
        """An epoch by its id."""
        found = self._epochs.get(epoch)
        return None if found is None else found[1]

    def epoch_bit(self, epoch: EpochId) -> int | None:
        """The place of an epoch's operation in the log."""
        found = self._epochs.get(epoch)
        return None if found is None else found[0]

    def wraps_for(self, sealing_key: bytes) -> dict[EpochId, bytes]:
        """The wrapped key of each epoch for a recipient."""
        return {epoch: wraps[sealing_key] for epoch, wraps in self._wraps.items() if sealing_key in wraps}

    def required_recipients(self) -> frozenset[bytes]:
        """The sealing keys that an epoch must be wrapped to: every reader device's, and the recovery's."""
        readers = {
            device.sealing_key
            for member in self.members().values()
            if member.role >= Role.READER
            for device in member.devices
        }
        return frozenset(readers | {epoch.recovery_sealing_key for _, epoch in self._epochs.values()})

    def missing_wraps(self, epoch: EpochId) -> list[bytes]:
        """The recipients that an epoch still lacks, sorted."""
        return sorted(self.required_recipients() - self._wraps.get(epoch, {}).keys())

    def newest_epoch(self) -> EpochId | None:
        """The epoch with the largest (generation, id), eligible or not."""
        ranked = [(epoch.generation, epoch_id) for epoch_id, (_, epoch) in self._epochs.items()]
        return max(ranked)[1] if ranked else None

    def eligible_epoch(self, keys: Mapping[EpochId, bytes]) -> EpochId | None:
        """The epoch to seal under: of those wrapped to exactly who may read, the largest (generation, id).

        None when there is none, or its key is not among `keys`: then its key must be wrapped to whom it misses, or an
        epoch begun.
        """
        if not self._eligible_known:
            self._eligible = self._find_eligible()
            self._eligible_known = True
        return self._eligible if self._eligible in keys else None

    def _find_eligible(self) -> EpochId | None:
        required = self.required_recipients()
        eligible = [
            (epoch.generation, epoch_id)
            for epoch_id, (_, epoch) in self._epochs.items()
            if self._wraps[epoch_id].keys() == required
        ]
        return max(eligible)[1] if eligible else None
