"""Sealing and opening: only with the right key, only where it was meant, only what was put in."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st
from lichen.crypto.plaintext import pack_changes
from lichen.crypto.sealing import (
    NO_HASH,
    change_hash,
    epoch_id,
    merge_tip,
    open_ephemeral,
    open_set,
    seal_ephemeral,
    seal_set,
    tip,
)
from lichen.errors import CannotOpen, ChangeTooLarge, InvalidChangeSet, LimitExceeded, ProtocolError
from lichen.ids import DocId, OpId, Session, SetId, SpaceId
from lichen.testing.strategies import ALICE, BOB, ephemeral_fields, id32, set_fields, verifies
from lichen.wire.changeset import NO_PREV, ChangeSet, Header, Kind
from lichen.wire.ephemeral import TO_ALL, Ephemeral, EphemeralKind

KEY = b"k" * 32
FIELDS: dict[str, Any] = {
    "kind": Kind.CHANGES,
    "space": SpaceId(b"s" * 32),
    "doc": DocId(b"d" * 16),
    "session": Session(b"n" * 16),
    "seq": 1,
    "prev": NO_PREV,
    "time": 1,
    "access": [OpId(b"a" * 32)],
    "deps": [SetId(b"\x01" * 32)],
    "changes": [b"first", b"second change of the set"],
    "epoch_key": KEY,
    "signer": ALICE,
    "random": b"r" * 32,
}
PRESENCE: dict[str, Any] = {
    "kind": EphemeralKind.PRESENCE,
    "space": SpaceId(b"s" * 32),
    "doc": DocId(b"d" * 16),
    "session": Session(b"n" * 16),
    "counter": 1,
    "to": TO_ALL,
    "payload": b"cursor at 5",
    "epoch_key": KEY,
    "signer": ALICE,
    "random": b"r" * 32,
}


def sealed(**fields: Any) -> ChangeSet:
    return seal_set(**(FIELDS | fields))


def resealed(header: Header, change_set: ChangeSet, signer: Any = ALICE) -> ChangeSet:
    """The same ciphertext under another header, signed anew: what a replaying member could do."""
    return ChangeSet.sign(header, header.encode(), change_set.ciphertext, signer)


def forged(plaintext: bytes, **header: Any) -> ChangeSet:
    """A set with any plaintext, sealed by the formulas of the protocol: what a member with a broken client could do."""
    made = sealed().header._replace(length=len(plaintext) + 16, **header)
    prefix = made.encode()
    info = b"lichen/seal/v1" + bytes((made.suite, made.kind)) + made.space + made.doc + made.author + made.session
    derived = HKDF(hashes.SHA256(), 44, made.salt, info).derive(KEY)
    ciphertext = ChaCha20Poly1305(derived[:32]).encrypt(derived[32:], plaintext, prefix)
    return ChangeSet.sign(made, prefix, ciphertext, ALICE)


@given(set_fields())
def test_what_was_sealed_comes_out(fields: dict[str, Any]) -> None:
    change_set = seal_set(**fields)
    assert open_set(ChangeSet.decode(change_set.encode()), fields["epoch_key"]) == fields["changes"]
    assert verifies(fields["signer"].public, change_set.signed_message, change_set.signature)


def test_sealing_follows_the_formulas_of_the_protocol() -> None:
    changes = FIELDS["changes"]
    by_hand = forged(pack_changes(changes))
    assert by_hand == sealed()
    assert sealed().header.epoch == hashlib.sha256(b"lichen/epoch/v1" + KEY).digest()


@given(set_fields(), id32)
def test_another_key_does_not_open(fields: dict[str, Any], other: bytes) -> None:
    change_set = seal_set(**fields)
    if other != fields["epoch_key"]:
        with pytest.raises(CannotOpen, match="another epoch"):
            open_set(change_set, other)


def test_a_set_under_an_epoch_that_is_not_its_keys_does_not_open() -> None:
    other = b"o" * 32
    change_set = sealed()
    header = change_set.header._replace(epoch=epoch_id(other))
    with pytest.raises(CannotOpen, match="does not verify"):
        open_set(resealed(header, change_set), other)


@pytest.mark.parametrize(
    "fields",
    [
        {"space": SpaceId(b"t" * 32)},
        {"doc": DocId(b"e" * 16)},
        {"session": Session(b"o" * 16)},
        {"seq": 2, "prev": b"\x01" * 32},
        {"time": 2},
        {"salt": bytes(24)},
        {"tip": bytes(32)},
        {"access": (OpId(b"b" * 32),)},
        {"deps": (SetId(b"\x02" * 32),)},
        {"kind": Kind.MERGE},
    ],
)
def test_a_ciphertext_opens_under_no_other_header(fields: dict[str, Any]) -> None:
    change_set = sealed()
    header = change_set.header._replace(**fields)
    with pytest.raises(CannotOpen, match="does not verify"):
        open_set(resealed(header, change_set), KEY)


def test_a_ciphertext_taken_over_by_another_author_does_not_open() -> None:
    change_set = sealed()
    header = change_set.header._replace(author=BOB.public)
    with pytest.raises(CannotOpen, match="does not verify"):
        open_set(resealed(header, change_set, BOB), KEY)


def test_a_flipped_bit_in_the_ciphertext_does_not_open() -> None:
    change_set = sealed()
    for at in range(len(change_set.ciphertext)):
        flipped = bytearray(change_set.ciphertext)
        flipped[at] ^= 1
        with pytest.raises(CannotOpen):
            open_set(dataclasses.replace(change_set, ciphertext=bytes(flipped)), KEY)


def test_the_tip_is_a_keyed_mac_of_the_last_changes_hash() -> None:
    tip_key = hmac.digest(KEY, b"lichen/tip-key/v1", "sha256")
    last_hash = hashlib.sha256(FIELDS["changes"][-1][8:]).digest()
    expected = hmac.digest(tip_key, b"lichen/tip/v1" + last_hash, "sha256")
    assert sealed().header.tip == tip(KEY, last_hash) == expected
    assert sealed(last_hash=last_hash) == sealed()
    assert change_hash(FIELDS["changes"][-1]) == last_hash


def test_a_set_whose_tip_is_not_its_last_changes_is_invalid() -> None:
    with pytest.raises(InvalidChangeSet, match="tip"):
        open_set(sealed(last_hash=b"x" * 32), KEY)


def test_a_merges_tip_is_over_those_of_its_deps() -> None:
    deps = [SetId(b"\x02" * 32), SetId(b"\x01" * 32)]
    tips = [b"one" + bytes(29), b"two" + bytes(29)]
    merge = sealed(kind=Kind.MERGE, changes=[], deps=deps, dep_tips=tips)
    assert open_set(merge, KEY) == []
    assert merge.header.tip == merge_tip(KEY, tips) != merge_tip(KEY, tips[::-1])
    with pytest.raises(InvalidChangeSet, match="tip of each"):
        sealed(kind=Kind.MERGE, changes=[], deps=deps, dep_tips=tips[:1])


def test_an_empty_document_has_the_tip_of_no_change() -> None:
    assert tip(KEY, NO_HASH) != tip(KEY, change_hash(b""))


def test_kind_and_number_of_changes_agree_on_both_ways() -> None:
    with pytest.raises(InvalidChangeSet):
        sealed(changes=[])
    with pytest.raises(InvalidChangeSet):
        sealed(kind=Kind.MERGE, dep_tips=[bytes(32)])
    with pytest.raises(InvalidChangeSet, match="carries none"):
        open_set(forged(pack_changes([])), KEY)
    with pytest.raises(InvalidChangeSet, match="merge carries"):
        open_set(forged(pack_changes([b"c"]), kind=Kind.MERGE), KEY)


@given(st.binary(max_size=200))
def test_any_plaintext_of_a_member_raises_only_the_documented_error(noise: bytes) -> None:
    with pytest.raises(InvalidChangeSet):
        open_set(forged(noise.ljust(32, b"\0")), KEY)


def test_too_large_a_change_is_refused_before_anything_is_sealed() -> None:
    with pytest.raises(ChangeTooLarge):
        sealed(changes=[bytes(4 * 1024 * 1024)])


def test_a_broken_random_source_repeats_no_salt_for_other_contents_places_or_keys() -> None:
    salts = [
        sealed(**fields).header.salt
        for fields in (
            {},
            {"changes": [b"other"]},
            {"seq": 2, "prev": b"\x01" * 32},
            {"session": Session(b"o" * 16)},
            {"signer": BOB},
            {"epoch_key": b"o" * 32},
            {"random": b"x" * 32},
        )
    ]
    assert len(set(salts)) == len(salts)
    assert sealed().header.salt == salts[0]


def test_too_little_randomness_is_the_callers_mistake() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        sealed(random=b"r" * 31)


def test_one_letter_more_does_not_show() -> None:
    lengths = {len(sealed(changes=[b"c" * (1_000 + more)]).encode()) for more in range(8)}
    assert len(lengths) <= 2


@given(ephemeral_fields())
def test_what_was_sealed_in_a_message_comes_out(fields: dict[str, Any]) -> None:
    message = Ephemeral.decode(seal_ephemeral(**fields).encode())
    assert open_ephemeral(message, fields["epoch_key"]) == fields["payload"]


@pytest.mark.parametrize(
    "fields",
    [
        {"space": SpaceId(b"t" * 32)},
        {"doc": DocId(b"e" * 16)},
        {"author": BOB.public},
        {"session": Session(b"o" * 16)},
        {"counter": 2},
        {"to": BOB.public},
        {"kind": EphemeralKind.SIGNAL},
        {"salt": bytes(24)},
    ],
)
def test_a_message_opens_under_no_other_header(fields: dict[str, Any]) -> None:
    message = dataclasses.replace(seal_ephemeral(**PRESENCE), **fields)
    with pytest.raises(CannotOpen, match="does not verify"):
        open_ephemeral(message, KEY)


def test_a_message_opens_with_no_other_key() -> None:
    with pytest.raises(CannotOpen, match="another epoch"):
        open_ephemeral(seal_ephemeral(**PRESENCE), b"o" * 32)


def test_a_change_set_and_a_message_never_share_a_key() -> None:
    message = seal_ephemeral(**PRESENCE)
    info = b"lichen/ephemeral-seal/v1\x01\x01" + message.space + message.doc + message.author + message.session
    derived = HKDF(hashes.SHA256(), 44, message.salt, info).derive(KEY)
    assert ChaCha20Poly1305(derived[:32]).decrypt(derived[32:], message.ciphertext, message.prefix)


def test_too_large_a_payload_is_refused() -> None:
    with pytest.raises(LimitExceeded):
        seal_ephemeral(**(PRESENCE | {"payload": bytes(14 * 1024 + 1)}))


def test_a_message_with_a_compressed_inside_is_refused() -> None:
    message = seal_ephemeral(**PRESENCE)
    info = b"lichen/ephemeral-seal/v1\x01\x01" + message.space + message.doc + message.author + message.session
    derived = HKDF(hashes.SHA256(), 44, message.salt, info).derive(KEY)
    ciphertext = ChaCha20Poly1305(derived[:32]).encrypt(derived[32:], b"\x01".ljust(32, b"\0"), message.prefix)
    with pytest.raises(ProtocolError, match="unknown flag 1"):
        open_ephemeral(dataclasses.replace(message, ciphertext=ciphertext), KEY)
