"""However the program ends, what a page counts as saved is there, and nothing goes on by itself."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from asgi_page import NodePage, node_page
from asgi_server import ask, told
from lichen import Engine
from lichen.testing.waiting import until
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

SERVE = Path(__file__).parent / "serve.py"


class Served:
    """The program in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, token: str) -> None:
        self.process = process
        self.port = port
        self.writers: list[asyncio.StreamWriter] = []
        self.headers = {"Origin": f"http://127.0.0.1:{port}", "Authorization": f"Bearer {token}"}

    async def line(self) -> str:
        """The next that it prints."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode()

    def socket(self) -> connect:
        """A page's websocket."""
        address = f"ws://127.0.0.1:{self.port}/lichen/socket"
        return connect(address, additional_headers=self.headers, proxy=None)

    async def get(self, path: str) -> asyncio.StreamReader:
        """The answer to a request, from its head on."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        self.writers.append(writer)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{head}\r\n".encode())
        return reader


@asynccontextmanager
async def process(folder: Path, port: int = 0, how: str = "lifespan") -> AsyncIterator[Served]:
    """The program, killed at the end of the block if it is still there."""
    command = (sys.executable, "-W", "error", str(SERVE), str(folder), str(port), how)
    running = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert running.stdout is not None
        served = Served(running, *json.loads(await running.stdout.readline()))
        yield served
        for writer in served.writers:
            writer.close()
    finally:
        with suppress(ProcessLookupError):
            running.kill()
        await running.wait()


async def text_of(folder: Path) -> str:
    """The note as it is on disk."""
    async with Engine.open(f"sqlite:///{folder}/ann.db") as engine:
        note = await engine.document((await engine.spaces[0].documents())[0].id)
        return str(note.doc["body"])


@pytest.mark.parametrize("how", ["lifespan", "around"])
async def test_ctrl_c_ends_it_with_pages_open_and_nothing_that_was_saved_is_lost(how: str, tmp_path: Path) -> None:
    async with process(tmp_path, how=how) as served, served.socket() as page:
        failed = await served.get("/fail")
        assert b" 500 " in await failed.readline()
        stream = await served.get("/lichen/live/tasks")
        await stream.readuntil(b"data: []")
        await ask(page, "live", 1, name="tasks")
        assert (await told(page))["rows"] == []
        await ask(page, "text", 2, name="notes", client="0123456789abcdef", flying=0)
        await told(page)
        await ask(page, "edit", 2, number=1, seen=0, delta=["saved"])
        assert (await told(page))["taken"] == 1
        served.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(15):
            assert json.loads(await served.line()) == [], "threads are left"
            assert await served.process.wait() == 0
        await stream.read()
    assert await text_of(tmp_path) == "saved"


async def test_a_page_that_outlives_kills_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Someone types on while the program is killed: in the middle of saving, and when an edit is on disk of which the
    page has not heard.
    """
    typed = ""
    port = 0
    async with node_page() as page:
        await page.do("begin")
        for round_ in range(3):
            async with process(tmp_path, port) as served, served.socket() as socket:
                port = served.port
                await page.do("open")
                hearing = asyncio.create_task(_hear(page, socket))
                await _send_until(page, socket, lambda: page.saved and not page.read_only)
                for number in range(20):
                    typed += await _type(page, f"{round_}.{number}😀 ")
                    await _send(page, socket)
                if round_ == 1:
                    await _send_until(page, socket, lambda: page.saved)
                    hearing.cancel()
                    typed += await _saved_unheard(served, page, socket, "unheard ")
                elif round_ == 2:
                    await _send_until(page, socket, lambda: page.saved)
                served.process.kill()
                await asyncio.wait([hearing])
            page.sent.clear()
            if round_ < 2:
                typed += await _type(page, f"away{round_} ")
                await page.do("lose")
        assert page.value == typed
    assert await text_of(tmp_path) == typed


async def _type(page: NodePage, word: str) -> str:
    await page.do("type", at=len(page.value.encode("utf-16-le")) // 2, gone=0, come=word)
    return word


async def _saved_unheard(served: Served, page: NodePage, socket: ClientConnection, word: str) -> str:
    """Type a word that is on disk, as another page hears, when this one has heard nothing of it."""
    async with served.socket() as other:
        await ask(other, "text", 1, name="notes", client="another page here", flying=0)
        await told(other)
        await _type(page, word)
        await _send(page, socket)
        assert word in (await told(other))["changed"]
    assert not page.saved
    return word


async def _hear(page: NodePage, socket: ClientConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await page.do("told", message=json.loads(await socket.recv()))


async def _send(page: NodePage, socket: ClientConnection) -> None:
    while page.sent:
        with suppress(ConnectionClosed):
            await socket.send(json.dumps(page.sent.popleft()))


async def _send_until(page: NodePage, socket: ClientConnection, done: Callable[[], bool]) -> None:
    async def sent() -> bool:
        await _send(page, socket)
        return done()

    await until(sent)
