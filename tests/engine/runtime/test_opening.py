"""A store that is open for the time of a block."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from lichen import Engine, Relay
from lichen.store import Store


@pytest.mark.parametrize("node", [Engine, Relay])
async def test_a_node_that_is_cancelled_while_it_opens_its_store_leaves_it_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: type[Engine] | type[Relay]
) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    begun, go_on, opened = threading.Event(), threading.Event(), Store.open

    def slow(*arguments: Any, **options: Any) -> Store:
        begun.set()
        go_on.wait(20)
        return opened(*arguments, **options)

    async def open_it() -> None:
        async with node.open(url):
            pass

    with monkeypatch.context() as patched:
        patched.setattr(Store, "open", slow)
        opening = asyncio.create_task(open_it())
        await asyncio.to_thread(begun.wait, 20)
        opening.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await opening
    await open_it()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lichen ")]
