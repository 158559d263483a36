"""Serves the tests' program in a process of its own: `serve.py FOLDER PORT HOW`. It prints port and token, and at its
end the threads that are left. HOW the engine is opened: in the server's `lifespan`, or `around` the server.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from asgi_server import Program
from fastapi import FastAPI
from lichen_adapters.asgi.uvicorn import serve


@asynccontextmanager
async def opened(_app: FastAPI) -> AsyncIterator[None]:
    async with program.lichen.open() as engine:
        if engine.spaces:
            program.lichen.space = space = engine.spaces[0]
            program.note = await engine.document((await space.documents())[0].id)
        else:
            await program.begin("")
        print(json.dumps([listening.getsockname()[1], program.lichen.token]), flush=True)
        yield


program = Program(Path(sys.argv[1]))
listening = socket.create_server(("127.0.0.1", int(sys.argv[2])))


@program.app.get("/fail")
async def fail() -> None:
    raise RuntimeError("a handler failed")


async def around() -> None:
    async with opened(program.app):
        how: Any = {"log_level": "critical", "lifespan": "off", "timeout_graceful_shutdown": 60}
        await serve(program.lichen, program.app, listening, **how)


if sys.argv[3] == "around":
    asyncio.run(around())
else:
    program.app.router.lifespan_context = opened
    with suppress(KeyboardInterrupt):
        uvicorn.Server(uvicorn.Config(program.app, log_level="critical")).run(sockets=[listening])
print(json.dumps([thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]))
