"""The page on web programs is real: its parts, put together, are one, and its page works."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from guides import parts
from lichen import Engine
from playwright.async_api import Browser, Page


@asynccontextmanager
async def program(folder: Path, *arguments: str) -> AsyncIterator[tuple[str, str]]:
    """The program of the page: its invitation, and the address of its page; ended as by Ctrl-C."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-W", "error", "tasks.py", *arguments)
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=pipe, stderr=pipe)
    try:
        assert process.stdout is not None
        ticket, address = [(await process.stdout.readline()).decode().strip() for _ in range(2)]
        assert address, await process.communicate()
        yield ticket, address
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            _, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def test_what_keeps_it_from_starting_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text(parts("asgi.md"))
    command, pipe = (sys.executable, "-W", "error", "tasks.py", "held.db", "0"), asyncio.subprocess.PIPE
    async with Engine.open(f"sqlite:///{tmp_path / 'held.db'}"):
        process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=pipe, stderr=pipe)
        printed, errors = await process.communicate()
    assert (process.returncode, printed, errors.count(b"\n")) == (1, b"", 1), errors
    assert b"is in use" in errors


async def opened(browser: Browser, address: str) -> Page:
    page = await browser.new_page()
    page.set_default_timeout(20_000)
    await page.goto(address)
    await page.wait_for_selector("ul", state="attached")  # the page comes after the one that takes the key
    await page.wait_for_function("document.querySelector('p').textContent === 'saved'")
    return page


async def enter(page: Page, text: str) -> None:
    await page.fill("input", text)
    await page.click("button")


@pytest.mark.browser
async def test_the_program_of_the_page_runs_and_a_second_device_joins_it(tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "tasks.py").write_text(parts("asgi.md"))
    (tmp_path / "page.html").write_text(parts("asgi.md", "html"))
    first, second = program(tmp_path, "tasks.db", "8765"), program(tmp_path, "ben.db", "8766")
    async with first as (ticket, at_ann), second as (_, at_ben):
        ann, ben = await opened(browser, at_ann), await opened(browser, at_ben)
        for title in ("Water the plants", "Buy bread"):
            await enter(ann, title)
            await ann.wait_for_function("document.querySelector('input').value === ''")  # it was taken
        await ann.wait_for_function("document.querySelector('ul').innerText === 'Buy bread\\nWater the plants'")
        await ann.click("li:first-child")
        await ann.wait_for_function("document.querySelector('ul').innerText === 'Water the plants'")
        await ann.fill("textarea", "Twice a week.")
        await ann.wait_for_function("document.querySelector('p').textContent === 'saved'")
        await enter(ben, ticket[:50])
        await ben.wait_for_function("document.querySelector('output').textContent.includes('ticket')")
        await enter(ben, ticket)
        await ben.wait_for_function("document.querySelector('ul').innerText === 'Water the plants'")
        await ben.wait_for_function("document.querySelector('textarea').value === 'Twice a week.'")
