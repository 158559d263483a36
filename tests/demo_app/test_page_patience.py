"""The page while other things go on: a list that changes under its person, and a disk that is full for a while."""

from __future__ import annotations

import asyncio
import time

import pytest
from lichen.testing.disks import SmallDisk
from lichen_notes.demo import Device
from playwright.async_api import Browser

from .test_pages import frame, opened, text_of, together

PAUSE_S = 2.0
"""Less than the page waits between two tries, of which each may be refused twice."""


@pytest.mark.browser
async def test_a_click_and_the_focus_in_the_list_outlive_what_the_program_tells_meanwhile(
    browser: Browser, devices: list[Device]
) -> None:
    """A list that would look the same stays as it is; one that looks different gives the focus back."""
    ada, ben = await together(browser, devices)
    note = (await ada.evaluate("location.hash"))[1:]
    await ada.click(".cm-content")
    await ada.keyboard.insert_text("eggs and milk")
    await ben.wait_for_selector(".cm-line >> text=milk")
    told: list[str] = []
    ada.on("websocket", lambda socket: socket.on("framereceived", lambda frame: told.append(str(frame))))
    await ada.reload()
    await ada.wait_for_selector(".path.direct")
    await ada.focus(f"#note-{note}")
    await ada.evaluate("id => { window.link = document.getElementById(id) }", f"note-{note}")
    before = len(told)
    await ben.click(".cm-content")
    while not any('"type":"state"' in one.replace(" ", "") for one in told[before:]):
        await ben.keyboard.press("Home")
        await ben.keyboard.press("End")
        await frame(ben)
    assert await ada.evaluate("window.link.isConnected")
    await ben.fill("#title", "Sunday")
    await ada.wait_for_selector(".note-link >> text=Sunday")
    assert not await ada.evaluate("window.link.isConnected")
    assert await ada.evaluate("document.activeElement.id") == f"note-{note}"


@pytest.mark.browser
async def test_what_a_full_disk_refused_is_saved_once_there_is_room(browser: Browser, small_disk: SmallDisk) -> None:
    """The page tries again by itself, now and then; nothing more has to be typed."""
    device = Device("Ada", "a", small_disk.folder, "ws://127.0.0.1:1")
    await device.start()
    try:
        space = (await device.ask("/api/spaces", {"name": "Family", "me": "Ada"}))["space"]
        note = (await device.ask(f"/api/spaces/{space}/notes", {"title": "Plans", "body": ""}))["note"]
        page = await opened(browser, device, "light")
        await page.click(".note-link")
        refusals: list[float] = []
        enough = asyncio.Event()

        def count(frame: object) -> None:
            if str(frame).startswith('{"type": "error"'):
                refusals.append(time.monotonic())
                if len(refusals) == 4:
                    enough.set()

        page.on("websocket", lambda socket: socket.on("framereceived", count))
        await page.reload()
        await page.click(".cm-content")
        await page.keyboard.insert_text("before ")
        await page.wait_for_selector("#saved >> text=Saved")
        small_disk.fill()
        await page.keyboard.insert_text("x" * 20_000)
        await page.wait_for_selector("#toast:visible >> text=space")
        assert await page.inner_text("#saved") == "Saving…"
        async with asyncio.timeout(20):
            await enough.wait()
        assert refusals[3] - refusals[0] > PAUSE_S
        small_disk.free()
        await page.wait_for_selector("#saved >> text=Saved")
        assert await text_of(device, note) == "before " + "x" * 20_000
    finally:
        await device.stop()
