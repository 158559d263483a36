"""What an author may do, by what its operation's own past says (protocol section 4)."""

from __future__ import annotations

from typing import Final, Protocol

from lichen.core.access.epochs import EpochBook
from lichen.core.access.membership import Membership, keys_of
from lichen.ids import DeviceKey, MemberId
from lichen.wire.epochs import Epoch, Wrap, WrapKeys
from lichen.wire.membership import AddDevice, AddMember, DeviceRecord, Genesis, Role
from lichen.wire.operation import Merge, Operation

MOST_ADMIN_GRANT: Final = Role.WRITER
"""The highest role that an admin may grant, and whom it may manage."""


class Reject(Exception):
    """An operation is invalid for good; the message says why."""


class Known(Protocol):
    """What the rules ask of a log."""

    @property
    def genesis(self) -> Operation | None:
        """Its first operation."""

    @property
    def membership(self) -> Membership:
        """Its members."""

    @property
    def epoch_book(self) -> EpochBook:
        """Its epochs."""


def check(operation: Operation, log: Known, past: int) -> None:
    """Raise `Reject` unless the operation's author had the right to it in `past`, the past of its parents."""
    author = operation.author
    match operation.body:
        case Genesis():
            if log.genesis is not None:
                raise Reject("a space has one genesis")
        case AddMember() as body:
            _check_add_member(author, body, log, past)
        case AddDevice() as body:
            _check_add_device(author, body, log, past)
        case Epoch() as body:
            _check_epoch(author, body, log, past)
        case WrapKeys() as body:
            _check_wraps(author, body, log, past)
        case Merge():
            _require(author, Role.RELAY, log, past)


def authority(author: DeviceKey, log: Known, past: int) -> Role | None:
    """With what role an author acts in a past. The recovery key acts as an owner, once an epoch has named it."""
    known = log.epoch_book.recovery(past)
    if known is not None and known.recovery_signing_key == author:
        return Role.OWNER
    return log.membership.role(author, past)


def acts_as_admin(operation: Operation, log: Known, past: int) -> bool:
    """Whether a valid operation is an admin's on a member that is not its author's own, so that it may give way."""
    match operation.body:
        case AddMember(member=member) | AddDevice(member=member):
            own = log.membership.members_with(operation.author, past)
            return member not in own and authority(operation.author, log, past) is Role.ADMIN
    return False


def _require(author: DeviceKey, role: Role, log: Known, past: int) -> Role:
    own = authority(author, log, past)
    if own is None or own < role:
        raise Reject(f"its author was not at least {'an' if role >= Role.ADMIN else 'a'} {role.name.lower()}")
    return own


def _may_manage(own: Role, other: Role) -> bool:
    """Admins manage writers and below; only owners touch admins and owners."""
    return own is Role.OWNER or (own is Role.ADMIN and other <= MOST_ADMIN_GRANT)


def _check_add_member(author: DeviceKey, body: AddMember, log: Known, past: int) -> None:
    own = _require(author, Role.ADMIN, log, past)
    if not _may_manage(own, body.role):
        raise Reject(f"an admin cannot grant {body.role.name.lower()}")
    held = log.membership.member_role(body.member, past)
    if held is not None and body.role <= held:  # so who may grant the new role may manage the old one too
        raise Reject("that member had as high a role before")
    for record in body.devices:
        _check_record(record, body.member, log, past, again=held is not None)


def _check_add_device(author: DeviceKey, body: AddDevice, log: Known, past: int) -> None:
    held = log.membership.member_role(body.member, past)
    if held is None:
        raise Reject("it adds a device to nobody that its author knew")
    if body.member not in log.membership.members_with(author, past):
        own = _require(author, Role.ADMIN, log, past)
        if not _may_manage(own, held):
            raise Reject("its author may not manage that member")
    _check_record(body.device, body.member, log, past, again=False)


def _check_record(record: DeviceRecord, member: MemberId, log: Known, past: int, *, again: bool) -> None:
    """A device belongs to one member for good, and keeps its keys. `again`: it may be listed once more."""
    if any(other != member for other in log.membership.members_with(record.key, past)):
        raise Reject("a device belongs to one member for good")
    records = log.membership.records(record.key, past)
    if records and not again:
        raise Reject("that device was added before")
    if records and keys_of(record) not in map(keys_of, records):
        raise Reject("a device keeps the keys that it was added with")


def _check_epoch(author: DeviceKey, body: Epoch, log: Known, past: int) -> None:
    genesis = log.genesis
    if genesis is None or not isinstance(genesis.body, Genesis) or body.recovery_hash != genesis.body.recovery_hash:
        raise Reject("its recovery keys are not those that the genesis commits to")
    _require(author, Role.READER, log, past)
    if body.generation != log.epoch_book.highest_generation(past) + 1:
        raise Reject("its generation is not one above the highest that its author knew")
    if log.epoch_book.begun(body.epoch, past):
        raise Reject("that epoch was begun before")
    _check_recipients(body.wraps, body.recovery_sealing_key, log, past)


def _check_wraps(author: DeviceKey, body: WrapKeys, log: Known, past: int) -> None:
    _require(author, Role.READER, log, past)
    if not log.epoch_book.begun(body.epoch, past):
        raise Reject("it wraps the key of an epoch that its author did not know")
    known = log.epoch_book.recovery(past)
    _check_recipients(body.wraps, None if known is None else known.recovery_sealing_key, log, past)


def _check_recipients(wraps: tuple[Wrap, ...], recovery: bytes | None, log: Known, past: int) -> None:
    """A key is wrapped to devices that may read, and to the recovery: never to a stranger, a relay or a ticket."""
    for wrap in wraps:
        if wrap.recipient != recovery and not log.membership.may_read(wrap.recipient, past):
            raise Reject("it wraps an epoch's key to somebody who may not read")
