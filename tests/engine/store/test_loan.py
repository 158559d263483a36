"""Loans: sessions of the application write in turn with the engine, and followers write along with documents."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from lichen.errors import StoreBusy, StoreError
from lichen.store import Store, following, loan, patience
from lichen.store.documents import UnsealedRow, append_changes, append_unsealed, create_documents, load_tail
from lichen.store.loan import outside
from lichen.store.patience import Patience
from sqlalchemy import Connection, text

DOC = bytes(16)
OTHER = bytes([1] * 16)


def note(word: str) -> Callable[[Connection], object]:
    return lambda conn: conn.execute(text("INSERT INTO notes VALUES (:word)"), {"word": word})


def words(store: Store) -> list[str]:
    return store.read(lambda conn: list(conn.execute(text("SELECT word FROM notes ORDER BY rowid")).scalars())).result(
        9
    )


def borrow(store: Store, borrower: str, *, blocking: bool = False) -> loan.Loan:
    return store.borrow(borrower, blocking=blocking)


@pytest.fixture
def noted(store: Store) -> Store:
    store.write(lambda conn: conn.execute(text("CREATE TABLE notes (word)"))).result(9)
    return store


def test_a_borrower_writes_between_the_jobs_before_and_after_it(noted: Store) -> None:
    noted.write(note("before"))
    lent = borrow(noted, "a session")
    after = Future[None]()
    noted.write_soon(note("after"), lambda _result, _error: after.set_result(None))
    lent.granted.result(9)
    sessions = noted.backend.session_engine()
    with sessions.connect() as conn:
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        note("borrowed")(conn)
        assert not after.done()
        conn.exec_driver_sql("COMMIT")
    lent.give_back()
    after.result(9)
    sessions.dispose()
    assert words(noted) == ["before", "borrowed", "after"]


def test_a_loan_that_is_given_back_before_it_was_granted_holds_up_nobody(noted: Store) -> None:
    first, second = borrow(noted, "a session"), borrow(noted, "another")
    first.granted.result(9)
    second.give_back()
    first.give_back()
    noted.write(note("after")).result(9)
    assert second.granted.cancelled()


def test_a_store_that_closes_recalls_what_is_lent_and_refuses_the_rest(noted: Store) -> None:
    lent, waiting = borrow(noted, "a session"), borrow(noted, "another")
    lent.granted.result(9)
    lent.check()
    noted.close()
    with pytest.raises(StoreError, match="a session was writing"):
        lent.check()
    with pytest.raises(StoreError, match="is closed"):
        waiting.granted.result(9)
    with pytest.raises(StoreError, match="is closed"):
        borrow(noted, "late")


def test_who_has_a_loan_out_cannot_wait_for_what_comes_after_it(noted: Store) -> None:
    lent = borrow(noted, "a session")
    lent.granted.result(9)
    with pytest.raises(StoreError, match="a session has written and not ended"):
        noted.write(note("never"))
    with pytest.raises(StoreError, match="a session has written and not ended"):
        borrow(noted, "another")
    with ThreadPoolExecutor(1) as thread:
        after = thread.submit(noted.write, note("after")).result(9)
    lent.give_back()
    after.result(9)
    assert words(noted) == ["after"]


async def test_what_was_begun_within_a_loan_waits_for_its_end_and_is_refused_when_that_does_not_come(
    noted: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = borrow(noted, "a session")
    await asyncio.wrap_future(lent.granted)
    async with asyncio.TaskGroup() as tasks:
        patient = tasks.create_task(noted.refuse_within())
        await asyncio.sleep(0)
        lent.give_back()
    assert patient.result() is None
    await noted.refuse_within()

    monkeypatch.setattr(loan, "LONG_S", 0.01)
    lent = borrow(noted, "a session")
    await asyncio.wrap_future(lent.granted)

    async def session_of_its_own() -> None:
        first = borrow(noted, "first")
        with contextlib.suppress(StoreError):
            await asyncio.wrap_future(first.granted)
        first.give_back()
        await noted.refuse_within()

    async def write(word: str) -> None:
        await asyncio.wrap_future(noted.write(note(word)))

    def write_in_a_thread() -> None:
        noted.write(note("late too")).result(9)

    elsewhere = asyncio.create_task(write("elsewhere"), context=outside())  # nobody in the session waits for it
    await asyncio.sleep(0)
    for waiting in (write("late"), session_of_its_own(), noted.refuse_within(), asyncio.to_thread(write_in_a_thread)):
        with pytest.raises(StoreError, match=r"a session has written and not ended for \d+ s"):
            await asyncio.create_task(waiting)
    lent.give_back()
    await elsewhere
    await write("last")
    assert words(noted)[:-1] == ["elsewhere", "late", "late too"]  # refused was to wait for it


async def test_nobody_waits_for_ever_for_a_borrower_but_the_engine(
    noted: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(noted._writer.patience, "most_s", 0.01)
    lent = await asyncio.create_task(borrowed(noted, "a session"))

    async def load() -> None:
        async with noted.waiting():
            await asyncio.wrap_future(noted.write(note("of the engine")))

    def borrow_another() -> None:
        another = borrow(noted, "another", blocking=True)
        try:
            another.granted.result(9)
        finally:
            another.give_back()

    with ThreadPoolExecutor(1) as thread:  # whose jobs know nothing of who gave them
        jobs = [
            thread.submit(borrow_another),
            thread.submit(lambda: noted.write_in_time(note("never")).result(9)),
            thread.submit(lambda: asyncio.run(load())),
        ]
        for job in jobs:
            with pytest.raises(StoreBusy, match="a session has written and not ended, and was waited for for 0 s"):
                await asyncio.wrap_future(job)
    lent.give_back()
    async with noted.waiting():
        await asyncio.wrap_future(noted.write_in_time(note("last")))
    assert words(noted) == ["of the engine", "last"]


def test_for_each_session_others_wait_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "monotonic", lambda: now_s)
    now_s, waiting, others = 100.0, Future[None](), Patience(60)
    others.add(waiting)
    now_s = 159.0
    assert others.overdue("one from before", 10.0) == []
    now_s = 161.0
    assert others.overdue("the next", 155.0) == []
    ((late, busy),) = others.overdue("one from before", 10.0)
    assert late is waiting
    assert "one from before has written and not ended, and was waited for for 61 s" in str(busy)
    waiting.cancel()
    assert others.overdue("one from before", 10.0) == []


async def test_who_would_hold_up_the_thread_of_a_borrower_is_refused_at_once(noted: Store) -> None:
    lent = await asyncio.create_task(borrowed(noted, "a session"))
    waiting = await asyncio.create_task(borrowed(noted, "the next"))
    with pytest.raises(StoreError, match="a session writes first, and could not go on"):
        borrow(noted, "late", blocking=True)
    lent.give_back()
    with pytest.raises(StoreError, match="the next writes first, and could not go on"):
        noted.refuse_borrower(blocking=True)
    waiting.give_back()
    last = borrow(noted, "late", blocking=True)
    last.granted.result(9)
    last.give_back()


async def borrowed(store: Store, borrower: str) -> loan.Loan:
    """One of another task, granted or not."""
    return borrow(store, borrower)


async def test_a_loan_of_another_store_is_no_reason_to_refuse(noted: Store, tmp_path: Path) -> None:
    other = Store.open(tmp_path / "other.db", bytes(32))
    mine, theirs = borrow(noted, "mine"), await asyncio.create_task(borrowed(other, "theirs"))
    assert noted._writer.loans_here() == [mine]
    assert other._writer.loans_here() == []
    mine.give_back()
    theirs.give_back()
    await asyncio.to_thread(other.close)


def test_who_keeps_a_loan_for_long_is_named(
    noted: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(loan, "LONG_S", 0.01)
    reported = threading.Event()
    logger = logging.getLogger("lichen.store")
    monkeypatch.setattr(logger, "warning", lambda *args: (logger.log(logging.WARNING, *args), reported.set()))
    lent = borrow(noted, "session of the importer")
    assert reported.wait(9)
    lent.give_back()
    assert "session of the importer has held up every write" in caplog.text


class Recorder:
    """A follower that notes what it is told, and writes along."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.error: Exception | None = None

    def changed(self, conn: Connection, changes: Mapping[bytes, Sequence[bytes]]) -> None:
        self.told += map(list, changes.values())
        note(list(changes.values())[-1][-1].decode())(conn)
        if self.error is not None:
            raise self.error

    def before_commit(self, conn: Connection) -> None:
        self.told.append("before commit")
        note("last")(conn)

    def ended(self, *, committed: bool) -> None:
        self.told.append(committed)


def test_a_follower_writes_along_with_what_is_saved_and_what_comes(noted: Store) -> None:
    follower = Recorder()
    stop = noted.follow(follower)
    own = [UnsealedRow(DOC, bytes(16), b"own 1"), UnsealedRow(DOC, bytes(16), b"own 2")]
    noted.write(lambda conn: append_unsealed(conn, own)).result(9)
    noted.write(lambda conn: append_changes(conn, {DOC: [b"theirs"]})).result(9)
    assert follower.told == [[b"own 1", b"own 2"], "before commit", True, [b"theirs"], "before commit", True]
    assert words(noted) == ["own 2", "last", "theirs", "last"]
    stop()
    noted.write(lambda conn: append_changes(conn, {DOC: [b"later"]})).result(9)
    assert "later" not in words(noted)


def test_a_follower_that_leaves_within_a_transaction_hears_of_its_end(noted: Store) -> None:
    follower = Recorder()
    stop = noted.follow(follower)

    def job(conn: Connection) -> None:
        append_changes(conn, {DOC: [b"theirs"]})
        stop()

    noted.write(job).result(9)
    noted.write(lambda _: None).result(9)
    assert follower.told[:3] in ([[b"theirs"], "before commit", True], [[b"theirs"], "before commit", "before commit"])
    assert follower.told[-1] is True
    told = list(follower.told)
    noted.write(lambda conn: append_changes(conn, {DOC: [b"later"]})).result(9)
    assert follower.told == told


def test_what_a_follower_cannot_take_is_not_kept_and_it_is_told(noted: Store) -> None:
    follower = Recorder()
    noted.follow(follower)
    follower.error = ValueError("no such row")
    with pytest.raises(ValueError, match="no such row"):
        noted.write(lambda conn: append_changes(conn, {DOC: [b"theirs"]})).result(9)
    assert follower.told == [[b"theirs"], False]
    assert words(noted) == []
    assert noted.read(lambda conn: load_tail(conn, DOC)).result(9) == (None, [])


def test_reads_are_no_transaction_of_a_follower(noted: Store) -> None:
    follower = Recorder()
    noted.follow(follower)
    words(noted)
    noted.write(lambda _: None).result(9)
    assert follower.told == ["before commit", True]


def test_what_changes_while_nobody_follows_is_noted_once_somebody_has(noted: Store) -> None:
    def behind(mark: bytes) -> list[bytes]:
        noted.write(lambda conn: following.set_out(conn, mark)).result(9)
        return noted.read(lambda conn: following.behind(conn, 9)).result(9)

    def catch_up() -> None:
        noted.write(lambda conn: following.caught_up(conn, following.behind(conn, 9))).result(9)

    def change(doc: bytes) -> None:
        noted.write(lambda conn: append_changes(conn, {doc: [b"theirs"]})).result(9)

    noted.write(lambda conn: create_documents(conn, [DOC, OTHER], bytes(32), 0)).result(9)
    change(DOC)
    assert sorted(behind(b"one")) == sorted([DOC, OTHER])
    stop = noted.follow(Recorder())
    assert len(behind(b"one")) == 2  # so far, it has gone through none
    catch_up()
    change(DOC)
    assert behind(b"one") == []
    assert len(behind(b"other")) == 2
    catch_up()
    stop()
    change(DOC)
    change(DOC)
    assert behind(b"other") == [DOC]
    catch_up()
    assert behind(b"other") == []


def test_what_changes_is_noted_after_a_restart_too(tmp_path: Path) -> None:
    for _ in range(2):
        store = Store.open(tmp_path / "store.db", bytes(32))
        store.write(lambda conn: append_changes(conn, {DOC: [b"theirs"]})).result(9)
        store.write(lambda conn: following.set_out(conn, b"one")).result(9)
        found = store.read(lambda conn: following.behind(conn, 9)).result(9)
        store.write(lambda conn: following.caught_up(conn, [DOC])).result(9)
        store.close()
    assert found == [DOC]
