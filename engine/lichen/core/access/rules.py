"""What an author may do, by what its operation's own past says (protocol section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lichen.ids import DeviceKey, MemberId
from lichen.wire.epochs import Epoch, WrapKeys
from lichen.wire.membership import AddDevice, AddMember, Genesis, Role
from lichen.wire.operation import Merge, Operation

if TYPE_CHECKING:
    from lichen.core.access.log import AccessLog


class Reject(Exception):
    """An operation is invalid for good; the message says why."""


def check(operation: Operation, log: AccessLog, past: int) -> None:
    """Raise `Reject` unless the operation's author had the right to it in `past`."""
    match operation.body:
        case Genesis():
            if log.count:
                raise Reject("a space has one genesis")
        case AddMember() as body:
            _check_add_member(operation.author, body, log, past)
        case AddDevice() as body:
            _check_add_device(operation.author, body, log, past)
        case Epoch() as body:
            _check_epoch(operation.author, body, log, past)
        case WrapKeys() as body:
            _require(operation.author, Role.READER, log, past)
            bit = log.epoch_bit(body.epoch)
            if bit is None or not past >> bit & 1:
                raise Reject("it wraps the key of an epoch that its author did not know")
        case Merge():
            _require(operation.author, Role.RELAY, log, past)


def _require(author: DeviceKey, role: Role, log: AccessLog, past: int) -> Role:
    own = log.role_in(author, past)
    if own is None or own < role:
        raise Reject(f"its author was not at least a {role.name.lower()}")
    return own


def _may_manage(own: Role, other: Role) -> bool:
    """Admins manage writers and below; only owners touch admins and owners."""
    return own is Role.OWNER or (own is Role.ADMIN and other <= Role.WRITER)


def _check_add_member(author: DeviceKey, body: AddMember, log: AccessLog, past: int) -> None:
    own = _require(author, Role.ADMIN, log, past)
    if not _may_manage(own, body.role):
        raise Reject(f"an admin cannot grant {body.role.name.lower()}")
    if log.member_role(body.member, past) is not None:
        raise Reject("that member was added before")
    for device in body.devices:
        _check_new_device(device.key, body.member, log, past)


def _check_add_device(author: DeviceKey, body: AddDevice, log: AccessLog, past: int) -> None:
    role = log.member_role(body.member, past)
    if role is None:
        raise Reject("it adds a device to nobody that its author knew")
    if body.member not in log.members_with(author, past):
        own = _require(author, Role.ADMIN, log, past)
        if not _may_manage(own, role):
            raise Reject("its author may not manage that member")
    _check_new_device(body.device.key, body.member, log, past)


def _check_new_device(device: DeviceKey, member: MemberId, log: AccessLog, past: int) -> None:
    if any(other != member for other in log.members_with(device, past)):
        raise Reject("a device belongs to one member for good")


def _check_epoch(author: DeviceKey, body: Epoch, log: AccessLog, past: int) -> None:
    _require(author, Role.READER, log, past)
    if body.generation != log.highest_generation(past) + 1:
        raise Reject("its generation is not one above the highest that its author knew")
    genesis = log.genesis
    if genesis is None or not isinstance(genesis.body, Genesis) or body.recovery_hash != genesis.body.recovery_hash:
        raise Reject("its recovery keys are not those that the genesis commits to")
