"""Pages in a real browser: what people type, on two devices and by input methods, offline too; and foreign pages."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asgi_server import PAGE, Program, Task, running, served
from playwright.async_api import Browser, BrowserContext, Page
from sqlalchemy import delete, update
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, StreamingResponse
from starlette.routing import Route

pytestmark = pytest.mark.browser

PIECES = ["a", "b", " ", "é", "e\u0301", "😀", "👨‍👩‍👧", "🇩🇪", "אבג", "مرحبا", "漢"]


async def opened(where: Browser | BrowserContext, program: Program) -> Page:
    page = await where.new_page()
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
    await page.goto(program.lichen.address(program.url))
    await page.wait_for_url(f"{program.url}/")
    await state(page, "true true")
    return page


async def state(page: Page, wanted: str) -> None:
    """Until the page says whether it is connected, and whether all is saved."""
    await page.wait_for_function("wanted => document.querySelector('#state').textContent === wanted", arg=wanted)


async def saved(page: Page) -> str:
    """What the textarea shows, when it is saved."""
    await state(page, "true true")
    return await page.input_value("#notes")


async def shows(page: Page, text: str) -> None:
    """Until the textarea shows this."""
    await page.wait_for_function("text => document.querySelector('#notes').value === text", arg=text)


async def caret(page: Page) -> list[int]:
    found: list[int] = await page.evaluate(
        "(({ selectionStart: a, selectionEnd: b }) => [a, b])(document.querySelector('#notes'))"
    )
    return found


async def write(program: Program, at: int, removed: int, inserted: str) -> None:
    assert program.note is not None
    async with program.note.change() as doc:
        doc.text("body").splice(at, removed, inserted)


async def test_what_a_browser_puts_back_into_a_page_is_not_taken_for_typing(browser: Browser, program: Program) -> None:
    rest = asyncio.Event()

    async def parts() -> AsyncIterator[str]:
        yield PAGE.replace('type="module"', 'type="module" async')
        await rest.wait()
        yield "<p id=rest>"

    @program.app.get("/slow")
    def slow() -> StreamingResponse:
        return StreamingResponse(parts(), media_type="text/html", headers={"Cache-Control": "no-store"})

    page = await opened(browser, program)
    rest.set()
    await page.goto(f"{program.url}/slow")
    await page.type("#notes", "oat ")
    assert await saved(page) == "oat milk"
    await page.goto("about:blank")
    rest.clear()
    await write(program, 0, 4, "")
    await page.go_back(wait_until="commit")
    await shows(page, "milk")
    rest.set()
    await page.wait_for_load_state()
    await page.press("#notes", "Control+End")
    await page.keyboard.type("!")
    assert await saved(page) == program.body == "milk!"


async def test_a_page_shows_rows_and_a_text_that_is_edited_on_both_sides(browser: Browser, program: Program) -> None:
    page = await opened(browser, program)
    await program.add("Water", "Bread")
    await page.wait_for_function("document.querySelector('#tasks').innerText === 'Bread 0\\nWater 0'")
    await page.focus("#notes")
    await page.keyboard.press("Control+End")
    await page.keyboard.type(", eggs 😀")
    assert await saved(page) == "milk, eggs 😀" == program.body
    await page.evaluate("document.querySelector('#notes').setSelectionRange(6, 10, 'backward')")
    await write(program, 0, 0, "oat 🌾 ")
    await shows(page, "oat 🌾 milk, eggs 😀")
    assert await caret(page) == [13, 17], "the selection stays at its characters"
    await page.keyboard.type("figs")
    assert await saved(page) == "oat 🌾 milk, figs 😀" == program.body
    await page.keyboard.press("Control+z")
    assert await saved(page) == "oat 🌾 milk, eggs 😀"
    await page.keyboard.press("Control+z")
    assert await saved(page) == "oat 🌾 milk" == program.body, "what the program wrote stays"
    await page.keyboard.press("Control+Shift+z")
    await page.keyboard.press("Control+y")
    assert await saved(page) == "oat 🌾 milk, figs 😀" == program.body
    await write(program, 0, 0, "\r\n")
    await page.wait_for_function("document.querySelector('#notes').value.includes('\\n')")
    await page.keyboard.press("Control+End")
    await page.keyboard.press("Backspace")
    assert await saved(page) == "\u2063\noat 🌾 milk, figs "
    assert program.body == "\r\noat 🌾 milk, figs "
    assert await page.evaluate("window.errors") == []


async def test_a_form_that_is_reset_leaves_its_text_alone(browser: Browser, program: Program) -> None:
    page = await opened(browser, program)
    await page.evaluate("""() => {
        const [form, area] = [document.createElement("form"), document.querySelector("#notes")];
        area.replaceWith(form);
        form.append(area);
        form.onreset = (event) => event.stopPropagation();
        form.reset();
    }""")
    assert await page.input_value("#notes") == "milk"
    await page.focus("#notes")
    await page.keyboard.press("Control+End")
    await page.keyboard.type(", eggs")
    assert await saved(page) == "milk, eggs" == program.body


async def test_rows_move_and_are_not_made_anew(browser: Browser, program: Program) -> None:
    """So what has the focus keeps it."""
    page = await opened(browser, program)
    await program.add("Bread", "Milk", "Salt", "Water")
    await page.wait_for_function("document.querySelectorAll('#tasks li').length === 4")
    await page.evaluate("for (const item of document.querySelectorAll('#tasks li')) item.was = item.innerText[0]")
    await _change_rows(program)
    shown = "[...document.querySelectorAll('#tasks li')].map((item) => `${item.was} ${item.innerText}`)"
    wanted = ["undefined Apples 0", "undefined Beans 0", "S Salt 0", "B Tea 0", "W Water 2"]
    await page.wait_for_function(f"wanted => JSON.stringify({shown}) === JSON.stringify(wanted)", arg=wanted)


async def _change_rows(program: Program) -> None:
    async with program.lichen.session() as session:
        await session.execute(delete(Task).where(Task.title == "Milk"))
        await session.execute(update(Task).where(Task.title == "Bread").values(title="Tea"))
        await session.execute(update(Task).where(Task.title == "Water").values(stars=2))
        session.add_all([Task(title=title, body="") for title in ("Apples", "Beans")])


@pytest.mark.parametrize("way", ["mouse", "keys"])
async def test_what_is_pressed_stays_where_it_is_until_it_is_let_go(
    browser: Browser, program: Program, way: str
) -> None:
    """Else its click would go nowhere, or to another row."""
    page = await opened(browser, program)
    await program.add("Bread", "Milk", "Salt", "Water")
    await page.wait_for_function("document.querySelectorAll('#tasks li').length === 4")
    await page.evaluate("""() => {
        const list = document.querySelector("#tasks");
        list.onclick = ({ target }) => (window.clicked = target.innerText);
        for (const item of list.children) item.append(document.createElement("button"));
        for (const button of list.querySelectorAll("button")) button.innerText = button.parentNode.innerText;
    }""")
    await page.hover("li:first-child button")
    await page.focus("li:first-child button")
    await (page.mouse.down() if way == "mouse" else page.keyboard.down(" "))
    await _change_rows(program)
    await page.wait_for_function("window.calls === 3")
    await (page.mouse.up() if way == "mouse" else page.keyboard.up(" "))
    await page.wait_for_function("document.querySelector('#tasks').innerText.startsWith('Apples 0')")
    assert await page.evaluate("window.clicked") == "Bread 0"


async def test_what_an_input_method_composes_is_left_alone_until_it_is_done(browser: Browser, program: Program) -> None:
    page = await opened(browser, program)
    await page.focus("#notes")
    await page.keyboard.press("Control+End")
    keys = await page.context.new_cdp_session(page)
    await keys.send("Input.imeSetComposition", {"text": "ni", "selectionStart": 2, "selectionEnd": 2})
    await write(program, 0, 0, "oat ")
    await program.add("Water")  # which is told after that
    await page.wait_for_function("document.querySelector('#tasks').innerText === 'Water 0'")
    assert await page.input_value("#notes") == "milkni"
    await keys.send("Input.imeSetComposition", {"text": "nih", "selectionStart": 3, "selectionEnd": 3})
    await keys.send("Input.insertText", {"text": "你好"})
    assert await saved(page) == "oat milk你好" == program.body
    assert await caret(page) == [10, 10]


async def test_two_people_type_on_two_devices_and_no_character_is_lost_or_doubled(
    browser: Browser, program: Program, tmp_path: Path
) -> None:
    assert program.note is not None
    ticket = await program.invite()
    async with running(Program(tmp_path, "ben"), begin=False) as other:
        await other.join(ticket, program.note)
        pages = await opened(browser, program), await opened(browser, other)
        chance = random.Random(5)
        typed = [[chance.choice(PIECES) for _ in range(60)] for _ in pages]
        await asyncio.gather(*(_type(page, pieces) for page, pieces in zip(pages, typed, strict=True)))
        async with asyncio.timeout(30):
            while len({program.body, other.body, *[await saved(page) for page in pages]}) > 1:
                pass
        assert sorted(program.body) == sorted("milk" + "".join(typed[0] + typed[1]))
        for piece in ("e\u0301", "👨‍👩‍👧", "🇩🇪"):
            assert program.body.count(piece) >= 1
        for page, end in zip(pages, typed, strict=True):
            at = (await caret(page))[0]
            before = (await page.input_value("#notes")).encode("utf-16-le")[: 2 * at].decode("utf-16-le")
            assert before.endswith(end[-1]), "the cursor is where it was left"


async def _type(page: Page, pieces: list[str]) -> None:
    await page.focus("#notes")
    for number, piece in enumerate(pieces):
        if number % 20 == 10:
            await page.keyboard.press(["Control+Home", "Control+End"][number % 3 % 2])
        await page.keyboard.insert_text(piece)


async def test_a_page_goes_on_without_its_program_and_sends_what_was_typed(browser: Browser, tmp_path: Path) -> None:
    async with running(Program(tmp_path)) as program:
        page = await opened(browser, program)
        await page.focus("#notes")
        await page.keyboard.type("a ")
        await saved(page)
    await state(page, "false true")
    await page.keyboard.type("while away 😀 ")
    await state(page, "false false")
    again = Program(tmp_path)
    async with running(again, begin=False, port=int(program.url.rpartition(":")[2])):
        engine = again.lichen.engine
        again.lichen.space = space = engine.spaces[0]
        again.note = await engine.document((await space.documents())[0].id)
        assert await saved(page) == "a while away 😀 milk" == again.body
        await page.wait_for_function("window.calls === 1", timeout=2_000)  # rows that are the same are not told again
        await again.add("Water")
        await page.wait_for_function("document.querySelector('#tasks').innerText === 'Water 0'")


FOREIGN = """<!doctype html><title>Foreign</title>
<form method="post" action="URL/tasks?title=form" target="there"></form>
<iframe name="there"></iframe><script type="module">
const tried = {};
const note = async (name, work) => { try { tried[name] = await work(); } catch (error) { tried[name] = "refused"; } };
const options = { credentials: "include" };
await note("get", async () => (await fetch("URL/", options)).status);
await note("post", async () => (await fetch("URL/tasks?title=post", { ...options, method: "POST" })).status);
const blind = { ...options, method: "POST", mode: "no-cors" };
await note("blind", async () => (await fetch("URL/tasks?title=blind", blind)).type);
await note("module", async () => Object.keys(await import("URL/lichen/lichen.js")));
await note("socket", () => new Promise((done) => {
  const socket = new WebSocket("URL/lichen/socket".replace("http", "ws"));
  socket.onopen = () => done("open");
  socket.onclose = ({ code }) => done(code);
}));
await note("events", () => new Promise((done) => {
  const events = new EventSource("URL/lichen/live/tasks", { withCredentials: true });
  events.onopen = () => done("open");
  events.onerror = () => (events.close(), done("refused"));
}));
document.forms[0].submit();
await new Promise((done) => (document.querySelector("iframe").onload = done));
window.tried = tried;
</script>"""


async def test_a_page_of_another_origin_is_refused_and_changes_nothing(browser: Browser, program: Program) -> None:
    """Also one of another program on this computer, with which the browser shares cookies: ports do not count there."""
    reached: list[str] = []

    @program.app.post("/tasks")
    async def add(title: str) -> None:
        reached.append(title)

    context = await browser.new_context()
    own = await opened(context, program)
    assert await own.evaluate("fetch('/tasks?title=own', { method: 'POST' }).then((answer) => answer.status)") == 200

    async def foreign(_request: Request) -> HTMLResponse:
        return HTMLResponse(FOREIGN.replace("URL", program.url))

    async with served(Starlette(routes=[Route("/", foreign)])) as url:
        for address in (url, url.replace("127.0.0.1", "localhost")):
            page = await context.new_page()
            answers: list[tuple[str, int]] = []
            page.on("response", lambda answer, answers=answers: answers.append((answer.url, answer.status)))
            await page.goto(address)
            await page.wait_for_function("window.tried")
            assert await page.evaluate("window.tried") == {
                "get": "refused",
                "post": "refused",
                "blind": "opaque",
                "module": "refused",
                "socket": 1006,
                "events": "refused",
            }
            assert {status for address, status in answers if address.startswith(program.url)} == {403}
            await page.close()
        await context.close()
    assert reached == ["own"]
    assert program.body == "milk"


async def test_a_link_on_another_site_may_lead_to_the_address(browser: Browser, program: Program) -> None:
    async def foreign(_request: Request) -> HTMLResponse:
        return HTMLResponse(f'<a href="{program.lichen.address(program.url)}">Notes</a>')

    async with served(Starlette(routes=[Route("/", foreign)])) as url:
        page = await browser.new_page()
        page.set_default_timeout(20_000)
        await page.goto(url.replace("127.0.0.1", "localhost"))
        await page.click("a")
        await page.wait_for_url(f"{program.url}/")
        await state(page, "true true")
        assert await page.evaluate("document.referrer") == ""
        await page.close()


async def test_a_page_without_the_token_is_told_so_and_does_not_ask_again(browser: Browser, program: Program) -> None:
    page = await opened(browser, program)
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await page.context.clear_cookies()
    program.lichen._pages.end()  # it is let go, and comes back
    await page.wait_for_function("window.errors.length === 2")  # its text and its rows
    message = "this page was opened without the program's token"
    hint = "open the address that the program shows"
    assert await page.evaluate("window.errors[0]") == {"type": "Closed", "message": message, "hint": hint}
    answer = await page.goto(program.url)
    assert answer is not None
    assert answer.status == 403
    assert len(sockets) == 1
