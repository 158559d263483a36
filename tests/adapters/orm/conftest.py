"""The folder of these tests is on the path, for the modules that they share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import orm_animals
import orm_people
from orm_devices import Device
from orm_models import Base

ON_BOTH = (
    "test_associations",
    "test_async_sessions",
    "test_changed_tables",
    "test_coming_back",
    "test_conflicts",
    "test_connections",
    "test_devices",
    "test_feed",
    "test_foreign_values",
    "test_held",
    "test_held_objects",
    "test_ids",
    "test_index_names",
    "test_late_models",
    "test_merges",
    "test_other_sessions",
    "test_parts",
    "test_parts_apart",
    "test_plain_sql",
    "test_quickstart",
    "test_search",
    "test_search_index",
    "test_selected_rows",
    "test_sessions",
    "test_shared_sessions",
    "test_standing",
    "test_unique_keys",
)
"""Modules whose tests are run on either database."""
ALSO = (
    "test_adopting",
    "test_history",
    "test_incomplete_objects",
    "test_inheritance",
    "test_joining",
    "test_joining_apart",
    "test_live",
    "test_live_classes",
    "test_many_rows",
    "test_past",
    "test_past_relationships",
    "test_preparing",
    "test_repairs",
    "test_tracker",
    "test_tracking",
    "test_types",
    "test_undo",
)
"""Modules that take the same code on either; `LICHEN_POSTGRES=all` runs them on both too."""


@pytest.fixture
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    """A device with a store of its own, and the models of its module where that has a `Base`."""
    made = Device(tmp_path, "device", getattr(request.module, "Base", Base))
    yield made
    made.stop()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Device]:
    """Another one."""
    made = Device(tmp_path, "other")
    yield made
    made.stop()


@pytest.fixture
def animals(tmp_path: Path) -> Iterator[orm_animals.Animals]:
    """Two devices with the same animals. In the end their rows are what documents say, and can be read."""
    with orm_animals.pair(tmp_path) as made:
        yield made


@pytest.fixture
def devices(tmp_path: Path) -> Iterator[list[Device]]:
    """Three devices with people, whose addresses have visits."""
    with orm_people.three(tmp_path) as made:
        yield made


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests that make stores on both databases."""
    modules = (*ON_BOTH, *ALSO) if os.environ.get("LICHEN_POSTGRES") == "all" else ON_BOTH
    given = any(mark.args[0] == "database" for mark in metafunc.definition.iter_markers("parametrize"))
    name = metafunc.module.__name__.rpartition(".")[2]
    named = name in modules
    stores = "tmp_path" in metafunc.fixturenames or name == "test_devices"
    if named and stores and not given:
        metafunc.parametrize("database", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the stores of devices lie."""
    name: str = getattr(request, "param", "sqlite")
    if name == "sqlite":
        yield name
        return
    Device.server = server = request.getfixturevalue("postgres_server")
    yield name
    Device.server = None
    server.drop_all()
