"""Replicas with the same operations agree, whatever the order and duplication; and they agree with a plain model."""

from __future__ import annotations

import random

from hypothesis import given, seed, settings
from hypothesis import strategies as st
from lichen.core.access.log import AccessLog, Outcome
from lichen.ids import MemberId, OpId
from lichen.testing.access import EPOCHS, NAMES, Script, device, member_id, named_epoch, scripts
from lichen.wire.membership import AddDevice, AddMember, Genesis, Role
from lichen.wire.operation import Operation


def answers(log: AccessLog) -> dict[str, object]:
    """Everything that a log says."""
    return {
        "heads": log.heads,
        "ids": {operation.id for operation in log.operations()},
        "members": log.members(),
        "devices": log.devices(),
        "readers": log.readers(),
        "roles": {name: log.role_of(device(name).public) for name in NAMES},
        "owners": {name: log.member_of(device(name).public) for name in NAMES},
        "roles at each": {
            (name, op.id): log.role_of(device(name).public, (op.id,)) for name in NAMES for op in log.operations()
        },
        "epochs": log.epochs(),
        "recipients": {name: log.recipients(named_epoch(name)) for name in EPOCHS},
        "required": log.required_recipients(),
        "eligible": log.eligible_epoch({named_epoch(name) for name in EPOCHS}),
        "wraps": {
            name: {epoch: set(wraps) for epoch, wraps in log.wraps_for(device(name).sealing_key).items()}
            for name in NAMES
        },
        "covers": {
            (one.id, other.id): log.covers([one.id], [other.id])
            for one in log.operations()
            for other in log.operations()
        },
    }


def taken(script: Script, order: list[Operation]) -> AccessLog:
    """A log that took operations in this order."""
    log = AccessLog(script.space)
    for operation in order:
        log.add(operation)
    return log


@given(script=scripts(), data=st.data())
def test_any_order_and_duplication_gives_the_same_log(script: Script, data: st.DataObject) -> None:
    order = data.draw(st.permutations(script.operations))
    again = data.draw(st.lists(st.sampled_from(script.operations), max_size=6))
    assert answers(taken(script, [*order, *again])) == answers(taken(script, script.operations))


@given(script=scripts(), data=st.data())
def test_an_operation_has_the_same_outcome_in_every_order(script: Script, data: st.DataObject) -> None:
    straight = taken(script, script.operations)
    shuffled = taken(script, data.draw(st.permutations(script.operations)))
    for operation in script.operations:
        assert shuffled.add(operation) is straight.add(operation) is not Outcome.WAITING
        assert bool(shuffled.reason(operation.id)) == bool(straight.reason(operation.id))
    assert shuffled.missing == ()


@given(script=scripts(), data=st.data())
def test_logs_that_send_each_other_what_the_other_lacks_become_one(script: Script, data: st.DataObject) -> None:
    half = data.draw(st.lists(st.sampled_from(script.operations), unique_by=lambda operation: operation.id))
    one, other = taken(script, script.operations), taken(script, [script.genesis, *half])
    for operation in one.since(other.heads):
        other.add(operation)
    assert answers(other) == answers(one)
    assert one.since(other.heads) == []


@given(script=scripts())
def test_what_was_true_at_some_heads_stays_true_there(script: Script) -> None:
    log = AccessLog(script.space)
    seen: dict[tuple[str, OpId], Role | None] = {}
    for operation in script.operations:
        if log.add(operation) is Outcome.VALID:
            for name in NAMES:
                seen[name, operation.id] = log.role_of(device(name).public, (operation.id,))
    for (name, head), role in seen.items():
        assert log.role_of(device(name).public, (head,)) is role


# A model of members that shares nothing with the implementation: sets of ids, and the rules read out loud.


def past_of(operation: Operation, by_id: dict[OpId, Operation]) -> frozenset[OpId]:
    """Everything that an operation follows, itself included."""
    found: set[OpId] = set()
    pending = [operation.id]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending.extend(by_id[current].parents)
    return frozenset(found)


class Model:
    """Roles by definition, for valid operations."""

    def __init__(self, operations: list[Operation]) -> None:
        self.by_id = {operation.id: operation for operation in operations}
        self.pasts = {operation.id: past_of(operation, self.by_id) for operation in operations}

    def concurrent(self, one: OpId, other: OpId) -> bool:
        return one not in self.pasts[other] and other not in self.pasts[one]

    def grants(self, member: MemberId, past: frozenset[OpId]) -> dict[OpId, Role]:
        found = {}
        for op in past:
            body = self.by_id[op].body
            if isinstance(body, Genesis) and body.member == member:
                found[op] = Role.OWNER
            elif isinstance(body, AddMember) and body.member == member:
                found[op] = body.role
        return found

    def gives_way(self, op: OpId, member: MemberId, past: frozenset[OpId]) -> bool:
        author, own_past = self.by_id[op].author, self.pasts[op] - {op}
        if self.role(author, own_past) is not Role.ADMIN or member in self.members_with(author, own_past):
            return False
        grants = self.grants(member, past)
        return any(role >= Role.ADMIN and self.concurrent(op, other) for other, role in grants.items())

    def member_role(self, member: MemberId, past: frozenset[OpId]) -> Role | None:
        grants = self.grants(member, past)
        left = {op: role for op, role in grants.items() if not self.gives_way(op, member, past)}
        latest = [
            role for op, role in left.items() if not any(op in self.pasts[other] for other in left if other != op)
        ]
        return min(latest, default=None)

    def members_with(self, key: bytes, past: frozenset[OpId]) -> set[MemberId]:
        found = set()
        for op in past:
            match self.by_id[op].body:
                case Genesis(member=member, device=record) | AddDevice(member=member, device=record):
                    records = (record,)
                case AddMember(member=member, devices=records):
                    pass
                case _:
                    continue
            if any(record.key == key for record in records) and not self.gives_way(op, member, past):
                found.add(member)
        return found

    def role(self, key: bytes, past: frozenset[OpId]) -> Role | None:
        roles = [self.member_role(member, past) for member in self.members_with(key, past)]
        return min((role for role in roles if role is not None), default=None)


@given(script=scripts())
def test_roles_are_those_of_a_model_that_reads_the_rules_out_loud(script: Script) -> None:
    log = script.log()
    model = Model(log.operations())
    everything = frozenset(model.by_id)
    for name in NAMES:
        key = device(name).public
        assert log.role_of(key) == model.role(key, everything)
        for op, past in model.pasts.items():
            assert log.role_of(key, (op,)) == model.role(key, past)
    assert {member: found.role for member, found in log.members().items()} == {
        member: role for name in NAMES if (role := model.member_role(member := member_id(name), everything)) is not None
    }


@given(script=scripts(), seed=st.integers(0, 2**32))
def test_pasts_are_those_of_a_walk_along_the_parents(script: Script, seed: int) -> None:
    log = taken(script, random.Random(seed).sample(script.operations, len(script.operations)))
    model = Model(log.operations())
    for one in model.by_id:
        assert {op.id for op in log.operations()} - {op.id for op in log.since([one])} == model.pasts[one]
        for other in model.by_id:
            assert log.covers([one], [other]) == (other in model.pasts[one])


def test_random_logs_reach_every_kind_of_operation_and_both_outcomes() -> None:
    kinds = {"ADD_MEMBER", "ADD_DEVICE", "EPOCH", "WRAP", "MERGE"}
    wanted = {(kind, outcome) for kind in kinds for outcome in (Outcome.VALID, Outcome.INVALID)}
    wanted.add(("GENESIS", Outcome.VALID))
    seen: set[tuple[str, Outcome]] = set()

    @settings(database=None, max_examples=100)
    @given(script=scripts())
    def collect(script: Script) -> None:
        log = AccessLog(script.space)
        seen.update((operation.kind.name, log.add(operation)) for operation in script.operations)

    for number in range(20):
        if not seen >= wanted:
            seed(number)(collect)()
    assert {one for one in seen if one[1] in (Outcome.VALID, Outcome.INVALID)} == wanted
