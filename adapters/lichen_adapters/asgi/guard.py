"""Keeps everyone out but the program's own pages.

Any site in a browser can reach a server on this computer. So a request must name this server (`Host`: else a foreign
page could come under a name of its own, which it lets point here), must not come from a page of another origin
(`Origin`, `Sec-Fetch-Site`), and must carry a token: in a cookie that no foreign site's request brings
(`SameSite=Strict`), or as `Authorization: Bearer` from programs. The token is a secret of this device, the same at
every start, so that a page that stays open while the program is started again goes on.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit

from lichen.errors import ConfigError
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from lichen_adapters.asgi.bounds import REFUSED

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
PARAMETER = "token"
"""Of the address that a person opens."""

FOREIGN = "a page of another origin may not use this program"
UNKNOWN_HOST = "this program is not called that"
NO_TOKEN = "this page was opened without the program's token"
HINT = "open the address that the program shows"


class Guard:
    """ASGI middleware around an application, with every route, static files and websockets in it."""

    def __init__(self, app: ASGIApp, token: Callable[[], str], hosts: Iterable[str] = ()) -> None:
        """`hosts` are names under which the program may be reached beside loopback ones, without ports."""
        self._app = app
        self._token = token
        self._hosts = LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._foreign(scope, headers)
        if refusal:
            await _refuse(scope, receive, send, refusal)
        elif entry := self._entry(scope):
            await entry(scope, receive, send)
        elif self._has_token(scope, headers):
            await self._app(scope, receive, send)
        else:
            await _ask_for_token(scope, receive, send)

    def _foreign(self, scope: Scope, headers: Headers) -> str:
        """Why a request does not come from a page of this program; empty where it may."""
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or _name(hosts[0]) not in self._hosts:
            return UNKNOWN_HOST
        scheme = {"ws": "http", "wss": "https"}.get(scope["scheme"], scope["scheme"])
        if origins:
            return "" if origins == [f"{scheme}://{hosts[0].lower()}"] else FOREIGN
        opened = scope["type"] == "http" and scope["method"] == "GET" and headers.get("sec-fetch-mode") == "navigate"
        opened = opened and headers.get("sec-fetch-dest") == "document"
        own = headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        return "" if own or opened else FOREIGN

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        return self._is_token(
            bearer if kind.lower() == "bearer" else HTTPConnection(scope).cookies.get(_cookie_of(scope), "")
        )

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self._token().encode())

    def _entry(self, scope: Scope) -> ASGIApp | None:
        """An answer to the address with the token: the cookie, and the same address without it."""
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not any(name == PARAMETER and self._is_token(value) for name, value in query):
            return None
        rest = urlencode([(name, value) for name, value in query if name != PARAMETER])
        path = "/" + scope["path"].lstrip("/\\")
        found = RedirectResponse(
            f"{path}?{rest}" if rest else path, 303, {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        )
        found.set_cookie(
            _cookie_of(scope), self._token(), httponly=True, samesite="strict", secure=scope["scheme"] == "https"
        )
        return found


def with_token(address: str, token: str) -> str:
    """The address that a person opens. Raises `ConfigError` for what is no address of a page."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise ConfigError(f"{address!r} is no address of a page", hint="such as http://127.0.0.1:8000")
    query = urlencode([*parse_qsl(parts.query), (PARAMETER, token)])
    return parts._replace(path=parts.path or "/", query=query).geturl()


async def _refuse(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    if scope["type"] == "websocket":  # before it is accepted: the server answers 403
        await send({"type": "websocket.close", "code": REFUSED, "reason": why})
        return
    error = {"type": "Forbidden", "message": why, "hint": HINT}
    await JSONResponse({"error": error}, 403)(scope, receive, send)


async def _ask_for_token(scope: Scope, receive: Receive, send: Send) -> None:
    """It is a page of this origin: a socket is told by a code that its page can read."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    await _refuse(scope, receive, send, NO_TOKEN)


def _cookie_of(scope: Scope) -> str:
    """Cookies do not tell ports apart, and several programs may run: the name does."""
    server = scope.get("server") or ("", 0)
    return f"lichen_{server[1]}"


def _name(host: str) -> str:
    """A `Host` without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()
