"""Maps and lists of a document as Python collections."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar, overload

from lichen_crdt.blame import Blame, blame
from lichen_crdt.counter import Counter
from lichen_crdt.places import VIEWS, Conflict, can_be_key, checked_key, conflicts, detached, expect, wrap
from lichen_crdt.text import Text

if TYPE_CHECKING:
    from _typeshed import SupportsKeysAndGetItem

    from lichen_crdt._native import Core, Obj
    from lichen_crdt.authors import Authors
    from lichen_crdt.typed.view import View
    from lichen_crdt.values import Plain, Value

_T = TypeVar("_T")
_NOTHING: Any = object()

# Reads give `Any`: what lies at a key is known only at run time, and a union of all would have to be taken apart at
# every step of `doc["items"][0]["name"]`. `text()`, `map()`, `list()` and `counter()` say what is expected there, and
# are typed, as are writes and `to_py()`.


def _stays(core: Core, obj: Obj, place: str | int, value: Any) -> bool:
    """Whether what is assigned to a place is the view of what is there, as after `+=` and `|=`."""
    if type(value) is Counter:
        return value.is_at(core, obj, place)
    return isinstance(value, (Map, List, Text)) and value.is_object(core, core.get(obj, place))


class Map(MutableMapping[str, Any]):
    """A map of a document: a view that reads the present state and writes inside a transaction.

    Keys are strings. Assigning a dict, a list or a `Text` makes an object of it, nested to any
    depth; what was there before is replaced. Compares equal to mappings with equal contents.
    What `copy` and `pickle` make of it is a dict of its own, with texts and counters as such.
    """

    __slots__ = ("_core", "_obj")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, core: Core, obj: Obj) -> None:
        self._core = core
        self._obj = obj

    def is_object(self, core: Core, found: object) -> bool:
        """Whether this is the view of an object that was found in a document; for the views of this package."""
        return self._core is core and self._obj == found

    def __getitem__(self, key: str) -> Any:
        value = self._core.get(self._obj, key) if can_be_key(key) else None
        if value is None and key not in self:
            raise KeyError(key)
        return wrap(self._core, self._obj, key, value)

    def __setitem__(self, key: str, value: Value) -> None:
        if not _stays(self._core, self._obj, checked_key(key), value):
            self._core.put(self._obj, key, value)

    def __delitem__(self, key: str) -> None:
        if not can_be_key(checked_key(key)):
            raise KeyError(key)
        self._core.delete(self._obj, key)

    def __contains__(self, key: object) -> bool:
        return can_be_key(key) and bool(self._core.get_all(self._obj, key))

    def __iter__(self) -> Iterator[str]:
        return iter(self._core.keys(self._obj))

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._core.keys(self._obj))

    def __len__(self) -> int:
        return self._core.length(self._obj)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Map):
            return self.to_py() == other.to_py()
        if isinstance(other, Mapping):
            return bool(self.to_py() == plain(other))
        return NotImplemented

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.to_py()!r})"

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return dict, (self._core.to_py(self._obj, typed=True),)

    def __or__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.to_py(), **plain(other)} if isinstance(other, Mapping) else NotImplemented

    def __ror__(self, other: Mapping[str, Any]) -> dict[str, Any]:
        return {**plain(other), **self.to_py()} if isinstance(other, Mapping) else NotImplemented

    def __ior__(self, other: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Self:  # as `__or__` has it
        self.update(other)
        return self

    @overload
    def pop(self, key: str) -> Any: ...
    @overload
    def pop(self, key: str, default: Any) -> Any: ...
    def pop(self, key: str, default: Any = _NOTHING) -> Any:
        """Take a value out; a copy of it, with texts and counters as such, so that it can be put elsewhere."""
        if key not in self:
            if default is _NOTHING:
                raise KeyError(checked_key(key))
            return default
        value = detached(self._core, self._obj, key)
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Take the last key and its value out; keys are in their sorted order."""
        keys = list(self)
        if not keys:
            raise KeyError("the map is empty")
        return keys[-1], self.pop(keys[-1])

    def setdefault(self, key: str, default: Value = None, /) -> Any:
        """What lies at `key`, after `default` is put there if nothing does: of a dict the view, as reads give it."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(
        self, other: SupportsKeysAndGetItem[str, Value] | Iterable[tuple[str, Value]] = (), /, **values: Value
    ) -> None:
        """Assign what a mapping, or pairs, and names have: all of it or, after an error, nothing."""
        new = dict(other, **values).items()
        core, obj = self._core, self._obj
        core.put_all(obj, [(key, value) for key, value in new if not _stays(core, obj, checked_key(key), value)])

    def clear(self) -> None:
        """Delete every key."""
        for key in self:
            del self[key]

    def text(self, key: str) -> Text:
        """The text at `key`; `TypeError` if something else is there."""
        return expect(self[key], Text, key)

    def map(self, key: str) -> Map:
        """The map at `key`; `TypeError` if something else is there."""
        return expect(self[key], Map, key)

    def list(self, key: str) -> List:
        """The list at `key`; `TypeError` if something else is there."""
        return expect(self[key], List, key)

    def counter(self, key: str) -> Counter:
        """The counter at `key`; `TypeError` if something else is there."""
        return expect(self[key], Counter, key)

    def view(self, model: type[_T]) -> View[_T]:
        """This map as a dataclass or a pydantic model (see `lichen_crdt.typed`).

        Raises `InvalidModel` if the class can be no view.
        """
        from lichen_crdt.typed.view import View  # above this module; and most programs need none of it

        return View(self, model)

    def conflicts(self, key: str, *, authors: Authors | None = None) -> tuple[Conflict, ...]:
        """Every value that concurrent writers left at `key`; the last one is what reads give.

        One value, or none, is no conflict: nobody else wrote at the same time. `authors` gives each its `author`.
        """
        return conflicts(self._core, self._obj, key, authors) if can_be_key(checked_key(key)) else ()

    @property
    def path(self) -> tuple[str | int, ...]:
        """Where this map is, from the root."""
        return self._core.path(self._obj)

    @overload
    def to_py(self, *, rich: Literal[False] = False, typed: Literal[False] = False) -> dict[str, Plain]: ...
    @overload
    def to_py(self, *, rich: bool = False, typed: bool = False) -> dict[str, Any]: ...
    def to_py(self, *, rich: bool = False, typed: bool = False) -> dict[str, Any]:
        """The whole content as plain data: texts are `str`, counters `int`, instants `datetime`.

        With `rich`, texts are `RichText`: runs with their marks, and blocks. With `typed`, texts and counters are
        `Text` and `Counter`, outside the document. Not both: `ValueError`.
        """
        if rich and typed:
            raise ValueError("texts are either `RichText` or `Text`")
        content: dict[str, Any] = self._core.to_py(self._obj, rich=rich, typed=typed)
        return content


class List(MutableSequence[Any]):
    """A list of a document: a view that reads the present state and writes inside a transaction.

    Behaves as a Python list does: negative indexes, slices, `in`, `insert`, `append`, `extend`, `pop`,
    `index`, `count`, `remove`. Items cannot be moved, so there is no `sort` and no `reverse`. Compares equal to
    lists and tuples with equal contents. What `copy` and `pickle` make of it is a list of its own.
    """

    __slots__ = ("_core", "_obj")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, core: Core, obj: Obj) -> None:
        self._core = core
        self._obj = obj

    def is_object(self, core: Core, found: object) -> bool:
        """Whether this is the view of an object that was found in a document; for the views of this package."""
        return self._core is core and self._obj == found

    def _index(self, index: int) -> int:
        at = operator.index(index)
        if at < 0:
            at += len(self)
        if not 0 <= at <= sys.maxsize:
            raise IndexError(f"index {index} is out of range")
        return at

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            places = range(len(self))[index]
            low, high = min(places, default=0), max(places, default=-1) + 1
            items = self._core.items(self._obj, low, high)
            return [wrap(self._core, self._obj, at, items[at - low]) for at in places]
        at = self._index(index)
        value = self._core.get(self._obj, at)
        if value is None and at >= len(self):
            raise IndexError(f"index {index} is out of range")
        return wrap(self._core, self._obj, at, value)

    @overload
    def __setitem__(self, index: int, value: Value) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Value]) -> None: ...
    def __setitem__(self, index: int | slice, value: Any) -> None:
        if isinstance(index, slice):
            self._set_slice(index, [*value])
            return
        at = self._index(index)
        if not _stays(self._core, self._obj, at, value):
            self._core.put(self._obj, at, value)

    def _set_slice(self, index: slice, values: list[Any]) -> None:
        start, stop, step = index.indices(len(self))
        if step == 1:
            self._core.splice_list(self._obj, start, max(0, stop - start), values)
            return
        places = range(start, stop, step)
        if len(places) != len(values):
            raise ValueError(f"{len(values)} values for an extended slice of size {len(places)}")
        core, obj = self._core, self._obj
        new = zip(places, values, strict=True)
        core.put_all(obj, [(at, value) for at, value in new if not _stays(core, obj, at, value)])

    def __delitem__(self, index: int | slice) -> None:
        if not isinstance(index, slice):
            self._core.delete(self._obj, self._index(index))
            return
        start, stop, step = index.indices(len(self))
        if step == 1:
            self._core.splice_list(self._obj, start, max(0, stop - start), [])
            return
        for at in sorted(range(start, stop, step), reverse=True):
            self._core.delete(self._obj, at)

    def __len__(self) -> int:
        return self._core.length(self._obj)

    def __iter__(self) -> Iterator[Any]:
        items = self._core.items(self._obj, 0, sys.maxsize)
        return (wrap(self._core, self._obj, at, value) for at, value in enumerate(items))

    def insert(self, index: int, value: Value) -> None:
        """Insert before the item at `index`; as with `list`, an index out of range means an end."""
        size, index = len(self), operator.index(index)
        at = max(0, index + size) if index < 0 else min(index, size)
        self._core.insert(self._obj, at, value)

    def append(self, value: Value) -> None:
        """Add one value at the end."""
        self.insert(len(self), value)

    def extend(self, values: Iterable[Value]) -> None:
        """Append every value."""
        self._core.splice_list(self._obj, len(self), 0, [*values])

    def pop(self, index: int = -1) -> Any:
        """Take an item out; a copy of it, with texts and counters as such, so that it can be put elsewhere."""
        at = self._index(index)
        if at >= len(self):
            raise IndexError(f"index {index} is out of range")
        value = detached(self._core, self._obj, at)
        self._core.delete(self._obj, at)
        return value

    def index(self, value: Any, start: int = 0, stop: int = sys.maxsize) -> int:
        """The first place of an equal item, in a part of the list; `ValueError` if there is none."""
        try:
            return super().index(value, start, stop)
        except ValueError:
            raise ValueError(f"{value!r} is not in the list") from None

    def clear(self) -> None:
        """Delete every item."""
        del self[:]

    def reverse(self) -> NoReturn:
        """Not possible: a `TypeError`."""
        raise TypeError("the items of a list cannot be moved; `items[:] = items[::-1]` puts copies in their place")

    def __eq__(self, other: object) -> bool:
        if isinstance(other, List):
            return self.to_py() == other.to_py()
        if isinstance(other, Sequence) and not isinstance(other, (str, bytes, Text)):
            return bool(self.to_py() == plain(other))
        return NotImplemented

    def __repr__(self) -> str:
        return f"List({self.to_py()!r})"

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return list, (self._core.to_py(self._obj, typed=True),)

    def conflicts(self, index: int, *, authors: Authors | None = None) -> tuple[Conflict, ...]:
        """Every value that concurrent writers put at `index`; the last one is what reads give. See `Map.conflicts`."""
        at = self._index(index)
        if at >= len(self):
            raise IndexError(f"index {index} is out of range")
        return conflicts(self._core, self._obj, at, authors)

    def cursor(self, index: int | Literal["start", "end"], *, before: bool = False) -> bytes:
        """A position that stays with its item while others edit; see `Text.cursor`."""
        if index == "start":
            return self._core.cursor(self._obj, None, before)
        return self._core.cursor(self._obj, len(self) if index == "end" else self._index(index), before)

    def position(self, cursor: bytes) -> int:
        """Where a cursor is now; `InvalidCursor` if it is not one of this list."""
        return self._core.position(self._obj, cursor)

    def blame(self, start: int = 0, end: int | None = None, *, authors: Authors | None = None) -> list[Blame]:
        """Which change put the items there that are there now; see `Text.blame`."""
        return blame(self._core, self._obj, slice(start, end), authors)

    @property
    def path(self) -> tuple[str | int, ...]:
        """Where this list is, from the root."""
        return self._core.path(self._obj)

    @overload
    def to_py(self, *, rich: Literal[False] = False) -> list[Plain]: ...
    @overload
    def to_py(self, *, rich: bool) -> list[Any]: ...
    def to_py(self, *, rich: bool = False) -> list[Any]:
        """The whole content as plain data: texts are `str`, counters `int`, instants `datetime`.

        With `rich`, texts are `RichText`: runs with their marks, and blocks.
        """
        content: list[Any] = self._core.to_py(self._obj, rich=rich)
        return content


def plain(value: Any) -> Any:
    """Plain data of a value: views, texts and counters become dicts, lists, `str` and `int`."""
    if isinstance(value, (Map, List, Text)):
        return value.to_py()
    if isinstance(value, Counter):
        return value.value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


VIEWS.update(map=Map, list=List)
