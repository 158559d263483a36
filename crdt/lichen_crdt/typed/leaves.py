"""Shapes of single values: what is stored for a `str`, an instant, an enum, a collaborative text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Protocol, cast
from uuid import UUID

from lichen_crdt.counter import Counter
from lichen_crdt.errors import InvalidModel, InvalidValue
from lichen_crdt.text import Text
from lichen_crdt.typed.nodes import (
    MAX_DEPTH,
    CounterNode,
    ListNode,
    MapNode,
    Misfit,
    Node,
    Path,
    Place,
    TextNode,
    plain_node,
    same,
    storable,
)
from lichen_crdt.values import from_milliseconds, to_milliseconds


class Shape(Protocol):
    """How a type of Python lies in a document."""

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        """The value of plain data that was found at a place, and its tree. Raises `Misfit`."""

    def write(self, value: Any, path: Path) -> Node:
        """The tree of a value. Raises `InvalidValue`."""

    def accepts(self, value: Any) -> bool:
        """Whether a Python value is, on its face, one of this shape: how a union chooses."""


def describe(value: Any) -> str:
    """The type of plain data in a few words, for messages."""
    if value is None:
        return "None"
    if isinstance(value, dict):
        return "a map"
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeioAEIO" else name if name == "bytes" else f"a {name}"


def misfit(stored: Any, wanted: str) -> Misfit:
    """What to raise when something else than `wanted` is stored."""
    return Misfit(f"{wanted} is needed, and {describe(stored)} is there")


def check_depth(path: Path) -> None:
    """Refuse what is nested too deeply to be written, such as a list that holds itself."""
    if len(path) > MAX_DEPTH:
        raise InvalidValue(f"it is nested deeper than {MAX_DEPTH} levels", path[:3])


def wrong(value: Any, wanted: str, path: Path) -> InvalidValue:
    """What to raise when something else than `wanted` is to be written."""
    return InvalidValue(f"{wanted} is needed, not {describe(value)}", path)


def _storable(text: str, path: Path) -> str:
    try:
        return storable(text)
    except UnicodeEncodeError as error:
        raise InvalidValue(str(error), path) from None


@dataclass(frozen=True, slots=True)
class Native:
    """A type that documents have themselves: it must be there exactly."""

    kind: type
    name: str

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        if self.kind is float and type(stored) is int:
            number = float(stored)
            return number, number
        if type(stored) is not self.kind:
            raise misfit(stored, self.name)
        node = cast("Node", stored)
        return node, node

    def write(self, value: Any, path: Path) -> Node:
        if self.kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if not self.accepts(value):
            raise wrong(value, self.name, path)
        if self.kind is int and not -(2**63) <= value < 2**64:
            raise InvalidValue("an integer of a document has 64 bits", path)
        if self.kind is datetime:
            if value.tzinfo is None:
                raise InvalidValue("an instant needs a time zone", path)
            return from_milliseconds(to_milliseconds(value))
        if self.kind is type(None):
            return None
        if self.kind is str:
            return _storable(str.__str__(value), path)
        plain: Node = self.kind(value)  # a subclass is stored as its base
        return plain

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self.kind) and not (self.kind is int and isinstance(value, bool))


NATIVES: dict[Any, Native] = {
    type(None): Native(type(None), "None"),
    None: Native(type(None), "None"),
    bool: Native(bool, "a bool"),
    int: Native(int, "an int"),
    float: Native(float, "a float"),
    str: Native(str, "a str"),
    bytes: Native(bytes, "bytes"),
    datetime: Native(datetime, "an instant"),
}


@dataclass(frozen=True, slots=True)
class Spelled:
    """A type that is stored as a string which spells it."""

    kind: type
    parse: Callable[[str], Any]
    spell: Callable[[Any], str]

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        if type(stored) is not str:
            raise misfit(stored, f"a {self.kind.__name__}")
        try:
            value = self.parse(stored)
        except (ValueError, InvalidOperation):
            raise Misfit(f"a {self.kind.__name__} is needed, and {stored[:80]!r} is none") from None
        return value, self.spell(value)  # in the words that a draft writes, so that other ones are no difference

    def write(self, value: Any, path: Path) -> Node:
        if not self.accepts(value):
            raise wrong(value, f"a {self.kind.__name__}", path)
        return self.spell(value)

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self.kind) and not (self.kind is date and isinstance(value, datetime))


SPELLED: dict[Any, Spelled] = {
    date: Spelled(date, date.fromisoformat, date.isoformat),
    time: Spelled(time, time.fromisoformat, time.isoformat),
    UUID: Spelled(UUID, UUID, str),
    Decimal: Spelled(Decimal, Decimal, str),
}


class Choice:
    """A `Literal` or an `Enum`: one of some values, each stored as itself or as the value of its member.

    Raises `InvalidModel` for a value that is not read again as it was, such as a tuple.
    """

    def __init__(self, members: dict[Any, Any], name: str) -> None:
        for value in members:
            if not _is_single(value):
                raise InvalidModel(f"{name}: a document has no single value for {value!r:.80}")
        self.members = {_typed(stored): member for stored, member in members.items()}
        self.stored = {_typed(member): stored for stored, member in members.items()}
        self.name = name

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        if not _is_in(stored, self.members):
            raise Misfit(f"one of {self.name} is needed, and {describe(stored)} is there: {str(stored)[:80]!r}")
        return self.members[_typed(stored)], stored

    def write(self, value: Any, path: Path) -> Node:
        if _is_in(value, self.members):
            return cast("Node", value)  # the value of a member
        if not self.accepts(value):
            raise InvalidValue(f"one of {self.name} is needed, not {str(value)[:80]!r}", path)
        node: Node = self.stored[_typed(value)]
        return node

    def accepts(self, value: Any) -> bool:
        return _is_in(value, self.stored)


def _is_single(value: Any) -> bool:
    try:
        node = plain_node(value)
    except (TypeError, ValueError):
        return False
    return not isinstance(node, (MapNode, ListNode, TextNode, CounterNode)) and same(node, value)


def _typed(value: Any) -> tuple[type, Any]:
    # 1, 1.0 and True are three values
    return type(value), value


def _is_in(value: Any, typed: dict[tuple[type, Any], Any]) -> bool:
    try:
        return _typed(value) in typed
    except TypeError:  # it has no hash
        return False


def choice_of(members: Iterable[Any], name: str, *, as_values: bool = False) -> Choice:
    """The shape of some values, or of the members of an enum; `as_values`: in Python members are their values, too."""
    made = Choice({_value(member): member for member in members}, name)
    if as_values:
        made.members = {typed: typed[1] for typed in made.members}
        made.stored |= {typed: typed[1] for typed in made.members}
    return made


def _value(member: Any) -> Any:
    return member.value if isinstance(member, Enum) else member


@dataclass(frozen=True, slots=True)
class TextShape:
    """A collaborative text. A stored `str` is read as one, and becomes one when it is edited."""

    as_str: bool = False
    """Whether it is a `str` in Python (`Annotated[str, Text]`)."""

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        if type(stored) is not str:
            raise misfit(stored, "a text")
        if self.as_str:
            return stored, TextNode(stored)
        found = place.live() if place.live is not None else None
        return (found if isinstance(found, Text) else Text(stored)), TextNode(stored)

    def write(self, value: Any, path: Path) -> Node:
        if not self.accepts(value):
            raise wrong(value, "a text", path)
        return TextNode(_storable(str(value), path))

    def accepts(self, value: Any) -> bool:
        return isinstance(value, (Text, str))


@dataclass(frozen=True, slots=True)
class CounterShape:
    """A counter. A stored `int` is read as one, and becomes one when it is changed."""

    as_int: bool = False
    """Whether it is an `int` in Python (`Annotated[int, Counter]`)."""

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        if type(stored) is not int or not _fits_counter(stored):
            raise misfit(stored, "a counter")
        if self.as_int:
            return stored, CounterNode(stored)
        found = place.live() if place.live is not None else None
        return (found if isinstance(found, Counter) else Counter(stored)), CounterNode(stored)

    def write(self, value: Any, path: Path) -> Node:
        if not self.accepts(value):
            raise wrong(value, "a counter", path)
        if not _fits_counter(int(value)):
            raise InvalidValue("a counter has 64 bits", path)
        return CounterNode(int(value))

    def accepts(self, value: Any) -> bool:
        return isinstance(value, (Counter, int)) and not isinstance(value, bool)


def _fits_counter(value: int) -> bool:
    return -(2**63) <= value < 2**63


@dataclass(frozen=True, slots=True)
class Plain:
    """Plain data of any kind, or any map, or any list: `Any`, `dict`, `list`."""

    kind: type = object

    def read(self, stored: Any, place: Place) -> tuple[Any, Node]:
        if not isinstance(stored, self.kind):
            raise misfit(stored, "a map" if self.kind is dict else "a list" if self.kind is list else "plain data")
        try:
            return stored, plain_node(stored, len(place.path))
        except (TypeError, ValueError) as error:
            raise Misfit(str(error)) from None

    def write(self, value: Any, path: Path) -> Node:
        try:
            node = plain_node(value, len(path))
        except (TypeError, ValueError) as error:
            raise InvalidValue(str(error), path) from None
        if (self.kind is dict and not isinstance(node, MapNode)) or (
            self.kind is list and not isinstance(node, ListNode)
        ):
            raise wrong(value, "a map" if self.kind is dict else "a list", path)
        return node

    def accepts(self, value: Any) -> bool:
        return isinstance(value, self.kind)
