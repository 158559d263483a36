from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aioice.ice
import ifaddr
import pytest
from lichen_transports import rtc_library
from lichen_transports.rtc_library import LOOPBACK_VARIABLE, Outlet
from OpenSSL import SSL


class SackChunk:
    def __init__(self, name: str, *, gaps: bool = False, duplicates: bool = False, room: int = 1_000) -> None:
        self.name = name
        self.advertised_rwnd = room
        self.gaps = [(1, 2)] if gaps else []
        self.duplicates = [1] if duplicates else []


class DataChunk:
    name = "data"


class Association:
    """What an outlet needs of an association."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.sends = asyncio.Event()
        """Set at every chunk that is sent."""
        self.failure: Exception | None = None

    async def _send_chunk(self, chunk: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(chunk.name)
        self.sends.set()


def unexpected() -> None:
    raise AssertionError


async def test_no_room_left_is_an_overrun() -> None:
    association = Association()
    overruns: list[bool] = []
    outlet = Outlet(association, lambda: overruns.append(True))
    await association._send_chunk(SackChunk("a", room=1))
    assert overruns == []
    await association._send_chunk(SackChunk("b", room=0))
    assert overruns == [True]
    outlet.close()


async def test_every_second_acknowledgement_is_sent_and_the_last_a_little_later() -> None:
    association = Association()
    Outlet(association, unexpected)
    for name in "abcde":
        await association._send_chunk(SackChunk(name))
    assert association.sent == ["b", "d"]
    association.sends.clear()
    async with asyncio.timeout(20):
        await association.sends.wait()
    assert association.sent == ["b", "d", "e"]


async def test_an_acknowledgement_that_reports_loss_is_sent_at_once() -> None:
    association = Association()
    outlet = Outlet(association, unexpected)
    await association._send_chunk(SackChunk("a", gaps=True))
    await association._send_chunk(SackChunk("b"))
    await association._send_chunk(SackChunk("c", duplicates=True))
    assert association.sent == ["a", "c"]
    outlet.close()


async def test_other_chunks_pass_at_once() -> None:
    association = Association()
    outlet = Outlet(association, unexpected)
    await association._send_chunk(SackChunk("held"))
    await association._send_chunk(DataChunk())
    assert association.sent == ["data"]
    outlet.close()


async def test_a_closed_outlet_sends_nothing_by_itself() -> None:
    association = Association()
    outlet = Outlet(association, unexpected)
    await association._send_chunk(SackChunk("held"))
    later = outlet._timer
    outlet.close()
    assert later is not None
    assert later.cancelled()
    assert association.sent == []


@pytest.mark.parametrize("failure", [ConnectionError(), SSL.Error([("SSL routines", "", "protocol is shutdown")])])
async def test_sending_into_a_lost_path_is_silent(failure: Exception) -> None:
    association = Association()
    Outlet(association, unexpected)
    association.failure = failure
    await association._send_chunk(DataChunk())


def test_a_library_that_sends_in_another_way_is_left_alone() -> None:
    Outlet(SimpleNamespace(), unexpected)


def addresses(found: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ips = [SimpleNamespace(ip=ip) for ip in ["127.0.0.1", *found]]
    monkeypatch.setattr(ifaddr, "get_adapters", lambda: [SimpleNamespace(ips=ips)])
    return aioice.ice.get_host_addresses(use_ipv4=True, use_ipv6=True)


def test_loopback_is_offered_where_there_is_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    rtc_library.load()
    assert addresses([], monkeypatch) == ["127.0.0.1"]
    assert addresses(["10.0.0.1"], monkeypatch) == ["10.0.0.1"]


def test_loopback_is_offered_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    rtc_library.load()
    monkeypatch.delenv(LOOPBACK_VARIABLE, raising=False)
    with rtc_library.loopback(True):
        assert addresses(["10.0.0.1"], monkeypatch) == ["10.0.0.1", "127.0.0.1"]
    assert addresses(["10.0.0.1"], monkeypatch) == ["10.0.0.1"]
    monkeypatch.setenv(LOOPBACK_VARIABLE, "1")
    with rtc_library.loopback(False):
        assert addresses(["10.0.0.1"], monkeypatch) == ["10.0.0.1", "127.0.0.1"]


def test_loading_twice_wraps_once() -> None:
    rtc_library.load()
    once = aioice.ice.get_host_addresses
    rtc_library.load()
    assert aioice.ice.get_host_addresses is once
