"""The access log of one space: a signed graph of operations, and what follows from it.

Every answer is a pure function of a set of operations, the past of some heads, so replicas with the same operations
agree, whatever the order in which they came (protocol section 4).

Invariants:

1. An operation is part of the log only when all its parents are, so the log is closed under ancestry.
2. Whether an operation is valid depends on its bytes and its own past alone. It is decided once.
3. Whatever follows an invalid operation is invalid.
4. What waits, and what is remembered as invalid, is bounded. Forgetting changes no answer: an operation that comes
   again is judged again, alike.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping
from enum import Enum

from lichen.config import DEFAULT_LIMITS, Limits
from lichen.core.access.dag import Dag
from lichen.core.access.epochs import EpochBook
from lichen.core.access.membership import Member, Membership
from lichen.core.access.rules import Reject, acts_as_admin, check
from lichen.core.waiting import Waiting
from lichen.ids import DeviceKey, EpochId, MemberId, OpId, SpaceId
from lichen.wire.epochs import Epoch
from lichen.wire.membership import DeviceRecord, Role
from lichen.wire.operation import Operation

__all__ = ["AccessLog", "Member", "Outcome"]


class Outcome(Enum):
    """What became of an operation."""

    VALID = "valid"
    INVALID = "invalid"
    """For good, and with it whatever follows it; `AccessLog.reason` says why."""
    WAITING = "waiting"
    """A parent is not here yet; `AccessLog.missing` says which."""


class AccessLog:
    """The access log of one space, as far as it is known here."""

    def __init__(self, space: SpaceId, limits: Limits = DEFAULT_LIMITS) -> None:
        self.space = space
        self._limits = limits
        self._dag = Dag()
        self.membership = Membership(self._dag)
        """Members, roles and devices, in any past."""
        self.epoch_book = EpochBook()
        """Epochs and their wraps."""
        self._waiting: Waiting[OpId, Operation] = Waiting(limits.waiting_operations, limits.waiting_operation_bytes)
        self._invalid: OrderedDict[OpId, str] = OrderedDict()
        self._rights: dict[tuple[DeviceKey, tuple[OpId, ...]], Role | None] = {}
        self._required: frozenset[bytes] | None = None
        self._eligible: list[EpochId] | None = None

    # Adding

    def add(self, operation: Operation) -> Outcome:
        """Take an operation whose signatures were verified. Idempotent; then judges again what waited for it."""
        if operation.id in self._dag:
            return Outcome.VALID
        outcome = self._consider(operation)
        decided = [] if outcome is Outcome.WAITING else [operation.id]
        while decided:
            for follower in self._followers(decided.pop()):
                self._consider(follower)
                decided.append(follower.id)
        return outcome

    def _followers(self, decided: OpId) -> list[Operation]:
        """The waiting operations that can be judged now that one of their parents was."""
        return self._waiting.failed(decided) if decided in self._invalid else self._waiting.arrived(decided)

    def _consider(self, operation: Operation) -> Outcome:
        if operation.id in self._invalid:
            return Outcome.INVALID
        try:
            self._check_place(operation)
            missing = [parent for parent in operation.parents if parent not in self._dag]
            if missing:
                self._waiting.put(operation.id, operation, len(operation.encode()), missing)
                return Outcome.WAITING
            past = self._dag.past(operation.parents)
            check(operation, self, past)
        except Reject as rejected:
            self._remember_invalid(operation.id, str(rejected))
            return Outcome.INVALID
        self._take(operation, past)
        return Outcome.VALID

    def _check_place(self, operation: Operation) -> None:
        if operation.space != self.space:
            raise Reject("it belongs to another space")
        if any(parent in self._invalid for parent in operation.parents):
            raise Reject("it follows an invalid operation")

    def _remember_invalid(self, operation: OpId, reason: str) -> None:
        self._invalid[operation] = reason
        if len(self._invalid) > self._limits.invalid_ids:
            self._invalid.popitem(last=False)

    def _take(self, operation: Operation, past: int) -> None:
        by_admin = acts_as_admin(operation, self, past)
        bit = self._dag.take(operation)
        self.membership.take(bit, operation.body, by_admin=by_admin)
        self.epoch_book.take(bit, operation.body)
        self._rights.clear()
        self._required = None
        self._eligible = None

    def why_not(self, operation: Operation) -> str | None:
        """Why an operation would be invalid, without taking it; None when it would be valid, or would wait."""
        if operation.id in self._invalid:
            return self._invalid[operation.id]
        try:
            self._check_place(operation)
            if all(parent in self._dag for parent in operation.parents):
                check(operation, self, self._dag.past(operation.parents))
        except Reject as rejected:
            return str(rejected)
        return None

    # The graph

    @property
    def heads(self) -> tuple[OpId, ...]:
        """The operations that no other follows, sorted."""
        return self._dag.heads

    @property
    def count(self) -> int:
        """How many operations are part of the log."""
        return len(self._dag)

    @property
    def genesis(self) -> Operation | None:
        """The first operation, once it is here."""
        return self._dag.first

    def operations(self) -> list[Operation]:
        """Every operation that is part of the log, parents first, in the order in which they were taken."""
        return self._dag.operations

    def known(self, operation: OpId) -> bool:
        """Whether an operation is part of the log."""
        return operation in self._dag

    def reason(self, operation: OpId) -> str:
        """Why an operation is invalid; empty when it is not, or that was forgotten."""
        return self._invalid.get(operation, "")

    @property
    def invalid(self) -> Container[OpId]:
        """The operations that are remembered as invalid."""
        return self._invalid.keys()

    @property
    def missing(self) -> tuple[bytes, ...]:
        """What waiting operations need that is not here at all, sorted: to be fetched."""
        return self._waiting.missing

    def unknown(self, heads: Iterable[OpId]) -> tuple[OpId, ...]:
        """Those of these operations that are not part of the log."""
        return tuple(head for head in heads if head not in self._dag)

    def covers(self, heads: Iterable[OpId], others: Iterable[OpId]) -> bool:
        """Whether the past of `heads` holds every one of `others`."""
        return self._dag.covers(heads, others)

    def since(self, heads: Iterable[OpId]) -> list[Operation]:
        """The operations outside the past of these heads, parents first; unknown heads are passed over."""
        return self._dag.since(heads)

    # Rights

    def role_of(self, device: DeviceKey, heads: tuple[OpId, ...] | None = None) -> Role | None:
        """A device's role at these heads, by default in the whole known log; None for a stranger.

        Unknown heads are passed over. Memoised until the log grows.
        """
        if heads is None:
            return self.membership.role(device, self._dag.everything)
        key = (device, heads)
        if key not in self._rights:
            if len(self._rights) >= self._limits.memoised_rights:
                self._rights.clear()
            self._rights[key] = self.membership.role(device, self._dag.past(heads))
        return self._rights[key]

    def member_of(self, device: DeviceKey) -> MemberId | None:
        """The member that a device belongs to; the one with the lowest id, when it was added to two at once."""
        return next(iter(self.membership.members_with(device, self._dag.everything)), None)

    def members(self) -> Mapping[MemberId, Member]:
        """Every member with its role and devices, sorted by id."""
        return self.membership.members(self._dag.everything)

    def devices(self) -> tuple[DeviceRecord, ...]:
        """The records of every device of every member, sorted by key."""
        return self.membership.devices(self._dag.everything)

    def readers(self) -> tuple[DeviceRecord, ...]:
        """The records of every device that may read, sorted by key."""
        return self.membership.readers(self._dag.everything)

    # Epochs

    def epochs(self) -> tuple[EpochId, ...]:
        """Every epoch, the largest (generation, id) first."""
        return tuple(self.epoch_book.ranked())

    def epoch(self, epoch: EpochId) -> Epoch | None:
        """What began an epoch; one of several operations, when its id was copied."""
        return next(iter(self.epoch_book.bodies(epoch)), None)

    def newest_epoch(self) -> EpochId | None:
        """The epoch with the largest (generation, id), eligible or not."""
        return next(iter(self.epoch_book.ranked()), None)

    def next_generation(self) -> int:
        """The generation of an epoch that would be begun now."""
        return self.epoch_book.highest_generation(self._dag.everything) + 1

    def recipients(self, epoch: EpochId) -> frozenset[bytes]:
        """The sealing keys that an epoch's key was wrapped to, later wraps included."""
        return self.epoch_book.recipients(epoch)

    def wraps_for(self, sealing_key: bytes) -> dict[EpochId, tuple[bytes, ...]]:
        """Every wrap that a recipient was given, by epoch, newest first. Not all need open."""
        return self.epoch_book.wraps_of(sealing_key)

    def required_recipients(self) -> frozenset[bytes]:
        """The sealing keys that an epoch must be wrapped to: every reader device's, and the recovery's."""
        if self._required is None:
            keys = {record.sealing_key for record in self.readers()}
            recovery = self.epoch_book.recovery_sealing_key
            self._required = frozenset(keys if recovery is None else keys | {recovery})
        return self._required

    def missing_wraps(self, epoch: EpochId) -> list[bytes]:
        """The recipients that an epoch still lacks, sorted."""
        return sorted(self.required_recipients() - self.recipients(epoch))

    def eligible_epoch(self, keys: Container[EpochId]) -> EpochId | None:
        """The epoch to seal under: the largest (generation, id) of those held, and wrapped to exactly who may read.

        `keys` are the epochs whose keys this device holds. None when there is none: then keys must be wrapped to whom
        they miss, or an epoch begun (`lichen.core.access.keys`). An epoch that leaves this device out stops nobody.
        """
        if self._eligible is None:
            required = self.required_recipients()
            self._eligible = [epoch for epoch in self.epoch_book.ranked() if self.recipients(epoch) == required]
        return next((epoch for epoch in self._eligible if epoch in keys), None)
