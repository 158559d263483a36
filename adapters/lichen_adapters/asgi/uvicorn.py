"""Serving a program's pages with uvicorn, so that the engine is opened before the server and closed after it.

What keeps the engine from opening is then the program's own error, and Ctrl-C ends a join that is waited for. It needs
the extra `uvicorn`.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

try:
    import uvicorn
except ImportError as error:
    raise ImportError(
        "lichen_adapters.asgi.uvicorn needs uvicorn: pip install 'lichen[uvicorn]'", name="uvicorn"
    ) from error
from lichen.errors import ConfigError, Unreachable
from starlette.applications import Starlette

from lichen_adapters.asgi.program import Lichen

ENDING_S = 5
"""So long it waits for answers that have not ended, once all pages were let go."""


def listen(port: int) -> socket.socket:
    """A socket at a port of this computer, 0 for any that is free, which no other computer can reach.

    Raises `Unreachable` and `ConfigError`.
    """
    if not 0 <= port < 65_536:
        raise ConfigError(f"{port} is no port", hint="choose one up to 65535, or 0 for any that is free")
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        what = f"the page cannot be at port {port}: {os.strerror(error.errno or 0)}"  # without Python's additions
        raise Unreachable(what, hint="choose another port") from error


async def serve(lichen: Lichen, app: Starlette, at: socket.socket, **options: Any) -> None:
    """Serve an application until Ctrl-C or a request to terminate, and return when all pages have been let go.

    It belongs inside `lichen.open()`, on the main thread. `options` are those of `uvicorn.Config`. Raises
    `EngineMisuse` for an application that was not given to `install`.
    """
    lichen.refuse_unguarded()
    given = {"log_level": "warning", "timeout_graceful_shutdown": ENDING_S, **options}
    let_go = partial(asyncio.get_running_loop().call_soon_threadsafe, lichen.end_pages)
    await _Server(uvicorn.Config(app, **given), let_go).serve([at])


class _Server(uvicorn.Server):
    """Lets pages go first, whose answers have no end; and raises no signal again that it was ended by."""

    def __init__(self, config: uvicorn.Config, let_go: Callable[[], object]) -> None:
        super().__init__(config)
        self._let_go = let_go

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal came; a second one waits for no answer any more."""
        self._let_go()
        self.force_exit = self.should_exit
        self.should_exit = True
