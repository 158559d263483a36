"""The one signature equation, against a plain reference and against forgeries that laxer equations accept."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from lichen.crypto.signing import Signer, is_acceptable_key, verify, verify_many
from lichen.wire.keys import is_acceptable_ed25519

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


@dataclass(frozen=True)
class Point:
    """A point of edwards25519, affine (RFC 8032, section 5.1)."""

    x: int
    y: int

    def __add__(self, other: Point) -> Point:
        product = D * self.x * other.x * self.y * other.y % P
        x = (self.x * other.y + other.x * self.y) * pow(1 + product, -1, P) % P
        y = (self.y * other.y + self.x * other.x) * pow(1 - product, -1, P) % P
        return Point(x, y)

    def __rmul__(self, scalar: int) -> Point:
        total, term = ZERO, self
        while scalar:
            if scalar & 1:
                total += term
            term, scalar = term + term, scalar >> 1
        return total

    def encode(self) -> bytes:
        return (self.y | (self.x & 1) << 255).to_bytes(32, "little")


ZERO = Point(0, 1)


def decode(data: bytes) -> Point | None:
    """Canonical encodings only."""
    value = int.from_bytes(data, "little")
    y, odd = value & ~(1 << 255), value >> 255
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * ROOT_OF_MINUS_ONE % P
    if x * x % P != square or (x == 0 and odd):
        return None
    return Point(x if x & 1 == odd else P - x, y)


BASE = decode(bytes.fromhex("58" + "66" * 31))
assert BASE is not None
EIGHTH = decode(bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"))
assert EIGHTH is not None
TORSION = [number * EIGHTH for number in range(8)]


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def reference(key: bytes, message: bytes, signature: bytes) -> bool:
    """The equation of the protocol, written out."""
    if len(key) != 32 or len(signature) != 64:
        return False
    a, r, s = decode(key), decode(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L or 8 * a == ZERO or 8 * r == ZERO:
        return False
    return s * BASE == r + challenge(signature[:32], key, message) * a


def sign_with(secret: int, key: Point, nonce: int, r: Point, message: bytes) -> bytes:
    k = challenge(r.encode(), key.encode(), message)
    return r.encode() + ((nonce + k * secret) % L).to_bytes(32, "little")


def pyca_accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except Exception:
        return False
    return True


SECRET, NONCE, MESSAGE = 0x1234567 * 8 + 5, 0x7654321, b"a message"
KEY = SECRET * BASE
GOOD = sign_with(SECRET, KEY, NONCE, NONCE * BASE, MESSAGE)


def test_the_reference_and_the_native_check_accept_a_plain_signature() -> None:
    signer = Signer(b"k" * 32)
    signature = signer.sign(MESSAGE)
    assert verify(signer.public, MESSAGE, signature)
    assert reference(signer.public, MESSAGE, signature)
    assert verify(KEY.encode(), MESSAGE, GOOD)


def test_a_signature_of_rfc_8032_is_made_and_verifies() -> None:
    signer = Signer(bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7"))
    assert signer.public.hex() == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    signature = signer.sign(b"\xaf\x82")
    assert signature.hex() == (
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert verify(signer.public, b"\xaf\x82", signature)


@settings(max_examples=40)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 64 * 8 + 32 * 8 + 8))
def test_one_flipped_bit_is_refused_as_by_the_reference(private: bytes, message: bytes, at: int) -> None:
    signer = Signer(private)
    parts = bytearray(signer.public + signer.sign(message) + message)
    parts[at // 8 % len(parts)] ^= 1 << at % 8
    key, signature, told = bytes(parts[:32]), bytes(parts[32:96]), bytes(parts[96:])
    assert verify(key, told, signature) is reference(key, told, signature) is False


@pytest.mark.parametrize("times", [1, 2, 15])
def test_s_of_the_group_order_or_above_is_refused(times: int) -> None:
    s = int.from_bytes(GOOD[32:], "little") + times * L
    if s < 2**256:
        assert not verify(KEY.encode(), MESSAGE, GOOD[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("point", TORSION, ids=lambda point: f"y={point.y:x}"[:12])
def test_a_key_of_small_order_is_refused_though_others_accept_its_signature(point: Point) -> None:
    """With A of small order, R = [s]B is a signature of every message whose challenge is a multiple of 8."""
    key = point.encode()
    signature = (NONCE * BASE).encode() + NONCE.to_bytes(32, "little")
    messages = (bytes((number,)) for number in range(256))
    message = next(m for m in messages if challenge(signature[:32], key, m) % 8 == 0)
    assert challenge(signature[:32], key, message) * point == ZERO
    assert not is_acceptable_key(key)
    assert not is_acceptable_ed25519(key)
    assert not verify(key, message, signature)


def test_the_library_below_accepts_the_identity_as_a_key_so_this_check_is_needed() -> None:
    signature = (NONCE * BASE).encode() + NONCE.to_bytes(32, "little")
    for message in (b"one", b"another"):
        assert pyca_accepts(ZERO.encode(), message, signature)
        assert not verify(ZERO.encode(), message, signature)


@pytest.mark.parametrize("r", TORSION, ids=lambda point: f"y={point.y:x}"[:12])
def test_r_of_small_order_is_refused_though_the_equation_holds(r: Point) -> None:
    """The nonce is zero; where R is not the identity, the key carries what makes the equation hold."""
    for counter in range(256):
        message = bytes((counter,))
        for twist in TORSION:
            key = KEY + twist
            k = challenge(r.encode(), key.encode(), message)
            if r + k * twist == ZERO:
                signature = sign_with(SECRET, key, 0, r, message)
                s = int.from_bytes(signature[32:], "little")
                assert s * BASE == r + k * key
                assert not verify(key.encode(), message, signature)
                return
    pytest.fail("no message was found for which the equation holds")


def noncanonical() -> list[bytes]:
    """Encodings with y of p or above, of points that exist; and zero x with the sign bit."""
    found = [(y + P | sign << 255).to_bytes(32, "little") for y in range(19) for sign in (0, 1)]
    return found + [(y | 1 << 255).to_bytes(32, "little") for y in (1, P - 1)]


@pytest.mark.parametrize("encoded", noncanonical(), ids=lambda e: e[:1].hex() + e[31:].hex())
def test_a_non_canonical_key_or_r_is_refused(encoded: bytes) -> None:
    assert not is_acceptable_key(encoded)
    assert not verify(encoded, MESSAGE, GOOD)
    signature = encoded + NONCE.to_bytes(32, "little")
    assert not verify(encoded, MESSAGE, signature)
    k = challenge(encoded, KEY.encode(), MESSAGE)
    assert not verify(KEY.encode(), MESSAGE, encoded + (k * SECRET % L).to_bytes(32, "little"))


def test_the_equation_has_no_cofactor() -> None:
    """With R or A off by a point of small order, only the equation times eight holds; ours refuses."""
    for twist in TORSION[1:]:
        r = NONCE * BASE + twist
        signature = sign_with(SECRET, KEY, NONCE, r, MESSAGE)
        k, s = challenge(r.encode(), KEY.encode(), MESSAGE), int.from_bytes(signature[32:], "little")
        assert 8 * (s * BASE) == 8 * (r + k * KEY)
        assert not verify(KEY.encode(), MESSAGE, signature)


def test_a_key_of_mixed_order_verifies_exactly_where_the_equation_holds() -> None:
    key = KEY + EIGHTH
    assert is_acceptable_key(key.encode())
    verdicts = []
    for counter in range(40):
        message = bytes((counter,))
        signature = sign_with(SECRET, key, NONCE, NONCE * BASE, message)
        verdicts.append(verify(key.encode(), message, signature))
        assert verdicts[-1] is (challenge(signature[:32], key.encode(), message) % 8 == 0)
        assert verdicts[-1] is reference(key.encode(), message, signature)
    assert any(verdicts)


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=200)
def test_what_the_wire_refuses_as_a_key_the_native_check_refuses_too(key: bytes) -> None:
    point = decode(key)
    assert is_acceptable_key(key) is (point is not None and 8 * point != ZERO)
    assert is_acceptable_ed25519(key) or not is_acceptable_key(key)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_keys_and_signatures_of_another_length_are_refused(length: int) -> None:
    assert not is_acceptable_key(KEY.encode().ljust(64)[:length])
    assert not verify(KEY.encode().ljust(64)[:length], MESSAGE, GOOD)
    assert length == 64 or not verify(KEY.encode(), MESSAGE, GOOD[:length])


@pytest.mark.parametrize("count", [0, 1, 7, 8, 16, 17, 100, 1001])
def test_many_are_judged_each_for_itself_and_in_order(count: int) -> None:
    signer = Signer(b"k" * 32)
    checks = [
        (signer.public, number.to_bytes(4, "big"), signer.sign(number.to_bytes(4, "big"))) for number in range(count)
    ]
    wrong = set(range(0, count, 3))
    checks = [(k, m + b"!" if n in wrong else m, s) for n, (k, m, s) in enumerate(checks)]
    assert verify_many(checks) == [number not in wrong for number in range(count)]


def test_other_threads_run_while_signatures_are_verified() -> None:
    signer = Signer(b"k" * 32)
    checks = [(signer.public, MESSAGE, signer.sign(MESSAGE))] * 4_000
    ticks: list[float] = []
    finished = threading.Event()

    def tick() -> None:
        while not finished.is_set():
            ticks.append(time.perf_counter())

    thread = threading.Thread(target=tick)
    thread.start()
    started = time.perf_counter()
    assert all(verify_many(checks))
    took = time.perf_counter() - started
    finished.set()
    thread.join()
    middle = [at for at in ticks if 0.25 * took < at - started < 0.75 * took]
    assert len(middle) > 100
