"""Sessions: what would let rows and documents part is refused, and those who write take turns."""

from __future__ import annotations

import functools
import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from lichen.errors import ConfigError, StoreError
from lichen.store.loan import Loan
from lichen_adapters.orm import Misfit, SessionMisuse, Sessions
from lichen_adapters.orm.transactions import WRITING
from orm_devices import SPACE, Device
from orm_models import Address, Base, Draft, User
from sqlalchemy import ScalarResult, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

DYING = Path(__file__).parent / "dying.py"


def add(device: Device, name: str) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(User(name=name, addresses=[Address(email="a@b")]))


def names(device: Device) -> list[str]:
    with device.sessions() as session:
        return list(session.scalars(select(User.name).order_by(User.name)))


def test_an_object_has_its_id_from_the_flush_on(device: Device) -> None:
    with device.sessions(SPACE) as session:
        user = User(name="ann")
        session.add(user)
        assert user.id is None
        session.flush()
        assert session.get(User, user.id) is user
        session.commit()
        assert [one.doc.hex() for told in device.told for one in told] == [user.id.hex]


def test_autocommit_and_two_phases_are_refused(device: Device) -> None:
    add(device, "ann")
    with device.sessions(SPACE) as session, pytest.raises(SessionMisuse, match="AUTOCOMMIT"):
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
    with pytest.raises(SessionMisuse, match="AUTOCOMMIT"):
        device.sessions.database.execution_options(isolation_level="AUTOCOMMIT")
    with device.sessions(SPACE, twophase=True) as session:
        session.add(User(name="bob"))
        with pytest.raises(SessionMisuse, match="two-phase"):
            session.flush()
    assert names(device) == ["ann"]


def test_what_is_written_after_sessions_are_closed_is_refused(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    add(device, "ann")
    closed = device.sessions
    borrowing, borrow = threading.Event(), device.store.borrow

    def note(borrower: str, *, blocking: bool) -> Loan:
        loan = borrow(borrower, blocking=blocking)
        borrowing.set()
        return loan

    with closed(SPACE) as session, closed() as writing, closed() as waiting:
        ann = session.scalars(select(User)).one()
        writing.scalars(select(User)).one().stars = 3
        writing.flush()
        monkeypatch.setattr(device.store, "borrow", note)
        with ThreadPoolExecutor() as threads:
            waits = threads.submit(waiting.execute, update(User).values(stars=9))
            assert borrowing.wait(9)
            closed.close()
            writing.commit()  # what it has written was followed
            with pytest.raises(SessionMisuse, match="are closed"):
                waits.result(9)
        ann.name = "eve"
        with pytest.raises(SessionMisuse, match="are closed"):
            session.commit()
    with pytest.raises(SessionMisuse, match="are closed"):
        closed(SPACE)
    with pytest.raises(SessionMisuse, match="are closed"):
        closed.prepare()
    device.sessions = Sessions(device, Base)
    device.sessions.prepare()
    device.check()
    with device.sessions() as session:
        assert [(user.name, user.stars) for user in session.scalars(select(User))] == [("ann", 3)]


def test_a_session_without_a_space_adds_nothing_and_may_change_what_is_there(device: Device) -> None:
    add(device, "ann")
    with device.sessions() as session:
        session.add(User(name="bob"))
        with pytest.raises(SessionMisuse, match="without a space"):
            session.flush()
    with device.sessions() as session, pytest.raises(SessionMisuse, match="without a space"):
        session.execute(insert(User).values(name="bob"))
    with device.sessions.begin() as session:
        session.execute(update(User).values(name="eve"))
    assert names(device) == ["eve"]


def test_before_rows_are_up_to_date_there_are_no_sessions(tmp_path: Path, device: Device) -> None:
    sessions = Sessions(device, Base)
    with pytest.raises(SessionMisuse, match="rows are not up to date"):
        sessions(SPACE)
    with pytest.raises(ConfigError, match="made of this store's documents already"):
        sessions.prepare()
    sessions.close()


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)  # for the other see test_changed_tables.py
def test_a_table_that_was_made_again_with_its_triggers_is_watched_again(device: Device) -> None:
    add(device, "ann")
    with device.sessions.database.begin() as conn:
        conn.execute(text("ALTER TABLE address RENAME TO old"))
        Base.metadata.create_all(conn)
        conn.execute(text("INSERT INTO address SELECT * FROM old"))
        conn.execute(text("DROP TABLE old CASCADE"))
    with device.sessions.begin() as session:
        session.execute(update(Address).values(email="new@b"))
    device.check()


ENDS = ("commit", "rollback", "close")


def test_a_second_writer_on_the_same_thread_is_an_error_and_no_deadlock(device: Device) -> None:
    add(device, "ann")
    with device.sessions(SPACE) as one, device.sessions(SPACE) as other:
        one.execute(update(User).values(name="one"))
        assert other.scalars(select(User.name)).all() == ["ann"]
        line = inspect.currentframe().f_lineno - 2  # type: ignore[union-attr]  # there is one
        with pytest.raises(StoreError, match=f"{__file__}, line {line}, has written and not ended"):
            other.execute(update(User).values(name="other"))
        one.commit()
    assert names(device) == ["one"]


def test_threads_of_a_pool_hand_a_session_on_and_are_free_for_others(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(device, "ann")
    borrowing, borrow = threading.Event(), device.store.borrow

    def note(borrower: str, *, blocking: bool) -> Loan:
        loan = borrow(borrower, blocking=blocking)
        borrowing.set()
        return loan

    def in_context(thread: ThreadPoolExecutor, work: Callable[..., object], *given: object) -> Future[object]:
        return thread.submit(copy_context().run, work, *given)  # as web frameworks give work to threads

    def nested() -> None:
        session.execute(update(User).values(stars=4))
        with device.sessions.begin() as another:
            another.execute(update(User).values(stars=5))

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second, device.sessions(SPACE) as session:
        for end in ENDS:
            in_context(first, session.execute, update(User).values(name=end)).result(9)
            monkeypatch.setattr(device.store, "borrow", note)
            other = in_context(first, add, device, f"beside {end}")
            assert borrowing.wait(9)
            in_context(second, getattr(session, end)).result(9)
            other.result(9)
            borrowing.clear()
            monkeypatch.undo()
            in_context(first, session.execute, update(User).values(stars=3)).result(9)
            with pytest.raises(StoreError, match="has written and not ended: what the store is asked for now"):
                in_context(second, nested).result(9)
            after = first.submit(add, device, f"after {end}")  # no context says whose work this is; the session is gone
            second.submit(getattr(session, end)).result(9)
            after.result(9)
    assert names(device) == sorted(["commit", *(f"{a} {b}" for a in ("beside", "after") for b in ENDS)])
    device.check()


def test_threads_take_turns_and_lose_nothing(device: Device) -> None:
    add(device, "ann")
    together = threading.Barrier(4)

    def work(_: int) -> None:
        together.wait(9)
        for _ in range(10):
            with device.sessions.begin() as session:
                user = session.scalars(select(User)).one()
                user.stars += 1
                user.steps.append(1)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    (row,) = (row for (table, _), row in device.rows().items() if table == "user_account")
    assert (row["stars"], row["steps"]) == (40, [1] * 40)
    device.check()


def test_what_a_savepoint_takes_back_is_in_no_document(device: Device) -> None:
    with device.sessions(SPACE) as session:
        session.add(User(name="ann"))
        session.flush()
        with pytest.raises(IntegrityError), session.begin_nested():
            session.add_all([User(name="bob"), User(name="old", age=200)])
        session.commit()
    assert names(device) == ["ann"]
    device.check()


def test_a_select_with_a_common_table_expression_takes_no_turn(device: Device) -> None:
    add(device, "ann")
    friends = select(User.id, User.name).where(User.friend_id.is_(None)).cte(recursive=True)
    friends = friends.union_all(select(User.id, User.name).join(friends, User.friend_id == friends.c.id))
    with device.sessions() as session:
        assert session.scalars(select(friends.c.name)).all() == ["ann"]
        add(device, "ben")
        assert session.connection().info[WRITING].loan is None
    assert names(device) == ["ann", "ben"]


def test_a_select_that_locks_takes_the_turn_and_reads_the_newest(device: Device) -> None:
    add(device, "ann")
    with device.sessions() as one, device.sessions() as other:
        user = one.scalars(select(User)).one()
        device.edit(user.id, lambda document: document.update(name="eve"))
        assert one.get(User, user.id, with_for_update=True, populate_existing=True) is user
        assert user.name == "eve"
        with pytest.raises(StoreError, match="has written and not ended"):
            other.execute(update(User).values(name="other"))
        user.name += "!"
        one.commit()
    assert names(device) == ["eve!"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_reads_in_parts_is_not_disturbed_by_who_did_so_before(device: Device) -> None:
    """A cursor that is given up would begin anew for all that share its compiled statement."""
    for name in ("ann", "ben", "eve"):
        add(device, name)

    def in_parts(session: Session) -> ScalarResult[User]:
        return session.scalars(select(User).order_by(User.name).execution_options(yield_per=1))

    with device.sessions() as session:
        given_up = in_parts(session)
        assert next(given_up).name == "ann"
    with device.sessions() as session:
        users = in_parts(session)
        assert next(users).name == "ann"
        del given_up
        assert [user.name for user in users] == ["ben", "eve"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_writes_while_it_reads_in_parts_what_is_old_by_now_is_told_so(device: Device) -> None:
    for name in ("ann", "ben", "eve"):
        add(device, name)
    with device.sessions() as session:
        users = session.scalars(select(User).order_by(User.name).execution_options(yield_per=1))
        next(users).name = "anna"
        session.flush()
        next(users).name = "benn"
        session.commit()
    assert names(device) == ["anna", "benn", "eve"]
    with device.sessions() as session:
        users = session.scalars(select(User).order_by(User.name).execution_options(yield_per=1))
        user = next(users)
        device.edit(user.id, lambda document: document.update(fullname="Anna"))
        user.name = "lost"
        with pytest.raises(SessionMisuse, match="while rows that it reads in parts are still to come"):
            session.flush()
    assert names(device) == ["anna", "benn", "eve"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # for the other see test_postgres.py
@pytest.mark.parametrize("statements", [0, 2, 30, 62, 90])
def test_kill_9_between_any_two_statements_leaves_rows_and_documents_in_agreement(
    device: Device, statements: int
) -> None:
    device.stop()
    path = f"{Path(__file__).parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [sys.executable, str(DYING), str(device._path), str(statements)],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == -9, done.stderr
    device.start()
    device.check()
    told = done.stdout.count(b"committed")
    with device.sessions() as session:
        users = session.scalars(select(User)).all()
        found = len(users), sum(user.stars for user in users)
    assert found in [((committed + 1) // 2, committed // 2) for committed in (told, told + 1)]


@pytest.mark.parametrize("tags", [{1.5}, {"a", None}, {("a",), 1}, {True}])
def test_a_value_that_cannot_merge_stops_the_commit(device: Device, tags: set[Any]) -> None:
    add(device, "ann")
    with device.sessions(SPACE) as session:
        user = session.scalars(select(User)).one()
        user.name, user.tags = "eve", tags
        with pytest.raises(Misfit, match="holds strings and whole numbers"):
            session.commit()
    assert names(device) == ["ann"]
    device.check()


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("settings", {"a": [1 << 64]}, "an integer must fit 64 bits"),
        ("settings", {"a": {"b": -(1 << 63) - 1}}, "an integer must fit 64 bits"),
        ("steps", [1 << 64], "an integer must fit 64 bits"),
        ("settings", {"a": functools.reduce(lambda inner, _: [inner], range(300), [])}, "nested too deeply"),
    ],
)
def test_a_value_that_no_document_has_stops_the_commit_and_says_why(
    device: Device, name: str, value: Any, why: str
) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add_all([User(name="ann", settings={"a": 1}, steps=[1]), User(name="ben")])
    before = device.rows()
    for user in ("ann", "ben"):
        with pytest.raises(Misfit, match=f"{name}: .*{why}"), device.sessions.begin() as session:
            session.execute(update(User).where(User.name == user).values({name: value}))
    with pytest.raises(Misfit, match=f"{name}: .*{why}"), device.sessions.begin(SPACE) as session:
        session.add(User(name="eve", **{name: value}))
    assert device.rows() == before
    device.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # the other has smaller numbers there
def test_a_counter_that_changes_too_much_stops_the_commit(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add(User(name="ann", stars=-1))
    with (
        pytest.raises(Misfit, match=r"stars: .* is more than a counter can change"),
        device.sessions.begin() as session,
    ):
        session.scalars(select(User)).one().stars = (1 << 63) - 1
    device.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)  # the other refuses it by itself
@pytest.mark.parametrize("wrong", ["fullname = x'00'", "stars = 'many'", "bio = x'00'", "steps = '{}'"])
def test_a_value_of_another_type_which_sqlite_takes_stops_the_commit(device: Device, wrong: str) -> None:
    add(device, "ann")
    before = device.rows()
    with pytest.raises(Misfit, match=f"{wrong.partition(' ')[0]}: .* is no "), device.sessions.begin() as session:
        session.execute(text(f"UPDATE user_account SET {wrong}"))
    assert device.rows() == before
    device.check()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "wrong", ["settings = '{'", "born = 'today'", "mood = 'WILD'", "balance = 'x'", "friend_id = 5", "tags = '[1'"]
)
def test_a_value_that_its_type_cannot_read_stops_the_commit(device: Device, wrong: str) -> None:
    add(device, "ann")
    before = device.rows()
    with (
        pytest.raises(Misfit, match="a row of user_account was to have a value that its column cannot read"),
        device.sessions.begin() as session,
    ):
        session.execute(text(f"UPDATE user_account SET {wrong}"))
    assert device.rows() == before
    device.check()


def test_tables_that_are_not_synced_are_written_beside(device: Device) -> None:
    with device.sessions.begin(SPACE) as session:
        session.add_all([Draft(words="not yet"), User(name="ann")])
    with device.sessions() as session:
        assert session.scalars(select(Draft.words)).all() == ["not yet"]
    assert [len(told) for told in device.told] == [1]


def test_replaced_and_cascaded_rows_reach_their_documents(device: Device) -> None:
    add(device, "ann")
    row = "INTO address (id, email, uses, user_id) SELECT id, 'new@b', 3, user_id FROM address"
    replace = f"INSERT OR REPLACE {row}"
    if device.sessions.database.dialect.name == "postgresql":
        replace = f"INSERT {row} ON CONFLICT (id) DO UPDATE SET email = excluded.email, uses = excluded.uses"
    with device.sessions.begin() as session:
        session.execute(text(replace))
    device.check()
    assert [row["email"] for (table, _), row in device.rows().items() if table == "address"] == ["new@b"]
    with device.sessions.begin() as session:
        session.execute(text("DELETE FROM user_account"))
    assert device.rows() == {}
    device.check()


def test_a_store_that_closes_ends_a_session_that_has_not_committed(tmp_path: Path) -> None:
    device = Device(tmp_path, "closing")
    add(device, "ann")
    with device.sessions() as session:
        session.execute(update(User).values(name="lost"))
        device.store.close()
        with pytest.raises((StoreError, OperationalError)):
            session.commit()
    device.stop()
    device.start()
    assert names(device) == ["ann"]
    device.stop()
