"""Other programs of this distribution as processes, which say what they have to say as JSON, an object a line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Mapping
from typing import Any

from lichen.errors import LichenError, LinkBroken, Unreachable

LINE_BYTES = 1024 * 1024
STOP_S = 10.0
"""How long a process may take to end in order."""


class Process:
    """One process: `name` is what errors call it, `module` what `python -m` runs.

    With `apart` Ctrl-C does not reach it: whoever started it ends it.
    """

    def __init__(self, name: str, module: str, *arguments: str, apart: bool = False, **environment: str) -> None:
        self.name = name
        self.arguments = arguments
        self._module = module
        self._apart = apart
        self._environment: Mapping[str, str] = environment
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._module,
            *self.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
            env={**os.environ, **self._environment},
            start_new_session=self._apart,
        )

    async def line(self, seconds: float) -> dict[str, Any]:
        """The next object that it prints. Raises `Unreachable`, `LinkBroken` when it ends, and the error it prints."""
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(seconds):
                line = await self._process.stdout.readline()
        except TimeoutError:
            hint = "is this machine very busy?"
            raise Unreachable(f"{self.name} said nothing for {seconds:g} s", hint=hint) from None
        if not line:
            raise LinkBroken(f"{self.name} ended early")
        value: dict[str, Any] = json.loads(line)
        if "error" in value:
            raise LichenError(f"{self.name}: {value['error']['message']}", hint=value["error"]["hint"])
        return value

    async def tell(self, value: Mapping[str, Any]) -> None:
        """Give it an object on its standard input."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")
        await self._process.stdin.drain()

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.communicate()

    async def stop(self) -> None:
        """End it in order."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await self._process.communicate()
        except TimeoutError:
            await self.kill()
