"""Collaborative text: concurrent edits of one text merge character by character."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from lichen_crdt.utf16 import from_utf16, to_utf16

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from lichen_crdt._native import Core, Obj
    from lichen_crdt.values import Scalar


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark of a text: `name` has `value` from `start` to before `end`."""

    start: int
    end: int
    name: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class Blame:
    """One change wrote the code points from `start` to before `end`."""

    start: int
    end: int
    actor: bytes
    """Who wrote them."""
    change: bytes
    """The hash of the change; `Document.change_by_hash` has its time and message."""


class Text:
    """A text that several writers may edit at once.

    `doc["body"] = Text("milk")` makes one in a document (a plain `str` is a scalar instead: it is
    replaced as a whole). What `doc["body"]` gives is a view: reads are of the present state, edits
    need an open transaction. Positions and lengths are in code points, as in `str`; a negative
    position counts from the end, one out of range is an `IndexError`. Compares equal to `str`.
    """

    __slots__ = ("_core", "_obj", "_value")
    __hash__ = None  # type: ignore[assignment]  # a view changes: it cannot be a key

    def __init__(self, value: str = "") -> None:
        self._value = value
        self._core: Core | None = None
        self._obj: Obj | None = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        from lichen_crdt.typed.pydantic_schema import collaborative  # pydantic asks, so it is there

        return collaborative(Text, str, source, handler)

    def bind(self, core: Core, obj: Obj) -> Self:
        """Make this the view of a text of a document; for the views of this package."""
        self._core, self._obj = core, obj
        return self

    def _bound(self) -> tuple[Core, Obj]:
        if self._core is None or self._obj is None:
            raise ValueError("this text is not in a document")
        return self._core, self._obj

    # Reading

    def __str__(self) -> str:
        if self._core is None or self._obj is None:
            return self._value
        return self._core.text(self._obj)

    def to_py(self) -> str:
        """The text as a `str`."""
        return str(self)

    def __len__(self) -> int:
        if self._core is None or self._obj is None:
            return len(self._value)
        return self._core.length(self._obj)

    def __bool__(self) -> bool:
        return len(self) > 0

    def __getitem__(self, key: int | slice) -> str:
        return str(self)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(str(self))

    def __contains__(self, part: str) -> bool:
        return part in str(self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, (Text, str)):
            return str(self) == str(other)
        return NotImplemented

    def __repr__(self) -> str:
        return f"Text({str(self)!r})"

    # Editing

    def splice(self, index: int, delete: int = 0, insert: str = "") -> None:
        """Delete `delete` code points at `index` and insert `insert` in their place."""
        if index < 0:
            index += len(self)
        if index < 0 or delete < 0:
            raise IndexError("a position or a count is negative")
        if self._core is not None and self._obj is not None:
            self._core.splice_text(self._obj, index, delete, insert)
            return
        if index + delete > len(self._value):
            raise IndexError(f"{index} + {delete} is beyond the length, {len(self._value)}")
        self._value = self._value[:index] + insert + self._value[index + delete :]

    def insert(self, index: int, text: str) -> None:
        """Insert `text` before the code point at `index`."""
        self.splice(index, 0, text)

    def delete(self, index: int, count: int = 1) -> None:
        """Delete `count` code points at `index`."""
        self.splice(index, count)

    def append(self, text: str) -> None:
        """Insert `text` at the end."""
        self.splice(len(self), 0, text)

    def replace(self, old: str, new: str, count: int = -1) -> int:
        """Replace occurrences of `old`, at most `count` if it is not negative; how many were replaced."""
        if not old:
            raise ValueError("there is nothing to look for")
        found: list[int] = []
        value, at = str(self), -len(old)
        while (count < 0 or len(found) < count) and (at := value.find(old, at + len(old))) >= 0:
            found.append(at)
        for at in reversed(found):
            self.splice(at, len(old), new)
        return len(found)

    def update(self, text: str) -> None:
        """Make the text equal to `text` with few edits, so that concurrent ones survive."""
        if self._core is not None and self._obj is not None:
            self._core.update_text(self._obj, text)
        else:
            self._value = text

    def __setitem__(self, key: int | slice, text: str) -> None:
        start, count = self._range(key)
        self.splice(start, count, text)

    def __delitem__(self, key: int | slice) -> None:
        start, count = self._range(key)
        self.splice(start, count)

    def _range(self, key: int | slice) -> tuple[int, int]:
        if isinstance(key, int):
            return (key + len(self) if key < 0 else key), 1
        start, stop, step = key.indices(len(self))
        if step != 1:
            raise ValueError("a text is edited in ranges with step 1")
        return start, max(0, stop - start)

    # Marks

    def mark(
        self,
        start: int,
        end: int,
        name: str,
        value: Scalar,
        *,
        expand: Literal["before", "after", "both", "none"] = "after",
    ) -> None:
        """Give the code points from `start` to before `end` a mark, such as `("bold", True)`.

        `expand` says at which edges text that is inserted there later takes the mark too.
        """
        core, obj = self._bound()
        core.mark(obj, start, end, name, value, (expand in ("before", "both"), expand in ("after", "both")))

    def unmark(self, start: int, end: int, name: str) -> None:
        """Take a mark away from the code points from `start` to before `end`."""
        self.mark(start, end, name, None, expand="none")

    def marks(self) -> list[Mark]:
        """The marks of the text, in the order of their names and places."""
        core, obj = self._bound()
        return [Mark(*fields) for fields in core.marks(obj)]

    def blame(self) -> list[Blame]:
        """Who wrote which part of the text, in order: one `Blame` for each run of a change's characters.

        Not inside a transaction. Takes time in proportion to the text and the number of changes.
        """
        core, obj = self._bound()
        return [Blame(*fields) for fields in core.blame(obj)]

    # Cursors and other units

    def cursor(self, index: int, *, before: bool = False) -> bytes:
        """A position that stays with its character while others edit.

        It is attached to the code point at `index`, or to the end if `index` is the length. When that
        code point is deleted the cursor moves to the next one, or with `before` to the one before.
        """
        core, obj = self._bound()
        return core.cursor(obj, index + len(self) if index < 0 else index, before)

    def position(self, cursor: bytes) -> int:
        """Where a cursor is now, in code points; `InvalidCursor` if it is not one of this text."""
        core, obj = self._bound()
        return core.position(obj, cursor)

    def index_to_utf16(self, index: int) -> int:
        """The UTF-16 offset of the code point at `index`."""
        return to_utf16(str(self), index)

    def utf16_to_index(self, offset: int) -> int:
        """The index of the code point at a UTF-16 offset."""
        return from_utf16(str(self), offset)
