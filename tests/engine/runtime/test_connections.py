"""Dialling goes on whatever a transport does."""

from __future__ import annotations

from pathlib import Path

import pytest
from lichen import Engine
from lichen.config import Limits
from lichen.testing.waiting import until
from lichen.transport import Channel
from lichen_transports import memory


async def test_an_error_that_a_transport_never_said_it_raises_ends_no_dialling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dial, failed = memory.transport.dial, list[str]()

    async def fails_at_first(url: str, *, message_bytes: int) -> Channel:
        if not failed:
            failed.append(url)
            raise OSError("too many open files")
        return await dial(url, message_bytes=message_bytes)

    monkeypatch.setattr(memory.transport, "dial", fails_at_first)
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db") as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db", limits=Limits(reconnect_min_s=0.01)) as bob,
    ):
        connection = await bob.connect(await alice.listen("memory://stumbling"))
        await until(lambda: connection.error)
        assert "too many open files" in connection.error
        await until(lambda: connection.state == "connected")
