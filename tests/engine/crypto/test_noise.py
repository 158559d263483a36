"""The Noise machine: what it refuses, and that nothing of it is of use afterwards."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen.crypto.noise import MESSAGE_BYTES, CipherState, HandshakeState
from lichen.errors import HandshakeFailed
from lichen.wire.domains import hkdf

ALICE = X25519PrivateKey.from_private_bytes(b"a" * 32)
BOB = X25519PrivateKey.from_private_bytes(b"b" * 32)
BOB_STATIC = BOB.public_key().public_bytes_raw()
PSK = b"p" * 32
PATTERNS = ("XX", "XXpsk3", "IK")
ZERO_U = bytes(32)


def pair(
    pattern: str, *, prologues: tuple[bytes, bytes] = (b"", b""), psks: tuple[bytes, bytes] = (PSK, PSK)
) -> tuple[HandshakeState, HandshakeState]:
    with_psk = "psk" in pattern
    alice = HandshakeState(
        pattern,
        initiator=True,
        static=ALICE,
        ephemeral=b"1" * 32,
        prologue=prologues[0],
        remote_static=BOB_STATIC if pattern == "IK" else None,
        psk=psks[0] if with_psk else None,
    )
    bob = HandshakeState(
        pattern,
        initiator=False,
        static=BOB,
        ephemeral=b"2" * 32,
        prologue=prologues[1],
        psk=psks[1] if with_psk else None,
    )
    return alice, bob


def finish(alice: HandshakeState, bob: HandshakeState, until: int = 9) -> None:
    """Exchange empty messages until the handshake ends, or `until` of them are written."""
    for _ in range(until):
        if alice.finished:
            return
        writer, reader = (alice, bob) if alice.writes_next else (bob, alice)
        reader.read_message(writer.write_message(b""))


@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_sides_end_with_the_same_hash_and_each_others_static_key(pattern: str) -> None:
    alice, bob = pair(pattern)
    finish(alice, bob)
    assert alice.finished
    assert bob.finished
    assert alice.handshake_hash == bob.handshake_hash
    assert alice.remote_static == BOB_STATIC
    assert bob.remote_static == ALICE.public_key().public_bytes_raw()
    (a_out, a_in), (b_out, b_in) = alice.split(), bob.split()
    assert b_in.decrypt(b"", a_out.encrypt(b"", b"there")) == b"there"
    assert a_in.decrypt(b"", b_out.encrypt(b"", b"back")) == b"back"


@pytest.mark.parametrize("pattern", PATTERNS)
def test_another_prologue_fails(pattern: str) -> None:
    alice, bob = pair(pattern, prologues=(b"ws", b"webrtc"))
    with pytest.raises(HandshakeFailed):
        finish(alice, bob)


def test_another_shared_key_fails() -> None:
    alice, bob = pair("XXpsk3", psks=(PSK, b"q" * 32))
    finish(alice, bob, until=2)
    with pytest.raises(HandshakeFailed):
        bob.read_message(alice.write_message(b""))
    with pytest.raises(HandshakeFailed):
        bob.split()


def messages_of(pattern: str) -> list[bytes]:
    alice, bob = pair(pattern)
    written = []
    while not alice.finished:
        writer, reader = (alice, bob) if alice.writes_next else (bob, alice)
        written.append(writer.write_message(b"payload"))
        reader.read_message(written[-1])
    return written


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    "change", [lambda m: m[:-1], lambda m: m + b"\0", lambda m: b"", lambda m: m[:31], lambda m: bytes(70_000)]
)
def test_a_message_of_another_length_fails(pattern: str, change: Callable[[bytes], bytes]) -> None:
    for at, message in enumerate(messages_of(pattern)):
        alice, bob = pair(pattern)
        for number in range(at):
            writer, reader = (alice, bob) if number % 2 == 0 else (bob, alice)
            reader.read_message(writer.write_message(b"payload"))
        reader = bob if at % 2 == 0 else alice
        if at == 0 and pattern == "XX" and 32 <= len(change(message)) <= MESSAGE_BYTES:
            continue  # nothing protects this payload: what uses it must not carry one
        with pytest.raises(HandshakeFailed):
            reader.read_message(change(message))


@settings(max_examples=60)
@given(st.sampled_from(PATTERNS), st.integers(0, 2), st.integers(0, 10_000))
def test_a_flipped_bit_ends_the_handshake(pattern: str, at: int, bit: int) -> None:
    alice, bob = pair(pattern)
    written = messages_of(pattern)
    at %= len(written)
    finish(alice, bob, until=0)
    flipped = bytearray(written[at])
    flipped[bit // 8 % len(flipped)] ^= 1 << bit % 8

    def exchange() -> None:
        for number in range(len(written)):
            writer, reader = (alice, bob) if number % 2 == 0 else (bob, alice)
            message = writer.write_message(b"payload")
            assert message == written[number] or number > at
            reader.read_message(bytes(flipped) if number == at else message)
        (out, _), (_, into) = alice.split(), bob.split()
        into.decrypt(b"", out.encrypt(b"", b"confirmed"))

    with pytest.raises(HandshakeFailed):
        exchange()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_nothing_is_of_use_after_a_failure(pattern: str) -> None:
    alice, bob = pair(pattern)
    first = alice.write_message(b"")
    good = bob.fork()
    with pytest.raises(HandshakeFailed):
        bob.read_message(first[:20])
    for use in (lambda: bob.read_message(first), lambda: bob.write_message(b""), bob.split):
        with pytest.raises(HandshakeFailed):
            use()
    assert good.read_message(first) == b""


def test_a_failure_while_writing_is_one_too() -> None:
    alice, bob = pair("XX")
    bob.read_message(ZERO_U + alice.write_message(b"")[32:])
    with pytest.raises(HandshakeFailed, match="not acceptable"):
        bob.write_message(b"")
    with pytest.raises(HandshakeFailed, match="failed before"):
        bob.write_message(b"")


@pytest.mark.parametrize(
    "key", [ZERO_U, (1).to_bytes(32, "little"), b"\xff" * 32, (2**255 - 19).to_bytes(32, "little")]
)
def test_an_ephemeral_key_of_small_order_or_not_canonical_fails(key: bytes) -> None:
    _, bob = pair("XX")
    bob.read_message(key)
    with pytest.raises(HandshakeFailed):
        bob.write_message(b"")


def test_messages_out_of_turn_fail() -> None:
    alice, bob = pair("XX")
    with pytest.raises(HandshakeFailed, match="out of turn"):
        bob.write_message(b"")
    with pytest.raises(HandshakeFailed, match="out of turn"):
        alice.read_message(bytes(32))
    finish(alice, bob)
    with pytest.raises(HandshakeFailed, match="out of turn"):
        alice.write_message(b"")
    with pytest.raises(HandshakeFailed, match="out of turn"):
        bob.read_message(bytes(64))


def test_there_are_no_keys_before_the_end() -> None:
    alice, bob = pair("XX")
    for done in range(3):
        finish(alice, bob, until=1 if done else 0)
        with pytest.raises(HandshakeFailed, match="not finished"):
            alice.split()


def test_a_message_longer_than_noise_allows_is_not_written() -> None:
    alice, _ = pair("XX")
    with pytest.raises(HandshakeFailed, match="longer"):
        alice.write_message(bytes(MESSAGE_BYTES))


@pytest.mark.parametrize(("pattern", "psk"), [("XX", PSK), ("XXpsk3", None), ("XXpsk3", b"short")])
def test_a_shared_key_is_for_the_patterns_that_need_one(pattern: str, psk: bytes | None) -> None:
    with pytest.raises(ValueError, match="shared key"):
        HandshakeState(pattern, initiator=True, static=ALICE, ephemeral=b"1" * 32, psk=psk)


def test_ik_needs_the_responders_key() -> None:
    with pytest.raises(ValueError, match="static key"):
        HandshakeState("IK", initiator=True, static=ALICE, ephemeral=b"1" * 32)


def test_a_fork_goes_its_own_way() -> None:
    alice, bob = pair("XX")
    bob.read_message(alice.write_message(b""))
    second = bob.write_message(b"hello")
    twin = alice.fork()
    with pytest.raises(HandshakeFailed):
        twin.read_message(second[:-1] + bytes((second[-1] ^ 1,)))
    assert alice.read_message(second) == b"hello"
    bob.read_message(alice.write_message(b""))
    assert bob.split()[0].encrypt(b"", b"x") == bob.split()[0].encrypt(b"", b"x")


def test_what_a_fork_reads_does_not_move_the_counters_of_the_other() -> None:
    alice, bob = pair("XX")
    finish(alice, bob, until=2)
    third = alice.write_message(b"payload")
    with pytest.raises(HandshakeFailed):
        bob.fork().read_message(third[:-1])
    assert bob.fork().read_message(third) == b"payload"
    assert bob.read_message(third) == b"payload"


# Cipher states


def test_the_counter_moves_only_when_a_message_verifies() -> None:
    out, into = CipherState(b"k" * 32), CipherState(b"k" * 32)
    sealed = out.encrypt(b"ad", b"text")
    for wrong in (sealed[:-1], sealed[:5], b"", bytes(len(sealed))):
        with pytest.raises(HandshakeFailed):
            into.decrypt(b"ad", wrong)
    with pytest.raises(HandshakeFailed):
        into.decrypt(b"other", sealed)
    assert into.nonce == 0
    assert into.decrypt(b"ad", sealed) == b"text"
    assert into.nonce == out.nonce == 1


def test_rekey_gives_both_sides_the_same_new_key() -> None:
    out, into, late = (CipherState(b"k" * 32) for _ in range(3))
    out.rekey()
    into.rekey()
    sealed = out.encrypt(b"", b"text")
    with pytest.raises(HandshakeFailed):
        late.decrypt(b"", sealed)
    assert into.decrypt(b"", sealed) == b"text"


def test_the_last_counter_is_never_used() -> None:
    state = CipherState(b"k" * 32)
    state.nonce = 2**64 - 1
    with pytest.raises(HandshakeFailed, match="as many"):
        state.encrypt(b"", b"")
    with pytest.raises(HandshakeFailed, match="as many"):
        state.decrypt(b"", bytes(16))


def test_no_state_shows_its_keys() -> None:
    alice, _ = pair("XXpsk3")
    for shown in (repr(CipherState(PSK)), repr(alice), str(alice)):
        assert repr(PSK)[2:-1] not in shown


def test_the_two_transport_keys_are_hkdf_of_the_chaining_key() -> None:
    alice, bob = pair("XX")
    finish(alice, bob)
    keys = hkdf(b"", alice._chaining_key, b"", 64)
    assert alice.split()[0].encrypt(b"", b"x") == CipherState(keys[:32]).encrypt(b"", b"x")
    assert alice.split()[1].encrypt(b"", b"x") == CipherState(keys[32:]).encrypt(b"", b"x")
