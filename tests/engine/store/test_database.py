"""The store: what is acknowledged, in which order, and what its file gives away."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from lichen.config import Limits
from lichen.errors import ConfigError, LimitExceeded, StoreDamaged, StoreError
from lichen.store import Store, node
from sqlalchemy import Connection, Engine, event

KEY = bytes(range(32))
Opened = Callable[..., Store]


def put(key: str, value: bytes = b"value") -> Callable[[Connection], None]:
    return lambda conn: node.set_meta(conn, key, value)


def get(key: str) -> Callable[[Connection], bytes | None]:
    return lambda conn: node.get_meta(conn, key)


def refuse(conn: Connection) -> None:
    node.set_meta(conn, "refused", b"half done")
    raise ValueError("a job's own error")


def held(store: Store) -> tuple[threading.Event, threading.Event]:
    """Keep the writer busy: what is put from now on becomes one group when the second event is set."""
    started, go_on = threading.Event(), threading.Event()

    def job(_conn: Connection) -> None:
        started.set()
        assert go_on.wait(30)

    store.write_soon(job, lambda _result, _error: None)
    assert started.wait(30)
    return started, go_on


def test_what_a_job_wrote_is_there_after_its_future_resolved(store: Store) -> None:
    store.write(put("a", b"1")).result()
    assert store.read(get("a")).result() == b"1"


def test_a_job_returns_its_result(store: Store) -> None:
    assert store.write(lambda _conn: 42).result() == 42


def test_what_was_written_is_there_after_closing_and_opening(opened: Opened) -> None:
    first = opened()
    first.write(put("a", b"1"))
    first.close()
    assert opened().read(get("a")).result() == b"1"


def test_jobs_queued_meanwhile_are_one_transaction(store: Store) -> None:
    _, go_on = held(store)
    commits = _count_commits(store)
    jobs = [store.write(put(f"key {n}")) for n in range(100)]
    go_on.set()
    wait(jobs)
    assert len(commits) <= 2  # the one that was held, and the group


def _count_commits(store: Store) -> list[str]:
    statements: list[str] = []
    conn = store._writer._conn
    assert conn is not None
    raw = conn.connection.dbapi_connection
    assert raw is not None
    raw.set_trace_callback(lambda sql: statements.append(sql) if sql == "COMMIT" else None)
    return statements


def test_a_job_that_fails_in_a_group_fails_alone_and_leaves_nothing(store: Store) -> None:
    _, go_on = held(store)
    before, bad, after = store.write(put("a")), store.write(refuse), store.write(put("b"))
    go_on.set()
    before.result()
    after.result()
    with pytest.raises(ValueError, match="a job's own error"):
        bad.result()
    assert [store.read(get(key)).result() for key in ("a", "refused", "b")] == [b"value", None, b"value"]


def test_a_job_with_bad_sql_is_an_error_of_the_store(store: Store) -> None:
    with pytest.raises(StoreError, match="no such table"):
        store.write(lambda conn: conn.exec_driver_sql("SELECT * FROM no_such_table")).result()
    store.write(put("a")).result()


def test_a_job_that_raises_more_than_an_exception_does_not_end_the_writer(store: Store) -> None:
    def leave(_conn: Connection) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        store.write(leave).result()
    store.write(put("a")).result()


def _note(where: list[int], number: int, *_: object) -> None:
    where.append(number)


def test_jobs_run_and_are_told_in_the_order_in_which_they_were_put(store: Store) -> None:
    _, go_on = held(store)
    told: list[int] = []
    ran: list[int] = []
    for n in range(500):
        store.write_soon(partial(_note, ran, n), partial(_note, told, n))
    go_on.set()
    store.write(lambda _conn: None).result()
    assert ran == told == list(range(500))


def test_done_is_called_only_after_the_commit(path: Path, store: Store) -> None:
    seen: Future[bytes | None] = Future()
    store.write_soon(put("a", b"1"), lambda _result, _error: seen.set_result(store.read(get("a")).result()))
    assert seen.result(30) == b"1"


def test_a_callback_that_raises_is_logged_and_ends_nothing(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    def done(_result: Any, _error: BaseException | None) -> None:
        raise RuntimeError("in the callback")

    store.write_soon(put("a"), done)
    store.write(put("b")).result()
    assert "callback failed" in caplog.text


def test_a_cancelled_future_does_not_stop_its_job(store: Store) -> None:
    _, go_on = held(store)
    future = store.write(put("a", b"1"))
    assert future.cancel()
    go_on.set()
    assert store.write(get("a")).result() == b"1"


def test_closing_runs_what_is_queued(opened: Opened) -> None:
    store = opened()
    _, go_on = held(store)
    jobs = [store.write(put(f"key {n}")) for n in range(100)]
    closing = threading.Thread(target=store.close)
    closing.start()
    go_on.set()
    closing.join(30)
    assert all(job.exception(0) is None for job in jobs)


def test_after_closing_every_use_is_an_error(opened: Opened) -> None:
    store = opened()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.write(put("a"))
    told: list[BaseException | None] = []
    store.write_soon(put("a"), lambda _result, error: told.append(error))
    assert isinstance(told[0], StoreError)
    assert "closed" in str(told[0])
    with pytest.raises(StoreError, match="closed"):
        store.read(get("a"))


def test_closing_twice_tells_once(path: Path) -> None:
    told: list[str] = []
    store = Store.open(path, KEY, closed=lambda: told.append("closed"))
    store.close()
    store.close()
    assert told == ["closed"]


def test_closing_leaves_only_the_file(path: Path, opened: Opened) -> None:
    store = opened()
    store.write(put("a")).result()
    store.read(get("a")).result()
    store.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_more_jobs_than_the_limit_are_refused_and_earlier_ones_kept(opened: Opened) -> None:
    store = opened(limits=Limits(writer_jobs=10))
    _, go_on = held(store)
    jobs = [store.write(put(f"key {n}")) for n in range(10)]
    with pytest.raises(LimitExceeded, match="10 jobs"):
        store.write(put("one more"))
    go_on.set()
    wait(jobs)
    assert store.write(put("later")).result() is None
    assert store.read(get("key 9")).result() == b"value"
    assert store.read(get("one more")).result() is None


def test_a_reader_sees_one_state_while_the_writer_goes_on(store: Store) -> None:
    store.write(put("a", b"old")).result()
    begun, written = threading.Event(), threading.Event()

    def job(conn: Connection) -> list[bytes | None]:
        first = node.get_meta(conn, "a")
        begun.set()
        assert written.wait(30)
        return [first, node.get_meta(conn, "a")]

    reading = store.read(job)
    assert begun.wait(30)
    store.write(put("a", b"new")).result()
    written.set()
    assert reading.result() == [b"old", b"old"]
    assert store.read(get("a")).result() == b"new"


def test_size_counts_the_file_and_its_log(path: Path, store: Store) -> None:
    store.write(put("a", bytes(100_000))).result()
    log = Path(f"{path}-wal")
    assert store.backend.size_bytes() == path.stat().st_size + log.stat().st_size
    assert log.stat().st_size > 100_000


@pytest.mark.parametrize(("durability", "level"), [("process", 1), ("power", 2)])
def test_durability_is_the_synchronous_level(opened: Opened, durability: str, level: int) -> None:
    store = opened(durability=durability)
    found = store.write(lambda conn: conn.exec_driver_sql("PRAGMA synchronous").scalar_one()).result()
    assert found == level


@pytest.mark.parametrize("setting", ["journal_mode = WAL", "synchronous = OFF", "foreign_keys = ON"])
def test_what_listens_to_all_engines_of_the_application_finds_the_file_open(opened: Opened, setting: str) -> None:
    def connected(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    event.listen(Engine, "connect", connected)
    try:
        store = opened()
        store.write(put("a", b"1")).result()
        assert store.read(get("a")).result() == b"1"
        assert store.write(lambda conn: conn.exec_driver_sql("PRAGMA synchronous").scalar()).result() == 1
        with store.backend.session_engine().connect() as conn:
            assert conn.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar()
    finally:
        event.remove(Engine, "connect", connected)


def test_an_unknown_durability_is_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="durability"):
        Store.open(path, KEY, durability="never")  # type: ignore[arg-type]  # wrong on purpose
    assert not path.exists()


def test_the_file_is_no_plain_database_and_holds_no_plain_word(path: Path, opened: Opened) -> None:
    store = opened()
    store.write(put("a word in clear", b"another word in clear")).result()
    content = b"".join(Path(f"{path}{suffix}").read_bytes() for suffix in ("", "-wal"))
    store.close()
    for part in (b"in clear", b"SQLite format", b"CREATE TABLE", b"lichen_meta"):
        assert part not in content + path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(path).execute("SELECT * FROM lichen_meta")


def test_another_key_opens_nothing_and_changes_nothing(
    path: Path, opened: Opened, capfd: pytest.CaptureFixture[str]
) -> None:
    opened().close()
    before = path.read_bytes()
    with pytest.raises(StoreDamaged):
        Store.open(path, bytes(32))
    assert path.read_bytes() == before
    assert capfd.readouterr() == ("", "")


def test_a_store_that_opens_only_half_leaves_no_thread_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, count = Store._connect, 0

    def fails_the_second_time(store: Store) -> Connection:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError("too many open files")
        return connect(store)

    monkeypatch.setattr(Store, "_connect", fails_the_second_time)
    with pytest.raises(OSError, match="open files"):
        Store.open(path, KEY)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lichen ")]


@pytest.mark.parametrize("value", [b"", b"\0\xff", None, True, False, 0, -(2**63), 1.5, "", "a\0b"])
def test_a_value_comes_back_as_it_was_given(store: Store, value: object) -> None:
    """Some have an adapter in the driver."""

    def through(conn: Connection) -> tuple[object, str]:
        found, kind = conn.exec_driver_sql("SELECT ?, typeof(?)", (value, value)).one()
        return found, kind

    found, kind = store.write(through).result()
    kinds = {bytes: "blob", str: "text", float: "real", type(None): "null"}
    assert found == value
    assert kind == kinds.get(type(value), "integer")
