"""The link dictionary: what comes out is what went in, small, in bounded memory."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.crypto.sealing import seal_set
from lichen.errors import InvalidChangeSet, ProtocolError
from lichen.ids import DeviceKey, DocId, OpId, Session, SetId, SpaceId
from lichen.testing.strategies import ALICE, BOB, CAROL, change_sets
from lichen.wire.changeset import NO_PREV, ChangeSet, Kind
from lichen.wire.dictionary import CONTEXTS, IDS, WORDS, Packer, Unpacker


class Writer:
    """Writes sets of one session after another, quickly: its signatures are not real."""

    def __init__(self, author: bytes, doc: bytes = b"d" * 16, session: bytes = b"n" * 16) -> None:
        self.public, self.doc, self.session = DeviceKey(author), DocId(doc), Session(session)
        self.seq, self.last = 0, NO_PREV

    def sign(self, message: bytes) -> bytes:
        return hashlib.sha512(message).digest()

    def write(self, deps: tuple[bytes, ...] = (b"\x01" * 32,), heads: tuple[bytes, ...] = (b"h" * 32,)) -> bytes:
        self.seq += 1
        after = {*deps} if self.seq == 1 else {*deps, self.last}
        change_set = seal_set(
            kind=Kind.CHANGES,
            space=SpaceId(b"s" * 32),
            doc=self.doc,
            session=self.session,
            seq=self.seq,
            prev=self.last,
            time=(1_700_000_000_000 + 90 * self.seq) << 16,
            access=[OpId(head) for head in heads],
            deps=[SetId(dep) for dep in sorted(after)],
            changes=[b"c" * 109],
            epoch_key=b"k" * 32,
            signer=self,
            random=b"r" * 32,
        )
        self.last = change_set.id
        return change_set.encode()


def id_of(data: bytes) -> SetId:
    return ChangeSet.decode(data).id


@given(st.lists(change_sets(), max_size=8), st.randoms(use_true_random=False))
def test_what_comes_out_is_what_went_in(sets: list[ChangeSet], random: Random) -> None:
    packer, unpacker = Packer(), Unpacker()
    stream = [change_set.encode() for change_set in sets * 2]
    random.shuffle(stream)
    for data in stream:
        assert unpacker.unpack(packer.pack(data)) == data


@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 3)), max_size=40))
def test_interleaved_sessions_survive(steps: list[tuple[int, bool, int]]) -> None:
    writers = [Writer(signer.public, session=bytes([n]) * 16) for n, signer in enumerate((ALICE, BOB, CAROL))]
    packer, unpacker = Packer(), Unpacker()
    sent: list[bytes] = [b"\x01" * 32]
    for who, merging, head in steps:
        deps = tuple(dict.fromkeys(sent[-3:])) if merging else (sent[-1],)
        data = writers[who].write(deps, (bytes([head]) * 32,))
        sent.append(id_of(data))
        assert unpacker.unpack(packer.pack(data)) == data


def test_a_keystroke_after_the_first_loses_half_of_its_bytes() -> None:
    writer, packer = Writer(ALICE.public), Packer()
    first = writer.write()
    assert len(packer.pack(first)) < len(first)
    writer.last = id_of(first)
    second = writer.write(deps=())
    packed = packer.pack(second)
    salt_tip_signature_and_ciphertext = 24 + 32 + 64 + ChangeSet.decode(second).header.length
    assert len(packed) <= salt_tip_signature_and_ciphertext + 8


def test_two_authors_in_turn_cost_a_few_bytes_more() -> None:
    alice, bob = Writer(ALICE.public), Writer(BOB.public, session=b"m" * 16)
    packer, last = Packer(), b"\x01" * 32
    for _ in range(10):
        for writer in (alice, bob):
            data = writer.write((last,))
            last = id_of(data)
            packed = packer.pack(data)
    assert len(packed) <= 24 + 32 + 64 + ChangeSet.decode(data).header.length + 16


def many_contexts(count: int) -> Iterator[bytes]:
    for number in range(count):
        name = hashlib.sha256(number.to_bytes(4, "big")).digest()
        yield Writer(name, doc=name[:16], session=name[16:]).write()


def test_more_contexts_than_are_remembered_survive_in_bounded_memory() -> None:
    packer, unpacker = Packer(), Unpacker()
    stream = list(many_contexts(CONTEXTS + 40))
    for data in stream * 2 + stream[-20:]:
        assert unpacker.unpack(packer.pack(data)) == data
    for end in (packer, unpacker):
        assert len(end._contexts._entries) == len(end._contexts._slots) == CONTEXTS
        assert len(end._words._entries) == len(end._words._slots) == WORDS


def test_what_was_used_longest_ago_gives_way() -> None:
    packer, stream = Packer(), list(many_contexts(CONTEXTS + 1))
    for data in stream[:CONTEXTS]:
        packer.pack(data)
    packer.pack(stream[0])
    assert packer.pack(stream[CONTEXTS])[0] == 0xFF
    assert packer.pack(stream[0])[0] == 0
    assert packer.pack(stream[CONTEXTS])[0] == 1
    assert packer.pack(stream[1])[0] == 0xFF


def test_more_sets_than_are_remembered_survive_in_bounded_memory() -> None:
    writer, packer, unpacker = Writer(ALICE.public), Packer(), Unpacker()
    ids: list[bytes] = []
    for number in range(2 * IDS + 10):
        deps = (ids[-300],) if number % 7 == 0 and number > 300 else (ids[0],) if number % 11 == 0 and ids else ()
        data = writer.write(deps or (b"\x01" * 32,))
        ids.append(id_of(data))
        assert unpacker.unpack(packer.pack(data)) == data
    assert len(packer._ids) == len(packer._numbers) == len(unpacker._ids) == IDS


def test_a_set_sent_again_and_again_is_still_remembered_right() -> None:
    writer, packer, unpacker = Writer(ALICE.public), Packer(), Unpacker()
    again = writer.write()
    for number in range(2 * IDS):
        data = again if number % 3 == 0 else writer.write((id_of(again),))
        packed = packer.pack(data)
        assert unpacker.unpack(packed) == data
        if number > 3 and data is not again:
            assert len(packed) < len(data) / 2, "a dep that just passed is not spelled out"


def test_a_lost_set_is_noticed_at_the_latest_by_its_signature() -> None:
    writer, packer, unpacker = Writer(ALICE.public), Packer(), Unpacker()
    first, lost, third = (writer.write((b"\x01" * 32,)) for _ in range(3))
    unpacker.unpack(packer.pack(first))
    packer.pack(lost)
    try:
        came_out = ChangeSet.decode(unpacker.unpack(packer.pack(third)))
    except (ProtocolError, InvalidChangeSet):
        return
    assert came_out.id != id_of(third)


@given(change_sets(), st.data())
def test_garbled_packs_raise_only_the_documented_error(change_set: ChangeSet, data: st.DataObject) -> None:
    packer, unpacker = Packer(), Unpacker()
    unpacker.unpack(packer.pack(change_set.encode()))
    garbled = bytearray(packer.pack(change_set.encode()))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(garbled) - 1, 90)))
        garbled[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        came_out = unpacker.unpack(bytes(garbled))
    except ProtocolError:
        return
    assert len(came_out) <= len(garbled) + 40_000


@given(st.lists(st.binary(max_size=600), max_size=5))
def test_noise_raises_only_the_documented_error(noise: list[bytes]) -> None:
    unpacker = Unpacker()
    for packed in noise:
        try:
            unpacker.unpack(packed)
        except ProtocolError:
            continue


def test_every_truncation_before_the_ciphertext_is_refused() -> None:
    packed = Packer().pack(Writer(ALICE.public).write())
    ciphertext_at = len(packed) - 136
    for length in range(ciphertext_at):
        with pytest.raises(ProtocolError):
            Unpacker().unpack(packed[:length])


def test_a_reference_to_nothing_is_refused() -> None:
    for packed in (b"\x00" * 200, b"\x7f" * 200, b"\xff\x05" + bytes(200)):
        with pytest.raises(ProtocolError, match="remember"):
            Unpacker().unpack(packed)


@pytest.mark.parametrize("distance", [b"\x00", b"\x04", b"\xfe\x00\x00", b"\xfe\x00\x04", b"\xfe\xff\xff"])
def test_a_dep_that_never_passed_is_refused(distance: bytes) -> None:
    writer, packer, unpacker = Writer(ALICE.public), Packer(), Unpacker()
    for _ in range(3):
        unpacker.unpack(packer.pack(writer.write((b"\x01" * 32,))))
    follows_that = b"\x00\x06" + bytes(8) + bytes(56) + b"\x00\x01" + distance + bytes(64 + 48)
    with pytest.raises(ProtocolError, match="remember"):
        unpacker.unpack(follows_that)


def test_a_peer_cannot_make_the_tables_hold_more_than_a_mebibyte() -> None:
    packer, packed = Packer(), []
    for number in range(2 * IDS):
        name = hashlib.sha256(number.to_bytes(4, "big")).digest()
        heads = tuple(sorted(hashlib.sha256(name + bytes([head])).digest() for head in range(64)))
        data = Writer(name, doc=name[:16], session=name[16:]).write(heads=heads)
        packed.append(packer.pack(data))
    unpacker = Unpacker()
    tracemalloc.start()
    try:
        for one in packed:
            unpacker.unpack(one)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1024 * 1024
