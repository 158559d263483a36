"""The page in a real browser: two devices and a relay as processes, people typing in both at once."""

from __future__ import annotations

import asyncio
import json
import os
import random
from pathlib import Path

import pytest
from lichen.testing.commands import done
from lichen_notes.demo import Device
from playwright.async_api import Browser, Page, WebSocketRoute

PIECES = ["a", "b", "c", " ", "ö", "e\u0301", "😀", "👩‍👩‍👧", "漢", "🇩🇪"]
PICTURES = os.environ.get("LICHEN_PICTURES")


async def opened(browser: Browser, device: Device, scheme: str) -> Page:
    page = await browser.new_page(viewport={"width": 1180, "height": 760}, color_scheme=scheme)  # type: ignore[arg-type]
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
    await page.goto(device.url)
    return page


async def together(browser: Browser, devices: list[Device]) -> tuple[Page, Page]:
    """Two pages on one note, all of it done by clicking."""
    ada, ben = await opened(browser, devices[0], "light"), await opened(browser, devices[1], "dark")
    await ada.click("dialog >> text=Start a space")
    await ada.fill("#field-name", "Family")
    await ada.click("dialog button.primary")
    assert len((await ada.inner_text("code.key")).split("-")) > 8
    await ada.click("dialog button.primary")
    await ada.click("[title=Invite]")
    ticket = await ada.input_value("textarea.ticket")
    await ada.click("dialog button.primary")
    await ada.click("[title='New note']")
    await ada.wait_for_selector(".cm-content")
    await ada.keyboard.type("Saturday")
    await ben.click("dialog >> text=Join with a ticket")
    await ben.fill("#field-ticket", ticket)
    await ben.click("dialog button.primary")
    await ben.click(".note-link")
    await ben.wait_for_selector(".cm-content")
    return ada, ben


async def text_of(device: Device, note: str) -> str:
    return str((await device.note(note))["text"])


async def shown(page: Page) -> str:
    """The editor's text as its state has it, without the names of other people's cursors."""
    script = "[...document.querySelectorAll('.cm-line')].map(line => { const own = line.cloneNode(true);"
    script += "own.querySelectorAll('.caret').forEach(caret => caret.remove()); return own.textContent; }).join('\\n')"
    return str(await page.evaluate(script))


async def frame(page: Page) -> None:
    """The next frame of a page: between two looks at what the programs behind the pages do."""
    await page.evaluate("new Promise(done => requestAnimationFrame(done))")


async def agree(devices: list[Device], pages: tuple[Page, Page], note: str) -> str:
    texts: list[str] = []
    try:
        async with asyncio.timeout(20):
            while True:
                texts = [await text_of(device, note) for device in devices] + [await shown(page) for page in pages]
                if len(set(texts)) == 1:
                    return texts[0]
                await frame(pages[0])
    except TimeoutError:
        raise AssertionError(f"pages and devices do not agree: {texts}") from None


async def type_pieces(page: Page, pieces: list[str], seed: int) -> None:
    """Type each piece at one end or the other of what is there, as people do."""
    chance = random.Random(seed)
    await page.click(".cm-content")
    for piece in pieces:
        if chance.random() < 0.1:
            await page.keyboard.press(chance.choice(["Control+Home", "Control+End"]))
        await page.keyboard.insert_text(piece)


@pytest.mark.browser
@pytest.mark.timeout(180)
async def test_two_people_type_at_once_and_no_character_is_lost_or_doubled(
    browser: Browser, devices: list[Device]
) -> None:
    ada, ben = await together(browser, devices)
    note = (await ada.evaluate("location.hash"))[1:]
    chance = random.Random(1)
    typed = [[chance.choice(PIECES) for _ in range(250)] for _ in range(2)]
    await asyncio.gather(type_pieces(ada, typed[0], 2), type_pieces(ben, typed[1], 3))
    text = await agree(devices, (ada, ben), note)
    assert sorted(text) == sorted("".join(typed[0] + typed[1]))
    for piece in ("e\u0301", "👩‍👩‍👧", "🇩🇪"):
        assert text.count(piece) >= 1
    heads = [(await device.note(note))["heads"] for device in devices]
    assert heads[0] == heads[1]
    await ada.wait_for_selector(".path.direct, .path.relay")
    assert await ben.input_value("#title") == "Saturday"


@pytest.mark.browser
async def test_a_page_whose_program_is_killed_goes_on_where_it_was(browser: Browser, devices: list[Device]) -> None:
    ada, ben = await together(browser, devices)
    note = (await ada.evaluate("location.hash"))[1:]
    await ada.click(".cm-content")
    await ada.keyboard.insert_text("before ")
    await agree(devices, (ada, ben), note)
    await devices[1].kill()
    await ben.wait_for_selector("body.away")
    await ada.click(".cm-content")
    await ada.keyboard.press("Control+End")
    await ada.keyboard.insert_text("while away ")
    await devices[1].start()
    ben = await opened(browser, devices[1], "dark")
    await ben.click(".note-link")
    await ben.wait_for_selector(".cm-content")
    await ben.click(".cm-content")
    await ben.keyboard.press("Control+End")
    text = await agree(devices, (ada, ben), note)
    assert text == "before while away "


@pytest.mark.browser
@pytest.mark.timeout(180)
async def test_a_page_that_stays_open_while_its_program_is_killed_loses_and_doubles_nothing(
    browser: Browser, devices: list[Device]
) -> None:
    """Ben types on while his program dies, at another moment of its saving each time, and is started again."""
    ada, ben = await together(browser, devices)
    note = (await ada.evaluate("location.hash"))[1:]
    words = 0
    for round_ in range(4):
        await ben.click(".cm-content")
        await ben.keyboard.press("Control+End")
        killing = asyncio.create_task(devices[1].kill())
        for _ in range(15 + round_):
            await ben.keyboard.insert_text(f"{words} ")
            words += 1
        await killing
        await ben.wait_for_selector("body.away")
        for _ in range(5):
            await ben.keyboard.insert_text(f"{words} ")
            words += 1
        await ada.click(".cm-content")
        await ada.keyboard.press("Control+Home")
        await ada.keyboard.insert_text(f"ada-{round_} ")
        await devices[1].start()
        await ben.wait_for_selector("body:not(.away)")
        text = await agree(devices, (ada, ben), note)
        found = text.split()
        assert sorted(found) == sorted([*(f"ada-{each}" for each in range(round_ + 1)), *map(str, range(words))]), text
        assert [word for word in found if not word.startswith("ada")] == [str(each) for each in range(words)]


async def until(page: Page, condition: str) -> None:
    """Wait for a condition in the page, whose policy forbids how Playwright itself would wait."""
    look = f"const look = () => {{ if ({condition}) done(); else requestAnimationFrame(look); }}; look();"
    async with asyncio.timeout(20):
        await page.evaluate(f"new Promise(done => {{ {look} }})")


@pytest.mark.browser
async def test_a_list_that_changes_under_a_pressed_button_does_not_swallow_the_click(
    browser: Browser, devices: list[Device]
) -> None:
    ada, ben = await together(browser, devices)
    first = (await ada.evaluate("location.hash"))[1:]
    await ada.click("[title='New note']")
    await until(ada, f"location.hash.slice(1) !== '{first}'")
    second = (await ada.evaluate("location.hash"))[1:]
    link = ben.locator(f"#note-{second}")
    told = asyncio.Event()
    ben.on("websocket", lambda socket: socket.on("framereceived", lambda frame: "Sunday" in str(frame) and told.set()))
    await ben.reload()
    await link.hover()
    await ben.mouse.down()
    await ada.fill("#title", "Sunday")
    async with asyncio.timeout(20):
        await told.wait()
    await frame(ben)
    await ben.mouse.up()
    await until(ben, f"location.hash.slice(1) === '{second}'")
    await until(ben, "document.querySelector('.note-link[aria-current]').textContent.startsWith('Sunday')")


@pytest.mark.browser
async def test_another_note_opened_in_the_middle_of_a_word_takes_nothing_of_it(
    browser: Browser, devices: list[Device]
) -> None:
    """Its text and its title are still on their way then."""
    ada, _ben = await together(browser, devices)
    first = (await ada.evaluate("location.hash"))[1:]
    await ada.click("[title='New note']")
    await until(ada, f"location.hash.slice(1) !== '{first}'")
    second = (await ada.evaluate("location.hash"))[1:]
    await ada.click(".cm-content")
    hurry = """async ([id, title]) => {
        for (let i = 0; i < 60; i++) {
            document.execCommand('insertText', false, i + ' ');
            await Promise.resolve();  // the editor takes it, but no answer comes in between
        }
        const field = document.querySelector('#title');
        field.value = title;
        field.dispatchEvent(new Event('input'));
        document.getElementById('note-' + id).click();
    }"""
    await ada.evaluate(hurry, [first, "Sunday"])
    assert (await ada.evaluate("location.hash"))[1:] == first
    words = [str(each) for each in range(60)]
    async with asyncio.timeout(20):
        while (found := await devices[0].note(second))["title"] != "Sunday" or found["text"].split() != words:
            await frame(ada)
    assert (await devices[0].note(first))["title"] == "Saturday"
    await ada.click(f"#note-{second}")
    await until(ada, "document.querySelector('.cm-content').textContent.startsWith('0 1 2')")
    assert await ada.input_value("#title") == "Sunday"


@pytest.mark.browser
async def test_what_is_typed_before_the_note_has_come_is_kept(browser: Browser, devices: list[Device]) -> None:
    """A slow program: its answers are held back until something is typed into the note that was clicked."""
    ada, ben = await together(browser, devices)
    note = (await ada.evaluate("location.hash"))[1:]
    await ada.click(".cm-content")
    await ada.keyboard.insert_text("there\n")
    await agree(devices, (ada, ben), note)
    held: list[tuple[WebSocketRoute, str | bytes]] = []
    hold = True

    def between(page: WebSocketRoute) -> None:
        def answered(message: str | bytes) -> None:
            if hold and json.loads(message)["type"] != "state":
                held.append((page, message))
            else:
                page.send(message)

        page.connect_to_server().on_message(answered)

    late = await browser.new_page()
    await late.route_web_socket("**/live", between)
    await late.goto(devices[0].url)
    await late.click(".note-link")
    await late.click(".cm-content")
    await late.keyboard.insert_text("early ")
    await late.keyboard.insert_text("words")
    hold = False
    assert held
    for page, message in held:
        page.send(message)
    await until(late, "document.querySelector('.cm-content').textContent.includes('there')")
    await late.keyboard.insert_text("!")
    assert await agree(devices, (ada, late), note) == "there\nearly words!"


@pytest.mark.browser
async def test_the_recovery_key_stays_until_it_is_written_down(browser: Browser, devices: list[Device]) -> None:
    ada = await opened(browser, devices[0], "light")
    await ada.click("dialog >> text=Start a space")
    await ada.fill("#field-name", "Family")
    await ada.click("dialog button.primary")
    await ada.wait_for_selector("code.key")
    for _ in range(3):
        await ada.keyboard.press("Escape")
    assert await ada.is_visible("code.key")
    await ada.keyboard.press("Enter")  # what is meant to be pressed has the focus
    await ada.wait_for_selector("dialog", state="hidden")


@pytest.mark.browser
async def test_who_may_only_read_can_write_nothing(browser: Browser, devices: list[Device], tmp_path: Path) -> None:
    ada, ben = devices
    space = (await ada.ask("/api/spaces", {"name": "Family", "me": "Ada"}))["space"]
    await ada.ask(f"/api/spaces/{space}/notes", {"title": "Rules", "body": "שלום\nread me"})
    await ada.stop()
    arguments = ("invite", "--role", "reader", "--store", str(tmp_path / "a.db"))
    ticket = (await asyncio.to_thread(done, tmp_path, *arguments, passphrase="demo"))["ticket"]
    await ada.start()
    await ben.ask("/api/join", {"ticket": ticket, "me": "Ben"})
    page = await opened(browser, ben, "light")
    await page.click(".note-link")
    await page.wait_for_selector(".cm-line >> text=read me")
    await page.click(".cm-content")
    await page.keyboard.type("not this")
    assert await shown(page) == "שלום\nread me"
    assert await page.is_disabled("#title")
    assert not await page.query_selector("[title='New note'], [title=Invite]")
    directions = "[...document.querySelectorAll('.cm-line')].map(line => getComputedStyle(line).direction)"
    assert await page.evaluate(directions) == ["rtl", "ltr"]


@pytest.mark.browser
async def test_the_page_shows_who_is_here_and_over_which_path(browser: Browser, devices: list[Device]) -> None:
    ada, ben = await together(browser, devices)
    await ada.click(".cm-content")
    await ada.keyboard.insert_text("# Packing\n\ntent and **warm** blankets, the blue kettle ☕, matches\n\n")
    await ada.wait_for_selector(".path.direct")
    await ben.click(".cm-content")
    await ben.keyboard.press("Control+End")
    await ben.keyboard.insert_text("I bring bread, cheese 🧀 and the good knife.")
    await ada.wait_for_selector(".caret-name")
    assert await ada.inner_text(".caret-name") == "Ben"
    await ada.wait_for_selector(".dot.on")
    assert "Ben: direct" in await ada.inner_text("#paths")
    shades = "[...document.querySelectorAll('#people li')].map(one => one.style.getPropertyValue('--colour'))"
    seen = [await page.evaluate(shades) for page in (ada, ben)]  # oneself first
    assert len(set(seen[0])) == 2
    assert seen[0] == seen[1][::-1]
    if PICTURES:
        await ada.screenshot(path=f"{PICTURES}/light.png")
        await ben.screenshot(path=f"{PICTURES}/dark.png")
    await ben.set_viewport_size({"width": 420, "height": 800})
    await ben.wait_for_selector(".note-link", state="hidden")  # also from the keyboard
    if PICTURES:
        await ben.screenshot(path=f"{PICTURES}/small.png")
    await ben.click("#open-side")
    await ben.wait_for_selector(".note-link", state="visible")


async def test_only_this_computer_s_own_page_may_ask(devices: list[Device]) -> None:
    from urllib.error import HTTPError
    from urllib.parse import urlsplit
    from urllib.request import ProxyHandler, Request, build_opener

    base = f"http://{urlsplit(devices[0].url).netloc}"
    token = devices[0].url.split("token=")[1]
    plain = build_opener(ProxyHandler({}))

    def status(headers: dict[str, str], path: str = "/api/state") -> int:
        try:
            with plain.open(Request(base + path, headers=headers), timeout=10) as answer:
                return int(answer.status)
        except HTTPError as error:
            error.close()
            return error.code

    good = {"Authorization": f"Bearer {token}"}
    assert await asyncio.to_thread(status, good) == 200
    assert await asyncio.to_thread(status, {}) == 403
    assert await asyncio.to_thread(status, {"Authorization": "Bearer wrong"}) == 403
    assert await asyncio.to_thread(status, good | {"Host": "evil.example"}) == 403
    assert await asyncio.to_thread(status, good | {"Origin": "http://evil.example"}) == 403
    assert await asyncio.to_thread(status, {"Host": "evil.example"}, "/") == 403
    assert await asyncio.to_thread(status, {}, "/") == 403
