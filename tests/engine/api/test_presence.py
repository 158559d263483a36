"""What devices show of themselves: only plain data goes out, and whatever comes is read under bounds."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import cbor2
import pytest
from lichen.api.presence import PRESENCE_BYTES, Presences, encoded
from lichen.core.effects import TellPresence
from lichen.errors import ConfigError, LimitExceeded
from lichen.ids import DeviceKey, DocId, SpaceId

SPACE, DOC, DEVICE = SpaceId(b"s" * 32), DocId(b"d" * 16), DeviceKey(b"p" * 32)


def told(presences: Presences, payload: bytes | None) -> Any:
    return presences.told(TellPresence(SPACE, DOC, DEVICE, payload)).data


def test_what_is_shown_is_read_as_it_was_given() -> None:
    data = {"name": "Ada", "cursor": b"c", "at": [1, -2, 0.5, None, True], "more": {"deep": {"er": 1}}}
    presences = Presences()
    assert told(presences, encoded(data)) == data
    assert presences.of(SPACE, DOC) == {DEVICE: data}


@pytest.mark.parametrize("value", [datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 1), 2**70, {1}, object()])
def test_what_others_would_not_read_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="presence"):
        encoded({"value": value})


def test_what_is_too_large_or_too_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(2_000):
        deep = [deep]
    with pytest.raises(ConfigError):
        encoded({"deep": deep})
    assert encoded({"name": "x" * (PRESENCE_BYTES - 9)})
    with pytest.raises(LimitExceeded):
        encoded({"name": "x" * PRESENCE_BYTES})


@pytest.mark.parametrize(
    "payload",
    [
        cbor2.dumps({"at": datetime(2026, 1, 1, tzinfo=UTC)}),
        bytes.fromhex("d81ca161618 1d81d00".replace(" ", "")),  # a map that holds itself
        b"\xa1\x61a" + b"\x81" * 10_000 + b"\x00",
        cbor2.dumps(["no map"]),
        b"garbage",
    ],
    ids=["a tag", "a map that holds itself", "deep", "no map", "garbage"],
)
def test_anything_else_that_comes_counts_as_nothing(payload: bytes) -> None:
    presences = Presences()
    told(presences, encoded({"name": "Ada"}))
    assert told(presences, payload) is None
    assert presences.of(SPACE, DOC) == {}


def test_nothing_is_kept_of_who_has_gone() -> None:
    """Others choose the ids of documents in which they show themselves."""
    presences = Presences()
    for payload in (None, encoded({"name": "Ada"}), None, b"garbage"):
        told(presences, payload)
    assert not presences._there
