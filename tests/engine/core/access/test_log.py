"""The log takes what comes in any order, and its rights decide which operations are valid."""

from __future__ import annotations

import dataclasses

import pytest
from lichen.config import Limits
from lichen.core.access.log import AccessLog, Outcome
from lichen.ids import OpId
from lichen.testing.access import Script, device, member_id
from lichen.wire.membership import AddDevice, AddMember, DeviceRecord, Role


@pytest.fixture
def script() -> Script:
    """A space with its owner, an admin, a writer, a reader and a relay, in a row."""
    script = Script()
    for name, role in (("admin", Role.ADMIN), ("ann", Role.WRITER), ("rob", Role.READER), ("rel", Role.RELAY)):
        script.add(name, role)
    return script


def outcome(script: Script) -> tuple[Outcome, str]:
    """What becomes of the operation that was written last."""
    log = AccessLog(script.space)
    outcomes = [log.add(operation) for operation in script.operations]
    assert Outcome.INVALID not in outcomes[:-1]
    return outcomes[-1], log.reason(script.last.id)


# Taking operations


def test_an_operation_whose_parent_is_missing_waits_and_is_judged_when_the_parent_arrives(script: Script) -> None:
    log = AccessLog(script.space)
    *earlier, last = script.operations
    assert log.add(last) is Outcome.WAITING
    assert log.missing == (earlier[-1].id,)
    assert not log.known(last.id)
    for operation in earlier:
        assert log.add(operation) is Outcome.VALID
    assert log.heads == (last.id,)
    assert log.missing == ()


def test_an_operation_that_comes_twice_changes_nothing(script: Script) -> None:
    log = script.log()
    before = log.operations()
    assert [log.add(operation) for operation in script.operations] == [Outcome.VALID] * len(before)
    assert log.operations() == before


def test_a_log_that_comes_backwards_is_the_same_log(script: Script) -> None:
    log = AccessLog(script.space)
    for operation in reversed(script.operations):
        log.add(operation)
    assert log.heads == script.log().heads
    assert log.members() == script.log().members()


def test_what_waits_is_bounded_and_the_oldest_is_forgotten_first(script: Script) -> None:
    log = AccessLog(script.space, dataclasses.replace(Limits(), waiting_operations=2))
    first, second, third, fourth, fifth = script.operations
    for operation in (third, fourth, fifth):
        assert log.add(operation) is Outcome.WAITING
    log.add(first)
    log.add(second)
    assert log.heads == (second.id,)
    assert log.add(third) is Outcome.VALID
    assert log.heads == (fifth.id,)


def test_what_waits_is_bounded_in_bytes(script: Script) -> None:
    third, fourth, fifth = script.operations[2:]
    size = len(fourth.encode()) + len(fifth.encode())
    log = AccessLog(script.space, dataclasses.replace(Limits(), waiting_operation_bytes=size))
    for operation in (third, fourth, fifth, *script.operations[:2]):
        log.add(operation)
    assert log.heads == (script.operations[1].id,)


def test_what_is_remembered_as_invalid_is_bounded_and_judged_alike_when_it_comes_again(script: Script) -> None:
    log = AccessLog(script.space, dataclasses.replace(Limits(), invalid_ids=1))
    for operation in script.operations:
        log.add(operation)
    first = script.add("eve", by="rob")
    second = script.add("eve", by="rel", after=[script.operations[4]])
    assert log.add(first) is log.add(second) is Outcome.INVALID
    assert log.reason(first.id) == ""
    assert log.add(first) is Outcome.INVALID
    assert log.reason(first.id) != ""


def test_whatever_follows_an_invalid_operation_is_invalid_even_if_it_came_before(script: Script) -> None:
    bad = script.add("eve", by="ann")
    child = script.merge(after=[bad])
    grandchild = script.merge(after=[child, script.genesis])
    log = AccessLog(script.space)
    for operation in (grandchild, child, *script.operations):
        log.add(operation)
    for operation in (bad, child, grandchild):
        assert log.add(operation) is Outcome.INVALID
        assert log.reason(operation.id) != ""
    assert log.missing == ()


def test_what_follows_an_invalid_operation_waits_for_nothing_else(script: Script) -> None:
    bad = script.add("eve", by="ann")
    never = script.merge(after=[script.operations[4]])
    child = script.merge(after=[bad, never])
    log = AccessLog(script.space)
    for operation in [child, *script.operations[:6]]:
        log.add(operation)
    assert log.reason(child.id) == "it follows an invalid operation"
    assert log.missing == ()


def test_why_not_tells_before_anything_is_taken(script: Script) -> None:
    log = script.log()
    bad, good = script.add("eve", by="ann"), script.add("eve", after=[script.operations[4]])
    assert log.why_not(bad) == "its author was not at least an admin"
    assert log.why_not(good) is None
    assert log.heads == (script.operations[4].id,)


# The first operation


def test_only_the_genesis_of_the_space_begins_its_log(script: Script) -> None:
    other = Script("mallory")
    log = script.log()
    assert log.add(other.genesis) is Outcome.INVALID
    assert log.genesis == script.genesis


def test_an_operation_of_another_space_is_invalid_here(script: Script) -> None:
    log = script.log()
    assert log.add(Script("mallory").add("ann", by="mallory")) is Outcome.INVALID


def test_a_log_without_its_genesis_has_no_members(script: Script) -> None:
    log = AccessLog(script.space)
    log.add(script.last)
    assert log.genesis is None
    assert log.members() == {}
    assert log.role_of(device("owner").public) is None


# Who may add whom


@pytest.mark.parametrize(
    ("by", "role", "allowed"),
    [
        ("owner", Role.OWNER, True),
        ("owner", Role.ADMIN, True),
        ("owner", Role.RELAY, True),
        ("admin", Role.WRITER, True),
        ("admin", Role.READER, True),
        ("admin", Role.RELAY, True),
        ("admin", Role.ADMIN, False),
        ("admin", Role.OWNER, False),
        ("ann", Role.RELAY, False),
        ("rob", Role.READER, False),
        ("rel", Role.RELAY, False),
        ("stranger", Role.READER, False),
    ],
)
def test_owners_add_anyone_admins_writers_and_below_others_nobody(
    script: Script, by: str, role: Role, allowed: bool
) -> None:
    script.add("new", role, by=by)
    assert outcome(script)[0] is (Outcome.VALID if allowed else Outcome.INVALID)


def test_a_right_that_was_granted_elsewhere_does_not_help_an_operation_that_does_not_follow_it(script: Script) -> None:
    script.add("new", by="admin", after=[script.genesis])
    assert outcome(script)[0] is Outcome.INVALID


def test_a_right_that_is_granted_later_does_not_make_an_operation_valid(script: Script) -> None:
    early = script.add("new", by="cid", after=[script.genesis])
    script.add("cid", Role.OWNER, after=[script.genesis])
    assert script.log().reason(early.id) == "its author was not at least an admin"


def test_a_member_is_added_once_and_not_lowered_by_being_added_again(script: Script) -> None:
    script.add("ann", Role.READER)
    assert outcome(script) == (Outcome.INVALID, "that member had as high a role before")


def test_an_owner_raises_a_member_by_adding_it_with_a_higher_role(script: Script) -> None:
    script.add("ann", Role.ADMIN)
    log = script.log()
    assert log.members()[member_id("ann")].role is Role.ADMIN
    assert log.role_of(device("ann").public) is Role.ADMIN
    assert len(log.members()[member_id("ann")].devices) == 1


def test_an_admin_raises_nobody_above_writer_and_touches_no_admin(script: Script) -> None:
    script.add("ann", Role.ADMIN, by="admin")
    assert outcome(script)[0] is Outcome.INVALID
    script.operations.pop()
    script.add("rob", Role.WRITER, by="admin", after=[script.operations[-1]])
    assert outcome(script)[0] is Outcome.VALID


def test_the_recovery_key_acts_as_an_owner_once_an_epoch_has_named_it(script: Script) -> None:
    script.add("early", Role.OWNER, by="recovery")
    assert outcome(script)[0] is Outcome.INVALID
    script.operations.pop()
    script.epoch("e1", 1, to=["owner"], after=[script.operations[-1]])
    script.add("late", Role.OWNER, by="recovery")
    assert outcome(script)[0] is Outcome.VALID


# Devices


@pytest.mark.parametrize(
    ("by", "to", "allowed"),
    [
        ("ann", "ann", True),
        ("rel", "rel", True),
        ("owner", "ann", True),
        ("owner", "admin", True),
        ("admin", "ann", True),
        ("admin", "owner", False),
        ("ann", "rob", False),
        ("stranger", "ann", False),
        ("owner", "nobody", False),
    ],
)
def test_a_device_is_added_by_its_member_or_by_who_may_manage_it(
    script: Script, by: str, to: str, allowed: bool
) -> None:
    script.add_device("phone", to, by=by)
    assert outcome(script)[0] is (Outcome.VALID if allowed else Outcome.INVALID)


def test_an_admin_adds_no_device_to_another_admin(script: Script) -> None:
    script.add("deputy", Role.ADMIN)
    script.add_device("phone", "deputy", by="admin")
    assert outcome(script) == (Outcome.INVALID, "its author may not manage that member")


def test_a_second_device_has_the_rights_of_its_member(script: Script) -> None:
    script.add_device("phone", "ann")
    log = script.log()
    assert log.role_of(device("phone").public) is Role.WRITER
    assert log.member_of(device("phone").public) == member_id("ann")
    assert {record.key for record in log.members()[member_id("ann")].devices} == {
        device("ann").public,
        device("phone").public,
    }


def test_a_device_belongs_to_one_member_for_good(script: Script) -> None:
    script.add_device("ann", "rob", by="owner")
    assert outcome(script) == (Outcome.INVALID, "a device belongs to one member for good")


def test_a_member_cannot_be_added_with_a_device_of_another(script: Script) -> None:
    script.add("new", devices=["ann"])
    assert outcome(script) == (Outcome.INVALID, "a device belongs to one member for good")


def test_a_device_is_not_added_to_its_member_twice(script: Script) -> None:
    script.add_device("ann", "ann")
    assert outcome(script) == (Outcome.INVALID, "that device was added before")


def test_a_device_keeps_its_other_keys_when_its_member_is_raised(script: Script) -> None:
    ann, eve = device("ann"), device("eve")
    member = member_id("ann")
    for sealing_key, static_key in ((eve.sealing_key, ann.static_key), (ann.sealing_key, eve.static_key)):
        record = DeviceRecord.sign(
            space=script.space, member=member, signer=ann, sealing_key=sealing_key, static_key=static_key
        )
        script.write(AddMember(member, Role.ADMIN, (record,)), "owner", [script.operations[4]])
        assert script.log().reason(script.last.id) == "a device keeps the keys that it was added with"


def test_a_device_that_was_recorded_twice_at_once_with_other_keys_has_both_records(script: Script) -> None:
    before, phone, member = script.last, device("phone"), member_id("ann")
    for sealing_key in (phone.sealing_key, device("eve").sealing_key):
        record = DeviceRecord.sign(
            space=script.space, member=member, signer=phone, sealing_key=sealing_key, static_key=phone.static_key
        )
        script.write(AddDevice(member, record), "ann", [before])
    keys = {record.sealing_key for record in script.log().readers()}
    assert {phone.sealing_key, device("eve").sealing_key} <= keys


def test_a_device_that_was_added_to_two_members_at_once_has_the_lower_role(script: Script) -> None:
    before = script.last
    one = script.add_device("phone", "ann", after=[before])
    other = script.add_device("phone", "rob", after=[before])
    phone = device("phone").public
    log = script.log()
    assert log.role_of(phone, (one.id,)) is Role.WRITER
    assert log.role_of(phone, (other.id,)) is Role.READER
    assert log.role_of(phone) is Role.READER


# Concurrent grants


def test_of_concurrent_roles_the_lowest_holds(script: Script) -> None:
    before = script.last
    script.add("new", Role.WRITER, by="owner", after=[before])
    script.add("new", Role.READER, by="owner", after=[before])
    assert script.log().members()[member_id("new")].role is Role.READER


def test_a_later_grant_settles_concurrent_ones(script: Script) -> None:
    before = script.last
    grants = [script.add("new", role, after=[before]) for role in (Role.WRITER, Role.READER)]
    script.add("new", Role.WRITER, after=grants)
    assert script.log().members()[member_id("new")].role is Role.WRITER


def test_an_admin_can_neither_hold_down_nor_enter_a_member_that_an_owner_raises_at_the_same_time(
    script: Script,
) -> None:
    before = script.last
    raised = script.add("ann", Role.OWNER, after=[before])
    puppet = script.add_device("puppet", "ann", by="admin", after=[before])
    held = script.add("rob", Role.WRITER, by="admin", after=[before])
    script.add("rob", Role.ADMIN, after=[before])
    script.merge(after=[raised, puppet, held])
    log = script.log()
    assert log.role_of(device("puppet").public, (puppet.id,)) is Role.WRITER
    assert log.role_of(device("puppet").public) is None
    assert log.role_of(device("ann").public) is Role.OWNER
    assert log.role_of(device("rob").public) is Role.ADMIN
    assert device("puppet").public not in {record.key for record in log.devices()}


def test_what_an_admin_does_to_its_own_member_does_not_give_way(script: Script) -> None:
    before = script.last
    script.add_device("phone", "admin", after=[before])
    script.add("admin", Role.OWNER, after=[before])
    assert script.log().role_of(device("phone").public) is Role.OWNER


def test_an_answer_about_heads_that_were_unknown_is_not_kept_when_they_arrive(script: Script) -> None:
    late = script.add("late")
    log = AccessLog(script.space)
    for operation in script.operations[:-1]:
        log.add(operation)
    assert log.role_of(device("late").public, (late.id,)) is None
    log.add(late)
    assert log.role_of(device("late").public, (late.id,)) is Role.WRITER


def test_roles_are_answered_at_the_heads_that_are_asked_for(script: Script) -> None:
    ann = device("ann").public
    raised = script.add("ann", Role.ADMIN)
    log = script.log()
    added = script.operations[2]
    assert log.role_of(ann, (script.genesis.id,)) is None
    assert log.role_of(ann, (added.id,)) is Role.WRITER
    assert log.role_of(ann, (raised.id,)) is Role.ADMIN
    assert log.role_of(ann, (OpId(bytes(32)), added.id)) is Role.WRITER


# Merges and the graph


def test_any_member_may_merge_and_a_stranger_may_not(script: Script) -> None:
    script.merge(by="rel")
    assert outcome(script)[0] is Outcome.VALID
    script.merge(by="stranger")
    assert outcome(script)[0] is Outcome.INVALID


def test_a_merge_leaves_one_head(script: Script) -> None:
    before = script.last
    heads = [script.add(name, after=[before]) for name in ("a", "b", "c")]
    assert script.log().heads == tuple(sorted(head.id for head in heads))
    merge = script.merge(after=heads)
    assert script.log().heads == (merge.id,)


def test_since_is_what_does_not_lie_in_the_past_of_the_heads(script: Script) -> None:
    before = script.last
    one, other = script.add("a", after=[before]), script.add("b", after=[before])
    log = script.log()
    assert log.since([one.id]) == [other]
    assert log.since([]) == script.operations
    assert log.since([OpId(bytes(32)), other.id]) == [one]
    assert log.since(log.heads) == []


def test_covers_is_about_the_past(script: Script) -> None:
    before = script.last
    one, other = script.add("a", after=[before]), script.add("b", after=[before])
    log = script.log()
    assert log.covers([one.id], [before.id, one.id])
    assert log.covers([one.id], [])
    assert not log.covers([one.id], [other.id])
    assert not log.covers(log.heads, [OpId(bytes(32))])
