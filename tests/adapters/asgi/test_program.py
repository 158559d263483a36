"""An application's lifespan, its sessions, its errors, and its live queries as events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asgi_server import Base, Program, Task, running, served
from fastapi import FastAPI, HTTPException
from lichen.errors import ConfigError, EngineMisuse, NotFound, StoreFull, StoreLocked
from lichen.testing.waiting import until
from lichen_adapters.asgi import Lichen, events, pages
from lichen_adapters.asgi.fastapi import session_of
from lichen_adapters.asgi.uvicorn import listen, serve
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


@dataclass
class Answer:
    status: int
    body: Any


async def request(program: Program, path: str, method: str = "GET", **headers: str) -> tuple[asyncio.StreamReader, Any]:
    """Begin a request; where to read the answer, and what closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(program.url.rpartition(":")[2]))
    lines = {"Host": program.url.removeprefix("http://"), "Connection": "close"} | program.headers | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
    return reader, writer


async def ask(program: Program, path: str, method: str = "GET") -> Answer:
    """The whole answer to a request."""
    reader, writer = await request(program, path, method)
    async with asyncio.timeout(20):
        status = int((await reader.readline()).split()[1])
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
    writer.close()
    return Answer(status, json.loads(body))


async def titles(program: Program) -> list[str]:
    async with program.lichen.session() as session:
        return list((await session.scalars(select(Task.title).order_by(Task.title))).all())


async def test_a_session_is_committed_before_the_answer_and_rolled_back_after_an_exception(tmp_path: Path) -> None:
    program = Program(tmp_path)
    session_ = session_of(program.lichen)
    seen: list[str] = []

    async def add(title: str, session: AsyncSession = session_) -> dict[str, str]:
        session.add(task := Task(title=title, body=""))
        await session.flush()
        if title == "refused":
            raise HTTPException(418, "a teapot")
        if title == "failed":
            raise NotFound("no such shop", hint="look elsewhere")
        return {"title": task.title}

    async def commits(scope: Any, receive: Any, send: Any) -> None:
        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen.extend(await titles(program))
            await send(message)

        await program_app(scope, receive, noting if scope["type"] == "http" else send)

    program.app.post("/tasks")(add)
    program_app = program.app
    async with served(commits) as program.url:
        await program.begin()
        assert await ask(program, "/tasks?title=Water", "POST") == Answer(200, {"title": "Water"})
        assert seen == ["Water"], "it was committed before the answer began"
        assert (await ask(program, "/tasks?title=refused", "POST")).status == 418
        failed = await ask(program, "/tasks?title=failed", "POST")
        assert failed.status == 404
        assert failed.body["error"] == {"type": "NotFound", "message": "no such shop", "hint": "look elsewhere"}
        assert await titles(program) == ["Water"]


async def test_starlette_has_sessions_and_the_program_too(tmp_path: Path) -> None:
    program = Program(tmp_path)
    lichen = program.lichen

    @lichen.with_session
    async def add(request: Request, session: AsyncSession) -> Response:
        session.add(Task(title=request.query_params["title"], body=""))
        if request.query_params["title"] == "failed":
            raise StoreFull("no space is left")
        return JSONResponse(request.state.lichen is lichen)

    def in_a_thread(_request: Request) -> Response:
        with lichen.sessions.begin(lichen.space) as session:
            session.add(Task(title="Bread", body=""))
        return JSONResponse("ok")

    app = Starlette(
        routes=[Route("/add", add, methods=["POST"]), Route("/bread", in_a_thread)], lifespan=lichen.lifespan
    )
    lichen.install(app)
    async with served(app) as program.url:
        await program.begin()
        assert await ask(program, "/add?title=Water", "POST") == Answer(200, True)
        assert (await ask(program, "/add?title=failed", "POST")).status == 507
        assert (await ask(program, "/bread")).status == 200
        assert await titles(program) == ["Bread", "Water"]


async def test_a_lifespan_of_the_application_s_own_goes_around_it(tmp_path: Path) -> None:
    lichen = Lichen(f"sqlite:///{tmp_path}/own.db", Base)
    happened: list[str] = []

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        happened.append("before")
        async with lichen.open() as engine:
            assert engine is lichen.engine
            with pytest.raises(EngineMisuse, match="open already"):
                async with lichen.open():
                    pass
            happened.append("open")
            yield {}
        happened.append("closed")

    async with served(FastAPI(lifespan=lifespan)):
        assert happened == ["before", "open"]
    assert happened == ["before", "open", "closed"]
    with pytest.raises(EngineMisuse, match=r"not open"):
        _ = lichen.engine
    async with served(FastAPI(lifespan=lifespan)):
        assert happened[-1] == "open", "it can be opened again"


async def test_the_address_is_of_one_start_and_what_pages_and_programs_carry_is_not(tmp_path: Path) -> None:
    lichen = Lichen(f"sqlite:///{tmp_path}/own.db")
    lichen.install(Starlette())
    found = []
    for _ in range(2):
        async with lichen.open():
            keys = lichen._open.keys
            assert lichen.address("http://localhost:80") == f"http://localhost:80/?token={keys.address}"
            assert lichen.token == keys.token
            found.append(keys)
    first, second = found
    assert (first.cookie, first.token) == (second.cookie, second.token)
    assert len({first.address, second.address, first.cookie, first.token}) == 4


async def test_a_program_that_nothing_guards_is_not_served(tmp_path: Path) -> None:
    lichen, app = Lichen(f"sqlite:///{tmp_path / 'ann.db'}", Base), Starlette()
    with listen(0) as listening:
        async with lichen.open():
            with pytest.raises(EngineMisuse, match=r"lichen\.install\(app\)"):
                lichen.address("http://127.0.0.1:1")
            with pytest.raises(EngineMisuse, match=r"lichen\.install\(app\)"):
                await serve(lichen, app, listening)
            lichen.install(app)
            assert lichen.address("http://127.0.0.1:1").startswith("http://127.0.0.1:1")


async def test_a_server_of_another_loop_is_told_so(tmp_path: Path) -> None:
    lichen, asked = Lichen(f"sqlite:///{tmp_path}/notes.db"), list[Request]()
    app = Starlette(routes=[Route("/", lambda request: asked.append(request))])
    lichen.install(app)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "scheme": "http",
        "server": ("::1", 8000),
    }

    async def nothing(*_: object) -> Any:
        return {"type": "http.disconnect"}

    async with lichen.open():
        headers = [(b"host", b"localhost"), (b"authorization", f"Bearer {lichen.token}".encode())]
        with pytest.raises(EngineMisuse, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(app({**scope, "headers": headers}, nothing, nothing)))
    assert asked == []


async def test_a_program_without_a_base_has_no_rows(tmp_path: Path) -> None:
    lichen = Lichen(f"sqlite:///{tmp_path}/own.db")
    async with lichen.open():
        for use in (lambda: lichen.sessions, lambda: lichen.async_sessions):
            with pytest.raises(ConfigError, match="has no rows"):
                use()


async def test_errors_have_the_status_of_their_kind(program: Program) -> None:
    raised: list[Exception] = [
        StoreLocked("held"),
        ConfigError("bad"),
        IntegrityError("", None, Exception("taken")),
        NoResultFound("no row"),
    ]

    @program.app.get("/fail/{number}")
    async def fail(number: int) -> None:
        raise raised[number]

    found = [await ask(program, f"/fail/{number}") for number in range(4)]
    assert [(answer.status, answer.body["error"]["type"]) for answer in found] == [
        (503, "StoreLocked"),
        (400, "ConfigError"),
        (409, "Conflict"),
        (404, "NotFound"),
    ]


async def event(reader: asyncio.StreamReader) -> dict[str, str]:
    """The next event of a stream, after its head."""
    async with asyncio.timeout(20):
        while True:
            text = (await reader.readuntil(b"\n\n")).decode().splitlines()
            fields = dict(line.split(": ", 1) for line in text if line.startswith(("id: ", "data: ", "event: ")))
            if fields:
                return fields


async def test_live_queries_are_events_that_go_on_where_they_were(program: Program) -> None:
    await program.add("Water")
    reader, writer = await request(program, "/lichen/live/tasks?least=0")
    first = await event(reader)
    assert [row["title"] for row in json.loads(first["data"])] == ["Water"]
    await program.add("Bread")
    second = await event(reader)
    assert [row["title"] for row in json.loads(second["data"])] == ["Bread", "Water"]
    writer.close()
    reader, writer = await request(program, "/lichen/live/tasks?least=0", Last_Event_ID=second["id"])
    await reader.readuntil(b"\r\n\r\n")
    await program.add("Coffee")
    assert [row["title"] for row in json.loads((await event(reader))["data"])] == ["Bread", "Coffee", "Water"]
    writer.close()


async def test_events_are_refused_in_words_and_bounded(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await ask(program, "/lichen/live/secrets")).status == 404
    assert (await ask(program, "/lichen/live/tasks?least=x")).status == 400
    assert (await ask(program, "/lichen/live/tasks?other=1")).body["error"]["message"] == "tasks has no 'other'"
    monkeypatch.setattr(pages, "PAGES", 1)
    reader, writer = await request(program, "/lichen/live/tasks")
    await event(reader)
    assert (await ask(program, "/lichen/live/tasks")).status == 429
    writer.close()
    await until(lambda: program.lichen._pages._count == 0)  # the server learns that the page is gone


async def test_a_stream_without_news_says_that_it_is_there(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "BEAT_S", 0.01)
    reader, writer = await request(program, "/lichen/live/tasks")
    async with asyncio.timeout(20):
        await reader.readuntil(b": here\n\n")
    writer.close()


async def test_a_row_that_cannot_be_told_ends_its_stream_in_words(
    program: Program, caplog: pytest.LogCaptureFixture
) -> None:
    @program.lichen.query(row=lambda _: 1 / 0)
    def broken() -> Select[Any]:
        return select(Task)

    @program.lichen.query(row=lambda _: "half \ud83d")
    def half() -> Select[Any]:
        return select(Task)

    await program.add("Water")
    for name, kind in (("broken", "InternalError"), ("half", "ConfigError")):
        reader, writer = await request(program, f"/lichen/live/{name}")
        told = await event(reader)
        assert (told["event"], json.loads(told["data"])["type"]) == ("refused", kind)
        async with asyncio.timeout(20):
            await reader.read()  # it ends
        writer.close()
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "what a page follows failed"
    ]


async def test_head_of_a_stream_is_answered_and_no_page(program: Program) -> None:
    reader, writer = await request(program, "/lichen/live/tasks", "HEAD")
    async with asyncio.timeout(20):
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()
    assert program.lichen._pages._count == 0


async def test_a_server_that_ends_lets_every_page_go(tmp_path: Path) -> None:
    async with running(Program(tmp_path)) as program:
        reader, writer = await request(program, "/lichen/live/tasks")
        await event(reader)
        page = await program.socket()
        program.lichen.end_pages()
        async with asyncio.timeout(20):
            await reader.read()
            await page.wait_closed()
        assert page.close_code == 1012
    writer.close()
