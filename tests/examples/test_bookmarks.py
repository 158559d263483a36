"""The bookmarks, as two people use them: on two pages in a real browser, and a picture of them for the docs."""

from __future__ import annotations

import asyncio
import base64
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from examples_running import ALONE, EXAMPLES, PICTURES, begin_another, is_short
from lichen import Engine
from playwright.async_api import Browser, Page, Route, async_playwright

SIZE = {"width": 610, "height": 470}
OWN = f"{ALONE}\nAlso on this device: Bookmarks of Ann"
COUNT = """() => import("/lichen/lichen.js").then(({ live }) =>
    live("/lichen", "bookmarks", {}, (rows) => (window.count = rows.length)))"""
LIST = "[...document.querySelectorAll('li')].map((item) => item.innerText.replaceAll('\\n', ' '))"


async def begin(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    """The example in a process of its own."""
    command = (sys.executable, "-W", "error", str(EXAMPLES / "bookmarks.py"), *arguments)
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=pipe, stderr=pipe)


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
    """What it returned when it has ended, and what it said of errors."""
    try:
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
        return process.returncode, errors.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def program(folder: Path, *arguments: str) -> AsyncIterator[list[str]]:
    """The example: what it prints until its page can be opened; ended as by Ctrl-C."""
    process = await begin(folder, *arguments, "--port", "0")
    try:
        said = [""]
        while not said[-1].startswith("http"):
            assert process.stdout is not None
            said.append((await process.stdout.readline()).decode().strip())
            assert said[-1], await ended(process)
        host, port = urlsplit(said[-1]).netloc.split(":")
        socket.create_connection((host, int(port))).close()  # what is printed can be opened
        yield said[1:]
        process.send_signal(signal.SIGINT)
        assert await ended(process) == (0, "")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def opened(browser: Browser, address: str) -> Page:
    page = await browser.new_page(viewport=SIZE)  # type: ignore[arg-type]  # as playwright wants it
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
    await page.goto(address)
    await page.wait_for_selector("#state", state="attached")
    await page.wait_for_function("document.querySelector('#state').textContent === '● saved'")
    return page


async def add(page: Page, title: str, url: str) -> None:
    await page.fill("[name=title]", title)
    await page.fill("[name=url]", url)
    await page.keyboard.press("Enter")
    if url.startswith("http"):
        await page.wait_for_function("document.querySelector('[name=url]').value === ''")  # it was taken


async def shows(page: Page, *items: str) -> None:
    await page.wait_for_function(f"items => JSON.stringify({LIST}) === JSON.stringify(items)", arg=list(items))


async def writes(page: Page, *words: str) -> None:
    await page.focus("textarea")
    await page.keyboard.press("Control+End")
    for word in words:
        await page.keyboard.insert_text(word)


async def picture(browser: Browser, file: Path, *pages: Page) -> None:
    """Both pages beside each other."""
    shots = [base64.b64encode(await page.screenshot()).decode() for page in pages]
    both = await browser.new_page(viewport={"width": 1240, "height": 470})
    images = "".join(f"<img style='border-radius: 8px' src='data:image/png;base64,{shot}'>" for shot in shots)
    await both.set_content(f"<body style='margin: 0; display: flex; gap: 20px'>{images}")
    await both.screenshot(path=file, omit_background=True)


@pytest.mark.browser
async def test_two_people_keep_bookmarks_together(tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    assert chromium, "Chromium is needed: make setup installs it where apt is"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        first = program(tmp_path, "ann.db", "--name", "Ann", "--at", "ws://127.0.0.1:0")
        async with first as (ticket, at_ann), program(tmp_path, "ben.db", ticket, "--name", "Ben") as (*_, at_ben):
            ann, ben = await opened(browser, at_ann), await opened(browser, at_ben)
            await _use(ann, ben)
            if PICTURES:
                await picture(browser, EXAMPLES.parent / PICTURES / "bookmarks.png", ann, ben)
            await _narrow(ann)
        await _away(ann)
        async with program(tmp_path, "ben.db") as (*_, at_ben):
            again = await opened(browser, at_ben)
            await shows(again, *ITEMS)
            assert await again.inner_text("small") == "Ben"
            await _type_too_early(again)
            assert (await again.input_value("textarea")).endswith("before Friday 🍵")
            assert await again.inner_text("#about") == ""
        await asyncio.to_thread(begin_another, tmp_path / "ben.db", "Mine")
        async with program(tmp_path, "ben.db", "--name", "Ben") as (*_, at_ben):
            another = await opened(browser, at_ben)
            await shows(another)
            assert await another.inner_text("#about") == OWN
        await browser.close()


ITEMS = (
    "Local-first software https://www.inkandswitch.com/local-first ★ 2 ✕",
    "Automerge https://automerge.org ★ 1 ✕",
    "Python https://www.python.org ★ ✕",
)


async def _use(ann: Page, ben: Page) -> None:
    await add(ann, "Automerge", "https://automerge.org")
    await add(ben, "Local-first software", "https://www.inkandswitch.com/local-first")
    await add(ann, "News", "http://example.com")
    await add(ben, "Older news", "http://example.com")
    await add(ben, "Python", "https://www.python.org")
    for page in (ann, ben):
        await page.wait_for_function("document.querySelectorAll('li').length === 5")
    await add(ann, "", "ftp://example.com")
    await ann.wait_for_function("document.querySelector('p').textContent.includes('is no address of a page')")
    await ben.click("li:has-text('Automerge') [title=Star]")
    await ann.evaluate(COUNT)
    await ann.hover("li:has-text('Older news') [title=Delete]")
    await ann.mouse.down()
    await ben.click("li:first-child + li + li:has-text('News') [title=Delete]")
    await ann.wait_for_function("window.count === 4")
    await ann.mouse.up()  # a bookmark above it has gone while it was pressed
    for page in (ann, ben):
        await page.click("li:has-text('Local-first') [title=Star]")
    await ann.fill("[name=url]", "")
    await ann.click("li:has-text('Python') [title=Delete]", trial=True)
    for page in (ann, ben):
        await shows(page, *ITEMS)
    await _write(ann, ben)


async def _write(ann: Page, ben: Page) -> None:
    """Both write the notes, one of them in the middle of what the other goes on with."""
    await writes(ann, "Essay: all of us.")
    await ben.wait_for_function("document.querySelector('textarea').value === 'Essay: all of us.'")
    await ann.evaluate("document.querySelector('textarea').setSelectionRange(5, 5)")
    await asyncio.gather(
        writes(ben, *"\n\nAnn explains replicas ", "before Friday", " 🍵"), _insert(ann, *" on ", *"seven ", *"ideals")
    )
    text = "Essay on seven ideals: all of us.\n\nAnn explains replicas before Friday 🍵"
    for page in (ann, ben):
        await page.wait_for_function("text => document.querySelector('textarea').value === text", arg=text)
        await page.wait_for_function("document.querySelector('#state').textContent === '● saved'")


async def _insert(page: Page, *words: str) -> None:
    await page.focus("textarea")
    for word in words:
        await page.keyboard.insert_text(word)


async def _narrow(page: Page) -> None:
    """On a phone the notes are below the list, and nothing is wider than the page."""
    await page.set_viewport_size({"width": 390, "height": 844})
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    above, below = [await page.locator(one).bounding_box() for one in ("ul", "textarea")]
    assert above is not None
    assert below is not None
    assert above["y"] + above["height"] < below["y"]
    assert (above["x"], above["width"]) == (below["x"], below["width"])
    assert above["width"] > 300


async def _away(page: Page) -> None:
    """The program has ended: the page says so, and that nothing was done."""
    await page.wait_for_function("document.querySelector('#state').textContent.includes('is not running')")
    await page.click("li:has-text('Python') [title=Star]")
    await page.wait_for_function("document.querySelector('p').textContent.includes('does not answer')")


async def _type_too_early(page: Page) -> None:
    """Before the module has come, nothing can be typed that would be lost."""
    text, here = await page.input_value("textarea"), asyncio.Event()

    async def hold(route: Route) -> None:
        await here.wait()
        await route.continue_()

    await page.route("**/lichen.js", hold)
    await page.reload(wait_until="commit")
    await page.type("textarea", "early")
    assert await page.input_value("textarea") == ""
    here.set()
    await page.wait_for_function("text => document.querySelector('textarea').value === text", arg=text)
    assert not await page.evaluate("document.querySelector('textarea').readOnly")


async def test_ctrl_c_ends_a_join_and_nothing_is_half_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(30)
        port = silent.getsockname()[1]
        async with Engine.open(f"sqlite:///{tmp_path / 'ann.db'}") as ann:
            space = await ann.create_space("Bookmarks")
            ticket = await space.invite(mode="auto", hints=[f"ws://127.0.0.1:{port}"])
        joining = await begin(tmp_path, "ben.db", ticket, "--port", "0")
        with (await asyncio.to_thread(silent.accept))[0]:  # it is joining
            joining.send_signal(signal.SIGINT)
            assert await ended(joining) == (130, "interrupted\n")
    async with Engine.open(f"sqlite:///{tmp_path / 'ben.db'}") as ben:
        assert ben.spaces == []


async def test_a_port_that_is_taken_is_told_in_a_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, errors = await ended(await begin(tmp_path, "ann.db", "--port", str(taken.getsockname()[1])))
    assert code == 1
    assert errors.count("\n") == 1
    assert "Address already in use: choose another port" in errors


def test_the_example_is_short_enough_to_begin_with() -> None:
    assert is_short("bookmarks.py")
    assert is_short("bookmarks.html")
