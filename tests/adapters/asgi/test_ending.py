"""Signals: the program's own handlers hear them, whatever comes in between. And where a program listens."""

from __future__ import annotations

import asyncio
import signal

import pytest
from lichen.errors import ConfigError
from lichen_adapters.asgi.ending import heard_first
from lichen_adapters.asgi.uvicorn import listen


def test_programs_that_end_in_any_order_leave_signals_to_whoever_had_them() -> None:
    heard: list[str] = []

    async def run() -> None:
        first, second = heard_first(lambda: heard.append("first")), heard_first(lambda: heard.append("second"))
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)

    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("own"))
    try:
        asyncio.run(run())
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["own"]


@pytest.mark.parametrize("port", [-1, 65_536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match=f"{port} is no port"):
        listen(port)
