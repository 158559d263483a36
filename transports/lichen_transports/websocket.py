"""WebSocket channels (RFC 6455), with and without TLS.

Subprotocol `lichen.v1`, binary messages only, no compression (what crosses is ciphertext), no keepalive of the
library's: a link has its own heartbeat. The path of an address is ignored by a listener and sent by a dialler, so that
a reverse proxy may route by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from lichen.errors import ConfigError, LinkBroken, LinkClosed, LinkError, Unreachable
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidURI
from websockets.frames import CloseCode
from websockets.protocol import State
from websockets.typing import Subprotocol

SUBPROTOCOL = Subprotocol("lichen.v1")

_DEFAULT_PORTS = {"ws": 80, "wss": 443}

# websockets reports every stranger who speaks no WebSocket with a traceback; we say what matters ourselves.
_websockets_log = logging.getLogger(f"{__name__}.websockets")
_websockets_log.setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketLimits:
    """What a WebSocket path waits for and holds."""

    open_s: float = 8.0
    """Longest time for connecting, TLS and the opening handshake together."""
    close_s: float = 1.0
    """Longest time for saying goodbye; then the connection is dropped."""
    send_buffer_bytes: int = 256 * 1024
    """A sender waits while more than this waits for the socket."""
    receive_frames: int = 32
    """Reading pauses while more messages than this are unread (a single read of the socket may exceed it)."""
    backlog: int = 256
    """Most opened channels that wait to be accepted; above, a newcomer is refused."""


@dataclass(frozen=True, slots=True)
class _Address:
    """A parsed address."""

    scheme: str
    host: str
    port: int
    target: str
    options: dict[str, str]

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.target}"


class WebSocketChannel:
    """One end of a WebSocket. One task at a time may receive; any number may send."""

    def __init__(self, connection: Connection, remote: str, limits: WebSocketLimits) -> None:
        self._connection = connection
        self._remote = remote
        self._close_s = limits.close_s
        self._closed = False

    @property
    def path(self) -> str:
        """`"websocket"`."""
        return "websocket"

    @property
    def binding(self) -> bytes:
        """Empty: TLS, where there is any, may end at a proxy, so nothing of it is bound."""
        return b""

    @property
    def remote(self) -> str:
        """The dialled address, or the address the other side came from."""
        return self._remote

    async def send(self, message: bytes) -> None:
        """Send one message; waits while the socket's buffer is full.

        Raises `LinkClosed` after `close`, `LinkBroken` when the path or the other side ended it.
        """
        if self._closed or self._connection.state is not State.OPEN:
            raise self._error()
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            raise self._error() from error
        if self._connection.state is not State.OPEN:
            raise self._error()

    async def receive(self) -> bytes:
        """The next message. What the other side sent before it closed is still delivered."""
        if self._closed:
            raise self._error()
        try:
            message = await self._connection.recv()
        except ConnectionClosed as error:
            raise self._error() from error
        if self._closed:
            raise self._error()
        if isinstance(message, str):
            await self._drop(CloseCode.UNSUPPORTED_DATA)
            raise LinkBroken(f"{self._remote} sent text where only binary messages are allowed")
        return message

    async def close(self) -> None:
        """End it: says goodbye for at most `close_s`, then drops the connection. Idempotent."""
        self._closed = True
        await self._drop(CloseCode.NORMAL_CLOSURE)

    async def _drop(self, code: CloseCode) -> None:
        try:
            async with asyncio.timeout(self._close_s):
                await self._connection.close(code)
        except TimeoutError:
            pass
        finally:
            self._connection.transport.abort()
        await self._connection.wait_closed()

    def _error(self) -> LinkError:
        if self._closed:
            return LinkClosed(f"the link to {self._remote} was closed here")
        protocol = self._connection.protocol
        if CloseCode.MESSAGE_TOO_BIG in (protocol.close_code, protocol.close_sent and protocol.close_sent.code):
            return LinkBroken(f"a message was larger than the link to {self._remote} allows")
        return LinkBroken(f"{self._remote} closed or lost the link")


class WebSocketListener:
    """Accepts WebSockets at one address."""

    def __init__(self, message_bytes: int, limits: WebSocketLimits) -> None:
        self._message_bytes = message_bytes
        self._limits = limits
        self._waiting: deque[WebSocketChannel] = deque()
        self._arrived = asyncio.Event()
        self._closed = False
        self._server: Server | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """The address to dial, with the port that was really bound."""
        return self._address

    async def start(self, address: _Address, tls: ssl.SSLContext | None) -> None:
        """Bind. Called once by the transport."""
        self._server = await serve(
            self._serve_one,
            await _one_host(address),
            address.port,
            ssl=tls,
            subprotocols=[SUBPROTOCOL],
            compression=None,
            server_header=None,
            open_timeout=self._limits.open_s,
            ping_interval=None,
            close_timeout=self._limits.close_s,
            max_size=self._message_bytes,
            max_queue=self._limits.receive_frames,
            write_limit=self._limits.send_buffer_bytes,
            logger=_websockets_log,
        )
        port = next(iter(self._server.sockets)).getsockname()[1]
        self._address = _Address(address.scheme, address.host, port, "", {}).url

    async def accept(self) -> WebSocketChannel:
        """The next incoming channel. Raises `LinkClosed` after `close`."""
        while True:
            if self._closed:
                raise LinkClosed(f"{self._address} no longer listens")
            if self._waiting:
                return self._waiting.popleft()
            self._arrived.clear()
            await self._arrived.wait()

    async def close(self) -> None:
        """Stop accepting; channels already accepted live on, the others are closed. Idempotent."""
        self._closed = True
        self._arrived.set()
        if self._server is not None:
            self._server.close(close_connections=False)
        waiting, self._waiting = list(self._waiting), deque()
        await asyncio.gather(*(channel.close() for channel in waiting))

    async def _serve_one(self, connection: ServerConnection) -> None:
        if self._closed or len(self._waiting) >= self._limits.backlog:
            await connection.close(CloseCode.TRY_AGAIN_LATER)
            return
        self._waiting.append(WebSocketChannel(connection, _name_of(connection), self._limits))
        self._arrived.set()
        await connection.wait_closed()


class WebSocketTransport:
    """Dials and listens at `ws://host:port` and `wss://host:port`.

    `client_tls` and `server_tls` are the TLS settings for `wss`. Without them a dialler trusts what the system trusts,
    and a listener takes its certificate from the address: `wss://host:port?cert=FILE&key=FILE` (PEM).
    """

    def __init__(
        self,
        limits: WebSocketLimits | None = None,
        *,
        client_tls: ssl.SSLContext | None = None,
        server_tls: ssl.SSLContext | None = None,
    ) -> None:
        self._limits = limits or WebSocketLimits()
        self._client_tls = client_tls
        self._server_tls = server_tls

    async def dial(self, url: str, *, message_bytes: int) -> WebSocketChannel:
        """Open a channel. Raises `Unreachable`, or `ConfigError` for an address it cannot read."""
        address = _parse(url)
        if not address.host or address.port == 0:
            raise ConfigError(f"{url!r} names no host and port to dial", hint="write ws://HOST:PORT")
        connection = await self._connect(address, message_bytes)
        channel = WebSocketChannel(connection, address.url, self._limits)
        if connection.subprotocol != SUBPROTOCOL:
            await channel.close()
            raise _unreachable(address, "a WebSocket answered, but not one of lichen")
        return channel

    async def listen(self, url: str, *, message_bytes: int) -> WebSocketListener:
        """Listen; port 0 lets the system choose. Raises `Unreachable` when the address cannot be bound."""
        address = _parse(url, any_host="0.0.0.0")
        listener = WebSocketListener(message_bytes, self._limits)
        tls = self._listening_tls(address)
        try:
            await listener.start(address, tls)
        except (OSError, OverflowError) as error:
            raise _unbindable(address, error) from error
        return listener

    async def _connect(self, address: _Address, message_bytes: int) -> ClientConnection:
        tls: dict[str, Any] = {"ssl": self._client_tls} if address.scheme == "wss" and self._client_tls else {}
        try:
            return await _Dial(
                address.url,
                subprotocols=[SUBPROTOCOL],
                compression=None,
                user_agent_header=None,
                proxy=None,
                open_timeout=self._limits.open_s,
                ping_interval=None,
                close_timeout=self._limits.close_s,
                max_size=message_bytes,
                max_queue=self._limits.receive_frames,
                write_limit=self._limits.send_buffer_bytes,
                logger=_websockets_log,
                **tls,
            )
        except (OSError, InvalidHandshake, InvalidMessage, ConnectionClosed) as error:
            raise _undialled(address, error) from error
        except (InvalidURI, ValueError) as error:
            raise ConfigError(f"cannot dial {address.url!r}", hint="write ws://HOST:PORT") from error

    def _listening_tls(self, address: _Address) -> ssl.SSLContext | None:
        if address.scheme == "ws":
            return None
        if self._server_tls is not None:
            return self._server_tls
        if "cert" not in address.options:
            raise ConfigError("wss needs a certificate to listen", hint="write wss://HOST:PORT?cert=FILE&key=FILE")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            tls.load_cert_chain(address.options["cert"], address.options.get("key"))
        except OSError as error:
            raise ConfigError(
                f"cannot read the certificate {address.options['cert']!r}: {error}",
                hint="write wss://HOST:PORT?cert=FILE&key=FILE, with files in PEM that this user may read",
            ) from error
        return tls


class _Dial(connect):
    """A dial that stays where it was sent: redirects are not followed."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def _one_host(address: _Address) -> str:
    """What to bind. With port 0 a name is cut to its first address, since each would get a port of its own."""
    if address.port != 0:
        return address.host
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return str(found[0][4][0])


def _parse(url: str, *, any_host: str = "") -> _Address:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"cannot read the address {url!r}: {error}", hint="write ws://HOST:PORT") from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise ConfigError(f"not a WebSocket address: {url!r}", hint="write ws://HOST:PORT")
    if parts.username is not None or parts.fragment or not url.isprintable() or " " in url or len(url) > 2048:
        raise ConfigError(f"an address has only host, port, path and options: {url!r}", hint="write ws://HOST:PORT")
    _check_host(parts)
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    target = parts.path if parts.path != "/" else ""
    port = _DEFAULT_PORTS[parts.scheme] if port is None else port
    return _Address(parts.scheme, parts.hostname or any_host, port, target, options)


def _check_host(parts: SplitResult) -> None:
    try:
        (parts.hostname or "").encode("idna")
    except UnicodeError as error:
        raise ConfigError(f"not a host name: {parts.hostname!r}", hint="write ws://HOST:PORT") from error


def _name_of(connection: Connection) -> str:
    with contextlib.suppress(OSError, TypeError, IndexError):
        host, port = connection.remote_address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return "unknown"


def _unreachable(address: _Address, reason: str, hint: str = "") -> Unreachable:
    return Unreachable(
        f"cannot reach {address.url}: {reason}", hint=hint or "check the address, and that it is a lichen node"
    )


def _undialled(address: _Address, error: Exception) -> Unreachable:
    if isinstance(error, ssl.SSLError):
        return _unreachable(address, f"TLS failed ({error.reason})", "check the certificate, and ws:// against wss://")
    if isinstance(error, TimeoutError):
        return _unreachable(address, "no answer in time", "check the address, the network and the firewall")
    if isinstance(error, ConnectionRefusedError):
        return _unreachable(address, "nobody listens there", "check the address, and that the node runs")
    if isinstance(error, OSError):
        return _unreachable(address, error.strerror or str(error), "check the address and the network")
    return _unreachable(address, "what answers there speaks no lichen")


def _unbindable(address: _Address, error: Exception) -> Unreachable:
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        reason = os.strerror(error.errno)  # without the address, which asyncio puts in
    return Unreachable(f"cannot listen at {address.url}: {reason}", hint="choose another host or port, or port 0")


transport = WebSocketTransport()
"""The entry point of schemes `ws` and `wss`."""
