"""Signals: the program's own handlers hear them, whatever comes in between."""

from __future__ import annotations

import asyncio
import signal

from lichen_adapters.asgi.ending import heard_first


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
