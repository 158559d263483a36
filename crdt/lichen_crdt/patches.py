"""Patches: what an apply or a transaction changed, as small values.

A patch has the `path` of the map, list or text that it changes, keys and indexes from the root. Applied
in order to the plain data of before (`apply_patches`), the patches give that of after. A new map, list or text
appears empty (`{}`, `[]`, `Text("")`), and further patches fill it. Where they lead through a text by an index,
they are of the block there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lichen_crdt.counter import wrapped
from lichen_crdt.spans import BLOCK, Block, RichText, Span
from lichen_crdt.text import Text
from lichen_crdt.utf16 import to_utf16, utf16_length
from lichen_crdt.views import plain

if TYPE_CHECKING:
    from lichen_crdt.counter import Counter
    from lichen_crdt.values import Plain, Scalar

_Data = TypeVar("_Data", bound="Plain")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class TextPatch:
    """In the text at `path`: `deleted` code points at `index` gave way to `inserted`."""

    path: Path
    index: int
    inserted: str
    deleted: int
    marks: Mapping[str, Scalar] = field(default_factory=dict)
    """The marks that the inserted characters have, by their names."""

    def utf16(self, before: str) -> tuple[int, int]:
        """`index` and `deleted` in UTF-16 units, given the text before this patch."""
        removed = before[self.index : self.index + self.deleted]
        return to_utf16(before, self.index), utf16_length(removed)

    def utf8(self, before: str) -> tuple[int, int]:
        """`index` and `deleted` in UTF-8 bytes, given the text before this patch."""
        removed = before[self.index : self.index + self.deleted]
        return len(before[: self.index].encode()), len(removed.encode())


@dataclass(frozen=True, slots=True)
class MapPut:
    """In the map at `path`: `key` has a new value; `conflict`: others wrote there at the same time."""

    path: Path
    key: str
    value: Plain | Text | Counter
    conflict: bool


@dataclass(frozen=True, slots=True)
class MapDelete:
    """In the map at `path`: `key` is gone."""

    path: Path
    key: str


@dataclass(frozen=True, slots=True)
class ListPut:
    """In the list at `path`: the item at `index` has a new value."""

    path: Path
    index: int
    value: Plain | Text | Counter
    conflict: bool


@dataclass(frozen=True, slots=True)
class ListInsert:
    """In the list at `path`: new items before `index`."""

    path: Path
    index: int
    values: tuple[Plain | Text | Counter, ...]


@dataclass(frozen=True, slots=True)
class ListDelete:
    """In the list at `path`: `count` items at `index` are gone."""

    path: Path
    index: int
    count: int


@dataclass(frozen=True, slots=True)
class CounterPatch:
    """In the map or list at `path`: the counter at `key` changed by `by`."""

    path: Path
    key: str | int
    by: int


@dataclass(frozen=True, slots=True)
class ConflictPatch:
    """In the map or list at `path`: there is a conflict at `key` now; what reads give is the same."""

    path: Path
    key: str | int


@dataclass(frozen=True, slots=True)
class MarkPatch:
    """In the text at `path`: the mark `name` has `value` from `start` to `end`; None removes it."""

    path: Path
    start: int
    end: int
    name: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class BlockInsert:
    """In the text at `path`: a new, empty block before `index`.

    Further patches fill it: their paths lead through the text by the block's index. A `TextPatch` deletes it.
    """

    path: Path
    index: int


Patch = (
    TextPatch
    | MapPut
    | MapDelete
    | ListPut
    | ListInsert
    | ListDelete
    | CounterPatch
    | ConflictPatch
    | MarkPatch
    | BlockInsert
)
"""One thing that changed; `match` tells which."""

# In the order of the tags of the native core.
_KINDS: tuple[type[Patch], ...] = (
    TextPatch,
    MapPut,
    MapDelete,
    ListPut,
    ListInsert,
    ListDelete,
    CounterPatch,
    ConflictPatch,
    MarkPatch,
    BlockInsert,
)


def from_native(patches: Iterable[tuple[Any, ...]]) -> list[Patch]:
    """Make patches of the native core's tuples."""
    return [_KINDS[tag](*fields) for tag, *fields in patches]


def apply_patches(value: _Data, patches: Iterable[Patch], *, rich: bool = False) -> _Data:
    """Apply patches to plain data (what `to_py()` gave); `value` itself is changed, and returned.

    With `rich`, `value` is what `to_py(rich=True)` gave: marks and blocks follow too.
    """
    for patch in patches:
        if isinstance(patch, (TextPatch, BlockInsert, MarkPatch)):
            _apply_to_text(value, patch)
        elif (target := _at(value, patch.path)) is not None:
            _apply_to(target, patch, rich)
    return value


# From here on plain data is `Any`: a path leads to what the patch says is there, or is an error.


def _apply_to_text(value: Any, patch: TextPatch | BlockInsert | MarkPatch) -> None:
    parent = _at(value, patch.path[:-1])
    if parent is None or not patch.path:
        return
    text = parent[patch.path[-1]]
    if isinstance(text, RichText):
        _apply_to_rich(text, patch)
    elif isinstance(patch, TextPatch):
        parent[patch.path[-1]] = text[: patch.index] + patch.inserted + text[patch.index + patch.deleted :]
    elif isinstance(patch, BlockInsert):
        parent[patch.path[-1]] = text[: patch.index] + BLOCK + text[patch.index :]


def _apply_to_rich(text: RichText, patch: TextPatch | BlockInsert | MarkPatch) -> None:
    match patch:
        case TextPatch(index=index, inserted=inserted, deleted=deleted, marks=marks):
            text.splice(index, deleted, Span(inserted, marks) if inserted else None)
        case BlockInsert(index=index):
            text.splice(index, 0, Block({}))
        case MarkPatch(start=start, end=end, name=name, value=value):
            text.mark(start, end, name, value)


def _apply_to(target: Any, patch: Patch, rich: bool) -> None:
    match patch:
        case MapPut(key=key, value=new):
            target[key] = _new(new, rich)
        case MapDelete(key=key):
            del target[key]
        case ListPut(index=index, value=new):
            target[index] = _new(new, rich)
        case ListInsert(index=index, values=values):
            target[index:index] = [_new(new, rich) for new in values]
        case ListDelete(index=index, count=count):
            del target[index : index + count]
        case CounterPatch(key=place, by=by):
            target[place] = wrapped(target[place] + by)
        case _:
            pass  # a conflict does not show in plain data


def _new(value: Any, rich: bool) -> Any:
    return RichText() if rich and isinstance(value, Text) else plain(value)


def _at(value: Any, path: Path) -> Any:
    """What is at a path; None inside a block of a text that is a `str`, where blocks do not show."""
    for step in path:
        if isinstance(value, str):
            return None
        value = value.block(int(step)).content if isinstance(value, RichText) else value[step]
    return value
