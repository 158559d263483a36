"""From a row to the engine's handle of its document."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from lichen import Engine
from lichen_adapters.orm import SessionMisuse, Sessions
from orm_models import Address, Base, Draft, User, Visit
from sqlalchemy import select


async def test_a_row_and_its_parts_lead_to_their_document(tmp_path: Path) -> None:
    async with Engine.open(f"sqlite:///{tmp_path}/a.db") as engine:
        sessions = Sessions(engine, Base)
        await asyncio.to_thread(sessions.prepare)
        space = await engine.create_space("Family")
        user, address = User(name="ann", bio="hello"), Address(email="a@b")
        user.addresses.append(address)
        visit = Visit(why="tea", address=address)
        with pytest.raises(SessionMisuse, match="lies in no document yet"):
            await sessions.document(user)
        with sessions(space, expire_on_commit=False) as session:
            session.add(user)
            session.commit()
        document = await sessions.document(user)
        assert [(await sessions.document(part)).id for part in (address, visit)] == [document.id] * 2
        async with document.change() as crdt:
            crdt["bio"].append(" world")
            await asyncio.to_thread(rename, sessions)  # while the loop is in a transaction of the same document
            await asyncio.sleep(0)
        assert (document.doc["name"], document.doc["bio"]) == ("Ann", "hello world")
        with sessions() as session:
            assert session.execute(select(User.name, User.bio)).one() == ("Ann", "hello world")
        for other in (Draft(words="not synced"), "no object"):
            with pytest.raises(SessionMisuse, match="no object of a synced class"):
                await sessions.document(other)
        sessions.close()


def rename(sessions: Sessions) -> None:
    with sessions.begin() as session:
        session.scalars(select(User)).one().name = "Ann"
