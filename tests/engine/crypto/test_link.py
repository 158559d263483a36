"""The handshake of a link and its frames: who is let in, and what happens to what is altered."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen.crypto import link
from lichen.crypto.identity import Identity
from lichen.crypto.link import FRAME_BYTES, HANDSHAKE_BYTES, LinkCiphers, LinkHandshake, identity_message, prove
from lichen.crypto.noise import CipherState, HandshakeState
from lichen.errors import HandshakeFailed, ProtocolError
from lichen.ids import DeviceKey

ALICE, BOB, MALLORY = (Identity(bytes((number,)) * 96) for number in (1, 2, 3))
PROLOGUE = b"lichen/link/v1\0websocket\0"


def side(
    identity: Identity, initiator: bool, expected: DeviceKey | None = None, prologue: bytes = PROLOGUE
) -> LinkHandshake:
    ephemeral = identity.device[:31] + bytes((initiator,))
    return LinkHandshake(identity, initiator=initiator, prologue=prologue, ephemeral=ephemeral, expected=expected)


def shake(alice: LinkHandshake, bob: LinkHandshake) -> None:
    """Carry messages between the sides until both are done."""
    message, to = alice.step(None), bob
    while message is not None:
        message, to = to.step(message), alice if to is bob else bob


def linked() -> tuple[LinkCiphers, LinkCiphers]:
    alice, bob = side(ALICE, True), side(BOB, False)
    shake(alice, bob)
    return alice.session, bob.session


def is_dead(handshake: LinkHandshake) -> bool:
    """Nothing comes out of it, and nothing goes in, any more."""
    for use in (
        lambda: handshake.peer,
        lambda: handshake.session,
        lambda: handshake.handshake_hash,
        lambda: handshake.step(bytes(100)),
        lambda: handshake.step(None),
    ):
        with pytest.raises(HandshakeFailed):
            use()
    return not handshake.done


# Handshake


def test_each_side_learns_who_the_other_is() -> None:
    alice, bob = side(ALICE, True, expected=BOB.device), side(BOB, False)
    shake(alice, bob)
    assert alice.done
    assert bob.done
    assert (alice.peer, bob.peer) == (BOB.device, ALICE.device)
    assert alice.handshake_hash == bob.handshake_hash
    assert alice.session is alice.session
    assert bob.session.open(alice.session.seal(b"there")) == b"there"
    assert alice.session.open(bob.session.seal(b"back")) == b"back"


def test_its_messages_are_small() -> None:
    alice, bob = side(ALICE, True), side(BOB, False)
    first = alice.step(None)
    assert first is not None
    second = bob.step(first)
    assert second is not None
    third = alice.step(second)
    assert third is not None
    assert (len(first), len(second), len(third)) == (32, 192, 160)
    assert bob.step(third) is None


def test_nothing_is_given_out_before_the_end() -> None:
    alice, bob = side(ALICE, True), side(BOB, False)
    first = alice.step(None)
    for handshake in (alice, bob):
        assert not handshake.done
        for use in (lambda h=handshake: h.peer, lambda h=handshake: h.session, lambda h=handshake: h.handshake_hash):
            with pytest.raises(HandshakeFailed, match="not finished"):
                use()
    bob.step(first)
    with pytest.raises(HandshakeFailed, match="not finished"):
        _ = bob.session


@pytest.mark.parametrize("other", [b"lichen/link/v1\0webrtc\0", PROLOGUE + b"fingerprints", b""])
def test_another_path_or_binding_fails(other: bytes) -> None:
    alice, bob = side(ALICE, True), side(BOB, False, prologue=other)
    second = bob.step(alice.step(None))
    with pytest.raises(HandshakeFailed):
        alice.step(second)
    assert is_dead(alice)


def test_another_device_than_expected_is_refused_by_either_side() -> None:
    alice, mallory = side(ALICE, True, expected=BOB.device), side(MALLORY, False)
    second = mallory.step(alice.step(None))
    with pytest.raises(HandshakeFailed, match="another device than expected"):
        alice.step(second)
    assert is_dead(alice)

    bob, mallory = side(BOB, False, expected=ALICE.device), side(MALLORY, True)
    third = mallory.step(bob.step(mallory.step(None)))
    with pytest.raises(HandshakeFailed, match="another device than expected"):
        bob.step(third)
    assert is_dead(bob)


def test_a_reflected_handshake_fails() -> None:
    alice = side(ALICE, True)
    first = alice.step(None)
    assert first is not None
    with pytest.raises(HandshakeFailed):
        alice.step(first)
    assert is_dead(alice)


def test_a_device_does_not_link_to_itself() -> None:
    """Somebody in the middle leads a device's own dialling back to its own listener."""
    dialling, listening = side(ALICE, True), side(ALICE, False)
    second = listening.step(dialling.step(None))
    with pytest.raises(HandshakeFailed, match="own keys"):
        dialling.step(second)
    assert is_dead(dialling)


def speak(noise: HandshakeState, proof: bytes) -> bytes:
    """A responder's second message that carries any proof."""
    return noise.write_message(proof)


def responder(identity: Identity) -> HandshakeState:
    return HandshakeState("XX", initiator=False, static=identity.static_private, ephemeral=b"e" * 32, prologue=PROLOGUE)


def test_nobody_can_pass_anothers_proof_on_as_their_own() -> None:
    """Unknown key share: Mallory holds Bob's proof from a handshake of his with her, and shows it to Alice."""
    mallory_to_bob = HandshakeState(
        "XX", initiator=True, static=MALLORY.static_private, ephemeral=b"m" * 32, prologue=PROLOGUE
    )
    bob = side(BOB, False)
    second = bob.step(mallory_to_bob.write_message(b""))
    assert second is not None
    bobs_proof = mallory_to_bob.read_message(second)
    assert bobs_proof[:32] == BOB.device

    alice, mallory = side(ALICE, True), responder(MALLORY)
    mallory.read_message(alice.step(None) or b"")
    with pytest.raises(HandshakeFailed, match="could not prove"):
        alice.step(speak(mallory, bobs_proof))
    assert is_dead(alice)


def test_nobody_can_claim_a_device_key_for_a_static_key_that_is_not_its_own() -> None:
    """Mallory's Noise key with Mallory's signature under Bob's name, and with a signature over Bob's Noise key."""
    claims = [
        lambda h: BOB.device + MALLORY.signer.sign(identity_message(False, MALLORY.static_key, h)),
        lambda h: MALLORY.device + MALLORY.signer.sign(identity_message(False, BOB.static_key, h)),
        lambda h: prove(MALLORY, initiator=True, handshake_hash=h),
        lambda h: prove(MALLORY, initiator=False, handshake_hash=bytes(32)),
        lambda h: bytes(32) + bytes(64),
    ]
    for claim in claims:
        alice, mallory = side(ALICE, True), responder(MALLORY)
        mallory.read_message(alice.step(None) or b"")
        with pytest.raises(HandshakeFailed, match="could not prove"):
            alice.step(mallory.write_message(claim))
        assert is_dead(alice)


@pytest.mark.parametrize("length", [0, 32, 95, 97, 400])
def test_a_proof_of_another_length_is_refused(length: int) -> None:
    alice, mallory = side(ALICE, True), responder(MALLORY)
    mallory.read_message(alice.step(None) or b"")
    proof = mallory.fork().write_message(b"")  # any bytes
    with pytest.raises(HandshakeFailed, match="proof"):
        alice.step(mallory.write_message((proof * 9)[:length]))
    assert is_dead(alice)


def test_a_responder_gives_out_nothing_when_the_third_message_lacks_a_proof() -> None:
    """The Noise handshake is finished then, but nobody is authenticated."""
    bob = side(BOB, False)
    mallory = HandshakeState(
        "XX", initiator=True, static=MALLORY.static_private, ephemeral=b"m" * 32, prologue=PROLOGUE
    )
    mallory.read_message(bob.step(mallory.write_message(b"")) or b"")
    with pytest.raises(HandshakeFailed):
        bob.step(mallory.write_message(b"no proof"))
    assert is_dead(bob)


def test_the_first_message_carries_nothing() -> None:
    bob = side(BOB, False)
    with pytest.raises(HandshakeFailed, match="carries something"):
        bob.step((side(ALICE, True).step(None) or b"") + b"0-RTT")
    assert is_dead(bob)


@pytest.mark.parametrize("length", [0, 1, 31, HANDSHAKE_BYTES + 1, 100_000])
def test_a_first_message_of_another_length_fails(length: int) -> None:
    bob = side(BOB, False)
    with pytest.raises(HandshakeFailed):
        bob.step(bytes(length))
    assert is_dead(bob)


def test_a_valid_message_above_the_bound_is_refused_before_anything_is_computed() -> None:
    alice, mallory = side(ALICE, True), responder(MALLORY)
    mallory.read_message(alice.step(None) or b"")
    with pytest.raises(HandshakeFailed, match=str(HANDSHAKE_BYTES)):
        alice.step(mallory.write_message(bytes(HANDSHAKE_BYTES)))
    assert is_dead(alice)


@settings(max_examples=80)
@given(st.integers(0, 2), st.integers(0, 10_000))
def test_a_flipped_bit_anywhere_links_nobody(number: int, bit: int) -> None:
    alice, bob = side(ALICE, True), side(BOB, False)

    def carry() -> None:
        message, to = alice.step(None), bob
        for at in range(3):
            assert message is not None
            if at == number:
                flipped = bytearray(message)
                flipped[bit // 8 % len(flipped)] ^= 1 << bit % 8
                message = bytes(flipped)
            message, to = to.step(message), alice if to is bob else bob

    with pytest.raises(HandshakeFailed):
        carry()
    assert not bob.done


def test_a_replayed_third_message_links_nobody() -> None:
    alice, bob = side(ALICE, True), side(BOB, False)
    first = alice.step(None)
    third = alice.step(bob.step(first))
    assert bob.step(third) is None
    again = LinkHandshake(BOB, initiator=False, prologue=PROLOGUE, ephemeral=b"f" * 32)
    again.step(first)
    with pytest.raises(HandshakeFailed):
        again.step(third)
    assert is_dead(again)


def test_a_message_after_the_end_ends_the_handshake_object() -> None:
    alice, bob = side(ALICE, True), side(BOB, False)
    shake(alice, bob)
    with pytest.raises(HandshakeFailed):
        bob.step(bytes(160))
    assert is_dead(bob)


# Frames


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=8))
def test_frames_arrive_in_order_as_they_were(payloads: list[bytes]) -> None:
    alice, bob = linked()
    for payload in payloads:
        assert bob.open(alice.seal(payload)) == payload


def test_a_frame_is_as_much_longer_as_is_said() -> None:
    alice, bob = linked()
    assert len(alice.seal(b"text")) == 4 + link.FRAME_OVERHEAD_BYTES
    largest = bytes(FRAME_BYTES - link.FRAME_OVERHEAD_BYTES)
    alice, bob = linked()
    frame = alice.seal(largest)
    assert len(frame) == FRAME_BYTES
    assert bob.open(frame) == largest
    with pytest.raises(ValueError, match="do not fit"):
        alice.seal(largest + b"\0")


def test_a_replayed_a_reordered_a_lost_and_a_reflected_frame_end_the_link() -> None:
    for order in ([0, 0], [1, 0], [0, 2], [2]):
        alice, bob = linked()
        frames = [alice.seal(bytes((number,))) for number in range(3)]

        def deliver(bob: LinkCiphers = bob, frames: list[bytes] = frames, order: list[int] = order) -> None:
            for number in order:
                bob.open(frames[number])

        with pytest.raises(ProtocolError, match="altered, repeated, left out or reordered"):
            deliver()
        assert_useless(bob, frames[1])
    alice, _ = linked()
    with pytest.raises(ProtocolError):
        alice.open(alice.seal(b"mine"))


def assert_useless(ciphers: LinkCiphers, frame: bytes) -> None:
    for use in (lambda: ciphers.open(frame), lambda: ciphers.seal(b"")):
        with pytest.raises(ProtocolError, match="no more use"):
            use()


@given(st.integers(0, 8 * 30 - 1))
def test_a_tampered_frame_ends_the_link_both_ways(bit: int) -> None:
    alice, bob = linked()
    frame = alice.seal(b"thirteen byte")
    assert len(frame) == 30
    flipped = bytearray(frame)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolError):
        bob.open(bytes(flipped))
    assert_useless(bob, frame)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, FRAME_BYTES + 1])
def test_what_is_no_frame_ends_the_link(length: int) -> None:
    _, bob = linked()
    with pytest.raises(ProtocolError):
        bob.open(bytes(length))
    assert_useless(bob, b"")


def raw_pair() -> tuple[CipherState, LinkCiphers]:
    """The bare sending state of one side, and the other side."""
    return CipherState(b"k" * 32), LinkCiphers(CipherState(b"o" * 32), CipherState(b"k" * 32))


@pytest.mark.parametrize("plaintext", [b"", b"\x02text", b"\xff"])
def test_a_frame_without_a_known_flag_ends_the_link(plaintext: bytes) -> None:
    sending, receiving = raw_pair()
    with pytest.raises(ProtocolError, match="flag"):
        receiving.open(sending.encrypt(b"", plaintext))
    assert_useless(receiving, b"")


def test_a_true_frame_above_the_bound_ends_the_link() -> None:
    sending, receiving = raw_pair()
    with pytest.raises(ProtocolError, match="longer"):
        receiving.open(sending.encrypt(b"", bytes(FRAME_BYTES)))
    assert_useless(receiving, b"")


def test_a_new_key_is_taken_when_wanted() -> None:
    alice, bob = linked()
    alice.want_new_key()
    turning = alice.seal(b"the last under the old key")
    before = alice._sending._state.nonce
    assert before == 0
    after = alice.seal(b"the first under the new one")
    assert bob.open(turning) == b"the last under the old key"
    assert bob.open(after) == b"the first under the new one"
    assert bob.open(alice.seal(b"and on")) == b"and on"


def test_a_new_key_is_another_key() -> None:
    sending, receiving = raw_pair()
    receiving.open(sending.encrypt(b"", b"\x01"))
    sending.nonce = 0
    with pytest.raises(ProtocolError):
        receiving.open(sending.encrypt(b"", b"\x00under the old key"))


def test_a_new_key_is_taken_after_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "REKEY_BYTES", 1_000)
    alice, bob = linked()
    nonces = []
    for _ in range(25):
        assert bob.open(alice.seal(bytes(100))) == bytes(100)
        nonces.append(alice._sending._state.nonce)
    assert nonces == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * 2 + [1, 2, 3, 4, 5]


def test_who_does_not_take_a_new_key_in_time_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "REKEY_BYTES", 1_000)
    sending, receiving = raw_pair()
    for _ in range(9):
        receiving.open(sending.encrypt(b"", b"\x00" + bytes(100)))
    with pytest.raises(ProtocolError, match="new key"):
        receiving.open(sending.encrypt(b"", b"\x00" + bytes(100)))
    assert_useless(receiving, b"")
