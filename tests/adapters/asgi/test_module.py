"""The module for pages, as it is shipped; and its sources in Node, told things by hand."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asgi_page import NodePage, node_page
from lichen_adapters.asgi.bounds import TEXT_CHARACTERS
from lichen_adapters.asgi.pages import MODULE

TOP = Path(__file__).parents[3]


def test_it_is_what_its_sources_make_and_small(tmp_path: Path) -> None:
    """Else run `make module`."""
    (flags,) = re.findall(r"^MODULE := (.*)$", (TOP / "Makefile").read_text(), re.MULTILINE)
    tool = TOP / "demo_app" / "web" / "node_modules" / ".bin" / "esbuild"
    sources = TOP / "adapters" / "web" / "lichen.js"
    made = tmp_path / "lichen.js"
    command = [str(tool), str(sources), *flags.split(), "--log-level=error", f"--outfile={made}"]
    subprocess.run(command, check=True, timeout=60)
    assert made.read_bytes() == MODULE.read_bytes()
    assert MODULE.stat().st_size < 10_000


def test_it_is_shipped() -> None:
    data = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    package = TOP / "adapters" / "lichen_adapters"
    assert MODULE in {file for pattern in data["lichen_adapters"] for file in package.glob(pattern)}


def test_it_needs_nothing_else() -> None:
    text = MODULE.read_text()
    assert "import" not in text
    assert "http:" not in text
    assert re.search(r"export\{[\w$]+ as bindText,[\w$]+ as live,[\w$]+ as showIn\};", text)


@pytest.fixture
async def page() -> AsyncIterator[NodePage]:
    """A page whose text is "milk"."""
    async with node_page() as found:
        await found.do("begin")
        await opened(found, "milk")
        yield found


async def opened(page: NodePage, text: str, **more: Any) -> None:
    await page.do("open")
    await tell(page, opened={"text": text, "taken": False}, **{"writable": True, "heads": [], "version": 0, **more})


async def tell(page: NodePage, **message: Any) -> None:
    await page.do("told", message={"id": 1, **message})


async def typed(page: NodePage, text: str) -> list[Any]:
    """Type at the start; the deltas that are sent."""
    page.sent.clear()
    await page.do("type", at=0, gone=0, come=text)
    return [message["delta"] for message in page.sent]


ERROR = {"type": "StoreFull", "message": "no space is left", "hint": ""}


async def test_nothing_but_a_textarea_is_bound(page: NodePage) -> None:
    for to, named in ({"localName": "input"}, "input"), (None, "null"):
        await page.do("bind", to=to)
        assert page.reported == [f"bindText is for a textarea, not {named}"]
        page.reported.clear()
    assert await typed(page, "oat ") == [["oat "]]


async def test_one_textarea_is_bound_once(page: NodePage) -> None:
    await page.do("bind")
    assert page.reported == ["this textarea is bound already: close() it first"]
    assert await typed(page, "oat ") == [["oat "]]
    await tell(page, taken=1, heads=[], version=0)
    await page.do("close")
    assert not page.read_only
    await page.do("bind")
    assert (len(page.reported), page.value, page.read_only) == (1, "", True)


async def test_an_error_of_a_text_is_a_break_until_it_is_opened_again(page: NodePage) -> None:
    await tell(page, error=ERROR, again=True)
    assert (page.state, page.failed) == ({"connected": False, "saved": True}, [ERROR])
    assert await typed(page, "oat ") == []
    assert not page.read_only
    await page.do("again")
    assert page.sent[0]["do"] == "text"
    await opened(page, "milk")
    assert page.sent[-1]["delta"] == ["oat "]
    assert page.state == {"connected": True, "saved": False}


async def test_a_text_that_is_over_can_be_edited_no_more(page: NodePage) -> None:
    await tell(page, error=ERROR, again=False)
    assert page.read_only
    assert not page.state["connected"]
    await page.do("lose")
    await opened(page, "milk")
    assert not page.read_only, "it may be there again when the program is"


async def test_a_right_that_is_lost_locks_the_textarea_until_it_is_gained(page: NodePage) -> None:
    await tell(page, writable=False, heads=[], version=0)
    assert page.read_only
    await tell(page, changed=["oat "], heads=[], version=1)
    assert (page.value, page.read_only) == ("oat milk", True)
    await tell(page, writable=True, heads=[], version=1)
    assert not page.read_only


async def test_a_mistake_in_a_callback_stops_nothing_of_the_module(page: NodePage) -> None:
    await page.do("close")
    await page.do("close")
    await page.do("begin", fails=True)
    await opened(page, "milk")
    await tell(page, error=ERROR, again=True)
    await page.do("again")
    await opened(page, "milk")
    await page.do("lose")
    assert await typed(page, "oat ") == []
    await opened(page, "milk")
    assert page.sent[-1]["delta"] == ["oat "]
    await tell(page, refused=1, text="soy milk", error=ERROR, heads=[], version=0)
    assert page.value == "soy milk"
    assert await typed(page, "oat ") == [["oat "]]
    assert page.failed == [ERROR, ERROR]
    assert set(page.reported) == {"a mistake of the page's own"}


async def test_a_closed_text_is_followed_until_all_is_saved_and_its_textarea_is_free_at_once(page: NodePage) -> None:
    assert await typed(page, "oat ") == [["oat "]]
    await page.do("type", at=0, gone=0, come="warm ")
    await page.do("compose", kind="compositionstart")
    await tell(page, changed=["!"], heads=[], version=1)
    await page.do("close")
    assert (page.read_only, page.closed) == (False, None)
    shown = page.value
    await typed(page, "elsewhere ")
    await tell(page, taken=1, heads=[], version=1)
    assert [message.get("delta") for message in page.sent] == [[1, "warm "]]
    await tell(page, changed=["?"], heads=[], version=2)
    assert page.value == "elsewhere " + shown
    await page.do("lose")
    await page.do("open")
    assert page.sent[-1]["flying"] == 2
    await tell(page, opened={"text": "?!warm oat milk", "taken": True}, writable=False, heads=[], version=0)
    assert page.sent[-1] == {"id": 1, "do": "end"}
    assert (page.value, page.read_only, page.closed) == ("elsewhere " + shown, False, True)


async def test_a_closed_text_that_cannot_be_saved_says_so(page: NodePage) -> None:
    await typed(page, "oat ")
    await page.do("close")
    await tell(page, error=ERROR, again=True)
    assert page.closed is None
    await page.do("again")
    await tell(page, error=ERROR, again=False)
    assert page.closed is False
    assert page.sent[-1] == {"id": 1, "do": "end"}


async def test_what_would_make_a_text_too_long_is_taken_out_of_the_textarea_again(page: NodePage) -> None:
    assert await typed(page, "😀" * (TEXT_CHARACTERS - 4)) != []
    await tell(page, taken=1, heads=[], version=0)
    long = page.value
    assert await typed(page, "xy") == []
    assert (page.value, page.saved) == (long, True)
    assert [error["type"] for error in page.failed] == ["LimitExceeded"]
    await tell(page, changed=["from elsewhere "], heads=[], version=1)
    await page.do("type", at=0, gone=5, come="")
    assert page.sent[-1]["delta"] == [-5], "a text that is too long can be made shorter"


async def test_a_message_that_the_server_does_not_take_is_not_sent_again(page: NodePage) -> None:
    await page.do("lose", code=1009)
    assert (page.pauses, page.read_only) == ([], True)
    assert page.failed == [{"type": "Closed", "message": "a message of this page is too long", "hint": ""}]
    await page.do("begin", beside=True)
    await opened(page, "milk")
    assert page.value == "milk", "what is bound later begins anew"
    await page.do("close", first=True)
    await page.do("begin", beside=True)
    assert (page.sent[-1]["id"], page.sent[-1]["do"]) == (2, "text"), "on the socket that is there"


async def test_a_page_that_is_let_go_before_it_heard_anything_waits_longer_each_time(page: NodePage) -> None:
    for _ in range(7):
        await page.do("lose", code=4429)
        await page.do("open")
    assert page.pauses == [200, 400, 800, 1600, 3200, 5000, 5000]
    page.pauses.clear()
    await tell(page, opened={"text": "milk", "taken": False}, writable=True, heads=[], version=0)
    await page.do("lose", code=4429)
    assert page.pauses == [200]


async def test_a_textarea_that_the_page_itself_makes_read_only_stays_so(page: NodePage) -> None:
    assert await typed(page, "oat ") == [["oat "]]
    await tell(page, taken=1, heads=[], version=0)
    await page.do("fix", fixed=True)
    await page.do("undo")
    assert page.value == "oat milk"
    await page.do("lose")
    await opened(page, "oat milk")
    assert page.read_only
    await page.do("fix", fixed=False)
    await page.do("undo")
    assert page.value == "milk"
