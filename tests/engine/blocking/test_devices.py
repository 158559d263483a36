"""Two devices without an event loop of their own write one note, through a relay on a websocket."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from lichen import Text
from lichen.api.events import DocumentChanged
from lichen.blocking import Document, Engine, Inbox, Relay, Transaction, timeout
from lichen.errors import ConfigError, EngineMisuse, LimitExceeded, NotFound, StoreError, Unreachable
from lichen.ids import DocId
from lichen_adapters.orm.blocking import Sessions
from lichen_crdt import DocumentBusy
from sqlalchemy import text
from sqlalchemy.orm import DeclarativeBase

from .conftest import Open


def shared_note(ann: Engine, bob: Engine, address: str) -> tuple[Document, Document]:
    ann.connect(address)
    space = ann.create_space("Family", member_name="Ann")
    note = space.create({"title": "Plans", "body": Text("eggs")})
    joined = bob.join(space.invite(mode="auto"), name="Bob", timeout_s=20)
    return note, joined.document(note.id, wait_s=20)


def test_two_devices_write_one_note(open_engine: Open, tmp_path: Path) -> None:
    ann, bob = open_engine("ann"), open_engine("bob")
    with Relay.open(f"sqlite:///{tmp_path}/relay.db") as relay, timeout(60):
        note, copy = shared_note(ann, bob, relay.listen("ws://127.0.0.1:0"))
        assert [member.name for member in bob.space(note.space).members()] == ["Ann", "Bob"]
        events = ann.events()
        for number in range(20):
            with note.change() as doc:
                doc["body"].append(f" a{number}")
            with copy.change() as doc:
                doc["body"].append(f" b{number}")
        for _ in events:
            if note.heads == copy.heads and ann.up_to_date:
                break
        words = ["eggs", *(f"{who}{number}" for who in "ab" for number in range(20))]
        assert sorted(str(copy.doc["body"]).split()) == sorted(words)
        assert str(copy.doc["body"]) == str(note.doc["body"])
        assert relay.status["spaces"] == 1
        (connection,) = ann.connections
        assert connection.reached()
        connection.close()
        assert ann.connections == []


def test_what_threads_write_at_once_is_all_there_and_on_disk(open_engine: Open, tmp_path: Path) -> None:
    """Each block waits for its turn; while it has it, what the loop does for others goes on."""
    engine = open_engine()
    space = engine.create_space("Family")
    note = space.create({"body": Text(""), "title": "first"})

    def write(who: str) -> None:
        for number in range(30):
            with note.change() as doc:
                doc["body"].append(f"{who}{number} ")
                doc["title"] = f"{who}{number}"

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(write, who) for who in "abcd"]:
            done.result(60)
    written = sorted(str(note.doc["body"]).split())
    assert written == sorted(f"{who}{number}" for who in "abcd" for number in range(30))
    (info,) = space.documents()
    note.settled()
    assert (info.title, info.heads) == (note.doc["title"], note.heads)
    engine.close()
    with Engine.open(f"sqlite:///{tmp_path}/device.db", create=False) as again:
        assert sorted(str(again.document(note.id).doc["body"]).split()) == written


def test_the_loop_goes_on_while_a_block_is_open(open_engine: Open) -> None:
    """Also with what it has to do for the very document: that waits for the block, and nothing else does."""

    class Base(DeclarativeBase):
        pass

    engine = open_engine()
    space = engine.create_space("Family")
    note = space.create({"body": Text("eggs")})
    with note.change() as doc:
        doc["body"].append(" and milk")
    with ThreadPoolExecutor(1) as pool, note.change() as doc:
        doc["body"].append(" and flour")
        waiting = pool.submit(_append, note, " and bread")
        began = time.monotonic()
        other = space.create({"n": 0})
        engine.call(note.asynchronous._opened.freshen)
        _count(other)
        with Sessions(engine, Base) as sessions:
            sessions.prepare()
        assert time.monotonic() - began < 5
        assert not waiting.done()
    waiting.result(20)
    assert str(note.doc["body"]) == "eggs and milk and flour and bread"


def test_what_was_written_before_a_block_is_acknowledged_while_it_is_open_and_listed_after_it(
    open_engine: Open,
) -> None:
    engine = open_engine()
    space = engine.create_space("Family")
    note = space.create({"n": 0})
    events, hold = note.events(), threading.Event()
    engine.asynchronous.store.write_soon(lambda _conn: hold.wait(20), lambda _result, _error: None)
    with ThreadPoolExecutor(2) as pool:
        before = [pool.submit(_count, note), pool.submit(_count, note)]
        with timeout(20):
            assert len([next(events), next(events)]) == 2
        with note.change():
            hold.set()
            for done in before:
                done.result(5)
    note.settled()
    (info,) = space.documents()
    assert (note.doc["n"], info.heads) == (2, note.heads)


def _append(note: Document, words: str) -> None:
    with note.change() as doc:
        doc["body"].append(words)


def _count(note: Document) -> None:
    with note.change() as doc:
        doc["n"] = doc["n"] + 1


def test_a_block_that_raises_changes_nothing(open_engine: Open) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"body": Text("eggs")})
    with contextlib.suppress(ZeroDivisionError), note.change() as doc:
        doc["body"].append(" and milk")
        raise ZeroDivisionError
    assert str(note.doc["body"]) == "eggs"
    _append(note, " and bread")
    assert str(note.doc["body"]) == "eggs and bread"


@pytest.mark.filterwarnings("ignore:a transaction never ended")
def test_a_block_that_was_entered_by_hand_and_dropped_is_taken_back(open_engine: Open) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"body": Text("eggs")})
    transaction: Transaction | None = note.change()
    assert transaction is not None
    transaction.__enter__()["body"].append(" and milk")
    transaction = None
    with timeout(20):
        _append(note, " and bread")
    assert str(note.doc["body"]) == "eggs and bread"


def test_a_block_whose_engine_was_closed_is_an_error_and_nothing_of_it_stays(open_engine: Open, tmp_path: Path) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"body": Text("eggs")})
    transaction = note.change()
    transaction.__enter__()["body"].append(" and milk")
    engine.close()
    with pytest.raises(EngineMisuse, match="is closed"):
        transaction.__exit__(None, None, None)
    with Engine.open(f"sqlite:///{tmp_path}/device.db") as again:
        assert str(again.document(note.id).doc["body"]) == "eggs"


def test_errors_are_those_of_the_engine(open_engine: Open) -> None:
    engine = open_engine()
    space = engine.create_space("Family")
    with pytest.raises(NotFound):
        space.document(DocId(bytes(16)))
    with pytest.raises(ConfigError):
        engine.connect("nowhere://here")
    with pytest.raises(ConfigError):
        engine.create_space("")
    with pytest.raises(ConfigError, match="time-out"), timeout(-1):
        pass
    with pytest.raises(NotFound):
        Engine.open("sqlite:////nowhere/at/all.db", create=False)


def test_another_thread_that_reads_in_a_block_waits_for_its_end(open_engine: Open) -> None:
    note = open_engine().create_space("Family").create({"body": Text("eggs")})
    note.doc.wait_at_most(0.05)
    with ThreadPoolExecutor(1) as pool:
        with note.change() as doc:
            doc["body"].append(" and milk")
            with pytest.raises(DocumentBusy):
                pool.submit(lambda: str(note.doc["body"])).result(20)
        assert pool.submit(lambda: str(note.doc["body"])).result(20) == "eggs and milk"


# Time-outs


def test_a_call_that_takes_too_long_is_cancelled_and_the_engine_goes_on(open_engine: Open) -> None:
    engine, other = open_engine(), open_engine("other")
    space = engine.create_space("Family")
    address = engine.listen("memory://timeout")
    ticket = space.invite(mode="auto", hints=[address.replace("timeout", "nobody")])
    with pytest.raises(TimeoutError, match=r"Engine\.join was not done in .* s, and was cancelled"), timeout(0.3):
        other.join(ticket)
    with pytest.raises(Unreachable):
        other.join(ticket, timeout_s=0.1)
    with pytest.raises(TimeoutError, match="was not begun"), timeout(0):
        space.create({})
    assert space.documents() == []


def test_a_time_out_takes_no_change_back(open_engine: Open, tmp_path: Path) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"body": Text("eggs")})
    transaction = note.change()
    transaction.__enter__()["body"].append(" and milk")
    with timeout(0), pytest.raises(TimeoutError, match="the change is made"):
        transaction.__exit__(None, None, None)
    note.saved()
    engine.close()
    with Engine.open(f"sqlite:///{tmp_path}/device.db") as again:
        assert str(again.document(note.id).doc["body"]) == "eggs and milk"


def test_who_waits_for_a_turn_too_long_leaves_it_to_others(open_engine: Open) -> None:
    note = open_engine().create_space("Family").create({"body": Text("eggs")})
    with ThreadPoolExecutor(1) as pool:
        with note.change(), pytest.raises(TimeoutError):
            pool.submit(_in_time, note).result(20)
        _append(note, " and bread")
    assert str(note.doc["body"]) == "eggs and bread"


def _in_time(note: Document) -> None:
    with timeout(0.05):
        _append(note, " and milk")


# Events


def test_events_are_waited_for_taken_or_called_back_with(open_engine: Open) -> None:
    engine = open_engine()
    space = engine.create_space("Family")
    note = space.create({"n": 0})
    with note.events() as one, note.events() as other, engine.events() as of_all, timeout(20):
        assert one.waiting() == []
        _count(note)
        assert next(one).local
        assert next(iter(other)).local
        assert next(event.doc for event in of_all if isinstance(event, DocumentChanged)) == note.id
        with pytest.raises(TimeoutError, match="no event"), timeout(0.05):
            next(one)
        _count(note)
        assert next(one).local, "a time-out ends no events"
    assert list(one) == []


def test_a_callback_is_called_on_the_thread_that_runs_the_inbox_and_may_fail(
    open_engine: Open, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"n": 0})
    inbox, heard = Inbox(), list[int]()

    def callback(_event: object) -> None:
        heard.append(threading.get_ident())
        _count(note) if len(heard) == 1 else None
        raise ZeroDivisionError

    end = note.events().call(callback, inbox)
    _count(note)
    assert inbox.run(wait_s=20) >= 1
    while len(heard) < 2:
        assert inbox.run(wait_s=20) >= 1
    assert heard == [threading.get_ident()] * 2
    assert "a callback failed" in caplog.text
    end()
    _count(note)
    inbox.run()
    assert len(heard) == 2


def test_a_callback_leaves_its_thread_to_others_after_some_milliseconds(
    open_engine: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = open_engine().create_space("Family").create({"n": 0})
    inbox, heard = Inbox(), list[object]()
    monkeypatch.setattr("lichen.blocking.events.SLICE_S", 0)
    note.events().call(heard.append, inbox)
    for _ in range(3):
        _count(note)
    for number in (1, 2, 3):
        assert inbox.run(wait_s=20) == 1
        assert len(heard) == number


def test_a_callback_on_the_loops_thread_cannot_wait_for_itself(open_engine: Open) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"n": 0})
    errors: list[Exception] = []
    said = threading.Event()

    def callback(_event: object) -> None:
        for use in (partial(_count, note), engine.close, partial(Engine.open, "sqlite:///never.db")):
            try:
                use()
            except EngineMisuse as error:
                errors.append(error)
        said.set()

    note.events().call(callback, lambda call: call())
    _count(note)
    assert said.wait(20)
    assert ["on its own loop's thread" in str(error) for error in errors] == [True] * 3


def test_what_cannot_be_delivered_ends_the_events(open_engine: Open, caplog: pytest.LogCaptureFixture) -> None:
    note = open_engine().create_space("Family").create({"n": 0})
    events = note.events()

    def gone(_call: object) -> None:
        raise RuntimeError("the window is gone")

    events.call(lambda _: None, gone)
    _count(note)
    assert list(events) == []
    assert "could not be delivered" in caplog.text


def test_a_reader_that_falls_behind_is_told(open_engine: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lichen.blocking.events.MOST_WAITING", 2)
    note = open_engine().create_space("Family").create({"n": 0})
    events = note.events()
    for _ in range(3):
        _count(note)
    with timeout(20):
        assert len([next(events), next(events)]) == 2
        with pytest.raises(LimitExceeded, match="fell behind"):
            next(events)


def test_events_end_with_the_engine_and_when_they_are_dropped(open_engine: Open) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"n": 0})
    note.events()
    note.settled()
    assert note.asynchronous._opened.listeners == []
    events = note.events()
    engine.close()
    assert list(events) == []


# Places


def test_a_session_that_has_written_is_refused_what_would_wait_for_it(open_engine: Open) -> None:
    class Base(DeclarativeBase):
        pass

    engine = open_engine()
    space = engine.create_space("Family")
    with Sessions(engine, Base) as sessions:
        sessions.prepare()
        with sessions.begin(space) as session:
            session.execute(text("CREATE TABLE mine (n INTEGER)"))
            with pytest.raises(StoreError, match="has written and not ended"):
                space.create({})
        space.create({})


def test_after_it_is_closed_everything_is_a_clear_error(open_engine: Open) -> None:
    engine = open_engine()
    space = engine.create_space("Family")
    note = space.create({"n": 1})
    engine.close()
    engine.close()
    for call in (lambda: engine.spaces, space.documents, lambda: note.change(), note.events, note.settled):
        with pytest.raises(EngineMisuse, match="this engine is closed"):
            call()
    assert note.doc["n"] == 1


def test_it_is_used_where_a_loop_runs_already(tmp_path: Path) -> None:
    """As in a notebook, whose cells run on an event loop."""

    async def cell() -> str:
        with Engine.open(f"sqlite:///{tmp_path}/notes.db") as engine:
            return engine.create_space("Family").create({"title": "Plans"}).doc["title"]

    assert asyncio.run(cell()) == "Plans"
