"""Rich text as plain data: runs of characters with their marks, and blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lichen_crdt.values import Scalar

Expand = Literal["before", "after", "both", "none"]
"""At which edges of a mark text that is inserted there later takes it."""

BLOCK = "\ufffc"
"""What stands for a block where a text is a `str`: the object replacement character."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark of a text: `name` has `value` from `start` to before `end`."""

    start: int
    end: int
    name: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class Span:
    """A run of characters that have the same marks."""

    text: str
    marks: Mapping[str, Scalar] = field(default_factory=dict)
    """The values of the marks by their names."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of a text, such as the beginning of a paragraph or a picture; it takes up one position."""

    content: dict[str, Any] = field(default_factory=dict)  # what is in it is the application's, as in a map
    """Plain data; texts in it are rich where the block was read so."""


class RichText(list["Span | Block"]):
    """A text as plain data, in order; neighbouring spans differ in their marks.

    What `Text.spans` gives, and what a text is in `to_py(rich=True)`. Positions are in code points. Printed it is the
    characters alone; `repr` has the marks and blocks.
    """

    def __str__(self) -> str:
        return "".join(piece.text if isinstance(piece, Span) else BLOCK for piece in self)

    def splice(self, index: int, delete: int, insert: Span | Block | None = None) -> None:
        """Replace `delete` positions at `index`; `IndexError` if they are beyond the text."""
        start = self._cut(index)
        end = self._cut(index + delete)
        self[start:end] = [] if insert is None else [insert]
        self._join()

    def mark(self, start: int, end: int, name: str, value: Scalar) -> None:
        """Give the characters from `start` to before `end` a mark; None takes it away."""
        first = self._cut(start)
        for i in range(first, self._cut(end)):
            piece = self[i]
            if isinstance(piece, Span):
                marks = {key: old for key, old in piece.marks.items() if key != name}
                self[i] = Span(piece.text, marks if value is None else {**marks, name: value})
        self._join()

    def block(self, index: int) -> Block:
        """The block at `index`; `LookupError` if there is none."""
        for piece in self:
            if index == 0 and isinstance(piece, Block):
                return piece
            index -= _width(piece)
            if index < 0:
                break
        raise LookupError("there is no block")

    def _cut(self, index: int) -> int:
        """Which piece begins at `index`, cutting a span in two if need be."""
        for i, piece in enumerate(self):
            if index <= 0:
                return i
            if isinstance(piece, Span) and index < len(piece.text):
                self[i : i + 1] = [Span(piece.text[:index], piece.marks), Span(piece.text[index:], piece.marks)]
                return i + 1
            index -= _width(piece)
        if index > 0:
            raise IndexError(f"{index} beyond the length of the text")
        return len(self)

    def _join(self) -> None:
        """Make neighbouring spans with the same marks one, and drop empty ones."""
        pieces, self[:] = self[:], []
        for piece in pieces:
            last = self[-1] if self else None
            if isinstance(piece, Span) and isinstance(last, Span) and _same(piece.marks, last.marks):
                self[-1] = Span(last.text + piece.text, last.marks)
            elif piece != Span("", piece.marks if isinstance(piece, Span) else {}):
                self.append(piece)


def _same(marks: Mapping[str, Scalar], others: Mapping[str, Scalar]) -> bool:
    """Whether marks are the same, where True is not 1."""
    return marks == others and all(type(value) is type(others[name]) for name, value in marks.items())


def _width(piece: Span | Block) -> int:
    return len(piece.text) if isinstance(piece, Span) else 1
