"""A page's websocket over a real server: what it may ask, in which bounds, and what it is told when it is let go."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from asgi_server import Program, ask, told
from lichen.api.events import SpaceChanged
from lichen.errors import StoreFull
from lichen_adapters.asgi import bounds, pages, socket
from websockets.exceptions import ConnectionClosedError, InvalidStatus

CLIENT = {"client": "0123456789abcdef", "heads": [], "flying": 0, "name": "notes"}


async def closed(page: Any) -> tuple[int | None, str]:
    """The code and the reason with which a socket is closed."""
    async with asyncio.timeout(20):
        with suppress(ConnectionClosedError):
            async for _ in page:
                pass
    return page.close_code, page.close_reason


async def test_a_page_follows_rows_and_writes_texts(program: Program) -> None:
    await program.add("Water", "Bread")
    async with program.socket() as page:
        await ask(page, "live", 1, name="tasks", params={"least": 0})
        rows = (await told(page))["rows"]
        assert [row["title"] for row in rows] == ["Bread", "Water"]
        assert rows[0].keys() == {"id", "title", "stars"}
        await program.add("Coffee")
        difference = (await told(page))["difference"]
        assert [(at, row["title"]) for at, row in difference.pop("added")] == [(1, "Coffee")]
        assert not any(difference.values())
        await ask(page, "text", 2, **CLIENT)
        assert (await told(page))["opened"]["text"] == "milk"
        await ask(page, "edit", 2, number=1, seen=0, delta=[4, " and eggs"])
        assert (await told(page))["taken"] == 1
        assert program.body == "milk and eggs"
        await ask(page, "end", 1)
        await ask(
            page,
            "text",
            3,
            **CLIENT | {"client": "another page too", "name": "body", "params": {"task": rows[1]["id"]}},
        )
        assert (await told(page))["opened"]["text"] == ""
        await ask(page, "live", 4, name="titles")
        assert (await told(page))["rows"] == ["BREAD", "COFFEE", "WATER"]


ERRORS = [
    ({"do": "live", "name": "secrets"}, "NotFound"),
    ({"do": "live", "name": "notes"}, "NotFound"),
    ({"do": "live", "name": "tasks", "params": {"least": "0"}}, "ConfigError"),
    ({"do": "live", "name": "tasks", "params": []}, "ConfigError"),
    ({"do": "text", **CLIENT, "name": "tasks"}, "NotFound"),
    ({"do": "text", **CLIENT, "name": "body", "params": {"task": "x"}}, "ConfigError"),
    ({"do": "text", **CLIENT, "name": "body", "params": {"task": "00" * 16}}, "NotFound"),
]


async def test_what_is_not_served_is_an_error_in_words_and_the_rest_goes_on(program: Program) -> None:
    async with program.socket() as page:
        for number, (message, kind) in enumerate(ERRORS):
            await page.send(json.dumps({"id": number, **message}))
            answer = await told(page)
            assert (answer["id"], answer["error"]["type"]) == (number, kind), message
        await ask(page, "live", 1, name="tasks")
        assert (await told(page))["rows"] == []


BROKEN: list[str | bytes] = [
    b"\x00",
    "",
    "[" * 100_000,
    "[]",
    "{}",
    '{"do":"live"}',
    '{"do":"live","id":-1}',
    '{"do":"live","id":true}',
    '{"do":"drop","id":1}',
    '{"do":"text","id":1,"name":"notes"}',
    '{"do":"text","id":1,"name":"notes","client":"é234567890123456","flying":0}',
    '{"do":"text","id":1,"name":"notes","client":"0123456789abcdef","flying":0,"heads":["x"]}',
    '{"do":"text","id":1,"name":"notes","client":"0123456789abcdef","flying":0,"heads":[7]}',
    '{"do":"text","id":1,"name":"notes","client":"0123456789abcdef","flying":"0"}',
]


async def test_what_no_page_sends_closes_its_socket(program: Program) -> None:
    for frame in BROKEN:
        async with program.socket() as page:
            await page.send(frame)
            assert (await closed(page))[0] == bounds.BROKEN, frame


async def test_a_second_edit_before_an_answer_and_a_bad_one_close_the_socket(program: Program) -> None:
    for delta in ([99], "x"):
        async with program.socket() as page:
            await ask(page, "text", 1, **CLIENT)
            await told(page)
            await ask(page, "edit", 1, number=1, seen=0, delta=delta)
            assert (await closed(page))[0] == bounds.BROKEN
    assert program.body == "milk"


async def test_frames_things_followed_and_pages_are_bounded(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "FRAME_BYTES", 1_000)
    monkeypatch.setattr(socket, "SUBSCRIPTIONS", 3)
    monkeypatch.setattr(pages, "PAGES", 2)
    async with program.socket() as large, program.socket() as many:
        await large.send(json.dumps({"do": "live", "id": 1, "name": "x" * 1_000}))
        assert await closed(large) == (bounds.BROKEN, "a message has more than 1000 characters")
        async with program.socket(), program.socket() as third:
            assert await closed(third) == (bounds.TOO_MANY, "more than 2 pages listen")
        for number in range(4):
            await ask(many, "live", number, name="tasks")
        answers = [await told(many) for _ in range(4)]
        assert [one["error"]["type"] for one in answers if "rows" not in one] == ["LimitExceeded"]
        await ask(many, "end", 0)
        await ask(many, "live", 4, name="tasks")
        assert (await told(many)) == {"id": 4, "rows": []}
        for number in range(5, 11):
            await ask(many, "live", number, name="large")
        while (answer := await told(many))["id"] < 10:
            assert answer["error"]["type"] == "LimitExceeded"
    async with program.socket() as twice:
        await ask(twice, "live", 1, name="tasks")
        await ask(twice, "live", 1, name="tasks")
        assert (await closed(twice))[0] == bounds.BROKEN


async def test_a_page_that_does_not_read_is_dropped_with_a_clear_code(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "SLOW_S", 1.0)
    await program.add("Water")
    async with program.socket(max_queue=1, max_size=None, compression=None) as page:
        await ask(page, "text", 0, **CLIENT)
        await told(page)
        for number in range(1, 9):
            await ask(page, "live", number, name="large")
        async with asyncio.timeout(20):
            await asyncio.wait(program.lichen._pages._serving.values())  # the text's task ends with all others
        assert await closed(page) == (bounds.SLOW, "this page reads too slowly")


async def test_a_page_that_comes_again_ends_what_served_it_before(program: Program) -> None:
    async with program.socket() as old, program.socket() as new:
        await ask(old, "text", 1, **CLIENT)
        await told(old)
        await ask(new, "text", 1, **CLIENT)
        await told(new)
        await ask(old, "edit", 1, number=1, seen=0, delta=["x"])
        await ask(new, "edit", 1, number=1, seen=0, delta=["y"])
        assert (await told(new))["taken"] == 1
        assert program.body == "ymilk"


async def test_a_page_comes_back_to_a_text_after_its_document_could_not_be_saved(program: Program) -> None:
    assert program.note is not None
    async with program.socket() as page:
        await ask(page, "text", 1, **CLIENT)
        await told(page)
        program.note._opened.fail(StoreFull("no space is left"))
        failed = await told(page)
        assert (failed["error"]["type"], failed["again"]) == ("StoreFull", True)
        await ask(page, "text", 1, **CLIENT)
        assert (await told(page))["opened"]["text"] == "milk"
        await ask(page, "edit", 1, number=1, seen=0, delta=["oat "])
        assert (await told(page))["taken"] == 1


async def test_pages_are_told_when_this_device_may_write_no_longer(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = program.lichen.engine
    async with program.socket() as page:
        await ask(page, "text", 1, **CLIENT)
        assert (await told(page))["writable"] is True
        monkeypatch.setattr(engine, "may_write", lambda _space: False)
        engine._publish(SpaceChanged(engine.spaces[0].id))
        assert (await told(page))["writable"] is False


async def test_foreign_pages_are_refused_and_those_without_a_token_told_so(program: Program) -> None:
    with pytest.raises(InvalidStatus, match="403"):
        await program.socket(headers={"Origin": "http://evil.example"})
    async with program.socket(headers={"Cookie": "x=y"}) as page:
        assert await closed(page) == (bounds.REFUSED, "this page was opened without the program's token")
