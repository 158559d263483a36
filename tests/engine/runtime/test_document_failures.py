"""Documents when the store fails: nothing goes on from what is not on disk, and nothing is sealed twice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lichen import Document as Note
from lichen import Engine
from lichen.config import Limits
from lichen.errors import LimitExceeded, StoreError, StoreFull
from lichen.ids import DeviceKey, DocId, Session, SpaceId
from lichen.runtime.document import OpenDocument
from lichen.runtime.sealer import SessionLog
from lichen_crdt import Document, Text
from sqlalchemy import Connection

SESSION = Session(b"n" * 16)
Pending = tuple[Callable[[Any], Any], Callable[[Any, BaseException | None], None]]


class SealsNothing:
    def ready(self, _space: SpaceId) -> bool:
        return False


class HeldHost:
    """Keeps every job for the writer until the test says how it ended."""

    device = DeviceKey(b"a" * 32)
    sealer: SealsNothing | SealsFailing = SealsNothing()

    def __init__(self) -> None:
        self.pending: list[Pending] = []

    def write_soon(self, job: Callable[[Any], Any], done: Callable[[Any, BaseException | None], None]) -> None:
        self.pending.append((job, done))

    async def refuse_borrower(self) -> None:
        """Nobody borrows here."""

    def spawn(self, work: Any, name: str) -> object:
        return asyncio.create_task(work, name=name)

    def want_epoch(self, doc: DocId, space: SpaceId) -> None: ...
    def sealed(self, event: object) -> None: ...
    def changed(self, document: OpenDocument, applied: object) -> None: ...
    def left_out(self, space: SpaceId, set_id: bytes, reason: str) -> None: ...


@pytest.fixture
def host() -> HeldHost:
    return HeldHost()


@pytest.fixture
def opened(host: HeldHost) -> OpenDocument:
    return OpenDocument(
        id=DocId(b"d" * 16),
        space=SpaceId(b"s" * 32),
        crdt=Document(),
        session=SESSION,
        host=host,  # type: ignore[arg-type]  # as much of one as is needed
        head_sets={},
        sessions={SESSION: SessionLog(SESSION)},
        fold_changes=1_000,
        fold_bytes=1_000_000,
    )


def edit(opened: OpenDocument, value: int) -> None:
    with opened.crdt.change() as transaction:
        opened.crdt["value"] = value
    opened.record(transaction.changes, None)


async def test_a_snapshot_is_not_written_before_the_changes_in_it(host: HeldHost, opened: OpenDocument) -> None:
    """A crash between the two would leave changes that no change set ever holds."""
    edit(opened, 1)
    folding = asyncio.create_task(opened.fold())
    while len(host.pending) < 2:
        await asyncio.sleep(0)
    host.pending[1][1](0, None)  # the position
    while not opened.saving._waiters and len(host.pending) < 3:
        await asyncio.sleep(0)
    assert len(host.pending) == 2
    host.pending[0][1](None, None)  # the change is on disk
    for queued in (2, 3):  # what is before it in the queue, and the snapshot
        while len(host.pending) <= queued:
            await asyncio.sleep(0)
        host.pending[queued][1](None, None)
    await folding


async def test_a_snapshot_with_a_change_that_could_not_be_saved_is_not_written(
    host: HeldHost, opened: OpenDocument
) -> None:
    edit(opened, 1)
    folding = asyncio.create_task(opened.fold())
    while len(host.pending) < 2:
        await asyncio.sleep(0)
    host.pending[1][1](0, None)
    host.pending[0][1](None, StoreFull("no space"))
    with pytest.raises(StoreFull):
        await folding
    assert len(host.pending) == 2


async def test_a_snapshot_with_a_change_set_that_could_not_be_stored_is_not_written(
    host: HeldHost, opened: OpenDocument
) -> None:
    """The set would be asked for no more, and what is sealed on top of it would name nothing."""
    folding = asyncio.create_task(opened.fold())
    for queued in (0, 1):
        while len(host.pending) <= queued:
            await asyncio.sleep(0)
        if queued == 1:
            opened.fail(StoreError("a page cannot be read"))
        host.pending[queued][1](0, None)
    with pytest.raises(StoreError, match="a page"):
        await folding
    assert len(host.pending) == 2


class SealsFailing:
    def ready(self, _space: SpaceId) -> bool:
        return True

    def next_run(self, unsealed: Any) -> Any:
        raise LimitExceeded("a change would join 2,000 branches")


async def test_who_waits_for_changes_that_cannot_be_sealed_is_not_left_waiting(
    host: HeldHost, opened: OpenDocument
) -> None:
    host.sealer = SealsFailing()
    for count in (1, 2):
        edit(opened, count)
        host.pending[-1][1](None, None)
        await asyncio.wait_for(opened.settled(), 20)
        assert (opened.quiet, opened.failure, len(host.pending)) == (False, None, count)


async def test_after_a_failed_save_nothing_more_is_written(host: HeldHost, opened: OpenDocument) -> None:
    edit(opened, 1)
    edit(opened, 2)
    host.pending[0][1](None, StoreFull("no space"))
    with pytest.raises(StoreFull):
        await opened.saved()
    opened.freshen()
    opened.take([])
    opened.seal_soon()
    await opened.ended()
    assert len(host.pending) == 1


async def test_who_waits_for_changes_whose_sealing_breaks_is_not_left_waiting(
    host: HeldHost, opened: OpenDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an error that nobody foresaw."""
    host.sealer = SealsFailing()
    monkeypatch.setattr(host.sealer, "next_run", lambda _unsealed: 1 // 0)
    edit(opened, 1)
    host.pending[-1][1](None, None)
    await asyncio.wait_for(opened.settled(), 20)
    assert not opened.quiet


async def test_a_change_on_its_way_to_the_disk_while_its_document_fails_is_acknowledged_if_it_arrives(
    host: HeldHost, opened: OpenDocument
) -> None:
    """Else whoever wrote it would write it once more."""
    waits: list[asyncio.Task[None]] = []
    for number in (1, 2):
        edit(opened, number)
        waits.append(asyncio.create_task(opened.saved()))
        await asyncio.sleep(0)
    opened.fail(StoreError("change sets could not be stored"))
    await asyncio.sleep(0)
    assert not waits[0].done()
    host.pending[0][1](None, None)
    await waits[0]
    with pytest.raises(StoreError, match="change sets"):
        await waits[1]
    await opened.ended()
    assert len(host.pending) == 1


async def test_an_edit_that_the_full_queue_of_the_store_refuses_is_an_error_and_not_waited_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'notes.db'}"
    async with Engine.open(url, limits=Limits(writer_jobs=16)) as engine:
        space = await engine.create_space("Family")
        note = await space.create({"n": 0})
        await engine.settled()
        held, go_on, drained = threading.Event(), threading.Event(), threading.Event()
        engine.store.write_soon(lambda _conn: (held.set(), go_on.wait(20)), lambda *_: None)
        held.wait(20)
        try:
            for number in range(16):
                engine.store.write_soon(lambda _conn: None, lambda *_, last=number == 15: last and drained.set())
            with note.change() as doc:
                doc["n"] = 1
            with pytest.raises(StoreError, match="16 jobs"):
                async with asyncio.timeout(5):
                    await note.saved()
        finally:
            go_on.set()
        await asyncio.to_thread(drained.wait, 20)
        again = await space.document(note.id)
        assert again.doc["n"] == 0
        async with again.change() as doc:
            doc["n"] = 2


def limit_pages(more: int | None) -> Callable[[Connection], None]:
    """Let SQLite say that the disk is full after so many pages more; None: no limit."""

    def job(conn: Connection) -> None:
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count = {4_294_967_294 if more is None else pages + more}")

    return job


async def type_until_full(note: Note) -> int:
    """Returns how many characters were acknowledged."""
    written = 0
    while True:
        try:
            async with note.change() as doc:
                doc["body"].insert(written, "x" * 100)
        except StoreFull:
            return written
        written += 100


def sealed(conn: Connection) -> list[tuple[bytes, bytes, int]]:
    return [tuple(row) for row in conn.exec_driver_sql("SELECT doc, session, seq FROM lichen_change_sets").all()]


async def test_when_there_is_room_again_a_document_opened_again_goes_on(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'notes.db'}"
    async with Engine.open(url) as engine:
        space = await engine.create_space("Family")
        note = await space.create({"body": Text("")})
        await asyncio.wrap_future(engine.store.write(limit_pages(20)))
        written = await type_until_full(note)
        with pytest.raises(StoreFull):
            async with note.change() as doc:
                doc["body"].insert(0, "more")
        await asyncio.wrap_future(engine.store.write(limit_pages(None)))
        again = await space.document(note.id)
        kept = len(str(again.doc["body"]))
        assert written <= kept <= written + 100  # the last one may have reached the disk just before sealing failed
        async with again.change() as doc:
            doc["body"].insert(0, "later")
    async with Engine.open(url) as engine:
        reopened = await engine.spaces[0].document(note.id)
        assert str(reopened.doc["body"]) == "later" + "x" * kept
        numbers = await asyncio.wrap_future(engine.store.read(sealed))
        assert len(numbers) == len(set(numbers))
