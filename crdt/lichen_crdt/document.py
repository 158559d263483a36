"""Documents and their transactions."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Literal, Self

from lichen_crdt._native import Core
from lichen_crdt.applying import Applying
from lichen_crdt.authors import Authors
from lichen_crdt.changes import seconds
from lichen_crdt.errors import CrdtError, MissingDependencies, NoTransaction, TransactionError
from lichen_crdt.history import HistoryEntry, HistoryFilter, read
from lichen_crdt.patches import Patch, from_native
from lichen_crdt.version import Version
from lichen_crdt.views import Map

MAX_LOAD_BYTES = 1 << 28
"""Most bytes that `Document.load` takes, after what is compressed in them is inflated."""

MAX_LOAD_OPERATIONS = 1 << 22
"""Most operations that `Document.load` takes, those of deleted things included, and most changes."""


_ROOT = Core.root


class Transaction(Map):
    """The document inside `with document.change() as tx:`; write through it or through the document.

    After the block: `changes` are the changes it made, as (hash, bytes), none if nothing was written,
    several if it had more than 65,536 operations. `patches` are what they changed, if asked for.

    It is entered once. The end of the block ends it from any thread. One that nobody can end any more,
    because it was entered by hand and dropped, is taken back with a `ResourceWarning`.
    """

    __slots__ = ("_max_bytes", "_message", "_state", "_time", "_wants_patches", "changes", "patches")

    changes: list[tuple[bytes, bytes]]
    patches: list[Patch]

    def __init__(self, core: Core, message: str | None, time: int, patches: bool, max_bytes: int | None = None) -> None:
        self._core = core  # as `Map.__init__` does: this runs once for each keystroke
        self._obj = _ROOT
        self._message = message
        self._time = time
        self._wants_patches = patches
        self._max_bytes = max_bytes
        self._state: Literal["new", "open", "ended"] = "new"
        self.changes = []
        self.patches = []

    def __enter__(self) -> Self:
        if self._state != "new":
            raise TransactionError("a transaction is entered once: begin another with `document.change()`")
        self._core.begin(self._message, self._time, self._wants_patches)
        self._state = "open"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._state != "open":
            raise NoTransaction("this transaction is not open")
        if kind is not None:
            self._core.rollback()
            self._state = "ended"
            return
        try:
            self.changes, patches = self._core.commit(self._max_bytes)
        except OverflowError:
            self._state = "ended"
            raise
        self._state = "ended"
        if patches:
            self.patches = from_native(patches)

    def __del__(self) -> None:
        if getattr(self, "_state", "new") == "open":
            with contextlib.suppress(CrdtError):
                self._core.rollback()
            warnings.warn("a transaction never ended: it is taken back", ResourceWarning, source=self, stacklevel=2)

    @property
    def hash(self) -> bytes | None:
        """The hash of the (last) change, None if nothing was written."""
        return self.changes[-1][0] if self.changes else None

    @property
    def bytes(self) -> bytes | None:
        """The bytes of the (last) change, None if nothing was written."""
        return self.changes[-1][1] if self.changes else None


class Document(Map):
    """An Automerge document: a map from strings to values that merges with any other copy of itself.

    Read it as a dict; write inside `with document.change():`. A document may be used from several
    threads: calls wait for one another with the GIL released, and a transaction belongs to the
    thread that opened it, others wait for its end (see `wait_at_most`). Coroutines on one thread share
    its open transaction: do not await anything but your own writes inside the block.

    `actor` is the id under which this copy writes: 1 to 128 bytes, or hexadecimal, unique to each copy
    that ever writes; random if not given. Two copies that write under one actor cannot be merged again.
    """

    __slots__ = ()

    def __init__(self, actor: bytes | str | None = None) -> None:
        self.bind(Core(_actor(actor)))

    def bind(self, core: Core) -> Self:
        """Make this the document of a native core; for the constructors of this class."""
        super().__init__(core, _ROOT)
        return self

    @classmethod
    def load(
        cls,
        data: bytes,
        actor: bytes | str | None = None,
        *,
        max_bytes: int = MAX_LOAD_BYTES,
        max_operations: int = MAX_LOAD_OPERATIONS,
        partial: bool = False,
    ) -> Self:
        """Read what `save()`, followed by any number of `save_after()` or changes, gave; nothing is an empty document.

        The patches of a load, from an empty document, are `diff(())`.

        The bytes may be a stranger's: they are bounded and checked before anything is built of them, and what
        is loaded is what its changes, applied one by one, would have given. Raises `InvalidDocument`; or
        `MissingDependencies` if a change that follows the document builds on what is neither in it nor
        among them, unless `partial` asks for such changes to be left out.
        """
        return cls.__new__(cls).bind(Core.load(data, _actor(actor), max_bytes, max_operations, partial))

    def save(self) -> bytes:
        """The whole document in Automerge's compact form."""
        return self._core.save()

    def save_after(self, heads: Iterable[bytes]) -> bytes:
        """The changes that are not in the past of `heads`, in a form that can be appended to `save()`."""
        return self._core.save_after(_hashes(heads))

    @property
    def heads(self) -> tuple[bytes, ...]:
        """The hashes of the changes that no other change builds on, sorted: the document's version."""
        return self._core.heads()

    @property
    def actor(self) -> bytes:
        """The id under which this copy writes."""
        return self._core.actor()

    @actor.setter
    def actor(self, actor: bytes | str) -> None:
        checked = _actor(actor)
        if checked is None:
            raise TypeError(_AN_ACTOR)
        self._core.set_actor(checked)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._core.is_open()

    @property
    def replayed(self) -> int:
        """How many changes `apply_changes` took by replay so far."""
        return self._core.stats()[3]

    def wait_at_most(self, seconds: float) -> None:
        """How long calls wait for another thread's transaction before `DocumentBusy`; at first 10 s.

        Raises `ValueError` for what is negative, endless or no number.
        """
        self._core.set_wait(seconds)

    def change(
        self,
        message: str | None = None,
        time: int | None = None,
        *,
        patches: bool = False,
        max_bytes: int | None = None,
    ) -> Transaction:
        """Begin a transaction: `with document.change("add eggs") as tx: ...`.

        When the block ends its writes become one change; an exception in it takes them all back. `time` is in whole
        seconds since 1970, as `int(time.time())`; 0, which says nothing, if it is not given, and `ValueError` if it is
        not between -2^62 and 2^62. `patches` asks for `tx.patches`. Nesting is `TransactionOpen`. A change of more than
        `max_bytes`, or one that others would not take since its keys are more than 16 MiB, or there are hundreds of
        thousands of values where it writes, is an `OverflowError` at the end of the block, which takes everything back.
        """
        return Transaction(self._core, message, seconds(time), patches, max_bytes)

    def apply_changes(self, changes: Iterable[bytes], *, strict: bool = False, replay: bool = True) -> list[Patch]:
        """Apply changes from elsewhere, in any order; those that are here already are passed over.

        All or nothing: `MissingDependencies` if one builds on what is neither here nor among them,
        `InvalidChange` if one breaks a rule. With `strict`, `start_op` must be exactly one above the
        highest operation of the change's past, else only above it. `replay=False` keeps to the
        crate's own way, which gives the same document.
        """
        return from_native(self._core.apply(_several(changes), strict, replay))

    def applying(self, changes: Iterable[bytes], *, strict: bool = False, replay: bool = True) -> Applying:
        """As `apply_changes`, but in steps: nothing happens, and no error is raised, before the first of them."""
        return Applying(self._core.applying(_several(changes), strict, replay))

    def changes(self, since: Iterable[bytes] | None = None) -> list[bytes]:
        """The changes that are not in the past of `since` (heads), each after what it builds on.

        Heads that are not here count for nothing, so `ours.apply_changes(theirs.changes(ours.heads))` holds for copies
        that went apart as well: it may give changes that we have, never too few.
        """
        heads = _hashes(since or ())
        unknown = {*self._core.missing(heads)} if heads else ()
        return self._core.changes([head for head in heads if head not in unknown])

    def change_by_hash(self, digest: bytes) -> bytes | None:
        """The bytes of one change, None if it is not here."""
        return self._core.change_by_hash(digest)

    def missing(self, hashes: Iterable[bytes]) -> tuple[bytes, ...]:
        """Those of these change hashes that are not here."""
        return self._core.missing(_hashes(hashes))

    def history(
        self,
        since: Iterable[bytes] | None = None,
        *,
        authors: Authors | None = None,
        author: str | None = None,
        time_from: int | None = None,
        time_until: int | None = None,
        message: str | None = None,
    ) -> list[HistoryEntry]:
        """Who changed the document when, and what they said about it: as `changes`, but without the contents.

        `authors` gives the entries their `author`, and `author` keeps those of one name among them. `time_from`
        (included) and `time_until` (excluded) are in seconds since 1970, `message` is what the message has in it.
        """
        if author is not None and author not in (authors or ()):
            raise ValueError(f"{author!r} is not among the authors")
        wanted = HistoryFilter(authors, author, time_from, time_until, message)
        return read(self._core, _hashes(since or ()), wanted)

    def at(self, heads: Iterable[bytes]) -> Version:
        """The document as it was at `heads`, for reading; `MissingDependencies` if one of them is not here."""
        at = tuple(sorted({*_hashes(heads)}))
        if missing := self.missing(at):
            raise MissingDependencies("the document was never at these heads: some are not here", missing)
        return Version(self._core, Core.root, at)

    def diff(self, before: Iterable[bytes], after: Iterable[bytes] | None = None) -> list[Patch]:
        """The patches that make the content at the heads `after` (now, if None) of that at the heads `before`.

        `after` may be older than `before`. Raises `MissingDependencies`.
        """
        return from_native(self._core.diff(_hashes(before), _hashes(self.heads if after is None else after)))

    def fork(self, actor: bytes | str | None = None, *, at: Iterable[bytes] | None = None) -> Self:
        """An independent copy that writes under another actor; with `at` it has only the past of these heads."""
        core = self._core.fork(_actor(actor), None if at is None else _hashes(at))
        return type(self).__new__(type(self)).bind(core)

    def merge(self, other: Document) -> list[Patch]:
        """Take over every change of `other` that is not here."""
        if not isinstance(other, Document):
            raise TypeError(f"a document merges with another one, not with a {type(other).__name__}")
        return self.apply_changes(other.changes(self.heads))

    @property
    def mismatched(self) -> int:
        """How many replays made another change than the one that came; each was taken back."""
        return self._core.stats()[2]

    @property
    def rebuilt(self) -> int:
        """How often a replay, or a batch that ended in an invalid change, made the document be built again."""
        return self._core.stats()[4]

    @property
    def operations(self) -> int:
        """How many operations the document holds, those of deleted things included."""
        return self._core.stats()[0]

    def __reduce__(self) -> tuple[Callable[[bytes], Self], tuple[bytes]]:
        """For `copy` and `pickle`, which make a document of its own of what `save()` has, with another actor."""
        return type(self).load, (self.save(),)

    def __repr__(self) -> str:
        return f"Document({self.to_py()!r})"


_MAX_ACTOR_BYTES = 128  # others refuse changes of longer ones
_AN_ACTOR = f"an actor is 1 to {_MAX_ACTOR_BYTES} bytes, or hexadecimal"


def _actor(actor: object) -> bytes | None:
    if isinstance(actor, str):
        try:
            actor = bytes.fromhex(actor)
        except ValueError:
            raise ValueError(f"{_AN_ACTOR}: {actor!r:.80} is none; a name in bytes is one") from None
    if actor is not None and not isinstance(actor, bytes):
        raise TypeError(_AN_ACTOR)
    if actor is not None and not 1 <= len(actor) <= _MAX_ACTOR_BYTES:
        raise ValueError(_AN_ACTOR)
    return actor


def _several(changes: Iterable[bytes]) -> list[bytes]:
    """Changes as the core takes them, which checks what they are."""
    if isinstance(changes, (bytes, bytearray, memoryview)):
        raise TypeError("changes are several `bytes`: put a single one in a list")
    return [*changes]


def _hashes(given: Iterable[bytes]) -> list[bytes]:
    """Hashes of changes as the core takes them, which checks their sizes."""
    hashes = [*given]
    if not all(isinstance(one, bytes) for one in hashes):  # of a single hash they are the bytes, which are int
        raise TypeError("heads and other hashes are several `bytes`: put a single one in a tuple")
    return hashes
