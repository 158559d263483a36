"""Typed views: a document as a dataclass or a pydantic model."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lichen_crdt.errors import InvalidValue, TransactionError
from lichen_crdt.typed.candidates import Candidate, candidates
from lichen_crdt.typed.difference import Writer
from lichen_crdt.typed.nodes import MapNode, Place, Problem, Root, same
from lichen_crdt.typed.plan import shape_of
from lichen_crdt.typed.stamp import Stamp
from lichen_crdt.views import Map, plain

if TYPE_CHECKING:
    from lichen_crdt.authors import Authors
    from lichen_crdt.document import Document, Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """What a view read."""

    value: T
    problems: tuple[Problem, ...]
    """What does not fit the model; it is left as it is."""
    version: int | None
    """The version that the document says it is; None if the model has no versions."""


class View(Generic[T]):
    """A document, or a map in one, as a dataclass or a pydantic model; from `Map.view`.

    Reads give a fresh instance. What does not fit is reported in `problems` and stays in the document: a field there
    has its default, one without a default raises `UnreadableField` when it is read, a list or a dict lacks the item.
    Writes go through a draft (`change`, `edit`) or a whole value (`write`), and become the fewest changes that make the
    difference. Whatever the model does not know is left alone.
    """

    __slots__ = ("_shape", "_source")

    def __init__(self, source: Map, model: type[T]) -> None:
        self._source = source
        self._shape = shape_of(model)

    # Reading

    @property
    def value(self) -> T:
        """The present content, an instance of its own: changing it changes no document."""
        return self.read().value

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What does not fit the model at present."""
        return self.read().problems

    @property
    def version(self) -> int | None:
        """The version that the document says it is; None if the model has no versions."""
        return self._stamp().version

    def read(self) -> Reading[T]:
        """The present content, and what in it does not fit.

        Raises `InvalidModel` if a default of the model does not fit its own field.
        """
        stamp = self._stamp()
        value, _, problems = self._read(stamp, live=False)
        return Reading(value, problems, stamp.version)

    def conflicts(self, *path: Hashable, authors: Authors | None = None) -> tuple[Candidate, ...]:
        """Every value that concurrent writers left at a field, the one that is read last.

        `path` has names of fields, keys of dicts and positions in lists, as in `value`. Values that lie at an older key
        of the field, written by devices with an older version, are among them. `authors` gives each its `author`.
        Raises `LookupError` if the path leads nowhere.
        """
        value, node, _ = self._read(self._stamp(), live=False)
        return candidates(self._source, self._shape, value, node, path, authors)

    def _stamp(self) -> Stamp:
        return Stamp(self._source, self._shape)

    def _read(self, stamp: Stamp, *, live: bool) -> tuple[T, MapNode, tuple[Problem, ...]]:
        problems = [*stamp.problems]
        source = self._source
        root = None if stamp.version is None else Root(stamp.version, self._rivals)
        place = Place((), problems, (lambda: source) if live else None, root)
        value, node = self._shape.read(source.to_py(), place)
        return value, node, tuple(problems)

    def _rivals(self, key: str) -> list[Any]:
        return [plain(conflict.value) for conflict in self._source.conflicts(key)]

    # Writing

    def change(self, message: str | None = None, time: int | None = None, *, patches: bool = False) -> Change[T]:
        """Begin a transaction and a draft: `with view.change("rename") as note: note.title = "x"`.

        When the block ends the differences are written as one change; an exception takes everything back. The arguments
        are those of `Document.change`. The view must be one of a whole document. Raises, at the end of the block,
        `InvalidValue` for what does not fit the model, and `NewerDocument`.
        """
        from lichen_crdt.document import Document

        if not isinstance(self._source, Document):
            raise TypeError("a transaction is one of a whole document; inside one use `edit`")
        return Change(self._source, self, self._source.change(message, time, patches=patches))

    def edit(self) -> Draft[T]:
        """A draft inside the transaction that is open: `with view.edit() as note: ...`; else as `change`.

        `NewerDocument` may leave some of the differences written: let it end the transaction, which takes them back.
        """
        return Draft(self)

    def write(self, value: T, message: str | None = None, time: int | None = None) -> None:
        """Make the content equal to `value`: inside the open transaction if there is one, else in one of its own.

        Raises `InvalidValue` and `NewerDocument`, and `ValueError` for a message or time inside a transaction.
        """
        from lichen_crdt.document import Document

        if isinstance(self._source, Document) and not self._source.in_transaction:
            with self._source.change(message, time):
                self._put(value)
        elif message is not None or time is not None:
            raise ValueError("the message and time of an open transaction are set already")
        else:
            self._put(value)

    def _put(self, value: T) -> None:
        draft = Draft(self)
        draft.begin()
        draft.finish(value, whole=True)

    def migrate(self) -> bool:
        """Inside the open transaction: store the model's version, `SetDefault` values, and delete what was dropped.

        The first write of a draft does this too. Everything else is read through, and moves when it is written, so that
        several devices may do it at once. Whether anything was written: not if the version is this one or newer.
        """
        return self._stamp().write()

    def __repr__(self) -> str:
        return f"View({self._shape.model.__name__}, {self._source!r})"


class Draft(Generic[T]):
    """An instance to edit, inside the transaction that is open; the difference is written when the block ends.

    Fields of the type `Text` and `Counter` are those of the document, and edits of them are written at once. What is at
    its default is not written, but for the first write of an empty document, which stores every field: so a text or a
    list is made once, before others share the document, and not by each of them.
    """

    __slots__ = ("_before", "_is_first", "_stamp", "_value", "_view")

    def __init__(self, view: View[T]) -> None:
        self._view = view
        self._before: MapNode | None = None

    def begin(self) -> T:
        """Read the instance."""
        self._is_first = not len(self._view._source)  # noqa: SLF001
        self._stamp = self._view._stamp()  # noqa: SLF001  # one class in two parts
        self._value, self._before, _ = self._view._read(self._stamp, live=True)  # noqa: SLF001
        return self._value

    def finish(self, value: T, *, whole: bool = False) -> None:
        """Write how `value` differs from what was read; with `whole` also if the document is empty and it does not."""
        view = self._view
        if self._before is None:
            raise TransactionError("the draft was not begun")
        after = view._shape.write(value, ())  # noqa: SLF001
        first = self._is_first and (whole or not same(after, self._before))
        before = MapNode({}) if first else self._before
        try:
            wrote = Writer(newer=self._stamp.is_newer).map(view._source, before, after)  # noqa: SLF001
        except (ValueError, OverflowError) as error:  # such as a str that no UTF-8 can hold
            raise InvalidValue(str(error), ()) from error
        if wrote:
            self._stamp.write()

    def __enter__(self) -> T:
        return self.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish(self._value)


class Change(Generic[T]):
    """A transaction and a draft in it; `transaction` has the changes after the block."""

    __slots__ = ("_draft", "transaction")

    def __init__(self, document: Document, view: View[T], transaction: Transaction) -> None:
        self._draft = Draft(view)
        self.transaction = transaction

    def __enter__(self) -> T:
        self.transaction.__enter__()
        try:
            return self._draft.begin()
        except BaseException as error:
            self.transaction.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            try:
                self._draft.__exit__(None, None, None)
            except BaseException as failed:
                self.transaction.__exit__(type(failed), failed, failed.__traceback__)
                raise
        self.transaction.__exit__(kind, error, trace)
