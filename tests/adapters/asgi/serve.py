"""Serves the tests' program in a process of its own: `serve.py FOLDER PORT`. It prints port and token, and at its end
the threads that are left.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import uvicorn
from asgi_server import Program
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with program.lichen.open() as engine:
        if engine.spaces:
            program.lichen.space = space = engine.spaces[0]
            program.note = await engine.document((await space.documents())[0].id)
        else:
            await program.begin("")
        print(json.dumps([listening.getsockname()[1], program.lichen.token]), flush=True)
        yield


program = Program(Path(sys.argv[1]))
program.app.router.lifespan_context = lifespan
listening = socket.create_server(("127.0.0.1", int(sys.argv[2])))


@program.app.get("/fail")
async def fail() -> None:
    raise RuntimeError("a handler failed")


with suppress(KeyboardInterrupt):
    uvicorn.Server(uvicorn.Config(program.app, log_level="critical")).run(sockets=[listening])
print(json.dumps([thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]))
