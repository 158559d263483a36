"""What is told, what is kept and what goes on when the disk, the file or the key does not hold."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest
import sqlcipher3.dbapi2 as sqlcipher
from lichen.errors import StoreDamaged, StoreError, StoreFull, StoreLocked, StoreReadOnly
from lichen.store import Store, node
from lichen.store.failure import Scope, failure_of
from sqlalchemy import Connection

KEY = bytes(range(32))
PAGE = 4096
BLOB = 3_000
Opened = Callable[..., Store]


class SmallDisk(Protocol):
    folder: Path

    def fill(self) -> None: ...
    def free(self) -> None: ...


def fail_with(code: int, message: str = "as SQLite says") -> sqlcipher.Error:
    error = sqlcipher.OperationalError(message)
    error.sqlite_errorcode = code
    return error


def put(key: str, size: int = BLOB) -> Callable[[Connection], None]:
    return lambda conn: node.set_meta(conn, key, os.urandom(size))


def keys(store: Store) -> set[str]:
    return set(store.read(lambda conn: conn.exec_driver_sql("SELECT key FROM lichen_meta").scalars().all()).result())


def hold(store: Store) -> threading.Event:
    """Keep the writer busy until the event is set."""
    started, go_on = threading.Event(), threading.Event()

    def job(_conn: Connection) -> None:
        started.set()
        assert go_on.wait(30)

    store.write(job)
    assert started.wait(30)
    return go_on


def limit_pages(store: Store, more: int | None) -> None:
    """Let SQLite say that the disk is full after so many pages more; None: no limit."""

    def job(conn: Connection) -> None:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {4_294_967_294 if more is None else pages + more}")

    store.write(job).result()


def write_until_full(store: Store) -> list[str]:
    """Keys of the jobs that were acknowledged before the disk was full."""
    acknowledged: list[str] = []
    error: BaseException | None = None
    while error is None:
        key = f"key {len(acknowledged)}"
        error = store.write(put(key)).exception(30)
        if error is None:
            acknowledged.append(key)
    assert isinstance(error, StoreFull)
    return acknowledged


# What the codes mean


@pytest.mark.parametrize(
    ("code", "kind", "scope"),
    [
        (13, StoreFull, Scope.STORE),
        (8, StoreReadOnly, Scope.STORE),
        (8 | 3 << 8, StoreReadOnly, Scope.STORE),
        (5, StoreLocked, Scope.STORE),
        (6, StoreLocked, Scope.STORE),
        (10 | 3 << 8, StoreError, Scope.STORE),
        (11, StoreDamaged, Scope.CONNECTION),
        (26, StoreDamaged, Scope.CONNECTION),
        (14, StoreError, Scope.JOB),
        (1, StoreError, Scope.JOB),
        (19, StoreError, Scope.JOB),
    ],
)
def test_each_code_has_its_error_and_whom_it_concerns(
    path: Path, code: int, kind: type[StoreError], scope: Scope
) -> None:
    cause = fail_with(code)
    failure = failure_of(cause, path)
    assert type(failure.error) is kind
    assert failure.scope is scope
    assert str(path) in str(failure.error)
    assert failure.error.__cause__ is cause


def test_an_input_output_error_without_free_space_is_a_full_disk(small_disk: SmallDisk) -> None:
    small_disk.fill()
    assert isinstance(failure_of(fail_with(10 | 19 << 8), small_disk.folder / "notes.db").error, StoreFull)


def test_a_file_that_cannot_be_opened_in_a_read_only_folder_is_read_only(
    tmp_path: Path, make_read_only: Callable[[Path], None]
) -> None:
    make_read_only(tmp_path)
    assert isinstance(failure_of(fail_with(14), tmp_path / "notes.db").error, StoreReadOnly)


def test_an_error_of_the_job_itself_is_told_as_it_is(path: Path) -> None:
    error = ValueError("mine")
    assert failure_of(error, path).error is error


# A full disk


def test_on_a_full_store_nothing_acknowledged_is_lost_and_nothing_else_is_there(opened: Opened) -> None:
    store = opened()
    limit_pages(store, 20)
    acknowledged = write_until_full(store)
    assert keys(store) == set(acknowledged)
    store.close()
    assert keys(opened()) == set(acknowledged)


def test_a_full_store_goes_on_when_there_is_room_again(store: Store) -> None:
    limit_pages(store, 20)
    acknowledged = write_until_full(store)
    limit_pages(store, None)
    store.write(put("later")).result()
    assert keys(store) == {*acknowledged, "later"}


def test_when_the_disk_is_full_nothing_is_kept_that_was_queued_behind_what_was_lost(store: Store) -> None:
    limit_pages(store, 20)
    go_on = hold(store)
    jobs = [store.write(put("small", 10)), store.write(put("large", 100 * PAGE)), store.write(put("behind", 10))]
    go_on.set()
    errors = [job.exception(30) for job in jobs]
    assert [type(error) for error in errors] == [StoreFull] * 3
    assert len({id(error) for error in errors}) == 3
    assert keys(store) == set()


def test_what_was_put_while_the_disk_became_full_is_not_kept_either(store: Store) -> None:
    limit_pages(store, 20)
    started, go_on = threading.Event(), threading.Event()

    def too_large(conn: Connection) -> None:
        started.set()
        assert go_on.wait(30)
        node.set_meta(conn, "large", bytes(100 * PAGE))

    lost = store.write(too_large)
    assert started.wait(30)
    behind = [store.write(put(f"behind {number}", 10)) for number in range(3)]
    go_on.set()
    assert [type(job.exception(30)) for job in (lost, *behind)] == [StoreFull] * 4
    assert keys(store) == set()


def test_when_a_group_is_run_again_a_full_disk_still_ends_all_behind_it(store: Store) -> None:
    def refuse(_conn: Connection) -> None:
        raise ValueError("the job's own")

    limit_pages(store, 20)
    go_on = hold(store)
    told: list[tuple[str, type | None]] = []
    all_told = threading.Event()

    def done(name: str, _result: Any, error: BaseException | None) -> None:
        told.append((name, None if error is None else type(error)))
        if name == "last":
            all_told.set()

    store.write_soon(put("first", 10), partial(done, "first"))
    store.write_soon(refuse, partial(done, "refused"))
    store.write_soon(put("large", 100 * PAGE), partial(done, "large"))
    store.write_soon(put("last", 10), partial(done, "last"))
    go_on.set()
    assert all_told.wait(30)
    assert told == [("first", None), ("refused", ValueError), ("large", StoreFull), ("last", StoreFull)]
    assert keys(store) == {"first"}


def test_on_a_disk_that_is_really_full_the_store_keeps_what_it_acknowledged(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "notes.db"
    store = Store.open(path, KEY)
    acknowledged = write_until_full(store)
    assert len(acknowledged) > 100
    assert keys(store) == set(acknowledged)
    small_disk.fill()
    with pytest.raises(StoreFull):
        store.write(put("more")).result()
    store.close()
    small_disk.free()
    store = Store.open(path, KEY)
    assert keys(store) == set(acknowledged)
    assert store.read(lambda conn: conn.exec_driver_sql("PRAGMA integrity_check").scalar_one()).result() == "ok"
    store.close()


def test_on_a_full_disk_no_store_is_made_and_later_one_is(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "notes.db"
    small_disk.fill()
    with pytest.raises(StoreFull):
        Store.open(path, KEY)
    small_disk.free()
    Store.open(path, KEY).close()


# Damage


def filled(opened: Opened) -> None:
    store = opened()
    for number in range(200):
        store.write(put(f"key {number}"))
    store.close()


def damage(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


def read_all(conn: Connection) -> int:
    return len(conn.exec_driver_sql("SELECT value FROM lichen_meta").all())


def flip(content: bytearray) -> None:
    content[len(content) // 2 // PAGE * PAGE + 100] ^= 1


def swap(content: bytearray) -> None:
    a = len(content) // 2 // PAGE * PAGE
    content[a : a + PAGE], content[a + PAGE : a + 2 * PAGE] = content[a + PAGE : a + 2 * PAGE], content[a : a + PAGE]


def blank(content: bytearray) -> None:
    a = len(content) // 2 // PAGE * PAGE
    content[a : a + PAGE] = bytes(PAGE)


def cut(content: bytearray) -> None:
    del content[len(content) // 2 + 77 :]


@pytest.mark.parametrize("change", [flip, swap, blank, cut])
def test_a_damaged_page_is_found_when_it_is_read(
    path: Path, opened: Opened, change: Callable[[bytearray], None], capfd: pytest.CaptureFixture[str]
) -> None:
    filled(opened)
    damage(path, change)
    with pytest.raises(StoreDamaged, match="does not verify") as raised:
        opened().read(read_all).result()
    assert raised.value.hint
    assert capfd.readouterr() == ("", "")


def test_a_damaged_page_fails_who_reads_it_and_nobody_else(path: Path, opened: Opened) -> None:
    filled(opened)
    damage(path, flip)
    store = opened()
    go_on = hold(store)
    before, bad, after = store.write(put("before")), store.write(read_all), store.write(put("after"))
    go_on.set()
    assert isinstance(bad.exception(30), StoreDamaged)
    before.result()
    after.result()
    store.write(put("later")).result()
    for key in ("before", "after", "later"):
        assert store.read(partial(node.get_meta, key=key)).result() is not None


@pytest.mark.parametrize("place", [0, 20, 2_000])
def test_a_damaged_first_page_does_not_open(path: Path, opened: Opened, place: int) -> None:
    filled(opened)

    def change(content: bytearray) -> None:
        content[place] ^= 1

    damage(path, change)
    with pytest.raises(StoreDamaged):
        opened()


@pytest.mark.parametrize("content", [b"x", b"hello" * 1_000, b"SQLite format 3\x00" + bytes(8_000)])
def test_a_file_that_is_something_else_is_refused_and_left_alone(path: Path, opened: Opened, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreDamaged):
        opened()
    assert path.read_bytes() == content


# Read-only, and held by another


def test_a_file_that_became_read_only_is_told_and_read_on(
    path: Path, opened: Opened, make_read_only: Callable[[Path], None]
) -> None:
    opened().close()
    make_read_only(path)
    with pytest.raises(StoreReadOnly):
        opened().write(put("a")).result()


def test_a_writer_of_another_program_is_told_as_a_lock(
    path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(lambda conn: conn.exec_driver_sql("PRAGMA busy_timeout = 0")).result()
    other = sqlcipher.connect(str(path), isolation_level=None)
    other.execute(f"PRAGMA key = \"x'{KEY.hex()}'\"")
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreLocked):
        store.write(put("a")).result()
    other.execute("ROLLBACK")
    other.close()
    store.write(put("a")).result()
