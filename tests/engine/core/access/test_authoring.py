"""Operations that a device makes are those that every log accepts; others are refused before they are signed."""

from __future__ import annotations

import hashlib
import itertools

import pytest
from lichen.core.access import authoring
from lichen.core.access.keys import Begin, Seal, Share, open_keys, plan_epoch
from lichen.core.access.log import AccessLog, Outcome
from lichen.crypto.identity import Identity
from lichen.crypto.lockbox import unwrap_epoch_key, wrap_to_all
from lichen.crypto.sealing import epoch_id
from lichen.crypto.signing import verify_many
from lichen.errors import AccessDenied, NotFound
from lichen.ids import EpochId, MemberId, SpaceId
from lichen.wire.epochs import Epoch, Wrap, WrapKeys
from lichen.wire.membership import AddMember, Genesis, Merge, Role, recovery_hash
from lichen.wire.operation import NO_SPACE, Operation


def identity(name: str) -> Identity:
    """A device from its name."""
    return Identity(b"".join(hashlib.sha256(name.encode() + bytes((part,))).digest() for part in range(3)))


def member(name: str) -> MemberId:
    """A member from its name."""
    return MemberId(name.encode().ljust(16, b"."))


KEY, NEXT_KEY = b"k" * 32, b"n" * 32
ALICE, BOB, CAROL = identity("alice"), identity("bob"), identity("carol")
FOUNDED = authoring.found_space(
    ALICE, member=member("alice"), nonce=bytes(32), recovery_seed=b"r" * 32, epoch_key=KEY, time=1
)


@pytest.fixture
def log() -> AccessLog:
    """The log of a space that was just founded by alice."""
    return grown(AccessLog(FOUNDED.space), FOUNDED.operations)


def grown(log: AccessLog, operations: tuple[Operation, ...] | list[Operation]) -> AccessLog:
    """The log after these operations, each of which must verify and be valid."""
    for operation in operations:
        assert Operation.decode(operation.encode()) == operation
        assert all(verify_many(operation.signature_checks()))
        assert log.add(operation) is Outcome.VALID
    return log


def with_bob(log: AccessLog, role: Role = Role.WRITER) -> AccessLog:
    """The log after bob was added, without keys."""
    record = BOB.record(log.space, member("bob"))
    return grown(
        log, [authoring.add_member(log, ALICE.signer, member=member("bob"), role=role, devices=[record], time=2)]
    )


def shared(log: AccessLog, to: Identity, by: Identity = ALICE) -> AccessLog:
    """The log after the first epoch's key was wrapped to a device."""
    made = authoring.wrap_keys(
        log, by.signer, keys={epoch_id(KEY): KEY}, recipients=[to.sealing_key], parents=log.heads, time=3
    )
    return grown(log, made)


# Founding


def test_a_new_space_has_one_owner_and_an_epoch_that_it_can_seal_under(log: AccessLog) -> None:
    assert log.role_of(ALICE.device) is Role.OWNER
    assert list(log.members()) == [member("alice")]
    assert log.eligible_epoch({FOUNDED.epoch}) == FOUNDED.epoch == epoch_id(KEY)
    assert log.space == FOUNDED.operations[0].id


def test_the_recovery_key_opens_the_first_epoch(log: AccessLog) -> None:
    recovery = FOUNDED.recovery_key
    (wrapped,) = log.wraps_for(recovery.sealing_key)[FOUNDED.epoch]
    assert unwrap_epoch_key(wrapped, recovery, log.space, FOUNDED.epoch) == KEY


def test_another_nonce_makes_another_space() -> None:
    other = authoring.found_space(
        ALICE, member=member("alice"), nonce=b"x" * 32, recovery_seed=b"r" * 32, epoch_key=KEY, time=1
    )
    assert other.space != FOUNDED.space


# Members and devices


def test_a_member_that_was_added_and_wrapped_to_can_open_every_epoch(log: AccessLog) -> None:
    shared(with_bob(log), BOB)
    opened = open_keys(log, BOB, BOB.sealing_key, {})
    assert opened.keys == {epoch_id(KEY): KEY}
    assert opened.failed == ()
    assert log.role_of(BOB.device) is Role.WRITER


def test_nobody_signs_what_the_log_would_refuse(log: AccessLog) -> None:
    with_bob(log)
    carol = CAROL.record(log.space, member("carol"))
    with pytest.raises(AccessDenied, match="at least an admin"):
        authoring.add_member(log, BOB.signer, member=member("carol"), role=Role.READER, devices=[carol], time=3)
    with pytest.raises(AccessDenied, match="at least an admin"):
        authoring.add_device(log, BOB.signer, member=member("alice"), device=carol, time=3)
    with pytest.raises(AccessDenied, match="at least a reader"):
        authoring.wrap_keys(
            log, CAROL.signer, keys={epoch_id(KEY): KEY}, recipients=[BOB.sealing_key], parents=log.heads, time=3
        )
    with pytest.raises(AccessDenied, match="at least a reader"):
        authoring.next_epoch(log, CAROL.signer, key=NEXT_KEY, keys={}, random=bytes(24), time=3)


def test_a_stranger_cannot_merge(log: AccessLog) -> None:
    first = FOUNDED.operations[0].id
    grown(log, [Operation.sign(Merge(), space=log.space, parents=(first,), time=3, signer=ALICE.signer)])
    with pytest.raises(AccessDenied, match="at least a relay"):
        authoring.merge_heads(log, CAROL.signer, time=4)


def test_who_joins_under_the_id_of_a_present_member_is_refused(log: AccessLog) -> None:
    with_bob(log, Role.READER)
    mallory = CAROL.record(log.space, member("bob"))
    for role in (Role.READER, Role.WRITER):
        with pytest.raises(AccessDenied, match="already"):
            authoring.add_member(log, ALICE.signer, member=member("bob"), role=role, devices=[mallory], time=3)


def test_a_record_that_was_signed_for_another_space_or_member_does_not_verify(log: AccessLog) -> None:
    elsewhere = BOB.record(SpaceId(b"s" * 32), member("bob"))
    other = BOB.record(log.space, member("carol"))
    for record in (elsewhere, other):
        operation = authoring.add_member(
            log, ALICE.signer, member=member("bob"), role=Role.WRITER, devices=[record], time=2
        )
        assert verify_many(operation.signature_checks()) == [True, False]


def test_a_member_brings_its_second_device_itself(log: AccessLog) -> None:
    shared(with_bob(log), BOB)
    record = CAROL.record(log.space, member("bob"))
    grown(log, [authoring.add_device(log, BOB.signer, member=member("bob"), device=record, time=4)])
    assert log.role_of(CAROL.device) is Role.WRITER
    assert plan_epoch(log, {epoch_id(KEY)}) == Share(epoch_id(KEY), (CAROL.sealing_key,))


# Keys


def test_the_plan_is_to_seal_to_share_or_to_begin(log: AccessLog) -> None:
    held = {epoch_id(KEY)}
    assert plan_epoch(log, held) == Seal(epoch_id(KEY))
    with_bob(log)
    assert plan_epoch(log, held) == Share(epoch_id(KEY), (BOB.sealing_key,))
    assert plan_epoch(log, {}) == Begin()
    shared(log, BOB)
    assert plan_epoch(log, held) == Seal(epoch_id(KEY))


def test_an_epoch_that_reaches_somebody_who_may_not_read_after_all_is_not_shared_further(log: AccessLog) -> None:
    before = log.heads
    shared(with_bob(log, Role.READER), BOB)
    record = BOB.record(log.space, member("bob"))
    lower = AddMember(member("bob"), Role.RELAY, (record,))
    grown(log, [Operation.sign(lower, space=log.space, parents=before, time=4, signer=ALICE.signer)])
    grown(log, [add(log, CAROL, Role.READER)])
    assert plan_epoch(log, {epoch_id(KEY)}) == Begin()


def add(log: AccessLog, who: Identity, role: Role) -> Operation:
    """The operation by which alice adds somebody."""
    name = member("carol")
    return authoring.add_member(
        log, ALICE.signer, member=name, role=role, devices=[who.record(log.space, name)], time=5
    )


def test_the_next_epoch_is_for_everyone_and_brings_the_earlier_keys(log: AccessLog) -> None:
    with_bob(log)
    made = authoring.next_epoch(log, BOB.signer, key=NEXT_KEY, keys={epoch_id(KEY): KEY}, random=b"q" * 24, time=3)
    grown(log, made)
    assert plan_epoch(log, {epoch_id(NEXT_KEY)}) == Seal(epoch_id(NEXT_KEY))
    for device in (ALICE, BOB):
        opened = open_keys(log, device, device.sealing_key, {})
        assert opened.keys == {epoch_id(KEY): KEY, epoch_id(NEXT_KEY): NEXT_KEY}
    body = made[0].body
    assert isinstance(body, Epoch)
    assert body.generation == 2


def test_there_is_no_next_epoch_before_the_first_is_known() -> None:
    log = AccessLog(FOUNDED.space)
    log.add(FOUNDED.operations[0])
    with pytest.raises(NotFound):
        authoring.next_epoch(log, ALICE.signer, key=NEXT_KEY, keys={}, random=bytes(24), time=3)


def test_a_wrap_that_does_not_open_is_told_and_hides_no_good_one(log: AccessLog) -> None:
    with_bob(log)
    garbage = (Wrap(BOB.sealing_key, bytes(80)),)
    bad = Operation.sign(
        WrapKeys(epoch_id(KEY), garbage), space=log.space, parents=log.heads, time=3, signer=ALICE.signer
    )
    grown(log, [bad])
    assert open_keys(log, BOB, BOB.sealing_key, {}).failed == (epoch_id(KEY),)
    shared(log, BOB)
    assert open_keys(log, BOB, BOB.sealing_key, {}).keys == {epoch_id(KEY): KEY}


def test_an_epoch_whose_sealed_earlier_keys_do_not_open_still_gives_its_own(log: AccessLog) -> None:
    first = FOUNDED.operations[1].body
    assert isinstance(first, Epoch)
    wraps = wrap_to_all(NEXT_KEY, [ALICE.sealing_key], log.space)
    body = Epoch(
        2, epoch_id(NEXT_KEY), first.recovery_signing_key, first.recovery_sealing_key, wraps, earlier=b"?" * 72
    )
    grown(log, [Operation.sign(body, space=log.space, parents=log.heads, time=3, signer=ALICE.signer)])
    opened = open_keys(log, ALICE, ALICE.sealing_key, {epoch_id(KEY)})
    assert opened.keys == {epoch_id(NEXT_KEY): NEXT_KEY}


def test_keys_that_are_held_are_not_opened_again(log: AccessLog) -> None:
    opened = open_keys(log, ALICE, ALICE.sealing_key, {epoch_id(KEY)})
    assert opened.keys == {}
    assert opened.failed == ()


def test_more_recipients_than_one_operation_holds_are_spread_over_several(
    log: AccessLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authoring, "WRAPS", 2)
    with_bob(log)
    for name in ("x", "y", "z"):
        record = identity(name).record(log.space, member(name))
        grown(
            log,
            [authoring.add_member(log, ALICE.signer, member=member(name), role=Role.READER, devices=[record], time=3)],
        )
    made = authoring.next_epoch(log, ALICE.signer, key=NEXT_KEY, keys={}, random=bytes(24), time=4)
    assert [len(one.body.wraps) for one in made if isinstance(one.body, Epoch | WrapKeys)] == [2, 2, 2]
    grown(log, made)
    assert log.eligible_epoch({epoch_id(NEXT_KEY)}) == EpochId(epoch_id(NEXT_KEY))


# Merges


def test_a_hundred_heads_become_one(log: AccessLog) -> None:
    times = itertools.count(10)
    for _ in range(100):
        parents = (FOUNDED.operations[1].id,)
        grown(
            log,
            [Operation.sign(Merge(), space=log.space, parents=parents, time=next(times), signer=ALICE.signer)],
        )
    assert len(log.heads) == 100
    made = authoring.merge_heads(log, ALICE.signer, time=1000)
    grown(log, made)
    assert log.heads == (made[-1].id,)
    assert len(made) == 2
    assert authoring.merge_heads(log, ALICE.signer, time=1001) == []


def test_a_genesis_commits_to_the_recovery_without_naming_it() -> None:
    body = FOUNDED.operations[0].body
    assert isinstance(body, Genesis)
    recovery = FOUNDED.recovery_key
    assert body.recovery_hash == recovery_hash(recovery.public, recovery.sealing_key)
    assert recovery.public not in FOUNDED.operations[0].encode()
    assert FOUNDED.operations[0].encode()[8:40] == NO_SPACE
