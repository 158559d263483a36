"""What an attacker does to the bytes, keys and signatures of operations; and what a large log costs."""

from __future__ import annotations

import dataclasses
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.core.access.log import AccessLog, Outcome
from lichen.crypto.signing import verify_many
from lichen.errors import InvalidOperation
from lichen.ids import DeviceKey
from lichen.testing.access import Script, device, member_id
from lichen.wire.membership import AddDevice, AddMember, DeviceRecord, Merge, Role
from lichen.wire.operation import Operation

PRIME = 2**255 - 19
UNACCEPTABLE = {
    "identity": (1).to_bytes(32, "little"),
    "order 2": (PRIME - 1).to_bytes(32, "little"),
    "order 4": bytes(32),
    "order 8": bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
    "identity, not canonical": (PRIME + 1).to_bytes(32, "little"),
    "not canonical": (PRIME + 3).to_bytes(32, "little"),
    "all ones": b"\xff" * 32,
}


@pytest.fixture(scope="module")
def script() -> Script:
    """A space with its owner and a writer."""
    script = Script()
    script.add("ann")
    return script


@given(data=st.data())
def test_a_flipped_bit_anywhere_makes_an_operation_unreadable_or_unsigned(script: Script, data: st.DataObject) -> None:
    good = script.last.encode()
    at = data.draw(st.integers(0, 8 * len(good) - 1))
    flipped = bytearray(good)
    flipped[at // 8] ^= 1 << at % 8
    try:
        operation = Operation.decode(bytes(flipped))
    except InvalidOperation:
        return
    assert not all(verify_many(operation.signature_checks()))


def test_every_byte_of_an_operation_is_covered_by_a_signature(script: Script) -> None:
    good = script.last.encode()
    for at in range(len(good)):
        flipped = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        try:
            operation = Operation.decode(flipped)
        except InvalidOperation:
            continue
        assert not all(verify_many(operation.signature_checks())), f"byte {at}"


def test_an_operation_that_was_signed_again_by_a_stranger_is_a_strangers(script: Script) -> None:
    stolen = script.last
    operation = Operation.sign(
        stolen.body, space=script.space, parents=stolen.parents, time=stolen.time, signer=device("eve")
    )
    assert operation.id != stolen.id
    assert all(verify_many(operation.signature_checks()))
    assert script.log().add(operation) is Outcome.INVALID


def test_an_operation_with_anothers_name_under_it_does_not_verify(script: Script) -> None:
    class Impostor:
        public = device("owner").public

        def sign(self, message: bytes) -> bytes:
            return device("eve").sign(message)

    parents = [script.last.id]
    operation = Operation.sign(Merge(), space=script.space, parents=parents, time=9, signer=Impostor())
    assert verify_many(operation.signature_checks()) == [False]


def test_a_second_signature_makes_no_second_operation(script: Script) -> None:
    log = script.log()
    again = dataclasses.replace(script.last, signature=bytes(64))
    assert log.add(again) is Outcome.VALID
    assert log.count == 2
    assert log.operations()[-1].signature == script.last.signature


@pytest.mark.parametrize("key", UNACCEPTABLE.values(), ids=UNACCEPTABLE)
def test_a_device_whose_signing_key_is_unacceptable_cannot_be_added(script: Script, key: bytes) -> None:
    good = device("phone").record(script.space, member_id("ann"))
    record = dataclasses.replace(good, key=DeviceKey(key))
    assert_unreadable(script, record)


@pytest.mark.parametrize("field", ["sealing_key", "static_key"])
@pytest.mark.parametrize("key", [bytes(32), (1).to_bytes(32, "little"), (PRIME + 9).to_bytes(32, "little")])
def test_a_device_whose_exchange_key_is_unacceptable_cannot_be_added(script: Script, key: bytes, field: str) -> None:
    good = device("phone").record(script.space, member_id("ann"))
    record = dataclasses.replace(good, **{field: key})
    assert_unreadable(script, record)


def assert_unreadable(script: Script, record: DeviceRecord) -> None:
    """No operation that brings this device can be made or read."""
    for body in (AddDevice(member_id("ann"), record), AddMember(member_id("new"), Role.READER, (record,))):
        with pytest.raises(InvalidOperation, match="not an acceptable"):
            Operation.sign(body, space=script.space, parents=[script.last.id], time=9, signer=device("owner"))


def test_a_device_cannot_be_added_without_its_own_signature(script: Script) -> None:
    good = device("phone").record(script.space, member_id("ann"))
    record = dataclasses.replace(good, signature=device("ann").sign(good.signed_message(script.space, good.key[:16])))
    body = AddDevice(member_id("ann"), record)
    operation = Operation.sign(body, space=script.space, parents=[script.last.id], time=9, signer=device("ann"))
    assert verify_many(operation.signature_checks()) == [True, False]


# Cost


@pytest.fixture(scope="module")
def crowd() -> Script:
    """A space of 1,000 members, each wrapped to as it joined."""
    script = Script()
    script.epoch("e1", 1, to=["owner"])
    for number in range(1_000):
        script.add(f"m{number}", Role.WRITER if number % 2 else Role.READER)
        script.wrap("e1", to=[f"m{number}"])
    return script


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "backwards"])
def test_a_thousand_members_are_resolved_in_well_under_a_second(crowd: Script, backwards: bool) -> None:
    log = AccessLog(crowd.space)
    began = time.process_time()
    for operation in reversed(crowd.operations) if backwards else crowd.operations:
        log.add(operation)
    assert len(log.members()) == 1_001
    assert len(log.required_recipients()) == 1_002
    assert log.missing_wraps(log.epochs()[0]) == []
    assert time.process_time() - began < 1


def test_a_role_that_was_asked_for_before_costs_a_look_up(crowd: Script) -> None:
    log = crowd.log()
    heads, author = log.heads, device("m500").public
    log.role_of(author, heads)
    began = time.process_time()
    for _ in range(10_000):
        log.role_of(author, heads)
    assert (time.process_time() - began) / 10_000 < 20e-6
