from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lichen.store import Store
from lichen.store.postgres import PostgresDatabase
from sqlalchemy import make_url

KEY = bytes(range(32))
ON_BOTH = ("test_change_sets", "test_documents", "test_mailbox", "test_membership", "test_node")
"""Modules whose tests hold for a store on either database."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of these modules on both."""
    if "store" in metafunc.fixturenames and metafunc.module.__name__.rpartition(".")[2] in ON_BOTH:
        metafunc.parametrize("store", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notes.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., Store]]:
    """Opens stores at `path`, and closes them at the end."""
    stores: list[Store] = []

    def open_one(**options: object) -> Store:
        stores.append(Store.open(path, KEY, **options))  # type: ignore[arg-type]
        return stores[-1]

    yield open_one
    for one in stores:
        one.close()


@pytest.fixture
def on_postgres(request: pytest.FixtureRequest) -> Iterator[Callable[[], Store]]:
    """Opens stores in one PostgreSQL database, and closes them at the end."""
    url = make_url(request.getfixturevalue("postgres_url"))
    stores: list[Store] = []

    def open_one() -> Store:
        stores.append(Store(PostgresDatabase(url, lambda wrapped: (KEY, wrapped or b"wrapped"))))
        return stores[-1]

    yield open_one
    for one in stores:
        one.close()


@pytest.fixture
def store(request: pytest.FixtureRequest) -> Store:
    """A store on SQLite, or on what the test's parameter says."""
    fixture = "on_postgres" if getattr(request, "param", "sqlite") == "postgresql" else "opened"
    made: Store = request.getfixturevalue(fixture)()
    return made
