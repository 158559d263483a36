"""Open sessions are told what a merge has changed, between their units of work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen_adapters.orm import Merged
from orm_devices import SPACE, Device
from orm_models import Address, User
from sqlalchemy import delete, inspect, select, update
from sqlalchemy.orm import Session


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path, "device")
    with made.sessions.begin(SPACE) as session:
        session.add(User(name="ann", addresses=[Address(email="a@b")]))
    yield made
    made.stop()


@pytest.fixture
def other(tmp_path: Path, device: Device) -> Iterator[Device]:
    made = Device(tmp_path, "other")
    made.take_from(device)
    yield made
    made.stop()


class Told:
    """What was told."""

    def __init__(self) -> None:
        self.all: list[tuple[Session, dict[Any, frozenset[str] | None]]] = []
        self.come = asyncio.Event()

    def __call__(self, session: Session, merged: list[Merged]) -> None:
        self.all.append((session, {one.instance: one.attributes for one in merged}))
        self.come.set()


def change(device: Device, **values: Any) -> None:
    with device.sessions.begin() as session:
        session.execute(update(User).values(**values))


def test_objects_and_attributes_are_named_at_the_end_of_a_transaction(device: Device, other: Device) -> None:
    told = Told()
    device.sessions.after_merge(told)
    with device.sessions(SPACE, expire_on_commit=False) as session:
        ann = session.scalars(select(User)).one()
        email = ann.addresses[0]
        with other.sessions.begin(SPACE) as work:
            eve = User(name="eve")
            work.add(eve)
            work.flush()
            work.execute(update(User).where(User.name == "ann").values(bio="hello", friend_id=eve.id))
        device.take_from(other)
        assert told.all == []
        assert ann.bio is None
        session.commit()
        assert told.all == [(session, {ann: frozenset({"bio", "friend", "friend_id"})})]
        for instance, attributes in told.all[0][1].items():
            session.expire(instance, attributes)
        assert ann.bio == "hello"
        assert email.email == "a@b"
        session.commit()
        assert len(told.all) == 1


def test_a_row_that_is_gone_is_named_without_attributes(device: Device, other: Device) -> None:
    told = Told()
    device.sessions.after_merge(told)
    with device.sessions(SPACE, expire_on_commit=False) as session:
        ann = session.scalars(select(User)).one()
        with other.sessions.begin() as work:
            work.execute(delete(User))
        device.take_from(other)
        session.rollback()
        assert [merged[ann] for _, merged in told.all] == [None]


def test_what_sessions_here_write_is_no_merge(device: Device) -> None:
    told = Told()
    device.sessions.after_merge(told)
    with device.sessions(expire_on_commit=False) as session:
        session.scalars(select(User)).one()
        session.commit()
        change(device, bio="hello")
        session.scalars(select(User)).one()
        session.commit()
    assert told.all == []


async def test_an_idle_session_of_a_loop_is_told_soon_and_a_busy_one_after_its_work(
    device: Device, other: Device
) -> None:
    told = Told()
    device.sessions.after_merge(told)
    idle, busy = device.sessions(expire_on_commit=False), device.sessions(expire_on_commit=False)
    there = idle.scalars(select(User)).one()
    idle.commit()
    here = busy.scalars(select(User)).one()
    change(other, bio="hello")
    await asyncio.to_thread(device.take_from, other)
    async with asyncio.timeout(20):
        await told.come.wait()
    assert told.all == [(idle, {there: frozenset({"bio"})})]
    busy.commit()
    assert told.all[1:] == [(busy, {here: frozenset({"bio"})})]
    idle.close()
    busy.close()


def test_a_session_without_a_loop_can_ask(device: Device, other: Device) -> None:
    told = Told()
    end = device.sessions.after_merge(told)
    with device.sessions(expire_on_commit=False) as session:
        ann = session.scalars(select(User)).one()
        session.commit()
        for bio in ("hello", "hello again"):
            change(other, bio=bio)
            device.take_from(other)
        device.sessions.merges.tell(session)
        assert [merged for _, merged in told.all] == [{ann: frozenset({"bio"})}]
    end()
    assert not device.sessions.feed.listened


def test_who_fails_after_a_merge_hurts_no_transaction(
    device: Device, other: Device, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_session: Session, _merged: object) -> None:
        raise ValueError("out of order")

    device.sessions.after_merge(fail)
    with device.sessions(expire_on_commit=False) as session:
        ann = session.scalars(select(User)).one()
        change(other, bio="hello")
        device.take_from(other)
        session.commit()
        assert inspect(ann).persistent
    assert "what was called after a merge failed" in caplog.text
