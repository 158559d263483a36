"""Another SQLite library may not open the file of an open store: when it closes that, the store's locks are gone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from lichen.errors import StoreLocked
from lichen.store import Store
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a store.db"


@pytest.fixture
async def another(file: Path) -> AsyncIterator[AsyncEngine]:
    made = create_async_engine(f"sqlite+aiosqlite:///{file}")
    yield made
    await made.dispose()


@pytest.mark.parametrize("form", ["sqlite:///{file}", "sqlite:///file:{quoted}?mode=rw&uri=true"])
def test_an_engine_of_another_library_is_refused_while_the_store_is_open(file: Path, form: str) -> None:
    store, again = Store.open(file, bytes(32)), Store.open(file, bytes(32))
    url = form.format(file=file, quoted=quote(str(file)))
    for _ in range(2):
        with pytest.raises(StoreLocked, match="another connection would break it"):
            create_engine(url).connect()
        again.close()
    store.write(lambda conn: conn.execute(text("CREATE TABLE notes (word)"))).result(9)
    store.close()
    with pytest.raises(DatabaseError, match="not a database"), create_engine(url).connect() as conn:
        conn.execute(text("SELECT 1 FROM sqlite_master"))


async def test_one_for_an_event_loop_is_refused_too(file: Path, another: AsyncEngine) -> None:
    store = Store.open(file, bytes(32))
    with pytest.raises(StoreLocked):
        await another.connect()
    store.close()


def test_other_databases_may_be_opened(file: Path, tmp_path: Path) -> None:
    store = Store.open(file, bytes(32))
    for url in ("sqlite://", f"sqlite:///{tmp_path / 'other.db'}"):
        engine = create_engine(url)
        with engine.connect() as conn:
            assert conn.execute(text("SELECT 1")).scalar_one() == 1
        engine.dispose()
    store.close()
