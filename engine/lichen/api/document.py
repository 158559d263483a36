"""The handle of one document."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from lichen_crdt import ChangeInfo, TransactionError, TransactionOpen, Undo, Undone, inspect
from lichen_crdt import Document as CrdtDocument

from lichen.api.feed import Feed
from lichen.api.presence import encoded
from lichen.crypto.plaintext import CHANGE_BYTES
from lichen.errors import AccessDenied, ChangeTooLarge
from lichen.ids import DeviceKey, DocId, SpaceId
from lichen.runtime.document import Applied, OpenDocument, too_large

if TYPE_CHECKING:
    from lichen.api.engine import Engine

T = TypeVar("T")


class Transaction:
    """One change of a document: what is done inside the block becomes one Automerge change, or none on an exception.

    With `async with`, the block waits its turn, and returns when the change is on disk. With a plain `with`, nothing
    waits for the disk: `Document.saved` is the acknowledgement.
    """

    def __init__(self, opened: OpenDocument, message: str | None) -> None:
        self._opened = opened
        self._message = message
        self._inner: Any = None
        self._deps: tuple[bytes, ...] | None = None
        self._lent = False

    def __enter__(self) -> CrdtDocument:
        if self._opened.failure is not None:
            raise self._opened.failure
        if self._opened.lent and not self._lent:
            raise TransactionOpen("another thread writes to this document: wait for it, by `async with`")
        self._deps = self._opened.deps_now()
        self._inner = self._opened.crdt.change(self._message, int(time.time()), max_bytes=CHANGE_BYTES)
        self._inner.__enter__()
        return self._opened.crdt

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._inner.__exit__(kind, error, trace)
            if error is None:
                self._opened.record(self._inner.changes, self._deps)
        except OverflowError as refused:
            raise too_large(refused) from refused
        finally:
            self._opened.apply_soon()

    async def __aenter__(self) -> CrdtDocument:
        await self._opened.take_turn(asyncio.current_task())
        try:
            return self.__enter__()
        except BaseException:
            self._opened.end_turn()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.take_back(kind, error, trace)
        if error is None:
            await self._opened.saved()

    # For `lichen.blocking`: the block is on another thread, `__enter__` is called there, the others on the loop

    async def lend(self, thread: threading.Thread) -> None:
        """Wait for its turn, and lend it to the thread that is going to enter. Raises `EngineMisuse`."""
        await self._opened.lend_turn(thread)
        self._lent = True

    def take_back(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The block has ended: make its change, and give the turn back."""
        self._opened.lent = False
        try:
            self.__exit__(kind, error, trace)
        finally:
            self._opened.end_turn()

    def roll_back(self) -> None:
        """Take back what the block wrote, on any thread."""
        if self._inner is not None:
            with contextlib.suppress(TransactionError):  # it has ended
                self._inner.__exit__(RuntimeError, None, None)

    def abandon(self) -> None:
        """The block will not end, or was never entered: take back what it wrote, and give the turn back."""
        self._opened.lent = False
        self.roll_back()
        self._opened.end_turn()


class Document:
    """One document of a space, on this device.

    Reading is through `doc`, a `lichen_crdt.Document`; writing through `change`.
    """

    def __init__(self, engine: Engine, opened: OpenDocument) -> None:
        self._engine = engine
        self._opened = opened

    @property
    def id(self) -> DocId:
        """16 bytes."""
        return self._opened.id

    @property
    def space(self) -> SpaceId:
        """The space that it is in."""
        return self._opened.space

    @property
    def doc(self) -> CrdtDocument:
        """The document's data, for reading."""
        return self._opened.crdt

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The hashes of the changes that no other depends on, sorted."""
        return tuple(self._opened.crdt.heads)

    @property
    def failure(self) -> BaseException | None:
        """Why this handle is of no more use, as after a full disk; None while all is well.

        Its listeners and events are told once, by an event in which nothing has changed. Open the document again:
        that loads what is on disk.
        """
        return self._opened.failure

    def change(self, message: str | None = None) -> Transaction:
        """A transaction: `async with note.change("why") as doc: doc["body"].insert(0, "hi")`.

        Raises `AccessDenied` when this device may not write in the space, `EngineMisuse` at the beginning of a block
        inside another of the same document, and at the end of the block `ChangeTooLarge` for more than about 4 MiB in
        up to 65,536 operations: then nothing of it is in the document.
        """
        self._refuse_reader()
        return Transaction(self._opened, message)

    def _refuse_reader(self) -> None:
        self._engine.refuse_other_loop()
        if not self._engine.may_write(self.space):
            raise AccessDenied(
                f"this device may not write in space {self.space.hex()[:12]}", hint="ask an admin of the space"
            )

    async def saved(self) -> None:
        """Return when every transaction ended so far is on disk. Raises `StoreError` when that failed."""
        await self._engine.refuse_borrower()
        await self._opened.saved()

    async def look(self, look: Callable[[CrdtDocument], T]) -> T:
        """What `look` returns, called with the document while nothing changes it.

        What it begins to listen to is told of everything that comes after what it sees.
        """
        async with self._opened.turn_here():
            return look(self._opened.crdt)

    async def undo(self, steps: Undo) -> Undone | None:
        """Take back the newest step of a `lichen_crdt.Undo` of this document; on disk when it returns.

        None when there is none. It is made on a thread, to its end, also when who waits is cancelled. Raises
        `AccessDenied` when this device may not write, and `ChangeTooLarge`, after which the document is to be opened
        again.
        """
        return await self._go(steps.undo)

    async def redo(self, steps: Undo) -> Undone | None:
        """Bring back what was taken back last, as `undo` in all else."""
        return await self._go(steps.redo)

    async def _go(self, step: Callable[[int], Undone | None]) -> Undone | None:
        self._refuse_reader()
        async with self._opened.turn_here():
            if self._opened.failure is not None:
                raise self._opened.failure
            deps, now_s, heads = self._opened.deps_now(), int(time.time()), self.heads
            try:
                undone = await self._opened.away(lambda: step(now_s), lambda undone: self._record(undone, deps))
            except Exception as error:
                if self._opened.failure is None and self.heads != heads:  # a part is in memory, and in nothing else
                    self._opened.fail(error)
                raise
        await self._opened.saved()
        return undone

    def _record(self, undone: Undone | None, deps: tuple[bytes, ...] | None) -> None:
        if undone is not None:
            self._refuse_large(undone)
            self._opened.record(undone.changes, deps)

    def _refuse_large(self, undone: Undone) -> None:
        """An undo is in the document at once: what can never be sealed is in nothing that is kept."""
        if any(len(change) > CHANGE_BYTES for _, change in undone.changes):
            error = ChangeTooLarge("this is too much to be undone at once", hint="open the document again")
            self._opened.fail(error)
            raise error

    async def room(self, most_bytes: int) -> None:
        """Return when at most this many bytes of changes wait to be saved and sealed: a pace for who writes fast."""
        if self._opened.unsealed_bytes > most_bytes:
            await self._engine.refuse_borrower()
        await self._opened.room(most_bytes)

    def events(self) -> AsyncGenerator[Applied, None]:
        """What happens to the document from now on: `async for applied in note.events()`."""
        feed: Feed[Applied] = Feed()
        self._opened.listeners.append(feed.put)
        return feed.items(lambda: self._opened.listeners.remove(feed.put))

    def listen(self, listener: Callable[[Applied], None]) -> Callable[[], None]:
        """Call `listener` at once whenever something has happened to the document, before anything else does.

        For what must stay level with it, such as an editor. What it raises is logged, and stops nothing. Returns what
        takes the listener away again.
        """
        self._opened.listeners.append(listener)
        return lambda: self._opened.listeners.remove(listener)

    def before_close(self, call: Callable[[], Awaitable[object]]) -> Callable[[], object]:
        """Have something awaited when the engine begins to close, as `Engine.before_close`."""
        return self._engine.before_close(call)

    def refuse_other_loop(self) -> None:
        """Raises `EngineMisuse` anywhere but on the event loop in which the engine was opened."""
        self._engine.refuse_other_loop()

    def refuse_holder(self, caller: object) -> None:
        """Raises `EngineMisuse` for a task or thread that is in a transaction of this document."""
        self._opened.refuse_holder(caller)

    def history(self, since: Iterable[bytes] = ()) -> list[ChangeInfo]:
        """The changes that are not in the past of the heads `since`, oldest first."""
        return [inspect(change) for change in self._opened.crdt.changes(since)]

    # Presence

    def set_presence(self, data: Mapping[str, object] | None) -> None:
        """Show this to everyone who is there, sealed and never stored; None takes it back.

        It is a map of text, bytes, numbers, True, False, None, and lists and maps of these, a few levels deep. Raises
        `ConfigError` for anything else, and `LimitExceeded` when it is larger than 8 KiB as CBOR.
        """
        self._engine.set_presence(self.space, self.id, None if data is None else encoded(data))

    @property
    def presence(self) -> Mapping[DeviceKey, Mapping[str, Any]]:  # Any: what others sent, whatever CBOR holds
        """What other devices show in this document now, unchecked: it is as they gave it to `set_presence`."""
        return self._engine.presence(self.space, self.id)

    async def settled(self) -> None:
        """Return when everything here is saved, sealed and applied. Raises `EngineMisuse` in a transaction of it."""
        self.refuse_holder(asyncio.current_task())
        await self._engine.refuse_borrower()
        await asyncio.sleep(0)
        await self._opened.settled()
