"""CBOR of strangers: what messages use is read, and nothing else costs anything."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.config import DEFAULT_LIMITS
from lichen.errors import ProtocolError
from lichen.wire import cbor, frames

MANY = 400_000

items = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats(allow_nan=False) | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
).filter(lambda item: cbor2.dumps(item).count(b"\x81") < 5)


@given(items)
def test_what_messages_use_is_read(item: Any) -> None:
    data = cbor2.dumps(item)
    assert cbor.loads(data) == item
    for end in (data[:-1], data + b"\x00"):
        with pytest.raises(ValueError, match=r"."):
            cbor.loads(end)


@given(st.binary(max_size=60))
def test_bytes_of_any_kind_are_read_as_the_decoder_does_or_refused(data: bytes) -> None:
    try:
        found = cbor.loads(data)
    except ValueError:
        return
    assert repr(found) == repr(cbor2.loads(data))


@pytest.mark.parametrize(
    "data",
    [
        # A decimal fraction of a long integer: the decoder takes minutes for its digits.
        b"\x82\x0b\xc4\x82\x00\xc2\x5a" + MANY.to_bytes(4) + b"\xff" * MANY,
        b"\xc2\x41\x01",
        b"\x9f\x01\xff",
        b"\x5f\x41a\xff",
        b"\x81" * MANY + b"\x00",
        b"\x9a\xff\xff\xff\xff\x00",
        b"\x5b" + b"\xff" * 8,
        b"\x1c",
        b"",
    ],
    ids=["fraction", "tag", "open array", "open string", "nested", "too many", "too long", "no length", "nothing"],
)
def test_what_no_message_holds_is_refused_before_it_is_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(_data: bytes) -> None:
        raise AssertionError("it went to the decoder")

    monkeypatch.setattr(cbor2, "loads", decode)
    with pytest.raises(ValueError, match=r"."):
        cbor.loads(data)
    with pytest.raises(ProtocolError):
        frames.decode(data, DEFAULT_LIMITS)
