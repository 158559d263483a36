"""Access operations: round trips, and refusal of everything that is not exactly one."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.crypto.lockbox import wrap_to_all
from lichen.crypto.sealing import epoch_id
from lichen.errors import InvalidOperation
from lichen.ids import DeviceKey, EpochId, MemberId, OpId, SpaceId
from lichen.testing.strategies import ALICE, BOB, CAROL, operations, verifies
from lichen.wire.epochs import EARLIER_BYTES, WRAPS
from lichen.wire.membership import MEMBER_DEVICES
from lichen.wire.operation import (
    AddDevice,
    AddMember,
    Body,
    DeviceRecord,
    Epoch,
    Genesis,
    Merge,
    Operation,
    OperationKind,
    Role,
    Wrap,
    WrapKeys,
    recovery_hash,
)

NO_SPACE = SpaceId(bytes(32))
SPACE = SpaceId(b"s" * 32)
MEMBER = MemberId(b"m" * 16)
PARENT = OpId(b"p" * 32)
KEY = b"k" * 32
WRAPPED = wrap_to_all(KEY, [ALICE.sealing_key, BOB.sealing_key], SPACE)
EPOCH = Epoch(1, epoch_id(KEY), CAROL.public, CAROL.sealing_key, WRAPPED, b"earlier")
RECORD = ALICE.record(SPACE, MEMBER)


def genesis(**fields: object) -> Operation:
    device = ALICE.record(NO_SPACE, MEMBER)
    body = Genesis(MEMBER, device, b"n" * 32, 0, recovery_hash(CAROL.public, CAROL.sealing_key))
    return Operation.sign(
        dataclasses.replace(body, **fields),  # type: ignore[arg-type]
        space=NO_SPACE,
        parents=(),
        time=1,
        signer=ALICE,
    )


def operation(body: Body) -> Operation:
    return Operation.sign(body, space=SPACE, parents=[PARENT], time=7, signer=ALICE)


EVERY_KIND = [
    genesis(),
    operation(AddMember(MEMBER, Role.WRITER, (RECORD,))),
    operation(AddDevice(MEMBER, RECORD)),
    operation(EPOCH),
    operation(WrapKeys(EpochId(b"e" * 32), WRAPPED)),
    operation(Merge()),
]
every_kind = pytest.mark.parametrize("given_operation", EVERY_KIND, ids=lambda operation: operation.kind.name)


@given(operations())
def test_an_operation_survives_the_wire_and_all_its_signatures_verify(given_operation: Operation) -> None:
    decoded = Operation.decode(given_operation.encode())
    assert decoded == given_operation
    assert decoded.encode() == given_operation.encode()
    assert all(verifies(*check) for check in decoded.signature_checks())


def test_every_kind_is_tried_here() -> None:
    assert [tried.kind for tried in EVERY_KIND] == list(OperationKind)


@every_kind
def test_each_length_but_its_own_is_refused(given_operation: Operation) -> None:
    encoded = given_operation.encode()
    for length in range(len(encoded)):
        with pytest.raises(InvalidOperation):
            Operation.decode(encoded[:length])
    for extra in range(1, 100):
        with pytest.raises(InvalidOperation):
            Operation.decode(encoded + bytes(extra))


@every_kind
def test_a_flipped_bit_in_any_byte_is_refused_or_breaks_the_signature(given_operation: Operation) -> None:
    encoded = given_operation.encode()
    for at in range(len(encoded)):
        flipped = bytearray(encoded)
        flipped[at] ^= 1 << (at % 8)
        try:
            decoded = Operation.decode(bytes(flipped))
        except InvalidOperation:
            continue
        assert not verifies(decoded.author, decoded.signed_message, decoded.signature), at


@given(operations(), st.data())
def test_garbled_bytes_raise_only_the_documented_error(given_operation: Operation, data: st.DataObject) -> None:
    garbled = bytearray(given_operation.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(garbled) - 1))
        garbled[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(InvalidOperation):
        Operation.decode(bytes(garbled))


@given(st.binary(max_size=600))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(InvalidOperation):
        Operation.decode(noise)


def test_a_space_is_named_by_its_genesis() -> None:
    first = genesis()
    unsigned = first.encode()[:-64]
    assert bytes(first.space) == bytes(first.id) == hashlib.sha256(b"lichen/operation/v1" + unsigned).digest()
    assert unsigned[8:40] == bytes(32)


def test_the_id_does_not_cover_the_signature() -> None:
    resigned = Operation.decode(genesis().encode()[:-64] + bytes(64))
    assert resigned.id == genesis().id


def test_the_same_operation_by_another_author_is_another() -> None:
    by_bob = Operation.sign(Merge(), space=SPACE, parents=[PARENT], time=7, signer=BOB)
    assert by_bob.id != operation(Merge()).id


def test_a_device_signs_for_one_member_of_one_space() -> None:
    key, message, signature = operation(AddDevice(MEMBER, RECORD)).signature_checks()[1]
    assert verifies(key, message, signature)
    for space, member in ((SpaceId(b"t" * 32), MEMBER), (SPACE, MemberId(b"o" * 16))):
        assert not verifies(key, RECORD.signed_message(space, member), signature)


def test_a_device_added_to_another_space_does_not_verify() -> None:
    elsewhere = Operation.sign(
        AddDevice(MEMBER, RECORD), space=SpaceId(b"t" * 32), parents=[PARENT], time=7, signer=ALICE
    )
    checks = elsewhere.signature_checks()
    assert [verifies(*check) for check in checks] == [True, False]


def refused(body: Body, match: str) -> None:
    with pytest.raises(InvalidOperation, match=match):
        operation(body)


IDENTITY_POINT = DeviceKey((1).to_bytes(32, "little"))


@pytest.mark.parametrize(
    "fields",
    [
        {"key": IDENTITY_POINT},
        {"key": DeviceKey(b"\xff" * 32)},
        {"sealing_key": bytes(32)},
        {"sealing_key": b"\xff" * 32},
        {"static_key": bytes(32)},
    ],
)
def test_a_device_with_a_small_or_non_canonical_key_is_refused(fields: dict[str, object]) -> None:
    record: DeviceRecord = dataclasses.replace(RECORD, **fields)  # type: ignore[arg-type]
    refused(AddDevice(MEMBER, record), "acceptable")
    refused(AddMember(MEMBER, Role.READER, (record,)), "acceptable")


def test_an_author_with_a_small_key_is_refused() -> None:
    encoded = operation(Merge()).encode()
    with pytest.raises(InvalidOperation, match="author"):
        Operation.decode(encoded.replace(ALICE.public, IDENTITY_POINT))


def test_a_genesis_is_signed_by_the_device_it_brings() -> None:
    with pytest.raises(InvalidOperation, match="signed by the device"):
        genesis(device=BOB.record(NO_SPACE, MEMBER))


def test_only_a_genesis_has_neither_parents_nor_space() -> None:
    for space, parents in ((SPACE, ()), (NO_SPACE, [PARENT])):
        with pytest.raises(InvalidOperation, match="a genesis, and nothing else"):
            Operation.sign(Merge(), space=SpaceId(space), parents=parents, time=0, signer=ALICE)
    encoded = genesis().encode()
    with pytest.raises(InvalidOperation, match="a genesis, and nothing else"):
        Operation.decode(encoded[:72] + b"\x01" + PARENT + encoded[73:])


def test_unknown_kinds_suites_flags_policies_and_roles_are_refused() -> None:
    encoded = genesis().encode()
    policy_at = len(encoded) - 64 - 32 - 2
    for at in (4, 5, 6, 7, policy_at, policy_at + 1):
        broken = bytearray(encoded)
        broken[at] = 99
        with pytest.raises(InvalidOperation):
            Operation.decode(bytes(broken))
    for role in (0, 6):
        refused(AddMember(MEMBER, role, (RECORD,)), "role")  # type: ignore[arg-type]


def test_devices_and_wraps_are_sorted_counted_and_different() -> None:
    records = sorted((signer.record(SPACE, MEMBER) for signer in (ALICE, BOB)), key=lambda record: record.key)
    refused(AddMember(MEMBER, Role.READER, (records[1], records[0])), "sorted")
    refused(AddMember(MEMBER, Role.READER, (records[0], records[0])), "sorted")
    refused(AddMember(MEMBER, Role.READER, ()), "0 devices")
    refused(AddMember(MEMBER, Role.READER, (RECORD,) * (MEMBER_DEVICES + 1)), "17 devices")
    refused(WrapKeys(EPOCH.epoch, WRAPPED[::-1]), "sorted")
    refused(WrapKeys(EPOCH.epoch, ()), "0 wraps")
    refused(WrapKeys(EPOCH.epoch, (Wrap(bytes(32), bytes(80)),)), "acceptable")


def many_wraps(count: int) -> tuple[Wrap, ...]:
    return tuple(Wrap(number.to_bytes(31, "big") + b"\x01", bytes(80)) for number in range(1, count + 1))


def test_an_epoch_for_as_many_as_may_be_is_accepted_and_no_more() -> None:
    body = Epoch(2**32 - 1, EPOCH.epoch, CAROL.public, CAROL.sealing_key, many_wraps(WRAPS), bytes(EARLIER_BYTES))
    assert Operation.decode(operation(body).encode()).body == body
    refused(dataclasses.replace(body, wraps=many_wraps(WRAPS + 1)), "4097 wraps")
    refused(dataclasses.replace(body, earlier=bytes(EARLIER_BYTES + 1)), "earlier keys")
    refused(dataclasses.replace(body, generation=0), "generation")


def test_an_epoch_of_nine_hundred_devices_is_under_200_kb() -> None:
    body = dataclasses.replace(EPOCH, wraps=many_wraps(900), earlier=bytes(24 + 32 * 100 + 16))
    assert len(operation(body).encode()) < 200_000


def test_an_epoch_shows_the_recovery_that_the_genesis_commits_to() -> None:
    body = genesis().body
    assert isinstance(body, Genesis)
    assert EPOCH.recovery_hash == body.recovery_hash


def test_an_epoch_with_unacceptable_recovery_keys_is_refused() -> None:
    refused(dataclasses.replace(EPOCH, recovery_signing_key=IDENTITY_POINT), "recovery")
    refused(dataclasses.replace(EPOCH, recovery_sealing_key=bytes(32)), "recovery")


def test_as_many_parents_as_may_be_are_accepted_and_no_more() -> None:
    parents = [OpId(bytes([number]) * 32) for number in range(65)]
    assert len(Operation.sign(Merge(), space=SPACE, parents=parents[:64], time=0, signer=ALICE).parents) == 64
    with pytest.raises(InvalidOperation, match="65 parents"):
        Operation.sign(Merge(), space=SPACE, parents=parents, time=0, signer=ALICE)


def test_parents_are_sorted_and_made_unique_when_signing() -> None:
    high, low = OpId(b"b" * 32), OpId(b"a" * 32)
    assert Operation.sign(Merge(), space=SPACE, parents=[high, low, high], time=0, signer=ALICE).parents == (low, high)
