"""A device or a relay whose disk is full loses change sets of others only for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from lichen import Document, Engine, Relay, Text
from lichen.config import Limits
from lichen.store import Store
from lichen.testing.waiting import until
from sqlalchemy import Connection

LIMITS = Limits(reconnect_max_s=2.0)
"""Whose disk is full asks again after this long."""


def limit_pages(more: int | None) -> Callable[[Connection], None]:
    """Let SQLite say that the disk is full after so many pages more; None: no limit."""

    def job(conn: Connection) -> None:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {4_294_967_294 if more is None else pages + more}")

    return job


def known(conn: Connection) -> list[bytes]:
    return sorted(conn.exec_driver_sql("SELECT id FROM lichen_change_sets").scalars())


async def type_until(note: Document, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            async with note.change() as doc:
                doc["body"].insert(0, "x" * 500)


async def same_sets(one: Store, other: Store) -> None:
    async with asyncio.timeout(20):
        while await asyncio.wrap_future(one.read(known)) != await asyncio.wrap_future(other.read(known)):
            pass  # each look waits for the threads of both


@pytest.mark.parametrize("full", ["device", "relay"])
async def test_what_did_not_fit_is_fetched_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, full: str
) -> None:
    async with (
        Relay.open(f"sqlite:///{tmp_path}/relay.db", limits=LIMITS) as relay,
        Engine.open(f"sqlite:///{tmp_path}/alice.db", limits=LIMITS) as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db", limits=LIMITS) as bob,
    ):
        url = await relay.listen("ws://127.0.0.1:0")
        await alice.connect(url)
        await bob.connect(url)
        space = await alice.create_space("Family")
        note = await space.create({"body": Text("")})
        bobs = await bob.join(await space.invite(mode="auto"), timeout_s=20)
        await bobs.document(note.id, wait_s=20)
        store = bob.store if full == "device" else relay.store
        await asyncio.wrap_future(store.write(limit_pages(5)))
        await type_until(note, lambda: "change sets could not be stored" in caplog.text)
        await asyncio.wrap_future(store.write(limit_pages(None)))
        async with note.change() as doc:
            doc["body"].insert(0, "room again ")
        await same_sets(alice.store, store)
        await same_sets(alice.store, bob.store)
        again = await bobs.document(note.id)
        await until(lambda: again.heads == note.heads)
        assert str(again.doc["body"]) == str(note.doc["body"])
