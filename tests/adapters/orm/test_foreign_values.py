"""Values that other programs write, and databases of other kinds: shown alike everywhere, or held everywhere."""

from __future__ import annotations

import datetime
import decimal
import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from lichen.testing.postgres import PostgresServer
from lichen_adapters.orm import Misfit, Synced
from lichen_adapters.orm.restoring import read_document
from lichen_crdt import Text
from lichen_crdt.views import plain
from orm_devices import SPACE, Device, exchange
from sqlalchemy import CHAR, JSON, DateTime, Numeric, SmallInteger, Time, select, update
from sqlalchemy.ext.mutable import MutableDict, MutableList
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

UTC = datetime.UTC
AHEAD = datetime.timezone(datetime.timedelta(hours=5))


class Base(DeclarativeBase):
    """The models of these tests."""


class Item(Synced, Base):
    """One of each type that databases keep in different forms."""

    __tablename__ = "item"
    name: Mapped[str]
    instant: Mapped[datetime.datetime | None] = mapped_column(DateTime(timezone=True))
    moment: Mapped[datetime.datetime | None]
    hour: Mapped[datetime.time | None]
    zoned: Mapped[datetime.time | None] = mapped_column(Time(timezone=True))
    span: Mapped[datetime.timedelta | None]
    price: Mapped[decimal.Decimal | None] = mapped_column(Numeric(10, 2))
    amount: Mapped[decimal.Decimal | None] = mapped_column(Numeric)
    size: Mapped[float | None]
    land: Mapped[str | None] = mapped_column(CHAR(5))
    code: Mapped[str | None] = mapped_column(index=True)
    state: Mapped[Literal["open", "done"] | None]
    data: Mapped[Any] = mapped_column(JSON(none_as_null=True), nullable=True)


class Code(Synced, Base):
    """With unique keys."""

    __tablename__ = "code"
    letters: Mapped[str] = mapped_column(unique=True)
    number: Mapped[int] = mapped_column(unique=True)
    short: Mapped[int] = mapped_column(SmallInteger, unique=True)


class Box(Synced, Base):
    """With JSON that SQLAlchemy watches."""

    __tablename__ = "box"
    things: Mapped[Any] = mapped_column(MutableDict.as_mutable(JSON()), nullable=True)
    steps: Mapped[Any] = mapped_column(MutableList.as_mutable(JSON()), nullable=True)


@pytest.fixture
def mixed(tmp_path: Path, postgres_server: PostgresServer) -> Iterator[tuple[Device, Device]]:
    """A device whose store is a file, and one whose store is in PostgreSQL."""
    file = Device(tmp_path, "file", Base)
    Device.server = postgres_server
    try:
        server = Device(tmp_path, "server", Base)
    finally:
        Device.server = None
    yield file, server
    file.stop()
    server.stop()
    postgres_server.drop_all()


def add(device: Device, **values: Any) -> Any:
    with device.sessions(SPACE, expire_on_commit=False) as session:
        item = Item(name="a", **values)
        session.add(item)
        session.commit()
        return item.id


def in_document(device: Device, key: Any) -> dict[str, Any]:
    with device.sessions() as session:
        return read_document(session.connection(), key)


def shown(device: Device, key: Any) -> dict[str, Any]:
    return device.rows()["item", key]


UNFIT: list[tuple[str, Any]] = [
    ("instant", "9999-12-31T23:59:59-05:00"),
    ("instant", "0001-01-01T00:00:00+05:00"),
    ("moment", "9999-12-31T23:59:59-05:00"),
    ("span", 1 << 62),
    ("price", "NaN"),
    ("price", "sNaN"),
    ("price", "Infinity"),
    ("price", "1E+400"),
    ("price", "1e999999"),
    ("amount", "NaN"),
    ("amount", "-Infinity"),
    ("amount", "1E+400"),
    ("size", math.nan),
    ("state", "of a newer version"),
    ("state", ""),
    ("data", 1 << 63),
    ("data", (1 << 64) - 1),
    ("data", b"x"),
    ("data", {"deep": [1, {"er": b"x"}]}),
    ("data", [datetime.datetime(2026, 3, 4, tzinfo=UTC)]),
]


def test_what_not_every_database_holds_is_held_and_kept(device: Device) -> None:
    key = add(device)
    for name, wrong in UNFIT:
        device.edit(key, lambda document, name=name, wrong=wrong: document.update({name: wrong}))
        assert device.held() == {("item", key)}, (name, wrong)
        assert repr(plain(in_document(device, key)[name])) == repr(wrong)
        device.check()
        device.edit(key, lambda document, name=name: document.update({name: None}))
        assert device.held() == set(), (name, wrong)
    device.check()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_unique_key_that_the_database_cannot_be_asked_for_is_held_and_kept(device: Device, database: str) -> None:
    with device.sessions(SPACE, expire_on_commit=False) as session:
        session.add(code := Code(letters="a", number=1, short=1))
        session.commit()
    unasked = (
        ("letters", "\0", "a"),
        ("letters", Text("a\0b"), "a"),
        ("number", 1 << 31, 1),
        ("short", -(1 << 15) - 1, 1),
    )
    for name, wrong, back in unasked:
        device.edit(code.id, lambda document, name=name, wrong=wrong: document.update({name: wrong}))
        assert device.held() == {("code", code.id)}, name
        assert in_document(device, code.id)[name] == (str(wrong) if isinstance(wrong, Text) else wrong)
        device.check()
        device.edit(code.id, lambda document, name=name, back=back: document.update({name: back}))
        assert device.held() == set(), name
    device.check()


def test_json_of_which_no_object_could_be_loaded_is_held(device: Device) -> None:
    with device.sessions(SPACE, expire_on_commit=False) as session:
        session.add(box := Box(things={"a": 1}, steps=[1]))
        session.commit()
    for name, wrong, back in (
        ("things", [1], {"b": 2}),
        ("things", "x", None),
        ("steps", {"a": 1}, [2]),
        ("steps", 1, []),
    ):
        device.edit(box.id, lambda document, name=name, wrong=wrong: document.update({name: wrong}))
        assert device.held() == {("box", box.id)}, (name, wrong)
        with device.sessions() as session:
            assert session.scalars(select(Box)).all() == []
        device.check()
        device.edit(box.id, lambda document, name=name, back=back: document.update({name: back}))
        with device.sessions() as session:
            assert getattr(session.scalars(select(Box)).one(), name) == back
    with pytest.raises(Misfit, match=r"things: \[1\] is no dict"), device.sessions.begin() as session:
        session.execute(update(Box.__table__).values(things=[1]))
    device.check()


SHOWN: list[tuple[str, Any, Any]] = [
    ("instant", "2026-03-04T01:00:00+05:00", datetime.datetime(2026, 3, 3, 20, tzinfo=UTC)),
    ("instant", "2026-03-04T01:00:00", datetime.datetime(2026, 3, 4, 1, tzinfo=UTC)),
    ("instant", "9999-12-31T23:59:59+00:00", datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("instant", "0001-01-01T00:00:00+00:00", datetime.datetime(1, 1, 1, tzinfo=UTC)),
    ("moment", "2026-03-04T01:00:00+05:00", datetime.datetime.fromisoformat("2026-03-03T20:00")),
    ("hour", "12:00:00+05:00", datetime.time(12)),
    ("price", "1.555", decimal.Decimal("1.56")),
    ("price", "0.125", decimal.Decimal("0.13")),
    ("price", "1.5", decimal.Decimal("1.50")),
    ("amount", "1E+2", decimal.Decimal(100)),
    ("data", (1 << 63) - 1, (1 << 63) - 1),
    ("name", Text("of another model"), "of another model"),
]


def test_what_is_written_in_another_form_is_shown_and_left_as_it_is(device: Device, database: str) -> None:
    key = add(device)
    for name, written, wanted in SHOWN:
        device.edit(key, lambda document, name=name, written=written: document.update({name: written}))
        device.check()
        if isinstance(wanted, datetime.datetime) and database == "sqlite":
            wanted = wanted.replace(tzinfo=None)
        assert shown(device, key)[name] == wanted, (name, written)
        before = in_document(device, key)[name]
        other = "size" if name != "size" else "price"
        with device.sessions.begin() as session:
            session.execute(update(Item).values({other: 7 + len(str(written))}))
        assert in_document(device, key)[name] == before, (name, written)
        device.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_databases_of_two_kinds_share_a_row_and_rewrite_nothing_of_it(
    mixed: tuple[Device, Device], database: str
) -> None:
    file, server = mixed
    values = {
        "instant": datetime.datetime(2026, 3, 4, 1, tzinfo=AHEAD),
        "moment": datetime.datetime.fromisoformat("2026-03-04T01:00"),
        "hour": datetime.time(12),
        "zoned": datetime.time(12, tzinfo=AHEAD),
        "span": datetime.timedelta(days=-3, microseconds=1),
        "price": decimal.Decimal("1.5"),
        "amount": decimal.Decimal("0.12345678901234"),
        "size": 2.0,
        "land": "de",
        "data": 3,
    }
    keys = {server: add(server, **values), file: add(file, **values)}
    exchange(file, server)
    before = {key: in_document(server, key) for key in keys.values()}
    assert before[keys[server]]["amount"] == "0.12345678901234"
    for times in range(2):
        for one, other in ((file, server), (server, file)):
            with one.sessions.begin() as session:
                for item in session.scalars(select(Item)):
                    item.name = f"{one is file} {times}"
            other.take_from(one)
            exchange(file, server)
    for key, was in before.items():
        assert in_document(server, key) == in_document(file, key) == was | {"name": "False 1"}
    assert {one: shown(one, keys[file])["land"] for one in (file, server)} == {file: "de", server: "de   "}
    at = {one: shown(one, keys[server])["instant"] for one in (file, server)}
    assert at[server] == values["instant"] == at[file].replace(tzinfo=UTC)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_text_that_is_too_long_for_an_index_of_postgresql_is_held_there(
    mixed: tuple[Device, Device], database: str
) -> None:
    file, server = mixed
    long = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(99))  # which cannot be packed
    with file.sessions(SPACE, expire_on_commit=False) as session:
        codes = [Code(letters=letters, number=number, short=number) for number, letters in enumerate((long, "a", "b"))]
        session.add_all([*codes, Item(name="c", code=long)])
        session.commit()
    exchange(file, server)
    assert [key for table, key in server.rows() if table == "code"] == [code.id for code in codes[1:]]
    assert {table for table, _ in server.held()} == {"code", "item"}
    with file.sessions.begin() as session:
        session.get_one(Code, codes[1].id).letters = long + "a"
        session.get_one(Code, codes[0].id).letters = "a"
        session.execute(update(Item).values(code="c"))
    exchange(file, server)
    assert server.held() == {("code", codes[1].id)}
    assert server.rows()["code", codes[0].id]["letters"] == "a"


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_session_on_postgresql_writes_no_value_that_not_every_database_holds(
    mixed: tuple[Device, Device], database: str
) -> None:
    _, server = mixed
    key = add(server)
    for name, wrong in (("amount", decimal.Decimal("NaN")), ("amount", decimal.Decimal("1E+400")), ("size", math.nan)):
        with pytest.raises(Misfit, match=f"{name}: "), server.sessions.begin() as session:
            session.execute(update(Item).values({name: wrong}))
        assert shown(server, key)[name] is None
    server.check()
