from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lichen.testing.browser import browser as browser
from lichen_notes.demo import Actor, Device


@pytest.fixture
async def devices(tmp_path: Path) -> AsyncIterator[list[Device]]:
    store = f"sqlite:///{tmp_path / 'relay.db'}"
    relay = Actor("the relay", "lichen.cli", "relay", "--listen", "ws://127.0.0.1:0", "--store", store)
    await relay.start()
    started = [Device(name, name[0].lower(), tmp_path, relay.ready["listening"]) for name in ("Ada", "Ben")]
    for device in started:
        await device.start()
    yield started
    for process in (*started, relay):
        await process.stop()
