"""Keeps everyone out but the program's own pages.

Any site in a browser can reach a server on this computer. So a request must name this server (`Host`: else a foreign
page could come under a name of its own, which it lets point here), must not come from a page of another origin
(`Origin`, `Sec-Fetch-Site`), and must carry a key: in a cookie that no foreign site's request brings
(`SameSite=Strict`), or as `Authorization: Bearer` from programs. No key tells anything of another.

The cookie comes from the address that a person opens. What stands there is read by others, in a log, a history or a
list of processes: it is another key at each start. Cookies know no ports: another server of this computer that is
opened in the same browser under the same name is sent the cookie, and could use it.
"""

from __future__ import annotations

import hmac
import html
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from lichen.errors import ConfigError
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lichen_adapters.asgi.bounds import REFUSED

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
PARAMETER = "token"
"""Of the address that a person opens."""

_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")

FOREIGN = "a page of another origin may not use this program"
UNKNOWN_HOST = "this program is not called that"
NO_TOKEN = "this page was opened without the program's token"
HINT = "open the address that the program shows"


@dataclass(frozen=True, slots=True)
class Keys:
    """What lets in, three texts that tell nothing of each other."""

    address: str
    """In the address that a person opens; of one start."""
    cookie: str
    """Of pages; the same at every start, so that a page that stays open meanwhile goes on."""
    token: str
    """Of programs, as `Authorization: Bearer`; the same at every start."""


class Guard:
    """ASGI middleware around an application, with every route, static files and websockets in it."""

    def __init__(self, app: ASGIApp, keys: Callable[[], Keys], hosts: Iterable[str] = ()) -> None:
        """`hosts` are names under which the program may be reached beside loopback ones, without ports.

        Raises `ConfigError`.
        """
        self._app = app
        self._keys = keys
        self._hosts = LOOPBACK | names(hosts)

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
        elif self._has_key(scope, headers):
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

    def _has_key(self, scope: Scope, headers: Headers) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return _same(token, self._keys().token)
        return _same(HTTPConnection(scope).cookies.get(_cookie_of(scope), ""), self._keys().cookie)

    def _entry(self, scope: Scope) -> ASGIApp | None:
        """An answer to the address with its key: the cookie, and a page that goes on to the address without it.

        Not a redirect, at which a browser that comes from a link of another site would leave the cookie out.
        """
        if scope["type"] != "http" or scope["method"] != "GET":
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if not any(name == PARAMETER and _same(value, self._keys().address) for name, value in query):
            return None
        rest = urlencode([(name, value) for name, value in query if name != PARAMETER])
        path = "/" + quote(scope["path"].lstrip("/\\"))
        place = html.escape(f"{path}?{rest}" if rest else path)
        found = HTMLResponse(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={place}"><a href="{place}">Go on</a>',
            headers={"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"},
        )
        secure = scope["scheme"] == "https"
        found.set_cookie(_cookie_of(scope), self._keys().cookie, httponly=True, samesite="strict", secure=secure)
        return found


def names(hosts: Iterable[str]) -> frozenset[str]:
    """Names of this program as `Host` has them. Raises `ConfigError` where one never comes so, such as with a port."""
    if isinstance(hosts, str):
        raise ConfigError(f"hosts={hosts!r} is one text", hint=f"give hosts=[{hosts!r}]")
    given = frozenset(host.lower() for host in hosts)
    for host in given:
        if not _HOST.fullmatch(host):
            raise ConfigError(f"{host!r} is no name of a host", hint="such as notes.example, without a port")
    return given


def with_key(address: str, key: str) -> str:
    """The address that a person opens. Raises `ConfigError` for what is no address of a page."""
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # half an IPv6 address, or no port
        known = False
    if not known:
        raise ConfigError(f"{address!r} is no address of a page", hint="such as http://127.0.0.1:8000")
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), (PARAMETER, key)])
    return parts._replace(path=parts.path or "/", query=query).geturl()


async def _refuse(scope: Scope, receive: Receive, send: Send, why: str) -> None:
    if scope["type"] == "websocket":  # before it is accepted: the server answers 403
        await send({"type": "websocket.close", "code": REFUSED, "reason": why})
        return
    answer: Response
    if "text/html" in Headers(scope=scope).get("accept", ""):
        answer = HTMLResponse(f"<!doctype html><title>Not here</title><p>Not here: {why}.<p>{HINT.capitalize()}.", 403)
    else:
        answer = JSONResponse({"error": {"type": "Forbidden", "message": why, "hint": HINT}}, 403)
    await answer(scope, receive, send)


async def _ask_for_token(scope: Scope, receive: Receive, send: Send) -> None:
    """It is a page of this origin: a socket is told by a code that its page can read."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
    await _refuse(scope, receive, send, NO_TOKEN)


def _same(given: str, key: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), key.encode())


def _cookie_of(scope: Scope) -> str:
    """Cookies do not tell ports apart, and several programs may run: the name does."""
    server = scope.get("server") or ("", 0)
    return f"lichen_{server[1]}"


def _name(host: str) -> str:
    """A `Host` without its port."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdecimal() else host).lower()
