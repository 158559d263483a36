"""The index of searched texts: it is what the rows hold, and is made anew where it is not as declared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lichen.errors import StoreError
from lichen_adapters.orm import search, search_index
from orm_devices import Device
from sqlalchemy import Connection, event, text, update
from test_search import Base, Note, add, found

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("database", ["postgresql"], indirect=True)


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path, "device", Base)
    yield made
    made.check()
    made.stop()


def _ddl(device: Device) -> dict[str, str]:
    query = text("SELECT name, sql FROM sqlite_master WHERE name LIKE 'lichen\\_%\\_search%' ESCAPE '\\'")
    return device.store.read(lambda conn: {row[0]: row[1] for row in conn.execute(query)}).result(9)


def _break(device: Device, *statements: str) -> None:
    """Work past the adapter, and start again."""

    def job(conn: Connection) -> None:
        for statement in statements:
            conn.exec_driver_sql(statement)

    device.store.write(job).result(9)
    device.stop()
    device.start()


@on_sqlite
def test_an_index_that_lost_a_trigger_is_made_anew(device: Device) -> None:
    add(device, "one")
    before = _ddl(device)
    emptied = "INSERT INTO lichen_note_search (lichen_note_search) VALUES ('delete-all')"
    _break(device, "DROP TRIGGER lichen_note_search_update", emptied)
    assert _ddl(device) == before
    assert found(device, "one") == ["one"]


@on_sqlite
def test_a_table_gets_its_index_when_its_texts_come_to_be_searched(device: Device) -> None:
    add(device, "one")
    before = _ddl(device)
    _break(device, "DROP TRIGGER lichen_note_search_delete", "DROP TABLE lichen_note_search")
    assert _ddl(device) == before
    assert found(device, "one") == ["one"]


@on_sqlite
def test_an_index_that_is_declared_in_another_way_is_made_anew(device: Device) -> None:
    add(device, "éggs")
    before = _ddl(device)
    other = before["lichen_note_search"].replace("remove_diacritics 2", "remove_diacritics 0")
    _break(device, "DROP TABLE lichen_note_search", other)
    assert _ddl(device) == before
    assert found(device, "eggs") == ["éggs"]


@on_sqlite
def test_the_index_of_a_text_that_is_searched_no_more_goes(device: Device) -> None:
    add(device, "one")
    with device.sessions.database.begin() as conn:
        search_index.install(conn, [])
    assert _ddl(device) == {}
    add(device, "two")
    with device.sessions.database.begin() as conn:
        search_index.install(conn, Base.metadata.tables.values())
    assert found(device, "two") == ["two"]


@on_sqlite
def test_an_index_goes_with_its_table_and_comes_with_it(device: Device) -> None:
    Base.metadata.drop_all(device.sessions.database)
    assert _ddl(device) == {}
    Base.metadata.create_all(device.sessions.database)
    add(device, "one")
    assert found(device, "one") == ["one"]


@on_sqlite
def test_rows_are_found_after_the_file_is_vacuumed(device: Device) -> None:
    add(device, "one", "two", "three")
    with device.sessions.begin() as session:
        session.delete(session.scalars(search(Note, "one")).one())
    connection = device.store.backend.for_event_loop()()
    connection.execute("VACUUM")
    connection.close()
    assert found(device, "three") == ["three"]


@on_sqlite
def test_an_index_that_is_not_what_rows_hold_is_seen_by_these_tests(device: Device) -> None:
    add(device, "one")
    trigger = _ddl(device)["lichen_note_search_update"]
    with device.sessions.database.begin() as conn:
        conn.exec_driver_sql("DROP TRIGGER lichen_note_search_update")
    with device.sessions.begin() as session:
        session.execute(update(Note).values(body="unseen"))
    with device.sessions.database.begin() as conn:
        conn.exec_driver_sql(trigger)
    with pytest.raises(StoreError, match=r"malformed|corruption"):
        device.check()
    with device.sessions.database.begin() as conn:
        search_index.rebuild(conn, Base.metadata.tables["note"])


@on_postgres
def test_an_index_of_postgresql_is_used_and_comes_again(device: Device) -> None:
    add(device, "éggs", "milk")
    index = "SELECT obj_description(to_regclass('lichen_note_search'))"

    def mark() -> object:
        return device.store.read(lambda conn: conn.exec_driver_sql(index).scalar()).result(9)

    before = mark()
    assert before is not None
    _break(device, "DROP INDEX lichen_note_search")
    assert mark() == before
    _break(device, "COMMENT ON INDEX lichen_note_search IS 'of another version'")
    assert mark() == before
    with device.sessions() as session:
        for way in ("seqscan", "indexscan", "nestloop"):  # which are cheaper for two rows
            session.execute(text(f"SET enable_{way} = off"))
        asked: list[tuple[str, Any]] = []
        event.listen(session.connection(), "before_cursor_execute", lambda *call: asked.append(call[2:4]))
        session.scalars(search(Note, "eggs")).all()
        statement, parameters = asked[0]
        plan = session.connection().exec_driver_sql(f"EXPLAIN {statement}", parameters).scalars().all()
        session.rollback()
    assert any("lichen_note_search" in line for line in plan), plan
    with device.sessions.database.begin() as conn:
        search_index.install(conn, [])
    assert mark() is None
    device.sessions.prepare()
    assert found(device, "eggs") == ["éggs"]


@on_postgres
def test_a_text_that_is_too_long_for_an_index_of_postgresql_is_kept(device: Device) -> None:
    words = " ".join(f"word{number}" for number in range(20_000))
    add(device, "first", body=words)
    add(device, "漢" * 3_000, body="字 " * 100_000)
    assert found(device, "word77") == ["first"]
    assert found(device, "word19999") == []
    device.check()
