"""The module of pages without a browser, and sockets whose two ways a test holds in its hands."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from lichen_adapters.asgi.pages import Pages
from lichen_adapters.asgi.socket import PageSocket
from starlette.websockets import WebSocketDisconnect

DRIVER = Path(__file__).parent / "drive_page.mjs"


class NodePage:
    """One page, in a process of Node's."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()
        self.sent: deque[dict[str, Any]] = deque()
        """What it has sent, and nobody has taken."""
        self.failed: list[dict[str, str]] = []
        self.reported: list[str] = []
        """Exceptions of which the page's console learns."""
        self.pauses: list[int] = []
        """Before it does something again, in milliseconds."""
        self.state: Any = None
        self.closed: bool | None = None
        """What closing the text has told."""
        self.value = ""
        self.saved = True
        self.chosen = [0, 0]
        self.read_only = False
        self.deltas: Any = None
        self.open = False

    async def do(self, name: str, **more: Any) -> None:
        """Have it do something."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps({"do": name, **more}).encode() + b"\n")
            line = await self._process.stdout.readline()
        assert line, "the page failed"
        found = json.loads(line)
        self.sent.extend(found["sent"])
        self.failed += found["failed"]
        self.reported += found["reported"]
        self.pauses += found["pauses"]
        self.state, self.closed = found.get("state"), found.get("closed")
        self.value, self.saved, self.chosen = found.get("value", ""), found.get("saved"), found["chosen"]
        self.read_only, self.deltas = found.get("readOnly", False), found.get("deltas")


@asynccontextmanager
async def node_page() -> AsyncIterator[NodePage]:
    """A process for one page."""
    node = shutil.which("node")
    assert node, "Node is needed, which comes with npm"
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(node, str(DRIVER), stdin=pipe, stdout=pipe, limit=2**24)
    try:
        yield NodePage(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


class HeldSocket:
    """A websocket as Starlette has it, on which things move when the test wants."""

    def __init__(self) -> None:
        self.coming: asyncio.Queue[str | None] = asyncio.Queue()
        self.told: deque[str] = deque()
        self.closed: tuple[int, str] | None = None

    async def accept(self) -> None:
        """Always."""

    async def receive_text(self) -> str:
        """What the test lets through."""
        text = await self.coming.get()
        if text is None:
            raise WebSocketDisconnect
        return text

    async def send_text(self, text: str) -> None:
        """Keeps it for the test."""
        self.told.append(text)

    async def close(self, code: int, reason: str) -> None:
        """Notes it."""
        self.closed = (code, reason)


class Line:
    """A page, and its way to the program."""

    def __init__(self, page: NodePage, pages: Pages) -> None:
        self.page = page
        self._pages = pages
        self.socket = HeldSocket()
        self.serving: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Connect, by a new socket."""
        self.socket = HeldSocket()
        source: Any = self.socket
        self.serving.append(asyncio.create_task(PageSocket(source, self._pages, asyncio.Event()).serve()))
        self.page.open = True
        await self.page.do("open")

    async def lose(self) -> None:
        """The path is gone, with all that is on it; the program learns of it later."""
        self.page.open = False
        self.page.sent.clear()
        self.socket.told.clear()
        self.socket.coming.put_nowait(None)
        await self.page.do("lose")

    def to_program(self) -> bool:
        """Let one message through."""
        if not self.page.sent:
            return False
        self.socket.coming.put_nowait(json.dumps(self.page.sent.popleft()))
        return True

    async def to_page(self) -> bool:
        """Let one message through."""
        if not self.page.open or not self.socket.told:
            return False
        await self.page.do("told", message=json.loads(self.socket.told.popleft()))
        return True

    async def end(self) -> None:
        """Wait for what served it."""
        self.socket.coming.put_nowait(None)
        await asyncio.gather(*self.serving)
