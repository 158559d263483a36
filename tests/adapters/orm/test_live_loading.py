"""Live queries of many rows: which of them are loaded again."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from lichen_adapters.orm.objects import same
from orm_devices import Device
from orm_models import User
from sqlalchemy import Select, event, func, inspect, select
from sqlalchemy.orm import load_only, selectinload
from test_live import add, by_name, change, names_of, query


@pytest.fixture
def loaded() -> Iterator[list[str]]:
    """The names of the users that are loaded."""
    names: list[str] = []

    def note(user: User, _: object) -> None:
        names.append(user.name)

    event.listen(User, "load", note)
    yield names
    event.remove(User, "load", note)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_of_many_rows_only_those_are_loaded_again_that_changed(device: Device, loaded: list[str]) -> None:
    add(device, *(f"{number:03}" for number in range(250)))
    made = query(device, select(User).where(User.stars < 5).order_by(User.name))
    before = made._rows or ()
    loaded.clear()
    change(device, "007", stars=1)
    change(device, "100", stars=9)
    add(device, "0070")
    del loaded[:]
    rows = made.next()
    assert (rows, sorted(loaded)) == (made._rows, ["007", "0070"])
    assert rows is not None
    assert names_of(rows) == sorted({user.name for user in before} - {"100"} | {"0070"})
    assert rows.difference.apply(before) == list(rows)
    assert [rows[7].stars, rows[6] is before[6], rows[9] is before[8]] == [1, True, True]
    assert inspect(rows[7]).detached


def test_what_a_merge_brings_is_loaded_without_the_rest_of_a_long_list(device: Device, loaded: list[str]) -> None:
    """As many as a batch of sets from another device brings, twice."""
    add(device, *(f"a{number:04}" for number in range(250)))
    made = query(device, by_name)
    more = [f"b{number:04}" for number in range(1_024)]
    add(device, *more)
    del loaded[:]
    made.next()
    assert sorted(loaded) == more


def test_a_row_that_a_session_has_had_is_loaded_again(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lichen_adapters.orm.query.LEAST_KEPT", 1)
    add(device, *"abc")
    made = query(device, by_name)
    assert made._rows is not None
    with contextlib.suppress(ZeroDivisionError), device.sessions.begin() as session:
        session.add(made._rows[0])
        made._rows[1].name = made._rows[0].name = str(1 // 0)
    made._rows[1].name = "z"
    change(device, "c", stars=1)
    assert names_of(made.next()) == ["a", "b", "c"]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        select(User.name.label("shown"), User.stars).order_by("shown"),
        select(User).options(load_only(User.name)).order_by(User.name),
        select(User).options(selectinload(User.addresses)).order_by(User.name.desc()),
        select(User),
        select(User).order_by(User.active),
        select(User).order_by(func.coalesce(User.bio, User.name)).limit(2),
    ],
)
def test_whatever_keys_alone_would_give_the_rows_are_those_of_the_statement(
    device: Device, monkeypatch: pytest.MonkeyPatch, statement: Select[Any]
) -> None:
    monkeypatch.setattr("lichen_adapters.orm.query.LEAST_KEPT", 1)
    add(device, *"dbcafghijklm")  # so many that those which stay cannot come in the same order by chance
    made = query(device, statement)
    for whose, values in (("b", {"stars": 1}), ("c", {"name": "e"}), ("a", {"active": False}), ("d", {"bio": "a"})):
        change(device, whose, **values)
        made.next()
        shown, fresh = made._rows or (), query(device, statement)._rows or ()
        assert len(shown) == len(fresh)
        assert all(map(same, shown, fresh))
