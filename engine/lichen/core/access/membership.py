"""Members, their roles and devices, as functions of a past (protocol section 4).

A *past* is a set of operations closed under ancestry, as a bit set of `Dag`. Every answer depends on it alone, so
replicas with the same operations agree. There are no reductions (removals, demotions) in this version, so every valid
operation is in force in every past that holds it, unless it gives way. Where reductions come in, `_in_force` leaves out
what they reach; everything else already asks through it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lichen.core.access.dag import Dag
from lichen.ids import DeviceKey, MemberId
from lichen.wire.membership import AddDevice, AddMember, DeviceRecord, Genesis, Role
from lichen.wire.operation import Body

MEMOISED = 16_384
"""Most roles that are kept by (device, past); all are forgotten above."""


@dataclass(frozen=True, slots=True)
class Member:
    """A member in some past."""

    id: MemberId
    role: Role
    devices: tuple[DeviceRecord, ...]
    """Sorted by key. One a device, but for a device that was added twice at once with different other keys."""


@dataclass(frozen=True, slots=True)
class _Grant:
    """An operation that gives a member a role."""

    bit: int
    role: Role
    by_admin: bool


@dataclass(frozen=True, slots=True)
class _Device:
    """An operation that gives a member a device."""

    bit: int
    member: MemberId
    record: DeviceRecord
    by_admin: bool


def keys_of(record: DeviceRecord) -> tuple[bytes, bytes, bytes]:
    """What makes a record: two with the same keys are one, whatever their signatures."""
    return record.key, record.sealing_key, record.static_key


class Membership:
    """The grants of a log."""

    def __init__(self, dag: Dag) -> None:
        self._dag = dag
        self._grants: dict[MemberId, list[_Grant]] = {}
        self._devices: dict[DeviceKey, list[_Device]] = {}
        self._sealing: dict[bytes, dict[DeviceKey, None]] = {}
        self._roles: dict[tuple[DeviceKey, int], Role | None] = {}

    def take(self, bit: int, body: Body, *, by_admin: bool) -> None:
        """Take a valid operation. `by_admin`: its author acted as an admin, on a member that is not its own."""
        match body:
            case Genesis(member=member, device=device):
                self._grant(bit, member, Role.OWNER, (device,), by_admin=False)
            case AddMember(member=member, role=role, devices=devices):
                self._grant(bit, member, role, devices, by_admin=by_admin)
            case AddDevice(member=member, device=device):
                self._bring(bit, member, (device,), by_admin=by_admin)

    def _grant(
        self, bit: int, member: MemberId, role: Role, devices: tuple[DeviceRecord, ...], *, by_admin: bool
    ) -> None:
        self._grants.setdefault(member, []).append(_Grant(bit, role, by_admin))
        self._bring(bit, member, devices, by_admin=by_admin)

    def _bring(self, bit: int, member: MemberId, devices: tuple[DeviceRecord, ...], *, by_admin: bool) -> None:
        for record in devices:
            self._devices.setdefault(record.key, []).append(_Device(bit, member, record, by_admin))
            self._sealing.setdefault(record.sealing_key, {})[record.key] = None

    # What is in force

    def _in_force(self, bit: int, past: int) -> bool:
        """Whether a valid operation counts in a past. Reductions will be asked here."""
        return bool(past >> bit & 1)

    def _grants_in(self, member: MemberId, past: int) -> list[_Grant]:
        held = [grant for grant in self._grants.get(member, ()) if self._in_force(grant.bit, past)]
        return [grant for grant in held if not (grant.by_admin and self._gives_way(grant.bit, held))]

    def _gives_way(self, bit: int, grants: list[_Grant]) -> bool:
        """Whether what an admin did to a member is concurrent with a grant of admin or owner to it."""
        return any(other.role >= Role.ADMIN and self._dag.concurrent(bit, other.bit) for other in grants)

    def _devices_in(self, device: DeviceKey, past: int) -> Iterator[_Device]:
        for entry in self._devices.get(device, ()):
            if self._in_force(entry.bit, past) and not self._device_gives_way(entry, past):
                yield entry

    def _device_gives_way(self, entry: _Device, past: int) -> bool:
        if not entry.by_admin:
            return False
        held = [grant for grant in self._grants.get(entry.member, ()) if self._in_force(grant.bit, past)]
        return self._gives_way(entry.bit, held)

    # Answers

    def member_role(self, member: MemberId, past: int) -> Role | None:
        """A member's role in a past: the lowest of the latest concurrent grants; None for no member."""
        lowest: Role | None = None
        followed = 0
        for grant in reversed(self._grants_in(member, past)):
            if not followed >> grant.bit & 1:
                followed |= self._dag.past_of(grant.bit)
                lowest = grant.role if lowest is None else min(lowest, grant.role)
        return lowest

    def members_with(self, device: DeviceKey, past: int) -> list[MemberId]:
        """The members that a device belongs to in a past, sorted: one, unless it was added to two at once."""
        return sorted({entry.member for entry in self._devices_in(device, past)})

    def records(self, device: DeviceKey, past: int, member: MemberId | None = None) -> list[DeviceRecord]:
        """A device's records in a past, sorted: one, unless it was added twice at once with different other keys."""
        entries = [entry for entry in self._devices_in(device, past) if member in (None, entry.member)]
        found: dict[tuple[bytes, bytes, bytes], DeviceRecord] = {}
        for entry in sorted(entries, key=lambda entry: entry.record.signature):
            found.setdefault(keys_of(entry.record), entry.record)
        return [found[keys] for keys in sorted(found)]

    def role(self, device: DeviceKey, past: int) -> Role | None:
        """A device's role in a past: that of its member, the lowest of several; None for a stranger."""
        key = (device, past)
        if key not in self._roles:
            if len(self._roles) >= MEMOISED:
                self._roles.clear()
            roles = [self.member_role(member, past) for member in self.members_with(device, past)]
            self._roles[key] = min((role for role in roles if role is not None), default=None)
        return self._roles[key]

    def members(self, past: int) -> dict[MemberId, Member]:
        """Every member in a past, sorted by id."""
        devices: dict[MemberId, list[DeviceRecord]] = {}
        for device in sorted(self._devices):
            for member in self.members_with(device, past):
                devices.setdefault(member, []).extend(self.records(device, past, member))
        found = {}
        for member in sorted(self._grants):
            role = self.member_role(member, past)
            if role is not None:
                found[member] = Member(member, role, tuple(devices.get(member, ())))
        return found

    def devices(self, past: int) -> tuple[DeviceRecord, ...]:
        """The records of every device in a past, sorted by key."""
        return tuple(record for device in sorted(self._devices) for record in self.records(device, past))

    def readers(self, past: int) -> tuple[DeviceRecord, ...]:
        """The records of every device that may read in a past, sorted by key."""
        able = (device for device in sorted(self._devices) if (self.role(device, past) or 0) >= Role.READER)
        return tuple(record for device in able for record in self.records(device, past))

    def may_read(self, sealing_key: bytes, past: int) -> bool:
        """Whether a sealing key is that of a device which may read in a past."""
        return any(
            (self.role(device, past) or 0) >= Role.READER
            and any(record.sealing_key == sealing_key for record in self.records(device, past))
            for device in self._sealing.get(sealing_key, ())
        )
