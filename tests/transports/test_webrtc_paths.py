"""Direct paths between processes: over loopback, and between two network namespaces with a cable between them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aioice.ice
import pytest
from lichen.testing.channels import check_peer_death
from lichen.testing.signals import LineSignals
from lichen_transports.webrtc import WebRtcTransport

SIZE = 60 * 1024
PEER = str(Path(__file__).parent / "direct_peer.py")


async def start(role: str, *options: str, namespace: str = "") -> asyncio.subprocess.Process:
    within = ["ip", "netns", "exec", namespace] if namespace else []
    return await asyncio.create_subprocess_exec(
        *within,
        sys.executable,
        "-W",
        "error",
        PEER,
        role,
        *options,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@pytest.fixture
async def echoing() -> AsyncIterator[asyncio.subprocess.Process]:
    peer = await start("echo", "loopback")
    yield peer
    if peer.returncode is None:
        peer.kill()
    await peer.communicate()


def signals_to(peer: asyncio.subprocess.Process) -> LineSignals:
    assert peer.stdin is not None
    assert peer.stdout is not None
    return LineSignals(peer.stdout, peer.stdin.write)


async def test_a_killed_process_breaks_the_channel(
    echoing: asyncio.subprocess.Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.1)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    channel = await WebRtcTransport(loopback=True).connect(signals_to(echoing), offers=True, message_bytes=SIZE)
    await channel.send(b"here")
    assert await channel.receive() == b"here"
    await check_peer_death(channel, echoing.kill, within_s=5)
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


async def test_closing_after_the_other_process_was_killed_is_bounded(echoing: asyncio.subprocess.Process) -> None:
    channel = await WebRtcTransport(loopback=True).connect(signals_to(echoing), offers=True, message_bytes=SIZE)
    echoing.kill()
    await echoing.wait()
    await channel.send(b"into the void")
    async with asyncio.timeout(3):
        await channel.close()


async def relayed(asking: asyncio.subprocess.Process, echo: asyncio.subprocess.Process) -> dict[str, float | str]:
    """Carry signals between two processes until one has a result."""
    back = asyncio.create_task(_carry(echo, asking))
    try:
        async with asyncio.timeout(40):
            result = await _carry(asking, echo)
    finally:
        back.cancel()
    outputs = await asyncio.gather(asking.communicate(), echo.communicate())
    assert [errors for _, errors in outputs] == [b"", b""]
    assert (asking.returncode, echo.returncode) == (0, 0)
    answer: dict[str, float | str] = json.loads(result)
    return answer


async def _carry(source: asyncio.subprocess.Process, target: asyncio.subprocess.Process) -> str:
    assert source.stdout is not None
    assert target.stdin is not None
    while line := await source.stdout.readline():
        if line.startswith(b"result "):
            return line.removeprefix(b"result ").decode()
        target.stdin.write(line)
    raise AssertionError("a process ended without a result")


async def test_two_processes_on_one_machine_find_each_other() -> None:
    asking, echo = await asyncio.gather(start("ask", "loopback"), start("echo", "loopback"))
    result = await relayed(asking, echo)
    assert "127.0.0.1" in str(result["remote"])


@pytest.fixture
def cable() -> Iterator[tuple[str, str]]:
    """Two network namespaces joined by a cable; nothing else is reachable from either."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        missing = "network namespaces need root and the ip tool"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    names = (f"lichen{os.getpid()}a", f"lichen{os.getpid()}b")
    try:
        for name in names:
            run("ip", "netns", "add", name)
        run("ip", "link", "add", "cable0", "netns", names[0], "type", "veth", "peer", "cable0", "netns", names[1])
        for index, name in enumerate(names, 1):
            run("ip", "-n", name, "address", "add", f"10.83.76.{index}/24", "dev", "cable0")
            run("ip", "-n", name, "link", "set", "cable0", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.netns
async def test_two_machines_find_each_other(cable: tuple[str, str]) -> None:
    asking, echo = await asyncio.gather(start("ask", namespace=cable[0]), start("echo", namespace=cable[1]))
    result = await relayed(asking, echo)
    assert result["remote"] == "a direct peer at 10.83.76.2"
    assert len(str(result["binding"])) == 128


@pytest.mark.netns
async def test_a_machine_with_nothing_but_loopback_uses_it(cable: tuple[str, str]) -> None:
    run("ip", "-n", cable[0], "link", "delete", "cable0")
    run("ip", "-n", cable[0], "link", "set", "lo", "up")
    asking, echo = await asyncio.gather(start("ask", namespace=cable[0]), start("echo", namespace=cable[0]))
    result = await relayed(asking, echo)
    assert result["remote"] == "a direct peer at 127.0.0.1"
