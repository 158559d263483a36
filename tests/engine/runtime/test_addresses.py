"""Addresses as people write them."""

from __future__ import annotations

import pytest
from lichen.runtime.transports import split_token


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("ws://host:9000", b""),
        ("ws://host:9000?token=plain", b"plain"),
        ("ws://host:9000/path?token=Zm+v/Yg==", b"Zm+v/Yg=="),
        ("wss://host?token=a%26b%2Bc%20d", b"a&b+c d"),
    ],
)
def test_a_token_is_what_was_written(url: str, token: bytes) -> None:
    address, found = split_token(url)
    assert found == token
    assert "token" not in address
