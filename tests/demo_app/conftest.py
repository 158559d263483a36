from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lichen_notes.demo import Actor, Device
from playwright.async_api import Browser, async_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "Chromium is needed: make setup installs it where apt is"
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield started
        await started.close()


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
