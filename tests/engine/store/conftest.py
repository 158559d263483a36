from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lichen.store import Store

KEY = bytes(range(32))


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
def store(opened: Callable[..., Store]) -> Store:
    return opened()
