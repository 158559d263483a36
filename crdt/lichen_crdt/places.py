"""What lies at a key of a map or an index of a list: as a view, as a copy, with its conflicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from lichen_crdt._native import Obj
from lichen_crdt.counter import Counter
from lichen_crdt.text import Text

if TYPE_CHECKING:
    from lichen_crdt._native import Core
    from lichen_crdt.authors import Authors

_T = TypeVar("_T")

VIEWS: dict[str, Callable[[Core, Obj], Any]] = {"text": lambda core, obj: Text().bind(core, obj)}
"""What makes the view of an object of each kind; `views` adds maps and lists, which hold one another."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """One of the values that concurrent writers left at one place."""

    value: Any  # as reads are: see `views`
    """As a read gives it: a view if it is an object."""
    actor: bytes
    """Who wrote it."""
    author: str | None = None
    """Whose the actor is, by the `Authors` that were asked with."""


def conflicts(core: Core, obj: Obj, place: str | int, authors: Authors | None) -> tuple[Conflict, ...]:
    """Every value at a place, with its writer, the winner last."""
    of = authors.of if authors else lambda _: None
    found = core.get_all(obj, place)
    return tuple(Conflict(_view(core, obj, place, value), actor, of(actor)) for value, actor in found)


def _view(core: Core, obj: Obj, place: str | int, value: Any) -> Any:
    # a counter that did not win is a number: its place shows the winner
    return value.value if type(value) is Counter else wrap(core, obj, place, value)


def wrap(core: Core, obj: Obj, place: str | int, value: Any) -> Any:
    """The value that was found at a place, as a view if it is an object or a counter."""
    if type(value) is Obj:
        return VIEWS[value.kind](core, value)
    if type(value) is Counter:
        return value.bind(core, obj, place)
    return value


def detached(core: Core, obj: Obj, place: str | int) -> Any:
    """A copy of what is at a place, outside the document; texts and counters keep their types."""
    value = core.get(obj, place)
    return core.to_py(value, typed=True) if type(value) is Obj else value


def expect(found: Any, kind: type[_T], place: str | int) -> _T:
    """What was found, of the kind that is expected there; else `TypeError`."""
    if not isinstance(found, kind):
        raise TypeError(f"at {place!r} is no {kind.__name__}: the type is {type(found).__name__}")
    return found


def can_be_key(key: object) -> TypeGuard[str]:
    """Whether a map can have this key: a string that UTF-8 can hold."""
    try:
        return isinstance(key, str) and (key.isascii() or bool(key.encode()))
    except UnicodeEncodeError:
        return False


def checked_key(key: str) -> str:
    """The key; `TypeError` if it is no string."""
    if not isinstance(key, str):
        raise TypeError("the keys of a map are strings")
    return key
