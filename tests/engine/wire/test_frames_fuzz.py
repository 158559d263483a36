"""Link messages of strangers: whatever the bytes are, a message or a `ProtocolError`."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lichen.config import DEFAULT_LIMITS
from lichen.errors import ProtocolError
from lichen.wire import frames

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=70) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def decoded(data: bytes) -> frames.Message | None:
    """The message in the bytes, None if they are refused as they should be."""
    try:
        return frames.decode(data, DEFAULT_LIMITS)
    except ProtocolError:
        return None


@given(st.binary(max_size=400))
def test_bytes_of_any_kind(data: bytes) -> None:
    decoded(data)


@given(st.sampled_from(sorted(frames._DECODERS)), st.lists(values, max_size=9))
def test_fields_of_any_kind(kind: int, fields: list[Any]) -> None:
    message = decoded(cbor2.dumps([kind, *fields]))
    if message is not None:
        assert decoded(frames.encode(message)) == message


@given(st.data())
def test_damaged_messages(data: st.DataObject) -> None:
    fields = [data.draw(values) for _ in range(data.draw(st.integers(0, 6)))]
    good = cbor2.dumps([data.draw(st.sampled_from(sorted(frames._DECODERS))), *fields])
    at = data.draw(st.integers(0, len(good) - 1))
    decoded(good[:at])
    decoded(good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :])


@pytest.mark.parametrize(
    "data",
    [b"\x9f" * 50_000, b"\x81" * 50_000, b"\xd8\x1c" * 20_000, b"\x9b" + b"\xff" * 8, b"\xc2\x5b" + b"\x7f" * 8],
    ids=["indefinite", "nested", "shared", "long", "bignum"],
)
def test_bombs(data: bytes) -> None:
    assert decoded(data) is None
