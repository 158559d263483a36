"""The handle of one document."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from lichen_crdt import ChangeInfo, Undo, Undone
from lichen_crdt import Document as CrdtDocument

from lichen.api.document import Document as AsyncDocument
from lichen.api.document import Transaction as AsyncTransaction
from lichen.blocking.events import Events
from lichen.errors import EngineMisuse
from lichen.ids import DeviceKey, DocId, SpaceId
from lichen.runtime.document import Applied

if TYPE_CHECKING:
    from lichen.blocking.engine import Engine

P = ParamSpec("P")
T = TypeVar("T")


class Transaction:
    """One change of a document: what is done inside the block becomes one Automerge change, or none on an exception.

    The block waits for its turn, and ends when the change is on disk. It belongs to the thread that enters it; what
    other devices send meanwhile waits.
    """

    def __init__(self, document: Document, transaction: AsyncTransaction) -> None:
        self._document = document
        self._engine = document.engine
        self._inner = transaction
        self._open = False
        """The turn is lent to this block."""

    def __enter__(self) -> CrdtDocument:
        try:
            self._engine.run(self._begin, threading.current_thread())
            return self._inner.__enter__()
        except BaseException:
            self._give_up()
            raise

    async def _begin(self, thread: threading.Thread) -> None:
        await self._inner.lend(thread)
        self._open = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._engine.call(self._end, kind, error, trace)
        except EngineMisuse:  # closed by another thread
            self._open = False
            self._inner.roll_back()
            raise
        if error is None:
            self._wait_for_disk()

    def _wait_for_disk(self) -> None:
        try:
            self._document.saved()
        except TimeoutError:
            message = "the change is made and will be saved, but was not yet when the time was over"
            raise TimeoutError(message) from None

    def _end(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open = False
        self._inner.take_back(kind, error, trace)

    def __del__(self) -> None:
        if self._open:
            self._give_up()

    def _give_up(self) -> None:
        with contextlib.suppress(EngineMisuse):  # the engine is closed, and the document with it
            self._engine.call_soon(self._abandon)

    def _abandon(self) -> None:
        if self._open:
            self._open = False
            self._inner.abandon()


class Document:
    """One document of a space, on this device.

    Reading is through `doc`, a `lichen_crdt.Document`; writing through `change`. While a thread is in a transaction,
    others that read `doc` wait for its end, up to ten seconds, and then get `lichen_crdt.DocumentBusy`.
    """

    def __init__(self, engine: Engine, document: AsyncDocument) -> None:
        self.engine = engine
        """The engine that it was opened with."""
        self.asynchronous = document
        """The handle below, to be used on the loop: through `Engine.run` and `Engine.call`."""

    @property
    def id(self) -> DocId:
        """16 bytes."""
        return self.asynchronous.id

    @property
    def space(self) -> SpaceId:
        """The space that it is in."""
        return self.asynchronous.space

    @property
    def doc(self) -> CrdtDocument:
        """The document's data, for reading."""
        return self.asynchronous.doc

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The hashes of the changes that no other depends on, sorted."""
        return self.asynchronous.heads

    @property
    def failure(self) -> BaseException | None:
        """Why this handle is of no more use, as after a full disk; None while all is well.

        Its events tell once, by one in which nothing has changed. Open the document again: that loads what is on disk.
        """
        return self.asynchronous.failure

    def change(self, message: str | None = None) -> Transaction:
        """A transaction: `with note.change("why") as doc: doc["body"].insert(0, "hi")`.

        Raises `AccessDenied` when this device may not write in the space, `EngineMisuse` at the beginning of a block
        inside another of the same document, and at the end of the block `ChangeTooLarge` for more than about 4 MiB in
        up to 65,536 operations: then nothing of it is in the document.
        """
        return Transaction(self, self.engine.call(self.asynchronous.change, message))

    def saved(self) -> None:
        """Return when every transaction ended so far is on disk. Raises `StoreError` when that failed."""
        self.engine.run(self.asynchronous.saved)

    def look(self, look: Callable[[CrdtDocument], T]) -> T:
        """What `look` returns, called on the loop with the document while nothing changes it.

        What it begins to listen to is told of everything that comes after what it sees.
        """
        return self._run(self.asynchronous.look, look)

    def undo(self, steps: Undo) -> Undone | None:
        """Take back the newest step of a `lichen_crdt.Undo` of this document; on disk when it returns.

        None when there is none. It is made on a thread, to its end, also when who waits is cancelled. Raises
        `AccessDenied` when this device may not write, and `ChangeTooLarge`, after which the document is to be opened
        again.
        """
        return self._run(self.asynchronous.undo, steps)

    def redo(self, steps: Undo) -> Undone | None:
        """Bring back what was taken back last, as `undo` in all else."""
        return self._run(self.asynchronous.redo, steps)

    def _run(self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `Engine.run`, for what waits until no transaction is open."""
        self.asynchronous.refuse_holder(threading.current_thread())
        return self.engine.run(function, *args, **kwargs)

    def room(self, most_bytes: int) -> None:
        """Return when at most this many bytes of changes wait to be saved and sealed: a pace for who writes fast."""
        self.engine.run(self.asynchronous.room, most_bytes)

    def events(self) -> Events[Applied]:
        """What happens to the document from now on: `for applied in note.events()`, or `note.events().call(...)`."""
        return self.engine.events_of(self.asynchronous.events)

    def history(self, since: Iterable[bytes] = ()) -> list[ChangeInfo]:
        """The changes that are not in the past of the heads `since`, oldest first."""
        return self.asynchronous.history(since)

    # Presence

    def set_presence(self, data: Mapping[str, object] | None) -> None:
        """Show this to everyone who is there, sealed and never stored; None takes it back.

        It is a map of text, bytes, numbers, True, False, None, and lists and maps of these, a few levels deep. Raises
        `ConfigError` for anything else, and `LimitExceeded` when it is larger than 8 KiB as CBOR.
        """
        self.engine.call(self.asynchronous.set_presence, data)

    @property
    def presence(self) -> Mapping[DeviceKey, Mapping[str, Any]]:  # Any: what others sent, whatever CBOR holds
        """What other devices show in this document now, unchecked: it is as they gave it to `set_presence`."""
        return self.engine.call(lambda: self.asynchronous.presence)

    def settled(self) -> None:
        """Return when everything here is saved, sealed and applied. Raises `EngineMisuse` in a transaction of it."""
        self._run(self.asynchronous.settled)
