"""Change sets of others come in while somebody types: the typing waits for none of it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from lichen.api.document import Transaction
from lichen.core.effects import AcceptedSet
from lichen.errors import StoreError
from lichen.ids import DeviceKey, DocId, Session, SpaceId
from lichen.runtime.document import Applied, OpenDocument
from lichen.runtime.sealer import SessionLog
from lichen_crdt import CrdtError, Document, Text, apply_patches
from lichen_crdt import Transaction as CrdtTransaction

SESSION = Session(b"n" * 16)
SIZE = 6_000


class Gate:
    """Holds every apply on a thread until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()


class GatedDocument(Document):
    """A document whose applies wait at a gate while they run."""

    __slots__ = ("gate",)

    def applying(self, *args: Any, **options: Any) -> Any:
        inner, gate = super().applying(*args, **options), self.gate

        def run() -> None:
            gate.reached.set()
            assert gate.open.wait(60)
            inner.run()

        return SimpleNamespace(run=run, finish=inner.finish)


class Host:
    """Says that every save succeeded, and seals nothing."""

    device = DeviceKey(b"a" * 32)
    sealer = SimpleNamespace(ready=lambda _space: False)

    def __init__(self) -> None:
        self.applied: list[Applied] = []
        self.left: list[bytes] = []
        self.tasks: set[asyncio.Task[Any]] = set()

    def write_soon(self, job: Any, done: Any) -> None:
        done(None, None)

    def spawn(self, work: Any, name: str) -> object:
        task = asyncio.create_task(work, name=name)
        self.tasks.add(task)
        return task

    async def refuse_borrower(self) -> None:
        """Nobody borrows here."""

    def want_epoch(self, doc: DocId, space: SpaceId) -> None: ...
    def sealed(self, event: object) -> None: ...

    def changed(self, document: OpenDocument, applied: Applied) -> None:
        self.applied.append(applied)

    def left_out(self, space: SpaceId, set_id: bytes, reason: str) -> None:
        self.left.append(set_id)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def opened(host: Host) -> OpenDocument:
    crdt = GatedDocument(actor=b"\x01" * 16)
    crdt.gate = Gate()
    with crdt.change():
        crdt["body"] = Text("x" * SIZE)
    return OpenDocument(
        id=DocId(b"d" * 16),
        space=SpaceId(b"s" * 32),
        crdt=crdt,
        session=SESSION,
        host=host,  # type: ignore[arg-type]  # as much of one as is needed
        head_sets={},
        sessions={SESSION: SessionLog(SESSION)},
        fold_changes=1_000_000,
        fold_bytes=1_000_000_000,
    )


def gate_of(opened: OpenDocument) -> Gate:
    assert isinstance(opened.crdt, GatedDocument)
    return opened.crdt.gate


def accepted(number: int, *changes: bytes) -> Any:
    """A change set that counts, as the core hands it on."""
    header = SimpleNamespace(author=DeviceKey(b"b" * 32))
    return AcceptedSet(SimpleNamespace(id=bytes([number]) * 32, header=header), changes, None)  # type: ignore[arg-type]  # likewise


def written_by_another(opened: OpenDocument, count: int = 1) -> list[bytes]:
    """Changes that do not know of what is written here next."""
    other, changes = opened.crdt.fork(b"\x02" * 16), []
    for _ in range(count):
        with other.change() as tx:
            other.text("body").insert(0, "y")
        changes += [data for _, data in tx.changes]
    return changes


async def type_once(opened: OpenDocument) -> None:
    async with Transaction(opened, None) as doc:
        doc.text("body").append("!")


async def applied(opened: OpenDocument) -> None:
    while not opened.incoming.quiet:
        opened.progress.clear()
        await opened.progress.wait()


async def reached(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.reached.wait, 60)


async def test_a_local_edit_begins_and_ends_while_a_remote_one_is_applied(host: Host, opened: OpenDocument) -> None:
    gate = gate_of(opened)
    changes = written_by_another(opened)
    await type_once(opened)
    opened.take([accepted(1, *changes)])
    await reached(gate)
    await type_once(opened)
    with Transaction(opened, None) as doc:
        doc.text("body").append("?")
    assert str(opened.crdt["body"]) == "x" * SIZE + "!!?"
    shown = opened.crdt.to_py()
    gate.open.set()
    await applied(opened)
    assert str(opened.crdt["body"]) == "y" + "x" * SIZE + "!!?"
    assert apply_patches(shown, host.applied[-1].patches) == opened.crdt.to_py()


async def test_the_document_changes_at_the_moment_when_listeners_hear_of_it(host: Host, opened: OpenDocument) -> None:
    changes = written_by_another(opened, 3)
    await type_once(opened)
    shown = opened.crdt.to_py()
    level: list[bool] = []

    def listener(applied: Applied) -> None:
        apply_patches(shown, applied.patches)
        level.append(shown == opened.crdt.to_py())

    opened.listeners.append(listener)
    gate_of(opened).open.set()
    for number, change in enumerate(changes):
        opened.take([accepted(number, change)])
        while not opened.incoming.quiet:
            assert shown == opened.crdt.to_py()
            await asyncio.sleep(0)
    assert str(opened.crdt["body"]) == "yyy" + "x" * SIZE + "!"
    assert level
    assert all(level)


async def test_a_listener_that_fails_keeps_nobody_else_from_hearing(
    host: Host, opened: OpenDocument, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the link that brought a change would end with it, and what was still to be done of its message be lost."""
    heard: list[Applied] = []

    def fails(_applied: Applied) -> None:
        raise ZeroDivisionError

    opened.listeners += [fails, heard.append]
    gate_of(opened).open.set()
    opened.take([accepted(1, *written_by_another(opened))])
    await applied(opened)
    await type_once(opened)
    assert [one.local for one in heard] == [False, True]
    assert "ZeroDivisionError" in caplog.text


async def test_a_document_that_has_failed_takes_nothing_more(host: Host, opened: OpenDocument) -> None:
    """Who listens was told that it is of no more use."""
    gate = gate_of(opened)
    changes = written_by_another(opened, 2)
    await type_once(opened)
    opened.take([accepted(1, changes[0])])
    await reached(gate)
    opened.fail(StoreError("the disk is full"))
    gate.open.set()
    await asyncio.gather(*host.tasks)
    opened.apply_soon()
    await opened.ended()
    assert opened.incoming.quiet
    assert host.applied[-1] == Applied((), False, ())
    assert str(opened.crdt["body"]) == "x" * SIZE + "!"


async def test_what_came_in_during_a_plain_transaction_that_is_refused_is_applied_after_it(
    host: Host, opened: OpenDocument, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate_of(opened).open.set()
    changes = written_by_another(opened)
    end = CrdtTransaction.__exit__

    def refused(transaction: CrdtTransaction, *_error: object) -> None:
        end(transaction, ValueError, ValueError(), None)
        raise CrdtError("this cannot be")

    monkeypatch.setattr(CrdtTransaction, "__exit__", refused)
    with contextlib.suppress(CrdtError), Transaction(opened, None) as doc:
        doc.text("body").append("?")
        opened.take([accepted(1, *changes)])
    await applied(opened)
    assert str(opened.crdt["body"]) == "y" + "x" * SIZE


async def test_a_set_that_is_not_valid_is_left_out_alone(host: Host, opened: OpenDocument) -> None:
    first, second, third = written_by_another(opened, 3)
    await type_once(opened)
    gate_of(opened).open.set()
    broken = third[:-1] + bytes([third[-1] ^ 1])
    opened.take([accepted(1, first), accepted(2, broken), accepted(3, second)])
    await applied(opened)
    assert host.left == [b"\x02" * 32]
    assert str(opened.crdt["body"]) == "yy" + "x" * SIZE + "!"


async def test_what_came_in_during_a_long_plain_transaction_is_applied_after_it(
    host: Host, opened: OpenDocument
) -> None:
    changes = written_by_another(opened)
    gate_of(opened).open.set()
    await type_once(opened)
    opened.crdt.wait_at_most(0.02)
    opened.take([accepted(1, *changes)])
    with Transaction(opened, None) as doc:
        doc.text("body").append("?")
        await asyncio.gather(*host.tasks)
        assert not opened.incoming.busy
    await applied(opened)
    assert str(opened.crdt["body"]) == "y" + "x" * SIZE + "!?"
