"""The key of a store in PostgreSQL, and what must be said before one is opened."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from lichen import Engine, Relay
from lichen.errors import ConfigError, NotFound, WrongPassphrase
from lichen.runtime.unlock import open_store
from lichen.store import node
from sqlalchemy import create_engine

GIVEN: dict[str, Any] = {"passphrase": "some words", "clear_rows": True}


def test_a_store_opens_under_its_passphrase_alone(postgres_url: str) -> None:
    store = open_store(postgres_url, **GIVEN)
    store.write(lambda conn: node.set_meta(conn, "value", b"value")).result(9)
    store.close()
    with pytest.raises(WrongPassphrase):
        open_store(postgres_url, passphrase="others", clear_rows=True)
    store = open_store(postgres_url, create=False, **GIVEN)
    assert store.read(lambda conn: node.get_meta(conn, "value")).result(9) == b"value"
    store.close()


def test_it_must_be_said_that_rows_may_lie_in_the_clear(postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="not encrypted"):
        open_store(postgres_url, passphrase="some words")


def test_a_passphrase_is_needed(postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="needs a passphrase"):
        open_store(postgres_url, passphrase=None, clear_rows=True)
    with pytest.raises(ConfigError, match="empty"):
        open_store(postgres_url, passphrase="", clear_rows=True)


def test_nothing_is_made_where_nothing_was_to_be_made(postgres_url: str) -> None:
    with pytest.raises(NotFound):
        open_store(postgres_url, create=False, **GIVEN)
    engine = create_engine(postgres_url)
    with engine.connect() as conn:
        assert conn.exec_driver_sql("SELECT to_regclass('lichen_store')").scalar() is None
    engine.dispose()


@pytest.mark.parametrize(
    "url", ["postgresql+asyncpg://user@host/db", "postgresql://user@host", "postgres://user@host/db", "postgresql:/x"]
)
def test_another_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        open_store(url, **GIVEN)


def test_without_the_driver_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "lichen.store.postgres", raising=False)
    with pytest.raises(ConfigError, match="psycopg") as told:
        open_store("postgresql://user@host/db", **GIVEN)
    assert "lichen[postgres]" in str(told.value.hint)


async def test_an_engine_writes_and_comes_again(postgres_url: str) -> None:
    async with Engine.open(postgres_url, **GIVEN) as engine:
        device = engine.device
        space = await engine.create_space("Family")
        note = await space.create({"title": "Groceries"})
        async with note.change() as doc:
            doc["title"] = "Groceries for two"
    async with Engine.open(postgres_url, **GIVEN) as engine:
        assert engine.device == device
        again = await engine.document(note.id)
        assert again.doc["title"] == "Groceries for two"
        (listed,) = await engine.space(space.id).documents()
        assert listed.title == "Groceries for two"


async def test_a_relay_is_not_opened_there(postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="not encrypted"):
        async with Relay.open(postgres_url, passphrase="some words"):
            pass
