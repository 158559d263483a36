"""Rows that the database does not take after a merge are held with the reason, and return when they fit."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen_adapters.orm.held import held_rows
from orm_devices import SPACE, Device
from orm_models import Address, Draft, User
from sqlalchemy import delete, select, text, update


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Device, Device, uuid.UUID]]:
    """Two devices with one user."""
    one, other = Device(tmp_path, "one"), Device(tmp_path, "other")
    with one.sessions.begin(SPACE) as session:
        user = User(name="ann", addresses=[Address(email="a@b")])
        session.add(user)
        session.flush()
        name = user.id
    other.take_from(one)
    yield one, other, name
    one.stop()
    other.stop()


def reasons(device: Device) -> list[str]:
    return device.store.read(lambda conn: list(conn.scalars(select(held_rows.c.reason)))).result(9)


def test_what_two_devices_broke_together_is_held_on_both_and_returns(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, other, name = pair
    with one.sessions.begin() as session:
        session.execute(update(User).values(age=40))
    with other.sessions.begin() as session:
        session.execute(update(User).values(active=False))
    one.take_from(other)
    other.take_from(one)
    for device in pair[:2]:
        device.check()
        assert device.held() >= {("user_account", name)}
        assert "check constraint" in reasons(device)[0].lower()
        assert "\n" not in reasons(device)[0]
        assert ("user_account", name) not in device.rows()
    one.edit(name, lambda document: document.update(active=True))
    other.take_from(one)
    for device in pair[:2]:
        device.check()
        assert device.held() == set()
        assert device.rows()["user_account", name]["age"] == 40
        assert sum(table == "address" for table, _ in device.rows()) == 1


REFUSING = {
    "sqlite": [
        f"CREATE TRIGGER odd_{event} BEFORE {event} ON address WHEN NEW.uses % 2 = 1"
        " BEGIN SELECT RAISE(ABORT, 'odd'); END"
        for event in ("INSERT", "UPDATE")
    ],
    "postgresql": [
        (
            "CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF NEW.uses % 2 = 1 THEN RAISE EXCEPTION 'odd'; END IF; RETURN NEW; END $$"
        ),
        "CREATE TRIGGER odd BEFORE INSERT OR UPDATE ON address FOR EACH ROW EXECUTE FUNCTION odd()",
    ],
}


def test_what_a_trigger_of_the_application_refuses_is_held(
    pair: tuple[Device, Device, uuid.UUID], database: str
) -> None:
    one, other, _ = pair
    with other.sessions.database.begin() as conn:
        for statement in REFUSING[database]:
            conn.execute(text(statement))
    for uses, held in ((1, {"address"}), (2, set())):
        with one.sessions.begin() as session:
            session.scalars(select(Address)).one().uses = uses
        other.take_from(one)
        assert {table for table, _ in other.held()} == held
        other.check()
    assert reasons(other) == []


def test_a_value_of_another_program_that_does_not_fit_holds_the_row(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, _, name = pair
    one.edit(name, lambda document: document.update(born="long ago"))
    assert "born: 'long ago' cannot be read" in reasons(one)[0]
    assert ("user_account", name) not in one.rows()
    one.edit(name, lambda document: document.update(born="1970-01-01"))
    assert one.held() == set()
    one.check()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("age", 1 << 63),
        ("balance", "sNaN"),
        ("tags", {"[" * 100_000: True}),
        ("name", 7),
        ("stars", "many"),
    ],
)
def test_no_value_that_a_member_may_write_stops_a_merge(
    pair: tuple[Device, Device, uuid.UUID], column: str, value: object
) -> None:
    one, other, name = pair
    with one.sessions.begin(SPACE) as session:
        session.add(User(name="ben"))
    one.edit(name, lambda document: document.update({column: value}))
    other.take_from(one)
    for device in (one, other):
        assert ("user_account", name) in device.held()
        assert [row["name"] for (table, _), row in device.rows().items() if table == "user_account"] == ["ben"]


def test_a_row_that_a_table_without_sync_points_at_stays_when_it_is_deleted_elsewhere(
    pair: tuple[Device, Device, uuid.UUID],
) -> None:
    one, other, name = pair
    with one.sessions.begin() as session:
        session.add(Draft(words="to ann", user_id=name))
    with other.sessions.begin() as session:
        session.execute(delete(User))
    one.take_from(other)
    assert "foreign key constraint" in reasons(one)[0].lower()
    assert one.rows()["user_account", name]["name"] == "ann"
    with one.sessions.begin() as session:
        session.execute(delete(Draft))
        session.execute(delete(User))
    other.take_from(one)
    assert one.rows() == other.rows() == {}


def test_a_held_row_stays_held_over_a_restart(pair: tuple[Device, Device, uuid.UUID]) -> None:
    one, _, name = pair
    one.edit(name, lambda document: document.update(name=None))
    one.stop()
    one.start()
    assert ("user_account", name) in one.held()
    one.edit(name, lambda document: document.update(name="eve"))
    assert one.rows()["user_account", name]["name"] == "eve"
    one.check()
