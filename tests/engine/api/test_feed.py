"""A feed of events: from its making on, until its reader stops."""

from __future__ import annotations

import asyncio
import gc

import pytest
from lichen.api import feed
from lichen.api.feed import Feed
from lichen.errors import LimitExceeded


async def test_everything_since_its_making_comes_in_order_and_then_its_end() -> None:
    found: Feed[int] = Feed()
    items = found.items(lambda: None)
    found.put(1)
    found.put(2)
    found.close()
    assert [item async for item in items] == [1, 2]


@pytest.mark.parametrize("read", [False, True])
@pytest.mark.parametrize("closed", [False, True])
async def test_a_reader_that_stops_is_told_of_no_more_also_before_it_read_anything(read: bool, closed: bool) -> None:
    found: Feed[int] = Feed()
    ended = asyncio.Event()
    items = found.items(ended.set)
    if read:
        found.put(1)
        assert await anext(items) == 1
    if closed:
        await items.aclose()
    del items
    gc.collect()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_a_reader_that_falls_behind_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_WAITING", 2)
    found: Feed[int] = Feed()
    items = found.items(lambda: None)
    for number in range(3):
        found.put(number)
    assert [await anext(items), await anext(items)] == [0, 1]
    with pytest.raises(LimitExceeded):
        await anext(items)
