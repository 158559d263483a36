"""A text in the units that others count in: UTF-16, UTF-8, graphemes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from lichen_crdt.spans import Expand, Mark

if TYPE_CHECKING:
    from lichen_crdt.text import Text
    from lichen_crdt.values import Scalar


class Units:
    """A text whose positions and lengths are in another unit; `Text.utf16`, `Text.utf8`, `Text.graphemes`.

    A browser and Qt count in UTF-16 units, many file formats in UTF-8 bytes. Edits need an open
    transaction, as on the text itself. A position inside a character is a `ValueError`, one beyond the
    text an `IndexError`; a negative one counts from the end.
    """

    __slots__ = ("_text", "_unit")

    def __init__(self, text: Text, unit: str) -> None:
        self._text = text
        self._unit = unit

    def __str__(self) -> str:
        return str(self._text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r}, {self._unit!r})"

    def __len__(self) -> int:
        return self._text.offsets(self._unit)[0]

    def __iter__(self) -> Iterator[str]:
        """The characters, in order."""
        return iter(str(self._text))

    def __getitem__(self, key: int | slice) -> str:
        """The characters in a range; with an index, the one there."""
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step != 1:
                raise ValueError("a text is read in ranges with step 1")
            first, last = self._points(start, max(start, stop))
            return self._text[first:last]
        (first,) = self._points(key)
        return self._text[first : self._after(first)]

    def _after(self, index: int) -> int:
        """The index after the character at `index`."""
        if index >= len(self._text):
            raise IndexError("the position is the end of the text")
        return index + 1

    def _points(self, *offsets: int) -> list[int]:
        return self._text.points(self._unit, *offsets)

    def index(self, offset: int) -> int:
        """The code point at an offset, as positions of the text itself are."""
        return self._points(offset)[0]

    def offset(self, index: int) -> int:
        """The offset of the code point at `index`; inside a grapheme, where that begins."""
        return self._text.offsets(self._unit, index)[0]

    def splice(self, offset: int, delete: int = 0, insert: str = "") -> None:
        """Delete `delete` units at `offset` and insert `insert` in their place."""
        if delete < 0:
            raise IndexError("a count is negative")
        if offset < 0:
            offset += len(self)
        if offset < 0:
            raise IndexError("a position is out of range")
        start, end = self._points(offset, offset + delete)
        self._text.splice(start, end - start, insert)

    def insert(self, offset: int, text: str) -> None:
        """Insert `text` at `offset`."""
        self.splice(offset, 0, text)

    def delete(self, offset: int, count: int = 1) -> None:
        """Delete `count` units at `offset`."""
        self.splice(offset, count)

    def append(self, text: str) -> None:
        """Insert `text` at the end."""
        self._text.append(text)

    def update(self, text: str) -> None:
        """Make the text equal to `text` with few edits; see `Text.update`."""
        self._text.update(text)

    def replace(self, old: str, new: str, count: int = -1) -> int:
        """Replace occurrences of `old`; see `Text.replace`."""
        return self._text.replace(old, new, count)

    def cursor(self, offset: int | Literal["start", "end"], *, before: bool = False) -> bytes:
        """A position that stays with its character; see `Text.cursor`."""
        return self._text.cursor(offset if isinstance(offset, str) else self.index(offset), before=before)

    def position(self, cursor: bytes) -> int:
        """Where a cursor is now."""
        return self.offset(self._text.position(cursor))

    def mark(self, start: int, end: int, name: str, value: Scalar, *, expand: Expand = "after") -> None:
        """Mark what is from `start` to before `end`; see `Text.mark`."""
        first, last = self._points(start, end)
        self._text.mark(first, last, name, value, expand=expand)

    def unmark(self, start: int, end: int, name: str, *, expand: Expand = "after") -> None:
        """Take a mark away from what is from `start` to before `end`; see `Text.unmark`."""
        self.mark(start, end, name, None, expand=expand)

    def marks(self) -> list[Mark]:
        """The marks of the text; one that ends inside a grapheme counts to its end."""
        marks, value = self._text.marks(), str(self._text)
        places = sorted({at for mark in marks for at in (mark.start, mark.end - 1)})
        starts = dict(zip(places, self._text.offsets(self._unit, *places), strict=False))
        width = _WIDTHS[self._unit]
        return [
            Mark(starts[mark.start], starts[mark.end - 1] + width(value[mark.end - 1]), mark.name, mark.value)
            for mark in marks
        ]


class Graphemes(Units):
    """A text whose positions are graphemes: what a reader sees as one character, by UAX #29.

    `"👩‍🚀"` is one of them and three code points. Beside what `Units` has: iteration, and the
    boundaries in code points, for editors that move and delete by what is seen.
    """

    __slots__ = ()

    def __init__(self, text: Text) -> None:
        super().__init__(text, "grapheme")

    def __iter__(self) -> Iterator[str]:
        value, bounds = str(self._text), self.boundaries()
        return (value[start:end] for start, end in pairwise(bounds))

    def _after(self, index: int) -> int:
        super()._after(index)
        return self.next_boundary(index)

    def boundaries(self) -> list[int]:
        """The code points between which graphemes begin and end, from 0 to the length."""
        return self._text.boundaries()

    def next_boundary(self, index: int) -> int:
        """Where the grapheme at the code point `index` ends; at the end of the text, that."""
        return self._text.around(index)[1]

    def previous_boundary(self, index: int) -> int:
        """Where the grapheme before the code point `index` begins; at the start of the text, 0."""
        if index < 0:
            index += len(self._text)
        if not 0 <= index <= len(self._text):
            raise IndexError("a position is out of range")
        return self._text.around(max(0, index - 1))[0]


def _utf16(character: str) -> int:
    return 2 if ord(character) > 0xFFFF else 1


_WIDTHS: dict[str, Callable[[str], int]] = {
    "utf16": _utf16,
    "utf8": lambda character: len(character.encode()),
    "grapheme": lambda character: 1,
}
