"""Change sets: round trips, and refusal of everything that is not exactly one."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.config import DEFAULT_LIMITS
from lichen.crypto.sealing import seal_set
from lichen.errors import InvalidChangeSet
from lichen.ids import DocId, OpId, Session, SetId, SpaceId
from lichen.testing.strategies import ALICE, BOB, change_sets, set_fields, verifies
from lichen.wire.changeset import NO_PREV, ChangeSet, Header, Kind, create_prev, doc_id

DEP = SetId(b"\x01" * 32)


def sealed(**fields: object) -> ChangeSet:
    values: dict[str, object] = {
        "kind": Kind.CHANGES,
        "space": SpaceId(b"s" * 32),
        "doc": DocId(b"d" * 16),
        "session": Session(b"n" * 16),
        "seq": 1,
        "prev": NO_PREV,
        "time": 1_700_000_000_000 << 16,
        "access": [OpId(b"a" * 32)],
        "deps": [DEP],
        "changes": [b"change"],
        "epoch_key": b"k" * 32,
        "signer": ALICE,
        "random": b"r" * 32,
    }
    return seal_set(**(values | fields))  # type: ignore[arg-type]


def resigned(change_set: ChangeSet, **fields: Any) -> Header:
    return change_set.header._replace(**fields)


@given(change_sets())
def test_a_change_set_survives_the_wire(change_set: ChangeSet) -> None:
    decoded = ChangeSet.decode(change_set.encode())
    assert decoded == change_set
    assert decoded.header.encode() == decoded.prefix == change_set.prefix
    assert verifies(decoded.header.author, decoded.signed_message, decoded.signature)


@given(change_sets(), st.data())
def test_every_truncation_and_extension_is_refused(change_set: ChangeSet, data: st.DataObject) -> None:
    encoded = change_set.encode()
    with pytest.raises(InvalidChangeSet):
        ChangeSet.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])
    with pytest.raises(InvalidChangeSet):
        ChangeSet.decode(encoded + data.draw(st.binary(min_size=1, max_size=40)))


def test_each_length_but_its_own_is_refused() -> None:
    encoded = sealed(deps=[DEP, SetId(b"\x02" * 32)]).encode()
    for length in range(len(encoded)):
        with pytest.raises(InvalidChangeSet):
            ChangeSet.decode(encoded[:length])
    for extra in range(1, 200):
        with pytest.raises(InvalidChangeSet):
            ChangeSet.decode(encoded + bytes(extra))


@pytest.mark.parametrize("kind", [Kind.CREATE, Kind.CHANGES, Kind.MERGE])
def test_a_flipped_bit_in_any_byte_is_refused_or_breaks_the_signature(kind: Kind) -> None:
    change_set = _of_kind(kind)
    encoded = change_set.encode()
    for at in range(len(encoded)):
        for bit in range(8):
            flipped = bytearray(encoded)
            flipped[at] ^= 1 << bit
            try:
                decoded = ChangeSet.decode(bytes(flipped))
            except InvalidChangeSet:
                continue
            assert not verifies(decoded.header.author, decoded.signed_message, decoded.signature), at


def _of_kind(kind: Kind) -> ChangeSet:
    if kind is Kind.CREATE:
        doc = doc_id(SpaceId(b"s" * 32), ALICE.public, b"n" * 16)
        return sealed(kind=kind, doc=doc, prev=create_prev(b"n" * 16), deps=[])
    if kind is Kind.MERGE:
        return sealed(kind=kind, deps=[DEP, SetId(b"\x02" * 32)], changes=[], dep_tips=[b"t" * 32, b"u" * 32])
    return sealed(seq=5, prev=DEP)


@given(set_fields())
def test_the_same_content_signed_twice_is_one_set(fields: dict[str, object]) -> None:
    first = seal_set(**fields)  # type: ignore[arg-type]
    second = dataclasses.replace(first, signature=bytes(64))
    assert ChangeSet.decode(second.encode()).id == first.id


def test_content_taken_over_by_another_author_is_another_set() -> None:
    change_set = sealed()
    header = resigned(change_set, author=BOB.public)
    taken = ChangeSet.sign(header, header.encode(), change_set.ciphertext, BOB)
    assert ChangeSet.decode(taken.encode()).id != change_set.id


@pytest.mark.parametrize(
    "fields", [{"author": BOB.public}, {"prev": create_prev(b"z" * 16)}, {"doc": DocId(b"o" * 16)}]
)
def test_a_document_is_created_under_the_id_of_its_creator_and_nonce(fields: dict[str, object]) -> None:
    created = _of_kind(Kind.CREATE)
    with pytest.raises(InvalidChangeSet):
        resigned(created, **fields).encode()
    forged = created.encode()
    for name, value in fields.items():
        forged = forged.replace(getattr(created.header, name), value)  # type: ignore[arg-type]  # bytes, all of them
    with pytest.raises(InvalidChangeSet, match="not that of its space, creator and nonce"):
        ChangeSet.decode(forged)


@pytest.mark.parametrize(
    "fields",
    [
        {"flags": 1},
        {"suite": 2},
        {"access": ()},
        {"access": (OpId(b"b" * 32), OpId(b"a" * 32))},
        {"access": (OpId(b"a" * 32), OpId(b"a" * 32))},
        {"access": tuple(OpId(bytes([n]) * 32) for n in range(65))},
        {"deps": ()},
        {"deps": (SetId(b"b" * 32), SetId(b"a" * 32))},
        {"deps": tuple(SetId(n.to_bytes(32, "big")) for n in range(1_025))},
        {"seq": 0},
        {"seq": 2},
        {"seq": 2**64},
        {"seq": 2, "prev": b"x" * 32},
        {"prev": DEP},
        {"prev": b"short"},
        {"space": b"s" * 31},
        {"length": 47},
        {"length": 2**32},
        {"time": -1},
        {"kind": Kind.CREATE},
    ],
)
def test_a_header_that_breaks_a_rule_is_neither_written_nor_read(fields: dict[str, object]) -> None:
    header = resigned(sealed(), **fields)
    with pytest.raises(InvalidChangeSet):
        header.encode()


def test_the_rules_hold_for_bytes_from_outside_too() -> None:
    change_set = sealed(deps=[DEP, SetId(b"\x02" * 32)])
    encoded = change_set.encode()
    swapped = encoded.replace(DEP + b"\x02" * 32, b"\x02" * 32 + DEP)
    assert swapped != encoded
    for broken in (swapped, encoded[:6] + b"\0\1" + encoded[8:], encoded[:4] + b"\2" + encoded[5:]):
        with pytest.raises(InvalidChangeSet):
            ChangeSet.decode(broken)


def test_a_ciphertext_longer_or_shorter_than_the_header_says_is_refused() -> None:
    change_set = sealed(changes=[b"long enough to be cut by a byte"])
    for length in (change_set.header.length - 1, change_set.header.length + 1):
        header = resigned(change_set, length=length)
        liar = ChangeSet.sign(header, header.encode(), change_set.ciphertext, ALICE)
        with pytest.raises(InvalidChangeSet, match="length"):
            ChangeSet.decode(liar.encode())


def test_sets_at_the_limits_are_accepted() -> None:
    deps = [SetId(n.to_bytes(32, "big")) for n in range(1, DEFAULT_LIMITS.set_deps + 1)]
    access = [OpId(n.to_bytes(32, "big")) for n in range(DEFAULT_LIMITS.access_heads)]
    change_set = sealed(deps=deps, access=access, seq=2, prev=deps[7])
    assert ChangeSet.decode(change_set.encode()) == change_set


def test_another_ciphertext_is_refused_before_any_signature_is_checked() -> None:
    encoded = sealed().encode()
    with pytest.raises(InvalidChangeSet, match="ciphertext"):
        ChangeSet.decode(encoded[:-1] + bytes([encoded[-1] ^ 1]))


@given(change_sets(), st.data())
def test_garbled_bytes_raise_only_the_documented_error(change_set: ChangeSet, data: st.DataObject) -> None:
    garbled = bytearray(change_set.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(garbled) - 1))
        garbled[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    with contextlib.suppress(InvalidChangeSet):
        ChangeSet.decode(bytes(garbled))


@given(st.binary(max_size=1_000))
def test_noise_is_refused(noise: bytes) -> None:
    with pytest.raises(InvalidChangeSet):
        ChangeSet.decode(noise)


def test_the_document_id_binds_space_creator_and_nonce() -> None:
    args = (SpaceId(b"s" * 32), ALICE.public, b"n" * 16)
    expected = hashlib.sha256(b"lichen/document/v1" + b"".join(args)).digest()[:16]
    assert doc_id(*args) == expected
    assert doc_id(SpaceId(b"t" * 32), *args[1:]) != expected != doc_id(args[0], BOB.public, args[2])
