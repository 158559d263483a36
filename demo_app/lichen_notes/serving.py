"""Serving a device's pages until the program is told to end. It needs the extra `demo`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from lichen.cli.nodes import interruptible

from lichen_notes.desk import Desk
from lichen_notes.server import BODY_BYTES, Server


async def serve(desk: Desk, host: str, listening: socket.socket, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is told the address of the page."""
    server = Server(desk, host, listening.getsockname()[1])
    ready(server.url)
    config = uvicorn.Config(
        server.app,
        log_level="error",
        access_log=False,
        ws="websockets-sansio",
        ws_max_size=BODY_BYTES,
        timeout_graceful_shutdown=2,
        lifespan="on",
    )
    web = uvicorn.Server(config)
    async with interruptible() as stop:
        serving = asyncio.create_task(web.serve(sockets=[listening]))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
        web.should_exit = True
        await serving
        stopped.cancel()
