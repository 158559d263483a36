"""A page in a real browser."""

from __future__ import annotations

import pytest
from asgi_server import Program
from playwright.async_api import Browser, Page

pytestmark = pytest.mark.browser


async def opened(browser: Browser, program: Program) -> Page:
    page = await browser.new_page()
    page.set_default_timeout(10_000)
    page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
    page.on("console", lambda m: print("CONSOLE", m.text))
    await page.goto(program.lichen.address(program.url))
    await page.wait_for_function("document.querySelector('#state').textContent === 'true true'")
    return page


async def saved(page: Page) -> str:
    """What the textarea shows, when it is saved."""
    await page.wait_for_function("document.querySelector('#state').textContent === 'true true'")
    return await page.input_value("#notes")


async def test_a_page_shows_and_edits(browser: Browser, program: Program) -> None:
    page = await opened(browser, program)
    assert await page.input_value("#notes") == "milk"
    await program.add("Water", "Bread")
    await page.wait_for_function("document.querySelectorAll('li').length === 2")
    await page.click("#notes")
    await page.keyboard.press("Control+End")
    await page.keyboard.type(", eggs 😀")
    assert await saved(page) == "milk, eggs 😀" == program.body
    async with program.note.change() as doc:
        doc["body"].insert(0, "oat ")
    await page.wait_for_function("document.querySelector('#notes').value.startsWith('oat')")
    await page.keyboard.type("!")
    assert await saved(page) == "oat milk, eggs 😀!" == program.body
    await page.keyboard.press("Control+z")
    assert await saved(page) == "oat milk" == program.body
    await page.keyboard.press("Control+Shift+z")
    assert await saved(page) == "oat milk, eggs 😀!" == program.body
    print(await page.evaluate("window.errors"))
