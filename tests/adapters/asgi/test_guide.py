"""The page on web programs is real: its parts, put together, are one, and its page works."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest
from guides import parts
from playwright.async_api import Browser
from playwright.async_api import Error as PlaywrightError


@pytest.mark.browser
async def test_the_program_of_the_page_runs(tmp_path: Path, browser: Browser) -> None:
    program = parts("asgi.md")
    assert program.count("8000") == 1
    program = program.replace("8000", "8765").replace("uvicorn.run(app", "uvicorn.run(app, port=8765")
    (tmp_path / "tasks.py").write_text(program)
    (tmp_path / "page.html").write_text(parts("asgi.md", "html"))
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-W", "error", "tasks.py")
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=pipe, stderr=pipe)
    try:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        page = await browser.new_page()
        page.set_default_timeout(20_000)
        while True:  # the server takes connections soon after it has printed its address
            try:
                await page.goto(address)
                break
            except PlaywrightError as error:
                if "ERR_CONNECTION_REFUSED" not in str(error):
                    raise
        await page.wait_for_selector("input")
        for title in ("Water the plants", "Buy bread"):
            await page.fill("input", title)
            await page.click("button")
            await page.wait_for_function("document.querySelector('input').value === ''")  # it was taken
        await page.wait_for_function("document.querySelector('ul').innerText === 'Buy bread\\nWater the plants'")
        await page.click("li:first-child")
        await page.wait_for_function("document.querySelector('ul').innerText === 'Water the plants'")
        await page.fill("textarea", "Twice a week.")
        await page.wait_for_function("document.querySelector('p').textContent === 'saved'")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            _, errors = await process.communicate()
        assert (process.returncode, errors) in ((0, b""), (-signal.SIGINT, b""))
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
