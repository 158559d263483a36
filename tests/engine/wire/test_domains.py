"""Domain strings: each its own, and the derivations built on them as in their sources."""

from __future__ import annotations

import hashlib
import hmac
import re

import pytest
from lichen.wire import domains

STRINGS = {name: value for name, value in vars(domains).items() if isinstance(value, bytes)}


def test_every_domain_string_has_the_one_form() -> None:
    assert len(STRINGS) >= 20
    for value in STRINGS.values():
        assert re.fullmatch(rb"lichen/[a-z0-9-]+/v1", value)


def test_no_domain_string_begins_another() -> None:
    values = sorted(STRINGS.values())
    assert len(set(values)) == len(values)
    for value in values:
        assert not any(other != value and other.startswith(value) for other in values)


def test_digest_and_mac_are_sha256_over_domain_and_parts() -> None:
    assert domains.digest(b"d", b"a", b"b") == hashlib.sha256(b"dab").digest()
    assert domains.mac(b"k", b"d", b"a", b"b") == hmac.new(b"k", b"dab", "sha256").digest()


RFC_5869 = [
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        bytes(range(0x50)).hex(),
        bytes(range(0x60, 0xB0)).hex(),
        bytes(range(0xB0, 0x100)).hex(),
        82,
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b836"
            "7793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
        ),
    ),
    (
        "0b" * 22,
        "",
        "",
        42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


@pytest.mark.parametrize(("secret", "salt", "info", "length", "expected"), RFC_5869)
def test_hkdf_gives_the_vectors_of_rfc_5869(secret: str, salt: str, info: str, length: int, expected: str) -> None:
    derived = domains.hkdf(bytes.fromhex(secret), bytes.fromhex(salt), bytes.fromhex(info), length)
    assert derived.hex() == expected
