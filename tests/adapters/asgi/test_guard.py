"""Who may come in: the program's own pages, and programs that have the token."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from lichen.errors import ConfigError
from lichen_adapters.asgi import Lichen
from lichen_adapters.asgi.guard import Guard, Keys, with_key
from starlette.types import Receive, Scope, Send

KEYS = Keys(address="a key", cookie="a secret", token="a token")
HOST = "127.0.0.1:8000"
OWN = {"host": HOST, "origin": f"http://{HOST}"}


class Answered(dict[str, Any]):
    """What came of a request; `reached` says whether the application was."""


async def ask(headers: dict[str, str], method: str = "GET", path: str = "/", query: str = "", **more: Any) -> Answered:
    answered = Answered(reached=False)

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        answered["reached"] = True

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answered.update(message)

    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "scheme": "http"}
    scope |= {"headers": raw, "server": ("127.0.0.1", 8000)} | more
    await Guard(app, lambda: KEYS, hosts=["notes.example"])(scope, receive, send)
    return answered


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_program_s_own_page_is_let_in(kind: str, method: str) -> None:
    scheme = "http" if kind == "http" else "ws"
    cookie = OWN | {"cookie": f"lichen_8000={KEYS.cookie}"}
    assert (await ask(cookie, method, type=kind, scheme=scheme))["reached"]
    assert (await ask({"host": HOST, "authorization": f"Bearer {KEYS.token}"}, method, type=kind, scheme=scheme))[
        "reached"
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9000"},
        {"origin": "http://localhost:8000"},
        {"origin": "https://127.0.0.1:8000"},
        {"origin": "null"},
        {"host": "evil.example:8000"},
        {"host": "evil.example:8000", "origin": "http://evil.example:8000"},
        {"host": "127.0.0.1.evil.example"},
        {"host": ""},
        {"origin": "", "sec-fetch-site": "cross-site"},
        {"origin": "", "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
        {"origin": "", "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_foreign_pages_and_names_are_refused_also_with_the_token(kind: str, changed: dict[str, str]) -> None:
    headers = {"host": HOST, "origin": f"http://{HOST}", "cookie": f"lichen_8000={KEYS.cookie}"} | changed
    found = await ask({name: value for name, value in headers.items() if value or name == "host"}, type=kind)
    assert not found["reached"]
    if kind == "http":
        assert found["type"] == "http.response.body"
        assert b"another origin" in found["body"] or b"not called that" in found["body"]
    else:
        assert (found["type"], found["code"]) == ("websocket.close", 4403)


@pytest.mark.parametrize("cookie", ["", "lichen_8000=wrong", "lichen_8001=a secret", "lichen_8000=\xe9", "=;;="])
async def test_without_the_token_a_page_is_refused(cookie: str) -> None:
    headers = {"host": HOST, "cookie": cookie}
    found = await ask(headers)
    assert not found["reached"]
    assert b"open the address that the program shows" in found["body"]
    socket = await ask(headers | {"origin": f"http://{HOST}"}, type="websocket", scheme="ws")
    assert (socket["reached"], socket["code"], socket["reason"]) == (
        False,
        4403,
        "this page was opened without the program's token",
    )


async def test_a_person_reads_a_refusal_as_a_page_and_a_program_as_json() -> None:
    page = await ask({"host": HOST, "accept": "text/html,application/xhtml+xml"})
    assert (page["status"], b"open the address" in page["body"].lower()) == (403, True)
    assert dict(page["headers"])[b"content-type"].startswith(b"text/html")
    answer = await ask({"host": HOST, "accept": "*/*"})
    assert (answer["status"], json.loads(answer["body"])["error"]["type"]) == (403, "Forbidden")


async def test_no_key_is_of_use_in_the_place_of_another() -> None:
    for key in (KEYS.address, KEYS.token):
        assert not (await ask({"host": HOST, "cookie": f"lichen_8000={key}"}))["reached"]
    for key in (KEYS.address, KEYS.cookie):
        assert not (await ask({"host": HOST, "authorization": f"Bearer {key}"}))["reached"]
    for key in (KEYS.token, KEYS.cookie):
        assert "set-cookie" not in await _headers("/", urlencode({"token": key}))


async def test_the_address_with_its_key_gives_the_cookie_and_goes_on_to_a_plain_address() -> None:
    found = await ask({"host": "localhost:8000"}, path='/li"st', query="tag=a+b&x=&y=1&token=a+key")
    assert not found["reached"]
    assert b'content="0;url=/li%22st?tag=a+b&amp;x=&amp;y=1"' in found["body"]
    assert (
        b'content="0;url=/evil.example/"'
        in (await ask({"host": HOST}, path="//evil.example/", query="token=a+key"))["body"]
    )
    headers = await _headers("/", "token=a+key")
    assert headers["set-cookie"].startswith('lichen_8000="a secret"')
    assert "httponly" in headers["set-cookie"].lower()
    assert "samesite=strict" in headers["set-cookie"].lower()
    assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert b"Forbidden" in (await ask({"host": HOST}, "POST", query="token=a+key"))["body"]
    assert "set-cookie" not in await _headers("/", "token=wrong")


async def _headers(path: str, query: str) -> dict[str, str]:
    found: dict[str, str] = {}

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise AssertionError

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        found.update({name.decode(): value.decode() for name, value in message.get("headers", ())})

    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode(), "scheme": "http"}
    await Guard(app, lambda: KEYS)(
        scope | {"headers": [(b"host", b"[::1]:8000")], "server": ("::1", 8000)}, receive, send
    )
    return found


async def test_other_names_of_the_program_are_those_that_it_was_given() -> None:
    headers = {"host": "Notes.example", "origin": "http://notes.example", "authorization": f"bearer {KEYS.token}"}
    assert (await ask(headers))["reached"]
    assert (await ask({}, type="lifespan"))["reached"]


@pytest.mark.parametrize("hosts", ["notes.example", ["notes.example:8000"], ["http://notes"], [""], ["nötes.example"]])
def test_what_is_no_name_of_a_host_is_refused_at_once(hosts: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"one text|no name"):
        Lichen("memory://", hosts=hosts)


def test_an_address_gets_the_key() -> None:
    assert with_key("http://127.0.0.1:8000", "ab") == "http://127.0.0.1:8000/?token=ab"
    assert with_key("http://localhost/list?tag=x&all=", "ab") == "http://localhost/list?tag=x&all=&token=ab"
    for address in ("127.0.0.1", "http://[::1", "http://localhost:x", "http://:80", ""):
        with pytest.raises(ConfigError, match="no address"):
            with_key(address, "ab")
