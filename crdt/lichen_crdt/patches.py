"""Patches: what an apply or a transaction changed, as small values.

A patch has the `path` of the map, list or text that it changes, keys and indexes from the root. Applied
in order to the plain data of before (`apply_patches`), the patches give that of after. A new map, list or text
appears empty (`{}`, `[]`, `Text("")`), and further patches fill it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from lichen_crdt.utf16 import to_utf16, utf16_length
from lichen_crdt.views import plain

if TYPE_CHECKING:
    from lichen_crdt.counter import Counter
    from lichen_crdt.text import Text
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

    def utf16(self, before: str) -> tuple[int, int]:
        """`index` and `deleted` in UTF-16 units, given the text before this patch."""
        removed = before[self.index : self.index + self.deleted]
        return to_utf16(before, self.index), utf16_length(removed)


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


Patch = TextPatch | MapPut | MapDelete | ListPut | ListInsert | ListDelete | CounterPatch | ConflictPatch | MarkPatch
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
)


def from_native(patches: Iterable[tuple[Any, ...]]) -> list[Patch]:
    """Make patches of the native core's tuples."""
    return [_KINDS[tag](*fields) for tag, *fields in patches]


def apply_patches(value: _Data, patches: Iterable[Patch]) -> _Data:
    """Apply patches to plain data (what `to_py()` gave); `value` itself is changed, and returned."""
    for patch in patches:
        _apply(value, patch)
    return value


# From here on plain data is `Any`: a path leads to what the patch says is there, or is an error.


def _apply(value: Any, patch: Patch) -> None:
    if isinstance(patch, TextPatch):
        parent = _at(value, patch.path[:-1])
        old: str = parent[patch.path[-1]]
        parent[patch.path[-1]] = old[: patch.index] + patch.inserted + old[patch.index + patch.deleted :]
    else:
        _apply_to(_at(value, patch.path), patch)


def _apply_to(target: Any, patch: Patch) -> None:
    match patch:
        case MapPut(key=key, value=new):
            target[key] = plain(new)
        case MapDelete(key=key):
            del target[key]
        case ListPut(index=index, value=new):
            target[index] = plain(new)
        case ListInsert(index=index, values=values):
            target[index:index] = [plain(new) for new in values]
        case ListDelete(index=index, count=count):
            del target[index : index + count]
        case CounterPatch(key=place, by=by):
            target[place] += by
        case _:
            pass  # conflicts and marks do not show in plain data


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value
