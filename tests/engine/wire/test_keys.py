"""Public keys that must not be accepted."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from lichen.testing.strategies import id32
from lichen.wire.keys import is_acceptable_ed25519, is_acceptable_x25519

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P

Point = tuple[int, int]


def add(left: Point, right: Point) -> Point:
    """The addition law of edwards25519 (RFC 8032, section 5.1.4, in affine form)."""
    (x1, y1), (x2, y2) = left, right
    product = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + product, P - 2, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, P - 2, P) % P
    return x, y


def multiples(point: Point) -> list[Point]:
    found = [point]
    while found[-1] != (0, 1) and len(found) < 9:
        found.append(add(found[-1], point))
    return found


def x_of(y: int) -> int:
    """A square root of (y^2 - 1) / (d y^2 + 1)."""
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    root = pow(square, (P + 3) // 8, P)
    root = root if root * root % P == square else root * pow(2, (P - 1) // 4, P) % P
    assert root * root % P == square
    return root


def ed25519_torsion() -> list[Point]:
    """The eight points of small order, from one of order eight: its double has y = 0."""
    order_eight_y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
    return multiples((x_of(order_eight_y), order_eight_y))


def test_every_point_of_small_order_is_refused_as_a_signing_key() -> None:
    torsion = ed25519_torsion()
    assert len(torsion) == 8
    for _, y in torsion:
        for encoded in (y, y + P) if y < 19 else (y,):
            for sign in (0, 1):
                assert not is_acceptable_ed25519((encoded | sign << 255).to_bytes(32, "little")), y


def x25519_small() -> list[int]:
    """u = (1 + y) / (1 - y) of those points, where it is defined, and of the twist's: -1."""
    return sorted({(1 + y) * pow(1 - y, P - 2, P) % P for _, y in ed25519_torsion()} | {P - 1})


@pytest.mark.parametrize("u", x25519_small())
def test_every_point_of_small_order_is_refused_as_an_exchange_key(u: int) -> None:
    encoded = u.to_bytes(32, "little")
    assert not is_acceptable_x25519(encoded)
    with pytest.raises(ValueError, match="shared key"):
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(encoded))


@pytest.mark.parametrize("value", [P, P + 1, P + 2, 2**255 - 1])
def test_values_of_the_prime_and_above_are_refused(value: int) -> None:
    for sign in (0, 1):
        encoded = (value | sign << 255).to_bytes(32, "little")
        assert not is_acceptable_ed25519(encoded)
        assert not is_acceptable_x25519(encoded)


def test_an_exchange_key_with_the_highest_bit_is_refused() -> None:
    assert is_acceptable_x25519((9).to_bytes(32, "little"))
    assert not is_acceptable_x25519((9 | 1 << 255).to_bytes(32, "little"))


def test_keys_of_another_length_are_refused() -> None:
    for length in (0, 31, 33):
        assert not is_acceptable_ed25519(b"\x09" * length)
        assert not is_acceptable_x25519(b"\x09" * length)


@given(id32)
def test_real_keys_are_accepted(secret: bytes) -> None:
    private = X25519PrivateKey.from_private_bytes(secret)
    assert is_acceptable_x25519(private.public_key().public_bytes_raw())
