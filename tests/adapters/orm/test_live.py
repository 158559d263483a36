"""Live queries: when they are run again, and what they give."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import invariant, run_state_machine_as_test
from lichen_adapters.orm import Difference, Rows, SessionMisuse, call_live, live
from lichen_adapters.orm.objects import same
from lichen_adapters.orm.query import Query
from orm_devices import SPACE, Device
from orm_models import Address, Draft, User
from orm_work import Work
from sqlalchemy import Executable, Select, column, event, func, inspect, literal_column, select, table, text, update
from sqlalchemy.orm import aliased, joinedload, selectinload


def add(device: Device, *names: str, **values: Any) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add_all(User(name=name, addresses=[Address(email=f"{name}@b")], **values) for name in names)


def change(device: Device, whose: str, **values: Any) -> None:
    with device.sessions.begin() as session:
        session.execute(update(User).where(User.name == whose).values(**values))


def query(device: Device, statement: Executable, *reads: Any) -> Query:
    made = Query(device.sessions, statement, reads)
    made.listen(lambda: None)
    made.next()
    assert made.next() is None
    return made


def names_of(rows: Rows[Any] | None) -> list[str]:
    assert rows is not None
    return [user.name for user in rows]


by_name = select(User).order_by(User.name)


async def test_rows_come_now_and_after_each_change_here_and_elsewhere(device: Device, other: Device) -> None:
    add(device, "ann", "bob")
    other.take_from(device)
    async with contextlib.aclosing(live(device.sessions, by_name)) as lists:
        first = await anext(lists)
        assert [user.name for user in first] == ["ann", "bob"]
        assert first.difference == Difference(added=((0, first[0]), (1, first[1])))
        change(device, "bob", name="eve")
        second = await anext(lists)
        assert [user.name for user in second] == ["ann", "eve"]
        assert second.difference == Difference(changed=((1, second[1]),))
        change(other, "ann", name="zoe")
        device.take_from(other)
        third = await anext(lists)
        assert [user.name for user in third] == ["eve", "zoe"]
        assert len(third.difference.moved) == len(third.difference.changed) == 1
        assert third.difference.apply(second.difference.apply(first.difference.apply([]))) == list(third)


async def test_unchanged_rows_keep_their_object_and_all_are_detached(device: Device) -> None:
    add(device, "ann", "bob")
    async with contextlib.aclosing(live(device.sessions, by_name)) as lists:
        before = await anext(lists)
        change(device, "bob", bio="hello")
        after = await anext(lists)
    assert after[0] is before[0]
    assert after[1] is not before[1]
    assert (before[1].bio, after[1].bio) == (None, "hello")
    assert all(inspect(user).detached for user in after)


@pytest.mark.parametrize(
    ("statement", "touching", "passing"),
    [
        (by_name, {"stars": 1}, None),
        (select(User.name), {"name": "ann2"}, {"stars": 1}),
        (select(User.name).where(User.stars > 5), {"stars": 7}, {"bio": "b"}),
        (select(func.count()).select_from(User).where(User.active), {"active": False}, {"bio": "b"}),
        (select(aliased(User).name), {"name": "ann2"}, {"stars": 1}),
        (select(select(User.name).subquery()), {"name": "ann2"}, {"stars": 1}),
        (select(select(User.bio).cte()), {"bio": "b"}, {"stars": 1}),
        (
            select(Address.email).where(Address.user_id.in_(select(User.id).where(User.active))),
            {"active": False},
            {"bio": "b"},
        ),
        (select(Address.email, User.bio).join(Address.user), {"bio": "b"}, {"stars": 1}),
        (select(Address).options(joinedload(Address.user).load_only(User.bio)), {"bio": "b"}, {"stars": 1}),
        (select(Address).options(selectinload(Address.user)), {"stars": 1}, None),
        (select(User.name).union(select(User.bio)), {"bio": "b"}, {"stars": 1}),
        (select(Address.email).where(Address.user.has(User.active)), {"active": False}, {"bio": "b"}),
        (select(User.__table__.c.name), {"name": "ann2"}, {"stars": 1}),
    ],
)
def test_it_is_run_when_what_it_reads_is_touched_and_only_then(
    device: Device, statement: Executable, touching: dict[str, Any], passing: dict[str, Any] | None
) -> None:
    add(device, "ann")
    made = query(device, statement)
    if passing is not None:
        change(device, "ann", **passing)
        assert (made.next(), made.runs) == (None, 1)
    change(device, "ann", **touching)
    assert made.next() is not None or made.runs == 2


def test_a_row_that_was_not_in_the_result_and_does_not_match_causes_no_run(device: Device) -> None:
    add(device, *"abcd")
    made = query(device, select(User).where(User.stars > 5).order_by(func.lower(User.name)))
    change(device, "b", stars=3)
    assert (made.next(), made.runs) == (None, 1)
    change(device, "b", stars=7)
    assert names_of(made.next()) == ["b"]
    change(device, "b", stars=2)
    assert names_of(made.next()) == []
    change(device, "b", stars=1)
    assert (made.next(), made.runs) == (None, 3)


def test_beyond_a_limit_only_rows_that_match_may_come_in(device: Device) -> None:
    add(device, *"bcd", stars=7)
    made = query(device, select(User).where(User.stars > 5).order_by(User.name).limit(2))
    change(device, "d", stars=1)
    assert (made.next(), made.runs) == (None, 1)
    change(device, "d", stars=8, name="a")
    assert names_of(made.next()) == ["a", "b"]


@pytest.mark.parametrize(
    "statement",
    [
        select(User).where(User.stars > 5).order_by(User.name).offset(1),
        select(func.max(User.name)).where(User.stars > 5),
        select(User.name).where(User.stars > 5).distinct(),
        select(User.name).where(User.stars > 5).group_by(User.name),
        select(User.name, func.row_number().over(order_by=User.name)).where(User.stars > 5),
        select(User).where(User.stars > 5).order_by(User.name).options(selectinload(User.friend)),
        select(User).where(User.stars > select(func.min(User.stars)).scalar_subquery()),
    ],
)
def test_where_rows_depend_on_others_every_change_is_run(device: Device, statement: Select[Any]) -> None:
    with device.sessions.begin(SPACE) as session:
        friend = User(name="x")
        session.add_all([User(name=name, stars=7, friend=friend) for name in "bcd"])
    change(device, "d", stars=9)
    made = query(device, statement)
    change(device, "x", stars=-1)
    made.next()
    assert made.runs == 2


def test_of_columns_alone_the_keys_are_known_and_not_shown(device: Device) -> None:
    add(device, *"ab")
    made = query(device, select(User.name, User.stars).where(User.stars < 5).order_by(User.name))
    change(device, "b", stars=1)
    rows = made.next()
    assert rows is not None
    assert [tuple(row) for row in rows] == [("a", 0), ("b", 1)]
    assert [row.stars for row in rows] == [0, 1]
    assert rows.difference == Difference(changed=((1, rows[1]),))
    one = query(device, select(User.name).order_by(User.name))
    change(device, "b", name="z")
    assert one.next() == ("a", "z")


def test_what_is_committed_while_it_runs_is_not_missed(device: Device) -> None:
    made = Query(device.sessions, select(Draft.words), ())
    made.listen(lambda: None)
    began = threading.local()

    def commit_meanwhile(*_: Any) -> None:
        if not hasattr(began, "once"):
            began.once = True
            with ThreadPoolExecutor(1) as threads:
                threads.submit(add_draft).result(9)

    def add_draft() -> None:
        began.once = True
        with device.sessions.begin() as session:
            session.add(Draft(words="one"))

    event.listen(device.sessions.database, "after_cursor_execute", commit_meanwhile)
    assert (made.next(), made.next(), made.next()) == ((), ("one",), None)


def test_rows_that_are_there_twice_stay_apart(device: Device) -> None:
    add(device, "ann", "bob")
    with device.sessions.begin() as session:
        ann = session.scalars(by_name).first()
        assert ann is not None
        ann.addresses.append(Address(email="c@d"))
    made = query(device, by_name.join(User.addresses))
    change(device, "ann", stars=1)
    rows = made.next()
    assert names_of(rows) == ["ann", "ann", "bob"]
    assert [position for position, _ in (rows or Rows()).difference.changed] == [0, 1]
    values = query(device, select(User.active, User.settings).join(User.addresses))
    change(device, "bob", settings={"a": 1})
    assert len(values.next() or ()) == 3


def test_what_is_loaded_along_is_compared_too(device: Device) -> None:
    add(device, "ann", "bob")
    for statement in (by_name.options(selectinload(User.addresses)), by_name.options(joinedload(User.addresses))):
        made = query(device, statement)
        with device.sessions.begin() as session:
            session.execute(update(Address).where(Address.email == "ann@b").values(uses=Address.uses + 1))
        rows = made.next()
        assert rows is not None
        assert [position for position, _ in rows.difference.changed] == [0]
        with device.sessions.begin() as session:
            session.add(Address(email="z@b", user_id=rows[1].id))
        assert [position for position, _ in (made.next() or Rows()).difference.changed] == [1]
        with device.sessions.begin() as session:
            session.execute(text("DELETE FROM address WHERE email = 'z@b'"))


def test_tables_that_are_not_synced_count_too(device: Device) -> None:
    made = query(device, select(Draft.words))
    with device.sessions.begin() as session:
        session.add(Draft(words="one"))
    assert made.next() == ("one",)


@pytest.mark.parametrize(
    "statement",
    [
        text("SELECT name FROM user_account"),
        select(User).where(text("stars > 5")),
        select(literal_column("name")).select_from(User),
        select(User).from_statement(text("SELECT * FROM user_account")),
    ],
)
def test_a_textual_statement_says_what_it_reads(device: Device, statement: Executable) -> None:
    with pytest.raises(SessionMisuse, match="is text"):
        live(device.sessions, statement)
    with pytest.raises(SessionMisuse, match="is text"):
        call_live(device.sessions, statement, lambda _: None)
    made = query(device, statement, User)
    add(device, "ann", stars=7)
    assert len(made.next() or ()) == 1


@pytest.mark.parametrize("statement", [update(User).values(name="eve"), User, "SELECT 1", 5])
def test_what_is_no_query_is_refused(device: Device, statement: Any) -> None:
    with pytest.raises(SessionMisuse, match="is no query"):
        live(device.sessions, statement)


@pytest.mark.parametrize("reads", ["user_account", [5], [User.name]])
def test_what_a_text_reads_is_named_by_classes_and_tables(device: Device, reads: Any) -> None:
    with pytest.raises(SessionMisuse, match="no class or table"):
        live(device.sessions, text("SELECT name FROM user_account"), reads=reads)


def test_what_is_no_table_of_the_application_is_refused(device: Device) -> None:
    made = Query(device.sessions, select(table("lichen_documents", column("doc"))), ())
    with pytest.raises(SessionMisuse, match="lichen_documents"):
        made.next()


def test_what_changes_nothing_that_shows_gives_no_rows(device: Device) -> None:
    add(device, *"abc")
    made = query(device, select(func.count()).select_from(User))
    with device.sessions.begin(SPACE) as session:
        session.add(User(name="d"))
        session.execute(text("DELETE FROM user_account WHERE name = 'a'"))
    assert (made.next(), made.runs) == (None, 2)


def test_a_statement_that_fails_is_run_again_after_the_next_change(device: Device) -> None:
    woken: list[bool] = []
    made = Query(device.sessions, text("SELECT words, missing FROM draft"), [Draft])
    made.listen(lambda: woken.append(True))
    with pytest.raises(Exception, match="missing"):
        made.next()
    with device.sessions.database.begin() as conn:
        conn.execute(text("ALTER TABLE draft ADD COLUMN missing INTEGER"))
        conn.execute(text("INSERT INTO draft (words) VALUES ('one')"))
    assert woken == [True]
    assert len(made.next() or ()) == 1


async def test_it_ends_with_the_sessions(tmp_path: Path) -> None:
    device = Device(tmp_path, "ending")
    lists = live(device.sessions, by_name)
    assert await anext(lists) == ()
    waiting = asyncio.ensure_future(anext(lists, None))
    await asyncio.sleep(0)
    device.stop()
    async with asyncio.timeout(20):
        assert await waiting is None


async def test_who_stops_listening_is_forgotten(device: Device) -> None:
    async for rows in live(device.sessions, by_name):
        assert rows == ()
        break
    async with asyncio.timeout(20):
        while device.sessions.feed.listened:
            await asyncio.sleep(0)


class Watched(Work):
    """Random work, and live queries on one of the devices."""

    joined = select(User).order_by(User.id).options(joinedload(User.addresses), selectinload(User.friend))
    statements: tuple[Select[Any], ...] = (
        select(User).order_by(User.name, User.id),
        select(User).where(User.stars > 0).order_by(User.stars, User.id).limit(2),
        select(User).where(User.active).order_by(User.name.desc(), User.id).offset(1).limit(2),
        joined,
        select(User.name, User.bio).where(User.bio.is_not(None)).order_by(User.id),
        select(User.name, Address.email).join(Address.user).order_by(User.id, Address.id),
        select(func.count(), func.sum(User.stars)).select_from(User),
        select(Address).where(Address.uses >= 0).order_by(Address.email, Address.id),
        select(Draft).order_by(Draft.id),
        select(User.scroll).order_by(User.id),
    )

    def __init__(self) -> None:
        super().__init__()
        self.watched: object = None
        self.lists: list[tuple[Query, list[Any]]] = []

    @invariant()
    def live_queries_show_what_a_select_shows(self) -> None:
        sessions = self.devices[0].sessions
        if self.watched is not sessions:  # the device was started again
            self.watched = sessions
            self.lists = [(Query(sessions, statement, ()), []) for statement in self.statements]
            for made, _ in self.lists:
                made.listen(lambda: None)
        for statement, (made, shown) in zip(self.statements, self.lists, strict=True):
            while (rows := made.next()) is not None:
                shown[:] = rows.difference.apply(shown)
                assert shown == list(rows)
            with sessions() as session:
                result = session.execute(statement)
                if statement is self.joined:
                    result = result.unique()
                fresh = list(result.scalars().all() if len(result.keys()) == 1 else result.all())
                assert len(fresh) == len(shown)
                assert all(same(*pair) for pair in zip(fresh, shown, strict=True))


def test_after_any_work_the_rows_are_those_of_a_fresh_select(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lichen_adapters.orm.query.LEAST_KEPT", 1)
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # Hypothesis has no types for it
        Watched, settings=settings(max_examples=10, stateful_step_count=20, suppress_health_check=quiet)
    )
