"""Rows of a program without an event loop: sessions, documents of rows, and live queries in a loop or called back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from lichen import Engine as AsyncEngine
from lichen.blocking import Engine, Inbox, Space, timeout
from lichen.errors import ConfigError
from lichen_adapters.orm import Rows, SessionMisuse, Synced, synced_counter, synced_text
from lichen_adapters.orm import Sessions as AsyncioSessions
from lichen_adapters.orm.blocking import Sessions, call_live, live
from lichen_adapters.orm.sessions import READERS
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped


class Base(DeclarativeBase):
    pass


class Note(Synced, Base):
    __tablename__ = "note"
    title: Mapped[str]
    body: Mapped[str] = synced_text(default="")
    stars: Mapped[int] = synced_counter(default=0)


TITLES = select(Note.title).order_by(Note.title)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine.open(f"sqlite:///{tmp_path}/notes.db") as opened:
        yield opened


@pytest.fixture
def space(engine: Engine) -> Space:
    return engine.create_space("Family")


@pytest.fixture
def sessions(engine: Engine, space: Space) -> Iterator[Sessions]:
    with Sessions(engine, Base) as made:
        made.prepare()
        yield made


def add(sessions: Sessions, space: Space, title: str) -> Note:
    with sessions(space, expire_on_commit=False) as session, session.begin():
        session.add(note := Note(title=title))
    return note


def test_an_engine_of_the_other_kind_is_refused_by_name(engine: Engine) -> None:
    with pytest.raises(ConfigError, match=r"one of lichen\.blocking"):
        AsyncioSessions(cast("AsyncEngine", engine), Base)
    with pytest.raises(ConfigError, match=r"of an engine of lichen\.blocking"):
        Sessions(cast("Engine", engine.asynchronous), Base)


def test_the_document_of_a_row_is_edited_and_the_row_follows(sessions: Sessions, space: Space) -> None:
    note = add(sessions, space, "Groceries")
    document = sessions.document(note)
    with document.change() as doc:
        doc["body"].append("milk")
    with sessions() as session:
        assert session.scalars(select(Note.body)).one() == "milk"
    with pytest.raises(SessionMisuse):
        sessions.document(Note(title="new"))


def test_what_a_session_writes_into_a_document_while_a_block_is_open_is_in_it_after_the_block(
    engine: Engine, sessions: Sessions, space: Space
) -> None:
    note = add(sessions, space, "Groceries")
    document = sessions.document(note)

    def rename() -> None:
        with sessions.begin() as session:
            session.scalars(select(Note)).one().title = "Food"

    with document.change() as doc:
        doc["body"].append("milk")
        (renaming := threading.Thread(target=rename)).start()
        renaming.join()
        began = time.monotonic()
        assert [one.id for one in engine.spaces] == [space.id]
        assert time.monotonic() - began < 5, "the loop waits for no block"
    assert document.doc.to_py() | {"title": "Food", "body": "milk"} == document.doc.to_py()
    with sessions() as session:
        assert session.execute(select(Note.title, Note.body)).one() == ("Food", "milk")


def test_a_live_query_is_waited_for(sessions: Sessions, space: Space) -> None:
    seen: list[list[str]] = []
    threads = [threading.Thread(target=add, args=(sessions, space, title)) for title in ("Milk", "Eggs")]
    with timeout(20):
        for rows in live(sessions, TITLES):
            seen.append(list(rows))
            if not threads:
                break
            threads[-1].start()
            threads.pop().join()
    assert seen == [[], ["Eggs"], ["Eggs", "Milk"]]
    query = live(sessions, TITLES)
    assert list(next(query)) == ["Eggs", "Milk"]
    with pytest.raises(TimeoutError, match="stayed the same"), timeout(0.05):
        next(query)
    assert not sessions.feed.listened, "a time-out ends it"


def test_a_live_query_ends_for_who_waits_when_sessions_are_closed(sessions: Sessions) -> None:
    query = live(sessions, TITLES)
    next(query)
    closing = threading.Timer(0.05, sessions.close)
    closing.start()
    assert list(query) == []
    closing.join()


def test_a_live_query_calls_back_on_the_callers_thread_and_shows_what_gathered_meanwhile(
    sessions: Sessions, space: Space, caplog: pytest.LogCaptureFixture
) -> None:
    inbox, shown, threads = Inbox(), list[str](), set[int]()
    calls: list[Rows[str]] = []

    def show(rows: Rows[str]) -> None:
        calls.append(rows)
        shown[:] = rows.difference.apply(shown)
        threads.add(threading.get_ident())
        raise ZeroDivisionError

    end = call_live(sessions, TITLES, show, deliver=inbox)
    assert inbox.run(wait_s=20) == 1
    add(sessions, space, "Milk")
    for number in range(20):
        add(sessions, space, f"{number:02}")
    while len(shown) < 21:
        assert inbox.run(wait_s=20) == 1, "one at a time"
    assert shown == [*(f"{number:02}" for number in range(20)), "Milk"]
    assert len(calls) <= 4
    assert threads == {threading.get_ident()}
    assert caplog.text.count("a live query failed") == len(calls)
    add(sessions, space, "late")
    end()
    inbox.run(wait_s=0.2)
    assert "late" not in shown


def test_a_callback_that_is_a_generator_function_shares_its_thread(sessions: Sessions, space: Space) -> None:
    inbox, begun, ended = Inbox(), list[list[str]](), list[list[str]]()

    def show(rows: Rows[str]) -> Iterator[None]:
        begun.append(list(rows))
        for _ in range(3):
            time.sleep(0.005)
            yield
        ended.append(list(rows))

    end = call_live(sessions, TITLES, show, deliver=inbox)
    assert inbox.run(wait_s=20) == 1
    assert (begun, ended) == ([[]], []), "its thread gets to other things"
    add(sessions, space, "Milk")
    while not ended:
        assert inbox.run(wait_s=20) == 1
    assert begun == ended, "the next rows come when these are done with"
    inbox.run(wait_s=20)
    assert begun == [[], ["Milk"]]
    end()
    for _ in range(5):
        inbox.run(wait_s=0.02)
    assert ended == [[]], "it is not gone on with when nobody follows any more"


def test_a_live_query_that_was_about_to_run_when_sessions_were_closed_says_nothing(
    sessions: Sessions, space: Space, caplog: pytest.LogCaptureFixture
) -> None:
    inbox, closed = Inbox(), threading.Event()
    call_live(sessions, TITLES, lambda _: None, deliver=inbox)
    call = inbox._calls.get(timeout=20)
    sessions.feed.listen(lambda _: None, closed.set)
    for _ in range(READERS):
        sessions.readers.submit(closed.wait)
    add(sessions, space, "Milk")
    call()
    sessions.close()
    assert caplog.text == ""


def test_rows_that_are_shown_after_the_sessions_were_closed_are_the_last(sessions: Sessions, space: Space) -> None:
    inbox, shown = Inbox(), list[list[str]]()
    call_live(sessions, TITLES, lambda rows: shown.append(list(rows)), deliver=inbox)
    call = inbox._calls.get(timeout=20)
    sessions.close()
    call()
    assert shown == [[]]
