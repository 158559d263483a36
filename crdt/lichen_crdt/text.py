"""Collaborative text: concurrent edits of one text merge character by character."""

from __future__ import annotations

import operator
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from lichen_crdt import _native
from lichen_crdt.blame import Blame, blame
from lichen_crdt.spans import Block, Expand, Mark, RichText, Span
from lichen_crdt.units import Graphemes, Units
from lichen_crdt.utf16 import from_utf16, utf16_length

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

    from lichen_crdt._native import Core, Obj
    from lichen_crdt.authors import Authors
    from lichen_crdt.values import Scalar, Value
    from lichen_crdt.views import Map


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
        self._value = _checked(value)
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

    def is_object(self, core: Core, found: object) -> bool:
        """Whether this is the view of an object that was found in a document; for the views of this package."""
        return self._core is core and self._obj == found

    def _bound(self) -> tuple[Core, Obj]:
        if self._core is None or self._obj is None:
            raise ValueError("this text is not in a document")
        return self._core, self._obj

    def _place(self, index: int) -> int:
        """A position from the start; `IndexError` if it cannot be one."""
        at = operator.index(index)
        if at < 0:
            at += len(self)
        if not 0 <= at <= sys.maxsize:
            raise IndexError(f"position {index} is out of range")
        return at

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

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __reduce__(self) -> tuple[type[Text], tuple[str]]:
        """For `copy` and `pickle`, which make a text of its own of it, outside any document."""
        return Text, (str(self),)

    @property
    def path(self) -> tuple[str | int, ...]:
        """Where this text is, from the root: the path that patches of it have."""
        core, obj = self._bound()
        return core.path(obj)

    # Editing

    def splice(self, index: int, delete: int = 0, insert: str = "") -> None:
        """Delete `delete` code points at `index` and insert `insert` in their place."""
        if type(index) is not int or not 0 <= index <= sys.maxsize:
            index = self._place(index)
        if not 0 <= delete <= sys.maxsize:
            raise IndexError(f"a count of {delete} is out of range")
        if self._core is not None and self._obj is not None:
            self._core.splice_text(self._obj, index, delete, insert)
            return
        if index + delete > len(self._value):
            raise IndexError(f"{index} + {delete} is beyond the length, {len(self._value)}")
        self._value = self._value[:index] + _checked(insert) + self._value[index + delete :]

    def insert(self, index: int, text: str) -> None:
        """Insert `text` before the code point at `index`."""
        self.splice(index, 0, text)

    def delete(self, index: int, count: int = 1) -> None:
        """Delete `count` code points at `index`."""
        self.splice(index, count)

    def append(self, text: str) -> None:
        """Insert `text` at the end."""
        self.splice(len(self), 0, text)

    def __iadd__(self, text: str) -> Self:
        self.append(text)
        return self

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
        """Make the text equal to `text` with few edits, so that concurrent ones survive.

        The edits are the fewest where they are up to 500, and take no grapheme apart; beyond that whole
        words or lines give way, so that the time stays in proportion to the text.
        """
        if self._core is not None and self._obj is not None:
            self._core.update_text(self._obj, text)
        else:
            self._value = _checked(text)

    def __setitem__(self, key: int | slice, text: str) -> None:
        start, count = self._range(key)
        self.splice(start, count, text)

    def __delitem__(self, key: int | slice) -> None:
        start, count = self._range(key)
        self.splice(start, count)

    def _range(self, key: int | slice) -> tuple[int, int]:
        if not isinstance(key, slice):
            return self._place(key), 1
        start, stop, step = key.indices(len(self))
        if step != 1:
            raise ValueError("a text is edited in ranges with step 1")
        return start, max(0, stop - start)

    # Marks and blocks

    def mark(self, start: int, end: int, name: str, value: Scalar, *, expand: Expand = "after") -> None:
        """Give the code points from `start` to before `end` a mark, such as `("bold", True)`.

        `expand` says at which edges text that is inserted there later takes the mark too. Where marks
        of one name overlap, the last one holds; None takes the mark away.
        """
        core, obj = self._bound()
        core.mark(obj, self._place(start), self._place(end), name, value, _sides(expand))

    def unmark(self, start: int, end: int, name: str, *, expand: Expand = "after") -> None:
        """Take a mark away from the code points from `start` to before `end`.

        With the `expand` that the mark has, text inserted at the edges later is without it as well.
        """
        self.mark(start, end, name, None, expand=expand)

    def marks(self) -> list[Mark]:
        """The marks of the text, in the order of their names and places."""
        core, obj = self._bound()
        return [Mark(*fields) for fields in core.marks(obj)]

    def spans(self) -> RichText:
        """The text as plain data: runs of characters with their marks, and blocks."""
        core, obj = self._bound()
        return core.spans(obj)

    def update_spans(
        self, spans: Iterable[Span | Block | str], *, expand: Expand | Mapping[str, Expand] = "after"
    ) -> None:
        """Make the text equal to `spans` with few edits, so that concurrent ones survive.

        Characters change as in `update`, marks and the keys of blocks only where they differ. `expand`
        is that of the marks it sets: one for all, or by their names (others are "after").
        """
        core, obj = self._bound()
        named = expand if isinstance(expand, Mapping) else {}
        default: Expand = expand if isinstance(expand, str) else "after"
        sides = {name: _sides(how) for name, how in named.items()}
        core.update_spans(obj, [_piece(span) for span in spans], sides, _sides(default))

    def split_block(self, index: int, content: Mapping[str, Value] | None = None) -> Map:
        """Insert a block with this content before the code point at `index`; its view.

        A block takes up one position, and is `"\ufffc"` where the text is a `str`. What it means is the
        application's: a paragraph with its kind, a picture. Deleting its position deletes it.
        """
        core, obj = self._bound()
        return _map(core, core.split_block(obj, self._place(index), {} if content is None else content))

    def join_block(self, index: int) -> None:
        """Delete the block at `index`; `TypeError` if there is none."""
        core, obj = self._bound()
        core.join_block(obj, self._place(index))

    def replace_block(self, index: int, content: Mapping[str, Value]) -> Map:
        """Put another block in place of the one at `index`; to change some keys, write to `block(index)`."""
        core, obj = self._bound()
        return _map(core, core.replace_block(obj, self._place(index), content))

    def block(self, index: int) -> Map:
        """The block at `index` as a map to read and write; `TypeError` if there is none."""
        core, obj = self._bound()
        found = core.get(obj, self._place(index))
        if type(found) is not _native.Obj or found.kind != "map":
            raise TypeError(f"at {index} is no block")
        return _map(core, found)

    def blame(self, start: int = 0, end: int | None = None, *, authors: Authors | None = None) -> list[Blame]:
        """Who wrote which part of the text, in order: one `Blame` for each run of a change's characters.

        `start` and `end` bound the part, as in a slice; `authors` gives each run its `author`. Not inside a
        transaction. No change's contents are read: a short part takes time in proportion to itself.
        """
        core, obj = self._bound()
        return blame(core, obj, slice(start, end), authors)

    # Cursors and other units

    def cursor(self, index: int | Literal["start", "end"], *, before: bool = False) -> bytes:
        """A position that stays with its character while others edit.

        It is attached to the code point at `index`, or to the end if `index` is the length or "end"; with
        "start" it stays at the start. When its code point is deleted the cursor moves to the next
        one, or with `before` to the one before. The bytes can be kept, and sent: in a copy that does not have
        the code point yet they are an `InvalidCursor`.
        """
        core, obj = self._bound()
        if index == "start":
            return core.cursor(obj, None, before)
        return core.cursor(obj, len(self) if index == "end" else self._place(index), before)

    def position(self, cursor: bytes) -> int:
        """Where a cursor is now, in code points; `InvalidCursor` if it is not one of this text."""
        core, obj = self._bound()
        return core.position(obj, cursor)

    @property
    def utf16(self) -> Units:
        """The text with positions in UTF-16 units, as browsers and Qt count."""
        return Units(self, "utf16")

    @property
    def utf8(self) -> Units:
        """The text with positions in UTF-8 bytes."""
        return Units(self, "utf8")

    @property
    def graphemes(self) -> Graphemes:
        """The text with positions in graphemes: what a reader sees as one character."""
        return Graphemes(self)

    def points(self, unit: str, *offsets: int) -> list[int]:
        """The code points at offsets in a unit, "utf16", "utf8" or "grapheme"; `ValueError` inside a character."""
        if any(offset < 0 for offset in offsets):
            length = self.offsets(unit)[0]
            offsets = tuple(offset + length if offset < 0 else offset for offset in offsets)
        if not all(0 <= offset <= sys.maxsize for offset in offsets):
            raise IndexError("a position is out of range")
        if self._core is None or self._obj is None:
            return _native.to_points(self._value, unit, [*offsets])
        return self._core.to_points(self._obj, unit, [*offsets])

    def offsets(self, unit: str, *indexes: int) -> list[int]:
        """The offsets in a unit of code points; without any, the length of the text in that unit."""
        places = [self._place(index) for index in indexes] or None
        if self._core is None or self._obj is None:
            return _native.from_points(self._value, unit, places)
        return self._core.from_points(self._obj, unit, places)

    def boundaries(self) -> list[int]:
        """Where graphemes begin and end; see `Graphemes`."""
        if self._core is None or self._obj is None:
            return _native.boundaries(self._value)
        return self._core.boundaries(self._obj)

    def around(self, index: int) -> tuple[int, int]:
        """The nearest boundary of graphemes at or before the code point at `index`, and the one after it."""
        if self._core is None or self._obj is None:
            return _native.around(self._value, self._place(index))
        return self._core.around(self._obj, self._place(index))

    def index_to_utf16(self, index: int) -> int:
        """The UTF-16 offset of the code point at `index`."""
        return self.utf16.offset(index)

    def utf16_to_index(self, offset: int) -> int:
        """The index of the code point at a UTF-16 offset; inside a character, that of the character."""
        text = str(self)
        length = utf16_length(text)
        if not -length <= offset <= length:
            raise IndexError(f"{offset} is beyond the length, {length}")
        return from_utf16(text, offset + length if offset < 0 else offset)


def _sides(expand: Expand) -> tuple[bool, bool]:
    if expand not in ("before", "after", "both", "none"):
        raise ValueError('a mark expands "before", "after", "both" or "none"')
    return expand in ("before", "both"), expand in ("after", "both")


def _piece(span: Span | Block | str) -> tuple[str | None, Mapping[str, Any]]:
    match span:
        case str():
            return span, {}
        case Block(content):
            return None, content
        case Span(text, marks):
            return text, marks
    raise TypeError(f"rich text is made of Span, Block and str, not of {type(span).__name__}")


def _checked(text: str) -> str:
    if not isinstance(text, str):
        raise TypeError(f"a text is made of a str, not of {type(text).__name__}")
    return text


def _map(core: Core, obj: Obj) -> Map:
    from lichen_crdt.views import Map  # views are made of texts, and only blocks lead back to them

    return Map(core, obj)
