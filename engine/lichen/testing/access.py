"""Writing access logs in tests, operation by operation, right or wrong. Needs the `dev` extra."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache

from hypothesis import strategies as st

from lichen.core.access.log import AccessLog, Outcome
from lichen.ids import EpochId, MemberId, OpId, SpaceId
from lichen.testing.strategies import SeedSigner
from lichen.wire.epochs import Epoch, Wrap, WrapKeys
from lichen.wire.membership import AddDevice, AddMember, Genesis, Merge, Role, recovery_hash
from lichen.wire.operation import NO_SPACE, Body, Operation

NAMES = ("owner", "ann", "bob", "cid", "dot")
"""The devices of random logs; each also names a member."""

EPOCHS = ("e1", "e2", "e3")
"""The epochs of random logs."""


@cache
def device(name: str) -> SeedSigner:
    """The device of this name, everywhere the same."""
    return SeedSigner(name)


def member_id(name: str) -> MemberId:
    """The member of this name."""
    return MemberId(hashlib.sha256(b"member " + name.encode()).digest()[:16])


def named_epoch(name: str) -> EpochId:
    """The id of the epoch of this name."""
    return EpochId(hashlib.sha256(b"epoch " + name.encode()).digest())


def wraps(names: Iterable[str], tag: bytes = b"") -> tuple[Wrap, ...]:
    """Wraps to these devices, as far as a log can tell: nothing opens them. Another `tag`, other bytes."""
    keys = sorted(device(name).sealing_key for name in names)
    return tuple(Wrap(key, hashlib.sha512(tag + key).digest() + bytes(16)) for key in keys)


@dataclass
class Script:
    """The log of one space, written by hand. Each operation follows the one before unless `after` says otherwise."""

    owner: str = "owner"
    operations: list[Operation] = field(default_factory=list)
    _clock: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        recovery = device("recovery")
        record = device(self.owner).record(NO_SPACE, member_id(self.owner))
        committed = recovery_hash(recovery.public, recovery.sealing_key)
        self.write(Genesis(member_id(self.owner), record, bytes(32), 0, committed), self.owner, ())

    @property
    def space(self) -> SpaceId:
        """The space."""
        return SpaceId(self.operations[0].id)

    @property
    def genesis(self) -> Operation:
        """The first operation."""
        return self.operations[0]

    @property
    def last(self) -> Operation:
        """The operation that was written last."""
        return self.operations[-1]

    def log(self) -> AccessLog:
        """A log that has taken everything that was written."""
        log = AccessLog(self.space)
        for operation in self.operations:
            log.add(operation)
        return log

    def write(self, body: Body, by: str, after: Sequence[Operation] | None = None) -> Operation:
        """Any operation. `after` are its parents."""
        parents = [OpId(self.last.id)] if after is None else [operation.id for operation in after]
        space = NO_SPACE if isinstance(body, Genesis) else self.space
        operation = Operation.sign(body, space=space, parents=parents, time=next(self._clock), signer=device(by))
        self.operations.append(operation)
        return operation

    def add(
        self,
        name: str,
        role: Role = Role.WRITER,
        *,
        by: str = "owner",
        devices: Sequence[str] | None = None,
        after: Sequence[Operation] | None = None,
    ) -> Operation:
        """Add a member, by default with the device of its own name; or give it a role."""
        member = member_id(name)
        records = [device(each).record(self.space, member) for each in devices or (name,)]
        return self.write(AddMember(member, role, tuple(sorted(records, key=lambda record: record.key))), by, after)

    def add_device(
        self, name: str, to: str, *, by: str | None = None, after: Sequence[Operation] | None = None
    ) -> Operation:
        """Add a device to a member."""
        record = device(name).record(self.space, member_id(to))
        return self.write(AddDevice(member_id(to), record), by or to, after)

    def epoch(
        self,
        name: str,
        generation: int,
        *,
        to: Sequence[str],
        by: str = "owner",
        after: Sequence[Operation] | None = None,
    ) -> Operation:
        """Begin an epoch for these devices and the recovery."""
        recovery = device("recovery")
        recipients = wraps([*to, "recovery"], name.encode())
        body = Epoch(generation, named_epoch(name), recovery.public, recovery.sealing_key, recipients)
        return self.write(body, by, after)

    def wrap(
        self,
        name: str,
        *,
        to: Sequence[str],
        by: str = "owner",
        tag: bytes = b"",
        after: Sequence[Operation] | None = None,
    ) -> Operation:
        """Wrap an epoch's key to these devices."""
        return self.write(WrapKeys(named_epoch(name), wraps(to, name.encode() + tag)), by, after)

    def merge(self, *, by: str = "owner", after: Sequence[Operation] | None = None) -> Operation:
        """An empty merge."""
        return self.write(Merge(), by, after)


@st.composite
def scripts(draw: st.DrawFn, most: int = 14) -> Script:
    """Random logs: branches, merges, rights that suffice and rights that do not, ids and devices used twice."""
    script = Script()
    log = script.log()
    for _ in range(draw(st.integers(0, most))):
        known = log.operations()
        after = draw(st.lists(st.sampled_from(known[-6:]), min_size=1, max_size=3, unique_by=lambda one: one.id))
        by = draw(st.sampled_from(NAMES + ("owner",) * 3))
        operation = draw(_steps(script, log, by, after))
        if log.add(operation) is not Outcome.VALID and draw(st.booleans()):
            script.operations.remove(operation)
    return script


@st.composite
def _steps(draw: st.DrawFn, script: Script, log: AccessLog, by: str, after: list[Operation]) -> Operation:
    name, other = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))
    past = AccessLog(script.space)
    for operation in log.operations():
        if log.covers([one.id for one in after], [operation.id]):
            past.add(operation)
    begun = [name for name in EPOCHS if past.epoch(named_epoch(name)) is not None]
    epoch = draw(st.sampled_from([*EPOCHS, *begun * 3]))
    generation = draw(st.sampled_from([1, 2, *[past.next_generation()] * 3]))
    able = [name for name in NAMES if (past.role_of(device(name).public) or 0) >= Role.READER]
    readers = draw(st.lists(st.sampled_from([*NAMES, *able * 6]), max_size=3, unique=True))
    match draw(st.sampled_from(["add", "add", "add", "device", "epoch", "epoch", "wrap", "wrap", "merge"])):
        case "add":
            return script.add(name, draw(st.sampled_from(Role)), by=by, devices=[other], after=after)
        case "device":
            return script.add_device(other, name, by=by, after=after)
        case "epoch":
            return script.epoch(epoch, generation, to=readers, by=by, after=after)
        case "wrap":
            return script.wrap(epoch, to=readers or ["owner"], by=by, tag=draw(st.binary(max_size=1)), after=after)
    return script.merge(by=by, after=after)
