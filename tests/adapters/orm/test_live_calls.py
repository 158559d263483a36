"""Live queries with a callback: when it is called, and what becomes of one that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from lichen_adapters.orm import Rows, blocking, call_live, live
from lichen_adapters.orm.errors import SessionMisuse
from orm_devices import Device
from orm_models import User
from sqlalchemy import select
from test_live import add, by_name


class Calls:
    """What a callback was given."""

    def __init__(self) -> None:
        self.rows: list[Rows[Any]] = []
        self._come = threading.Condition()

    def __call__(self, rows: Rows[Any]) -> None:
        with self._come:
            self.rows.append(rows)
            self._come.notify_all()

    def until(self, holds: Callable[[list[Rows[Any]]], bool]) -> None:
        with self._come:
            assert self._come.wait_for(lambda: holds(self.rows), 20)


def test_a_callback_is_called_until_it_is_ended(device: Device) -> None:
    calls = Calls()
    end = call_live(device.sessions, by_name, calls)
    calls.until(lambda rows: len(rows) == 1)
    add(device, "ann")
    calls.until(lambda rows: len(rows) == 2)
    assert [user.name for user in calls.rows[1]] == ["ann"]
    end()
    assert not device.sessions.feed.listened


def test_of_a_burst_one_run_is_in_flight_and_one_waits(device: Device) -> None:
    calls, entered, go = Calls(), threading.Event(), threading.Event()

    def slow(rows: Rows[Any]) -> None:
        entered.set()
        assert go.wait(20)
        calls(rows)

    call_live(device.sessions, by_name, slow)
    assert entered.wait(20)
    for name in "abcdefghij":
        add(device, name)
    go.set()
    calls.until(lambda rows: len(rows[-1:] and rows[-1]) == 10)
    assert [len(rows) for rows in calls.rows] == [0, 10]


def test_a_callback_that_fails_is_called_again(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    calls = Calls()

    def fail(rows: Rows[Any]) -> None:
        calls(rows)
        raise ValueError("out of order")

    call_live(device.sessions, by_name, fail)
    calls.until(lambda rows: len(rows) == 1)
    add(device, "ann")
    calls.until(lambda rows: len(rows) == 2)
    assert "a live query failed" in caplog.text


def test_a_delivery_that_fails_is_made_up_for_after_the_next_change(device: Device) -> None:
    seen: list[int] = []
    tried = threading.Semaphore(0)
    fails = [False, True, False]

    def deliver(call: Callable[[], None]) -> None:
        try:
            if fails.pop(0):
                raise RuntimeError("the toolkit is gone")
            call()
        finally:
            tried.release()

    end = call_live(device.sessions, select(User), lambda rows: seen.append(len(rows)), deliver=deliver)
    for name in ("ann", "bob", ""):
        assert tried.acquire(timeout=20)
        if name:
            add(device, name)
    end()
    assert seen == [0, 2]


def test_of_closed_sessions_nothing_is_live(device: Device) -> None:
    device.sessions.close()
    for begin in (live, blocking.live):
        with pytest.raises(SessionMisuse, match="these sessions are closed"):
            begin(device.sessions, by_name)
    with pytest.raises(SessionMisuse, match="these sessions are closed"):
        call_live(device.sessions, by_name, Calls())
