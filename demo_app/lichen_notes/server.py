"""The local web server: one page, a JSON interface, and one websocket for each page.

Only this computer's own browser may use it: the address is a loopback one, `Host` and `Origin` must name it (so that
a foreign page cannot reach it through a name of its own), and every request carries a token. It is a secret of the
device, the same at every start, so that a page that stays open while the program is started again goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from lichen.errors import LichenError
from lichen.ids import DocId
from lichen_crdt import CrdtError
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from lichen_notes.authority import BadUpdate, Update
from lichen_notes.desk import Desk, Page, parse_id
from lichen_notes.room import Room

STATIC = Path(__file__).parent / "static"
BODY_BYTES = 8 * 1024 * 1024
"""Largest request or websocket message."""
WAITING_MESSAGES = 10_000
"""Messages that may wait for a slow page; above, its socket is closed, and it comes back to the newest state."""


class Server:
    """The web application over one desk."""

    def __init__(self, desk: Desk, host: str, port: int) -> None:
        self.desk = desk
        self.token = desk.engine.derive_secret("lichen-notes page").hex()
        self._port = port
        self._hosts = {f"{name}:{port}" for name in (host, "127.0.0.1", "localhost")}
        self.app = Starlette(routes=self._routes(), lifespan=self._lifespan)

    @property
    def url(self) -> str:
        """The address to open, with the token."""
        return f"http://127.0.0.1:{self._port}/?token={self.token}"

    def _routes(self) -> list[Any]:
        return [
            Route("/", self.index),
            Mount("/static", StaticFiles(directory=STATIC, check_dir=False)),
            Route("/api/state", self._api(self._state)),
            Route("/api/spaces", self._api(self._create_space), methods=["POST"]),
            Route("/api/spaces/{space}/notes", self._api(self._create_note), methods=["POST"]),
            Route("/api/spaces/{space}/invite", self._api(self._invite), methods=["POST"]),
            Route("/api/join", self._api(self._join), methods=["POST"]),
            Route("/api/notes/{note}", self._api(self._note)),
            Route("/api/notes/{note}/append", self._api(self._append), methods=["POST"]),
            WebSocketRoute("/live", self.live),
        ]

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        running = asyncio.create_task(self.desk.run(), name="desk")
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    # Who may

    @property
    def _cookie(self) -> str:
        return f"lichen_notes_{self._port}"

    def _is_ours(self, connection: HTTPConnection) -> bool:
        """The request names this server, and does not come from a page of another one."""
        origin = connection.headers.get("origin")
        own = {f"http://{host}" for host in self._hosts}
        return connection.headers.get("host", "") in self._hosts and (origin is None or origin in own)

    def _may(self, connection: HTTPConnection) -> bool:
        given = connection.cookies.get(self._cookie, "")
        scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            given = bearer
        return self._is_ours(connection) and hmac.compare_digest(given.encode(), self.token.encode())

    # The page

    async def index(self, request: Request) -> Response:
        """The page, for who has the token in a cookie; the address with the token sets it."""
        if not self._is_ours(request):
            return Response("this address belongs to another page", 403)
        given = request.query_params.get("token", "")
        if given and hmac.compare_digest(given.encode(), self.token.encode()):
            redirect = RedirectResponse("/", 303)
            redirect.set_cookie(self._cookie, self.token, httponly=True, samesite="strict")
            return redirect
        if not self._may(request):
            return HTMLResponse("<p>Open the address that <code>lichen-notes</code> has printed.</p>", 403)
        if not (STATIC / "bundle" / "app.js").exists():
            return HTMLResponse("<p>This build lacks the page: it was built without npm.</p>", 501)
        nonce = secrets.token_urlsafe(16)
        page = (STATIC / "index.html").read_text().replace("{{nonce}}", nonce)
        return HTMLResponse(page, headers=_headers(nonce))

    # The JSON interface

    def _api(self, work: Callable[[Request, dict[str, Any]], Awaitable[dict[str, Any]]]) -> Any:
        async def answer(request: Request) -> Response:
            if not self._may(request):
                return _error("Forbidden", "the token is missing or wrong", 403)
            try:
                return JSONResponse(await work(request, await _body(request)))
            except (LichenError, CrdtError) as error:
                return _error(type(error).__name__, str(error), 400, getattr(error, "hint", ""))

        return answer

    async def _state(self, _request: Request, _body: dict[str, Any]) -> dict[str, Any]:
        return await self.desk.state()

    async def _create_space(self, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return await self.desk.create_space(_string(body, "name"), _string(body, "me"))

    async def _create_note(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return await self.desk.create_note(request.path_params["space"], _string(body, "title"), _string(body, "body"))

    async def _invite(self, request: Request, _body: dict[str, Any]) -> dict[str, Any]:
        return await self.desk.invite(request.path_params["space"])

    async def _join(self, _request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return await self.desk.join(_string(body, "ticket"), _string(body, "me"), 60.0)

    async def _note(self, request: Request, _body: dict[str, Any]) -> dict[str, Any]:
        note = await self.desk.engine.document(DocId(parse_id(request.path_params["note"], 16)))
        await note.saved()
        content = note.doc.to_py()
        title, text = str(content.get("title", "")), str(content.get("body", ""))
        return {"title": title, "text": text, "heads": [head.hex() for head in note.heads]}

    async def _append(self, request: Request, body: dict[str, Any]) -> dict[str, Any]:
        note = await self.desk.engine.document(DocId(parse_id(request.path_params["note"], 16)))
        async with note.change("append") as doc:
            doc.text("body").append(_string(body, "text"))
        return {"saved": True, "heads": [head.hex() for head in note.heads]}

    # The live socket

    async def live(self, socket: WebSocket) -> None:
        """Serve one page until it goes."""
        if not self._may(socket):
            await socket.close(4403)
            return
        await socket.accept()
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING_MESSAGES)
        slow = asyncio.Event()

        def tell(message: dict[str, Any]) -> None:
            try:
                waiting.put_nowait(message)
            except asyncio.QueueFull:
                slow.set()

        page = Page(tell)
        tasks: list[asyncio.Task[Any]] = []
        self.desk.add(page)
        try:
            tell(await self.desk.state())
            tasks += [
                asyncio.create_task(self._send(socket, waiting)),
                asyncio.create_task(self._receive(socket, page)),
                asyncio.create_task(slow.wait()),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.desk.remove(page)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await socket.close()

    async def _send(self, socket: WebSocket, waiting: asyncio.Queue[dict[str, Any]]) -> None:
        while True:
            await socket.send_text(json.dumps(await waiting.get(), ensure_ascii=False))

    async def _receive(self, socket: WebSocket, page: Page) -> None:
        while True:
            text = await socket.receive_text()
            note = ""
            try:
                message = _parse(text)
                note = _string(message, "note")
                await self._message(page, message)
            except (LichenError, CrdtError, BadUpdate) as error:
                hint = getattr(error, "hint", "")
                page.tell({"type": "error", "note": note, "message": str(error), "hint": hint})

    async def _message(self, page: Page, message: dict[str, Any]) -> None:
        kind = message.get("type")
        if kind == "leave":
            self.desk.leave(page, DocId(parse_id(_string(message, "note"), 16)))
            return
        room = await self.desk.room(page, _string(message, "note"))
        match kind:
            case "open":
                heads = message.get("heads")
                known = [head for head in heads if isinstance(head, str)][:1_000] if isinstance(heads, list) else []
                page.tell(await room.opened(_string(message, "client"), known))
                page.tell(self.desk.people(room))
            case "pull":
                await self._pull(page, room, message)
            case "push":
                await self._push(page, room, message)
            case "title":
                await room.retitle(_string(message, "title"))
            case "cursor":
                self.desk.show_cursor(room, _integer(message, "anchor"), _integer(message, "head"))
            case _:
                raise BadUpdate("a page sent a message of an unknown kind")

    async def _pull(self, page: Page, room: Room, message: dict[str, Any]) -> None:
        version = _integer(message, "version")
        if message.get("epoch") == room.epoch and room.authority.since(version) is not None:
            page.tell(room.updates(version))
        else:
            page.tell(await room.opened(_string(message, "client"), []))

    async def _push(self, page: Page, room: Room, message: dict[str, Any]) -> None:
        client = _string(message, "client")
        if message.get("epoch") != room.epoch:
            page.tell(await room.opened(client, []))
            return
        updates = [Update(client, _changes(item)) for item in _list(message, "updates")]
        pushed = await room.push(client, _integer(message, "version"), _integer(message, "last"), updates)
        page.tell(
            {
                "type": "pushed",
                "note": room.note.id.hex(),
                "taken": pushed.taken,
                "version": pushed.version,
                "heads": pushed.heads,
            }
        )


def _headers(nonce: str) -> dict[str, str]:
    policy = (
        "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"style-src 'self' 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }


def _error(kind: str, message: str, status: int, hint: str = "") -> Response:
    return JSONResponse({"error": {"type": kind, "message": message, "hint": hint}}, status)


async def _body(request: Request) -> dict[str, Any]:
    if request.method == "GET":
        return {}
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > BODY_BYTES:
            raise LichenError(f"a request is larger than {BODY_BYTES} bytes")
    return _parse(data) if data else {}


def _parse(data: str | bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise LichenError("a request is not a JSON object")
    return value


def _string(body: dict[str, Any], key: str) -> str:
    value = body.get(key, "")
    if not isinstance(value, str):
        raise LichenError(f"{key} is not text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise LichenError(f"{key} holds half of a character") from error
    return value


def _integer(body: dict[str, Any], key: str) -> int:
    value = body.get(key, 0)
    if type(value) is not int:
        raise LichenError(f"{key} is not a whole number")
    return value


def _list(body: dict[str, Any], key: str) -> list[Any]:
    value = body.get(key, [])
    if not isinstance(value, list):
        raise LichenError(f"{key} is not a list")
    return value


def _changes(item: Any) -> list[Any]:
    changes = item.get("changes") if isinstance(item, dict) else None
    if not isinstance(changes, list):
        raise BadUpdate("an update carries no changes")
    return changes
