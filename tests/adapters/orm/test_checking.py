"""What went past the adapter is found, and mended."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import test_inheritance
from lichen.store import Store
from lichen_adapters.orm import Discrepancy, Report, SessionMisuse, Sessions, check, live, rebuild
from lichen_adapters.orm.checking import MOST_TOLD
from orm_devices import KEY, SPACE, Device
from orm_models import Address, Base, Draft, Tag, User, Visit
from sqlalchemy import Connection, select


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path, "device")
    with made.sessions.begin(SPACE) as session:
        tags = [Tag(name="red"), Tag(name="blue")]
        visits = [Visit(why="tea")]
        ann = User(name="ann", bio="hello", settings={"b": 1, "a": 2}, tags={"z", "y"}, scroll=3, marks=tags)
        ann.addresses = [Address(email="a@b", visits=visits)]
        session.add_all([ann, User(name="bob")])
    yield made
    made.stop()


def past(device: Device, *statements: str) -> None:
    """Write past the adapter."""

    def job(conn: Connection) -> None:
        for statement in statements:
            conn.exec_driver_sql(statement)

    device.store.write(job).result(9)


def user(device: Device, name: str = "ann") -> User:
    with device.sessions() as session:
        return session.scalars(select(User).where(User.name == name)).one()


def wrong(report: Report) -> set[tuple[str, str, tuple[str, ...]]]:
    return {(one.table, one.wrong, one.columns) for one in report.rows}


def test_rows_that_the_adapter_wrote_are_right(device: Device) -> None:
    assert check(device.sessions) == Report(documents=4, schema=(), wrong=0, rows=())
    assert check(device.sessions, repair=True).ok
    device.check()


PAST: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "UPDATE user_account SET name = 'eve', bio = 'x' WHERE name = 'ann'": ("user_account", "changed", ("name", "bio")),
    "UPDATE user_account SET settings = '{\"a\": 3}' WHERE name = 'ann'": ("user_account", "changed", ("settings",)),
    "UPDATE tag SET lichen_begun = 7 WHERE name = 'red'": ("tag", "changed", ("lichen_begun",)),
    "UPDATE visit SET why = 'cake'": ("visit", "changed", ("why",)),
    "DELETE FROM visit": ("visit", "missing", ()),
    "INSERT INTO tag (id, name, size) VALUES ('00112233445566778899aabbccddee07', 'x', 0)": ("tag", "extra", ()),
    f"INSERT INTO visit (id, why, count, address_id) SELECT '{uuid.UUID(int=7).hex}', 'x', 0, id FROM address": (
        "visit",
        "extra",
        (),
    ),
    "DELETE FROM user_tag WHERE rowid = 1": ("user_tag", "missing", ()),
    "INSERT INTO user_tag SELECT u.id, t.id FROM user_account u, tag t WHERE u.name = 'bob' AND t.name = 'red'": (
        "user_tag",
        "extra",
        (),
    ),
}


@pytest.mark.parametrize("statement", PAST)
def test_what_was_written_past_the_adapter_is_found_and_repaired(device: Device, statement: str) -> None:
    before = device.rows()
    past(device, statement)
    changed = device.rows()
    found = check(device.sessions)
    assert (found.wrong, wrong(found), found.ok) == (1, {PAST[statement]}, False)
    assert device.rows() == changed
    repaired = check(device.sessions, repair=True)
    assert (repaired.rows, repaired.repaired, repaired.ok) == (found.rows, True, True)
    assert device.rows() == before
    assert check(device.sessions).wrong == 0
    device.check()


def test_what_is_local_or_written_in_another_way_is_no_difference(device: Device) -> None:
    past(device, "UPDATE user_account SET scroll = 9, settings = '{\"a\":2,\"b\":1}' WHERE name = 'ann'")
    assert check(device.sessions).ok
    assert check(device.sessions, repair=True).ok
    assert user(device).scroll == 9


def test_rows_are_named_by_their_keys(device: Device) -> None:
    ann = user(device)
    past(device, "DELETE FROM user_tag", "UPDATE user_account SET name = 'x' WHERE name = 'ann'")
    with device.sessions() as session:
        tags = session.scalars(select(Tag.id)).all()
    assert {*check(device.sessions).rows} == {
        Discrepancy("user_account", (ann.id,), "changed", ("name",)),
        *(Discrepancy("user_tag", (ann.id, tag), "missing") for tag in tags),
    }


def test_it_says_how_many_rows_are_wrong_and_names_the_first(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add_all(User(name=f"user {number}") for number in range(MOST_TOLD + 5))
    past(device, "UPDATE user_account SET name = 'x'")
    found = check(device.sessions)
    assert (found.wrong, len(found.rows)) == (MOST_TOLD + 7, MOST_TOLD)


def test_rows_that_are_held_are_not_wrong(device: Device) -> None:
    device.edit(user(device, "bob").id, lambda doc: doc.update({"age": 200}))
    assert device.held()
    assert check(device.sessions).ok
    assert check(device.sessions, repair=True).ok
    assert device.held()


def test_a_row_that_cannot_be_deleted_is_told(device: Device) -> None:
    key = uuid.UUID(int=1)
    columns = "id, name, active, stars, tags, steps"
    past(device, f"INSERT INTO user_account ({columns}) VALUES ('{key.hex}', 'x', 1, 0, '[]', '[]')")
    with device.sessions.begin() as session:
        session.add(Draft(words="x", user_id=key))
    for repair in (False, True):
        found = check(device.sessions, repair=repair)
        assert found.schema == (f"row {key} of table user_account is of no document, and something points at it",)
        assert not found.ok


def _begin(device: Device, base: Any = Base) -> None:
    """Open the store again, and prepare nothing."""
    device.stop()
    device.store = Store.open(device._path, KEY)
    device.sessions = Sessions(device, base)


BROKEN: dict[str, tuple[list[str], str, bool]] = {
    "a table": (["DROP TABLE draft", "DROP TABLE word"], "table word is missing", False),
    "a column": (["ALTER TABLE user_account DROP COLUMN fullname"], "table user_account has no column fullname", False),
    "a unique key": (
        ["DROP INDEX uq_tag_name"],
        "index uq_tag_name of table tag is missing, or not as declared",
        False,
    ),
    "a unique key over all rows": (
        ["DROP INDEX uq_tag_name", "CREATE UNIQUE INDEX uq_tag_name ON tag (lichen_space, name)"],
        "index uq_tag_name of table tag is missing, or not as declared",
        False,
    ),
    "a trigger": (
        ["DROP TRIGGER lichen_user_account_search_update"],
        "the search index of table user_account is missing, or not as declared",
        True,
    ),
    "an index": (
        ["INSERT INTO lichen_user_account_search (lichen_user_account_search) VALUES ('delete-all')"],
        "the search index of table user_account is not what its rows hold",
        True,
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_missing_of_the_schema_is_told(device: Device, what: str) -> None:
    statements, words, mended = BROKEN[what]
    past(device, *statements)
    _begin(device)
    found = check(device.sessions)
    assert (found.schema, found.ok, found.wrong) == ((words,), False, 0)
    assert check(device.sessions, repair=True).schema == (() if mended else (words,))
    assert check(device.sessions).ok is mended


def test_a_store_that_was_never_prepared_is_checked_and_left_as_it_is(tmp_path: Path) -> None:
    device = Device(tmp_path, "device")
    _begin(device)
    past(device, "DROP TABLE lichen_held_rows", "DROP TABLE lichen_disputed")
    assert check(device.sessions).ok
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('lichen_held_rows', 'lichen_disputed')"
    assert device.store.read(lambda conn: conn.exec_driver_sql(query).scalar()).result(9) == 0
    assert check(device.sessions, repair=True).ok
    device.sessions.prepare()
    device.stop()


def test_classes_that_inherit_are_checked(tmp_path: Path) -> None:
    device = Device(tmp_path, "device", test_inheritance.Base)
    with device.sessions.begin(SPACE) as session:
        note = test_inheritance.Note(heading="A", at=test_inheritance.Point(1, 2))
        session.add(test_inheritance.Doctor(name="ann", bio="x", notes=[note]))
    assert check(device.sessions).ok
    past(device, "UPDATE person SET bio = 'y'", 'UPDATE "Note of a person" SET x = 7')
    assert wrong(check(device.sessions)) == {("person", "changed", ("bio",)), ("Note of a person", "changed", ("x",))}
    device.stop()


def test_a_class_is_rebuilt_with_what_lies_in_its_documents(device: Device) -> None:
    before = device.rows()
    past(device, "UPDATE user_account SET name = 'x'", "UPDATE visit SET why = 'x'", "UPDATE tag SET size = 3")
    found = rebuild(device.sessions, Visit)
    assert (found.documents, wrong(found)) == (
        2,
        {("user_account", "changed", ("name",)), ("visit", "changed", ("why",))},
    )
    assert found.ok
    assert wrong(rebuild(device.sessions, Tag)) == {("tag", "changed", ("size",))}
    assert device.rows() == before
    with pytest.raises(SessionMisuse, match="Draft is not a synced class"):
        rebuild(device.sessions, Draft)


async def test_live_queries_see_what_was_rebuilt(device: Device) -> None:
    past(device, "UPDATE user_account SET name = 'x' WHERE name = 'ann'")
    shown: list[list[str]] = []
    async with asyncio.timeout(9):
        async for names in live(device.sessions, select(User.name).order_by(User.name)):
            shown.append([*names])
            if len(shown) == 2:
                break
            await asyncio.to_thread(rebuild, device.sessions, User)
    assert shown == [["bob", "x"], ["ann", "bob"]]


def test_sessions_go_on_after_a_rebuild(device: Device) -> None:
    with device.sessions.begin() as session:
        session.scalars(select(User).where(User.name == "ann")).one().stars += 1
    rebuild(device.sessions, User)
    with device.sessions.begin() as session:
        session.scalars(select(User).where(User.name == "ann")).one().stars += 1
    assert user(device).stars == 2
    device.check()
