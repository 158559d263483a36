"""What a typed value is in a document: a tree of plain nodes, with where each part is stored.

Reading gives a value and its tree, writing a value gives the tree of what it has become; the difference of the two is
what is written (`difference`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lichen_crdt.counter import Counter
from lichen_crdt.text import Text
from lichen_crdt.values import Plain, Unknown, from_milliseconds, to_milliseconds
from lichen_crdt.views import List, Map

Path = tuple[str | int, ...]

MAX_DEPTH = 64
"""Deepest nesting of maps and lists that a view reads or writes."""


class Misfit(Exception):
    """A stored value does not fit its shape; whoever holds the place reports it, it does not leave this package."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One place of a document that does not fit the model. It is left as it is."""

    path: Path
    """Where: keys and indexes of the document, from the map that is viewed."""
    value: Plain
    """What is there, as plain data; None if nothing is."""
    why: str
    """What is wrong with it."""


@dataclass(slots=True)
class TextNode:
    value: str


@dataclass(slots=True)
class CounterNode:
    value: int


@dataclass(slots=True)
class Entry:
    """What is at one key of a record or a dict."""

    node: Node
    stored: str | None = None
    """The key where it lies in the document; None if it comes from a default."""
    replaced: tuple[str, ...] = ()
    """Keys of older versions that hold something, which a new value at this key replaces."""


Check = Callable[[], None]
"""What is to be called before a map or list is written, or anything in it: it raises `InvalidValue`."""


@dataclass(slots=True)
class MapNode:
    entries: dict[str, Entry]
    origin: object | None = None
    """The object that this is the content of, if it keeps its identity while it is edited."""
    is_record: bool = False
    checks: tuple[Check, ...] = ()


@dataclass(slots=True)
class ListNode:
    items: list[Node]
    indexes: list[int] = field(default_factory=list)
    """Where each item is in the document: items that do not fit are left out of `items`."""
    size: int = 0
    """How many items the list has in the document."""
    checks: tuple[Check, ...] = ()


@dataclass(slots=True)
class Respelled:
    """What a value would be written as, where the same value is stored in other words: it is replaced as a whole."""

    node: Node


Scalar = None | bool | int | float | str | bytes | datetime | Unknown
Node = Scalar | TextNode | CounterNode | MapNode | ListNode | Respelled


@dataclass(frozen=True, slots=True)
class Root:
    """What a model of a whole document needs to know of it."""

    version: int
    """The version that is stored; 1 if none is, and that of the model if nothing is."""
    rivals: Callable[[str], list[Any]]
    """The values that concurrent writers left at a key, as plain data, the winner last."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value is read: its path, who hears of problems, and how to get at the live object, when drafting."""

    path: Path
    problems: list[Problem]
    live: Callable[[], Any] | None = None
    root: Root | None = None
    """The document, where this is its root."""
    known: dict[tuple[int, Path], Any] = field(default_factory=dict)
    """What unions read at which path, so that nested ones do not read it again for each of their members."""

    def inside(self, step: str | int) -> Place:
        """The place of a key or an index of what is here."""
        live = self.live
        deeper = None if live is None else lambda: _inside(live(), step)
        return Place((*self.path, step), self.problems, deeper, None, self.known)

    def check_depth(self) -> None:
        """Refuse a map or list that is nested too deeply. Raises `Misfit`."""
        if len(self.path) >= MAX_DEPTH:
            raise Misfit(f"it is nested deeper than {MAX_DEPTH} levels")

    def trial(self) -> Place:
        """The same place with problems of its own."""
        return Place(self.path, [], self.live, self.root, self.known)

    def report(self, step: str | int, value: Any, why: str) -> None:
        """Say that what is at a key or an index here does not fit."""
        self.problems.append(Problem((*self.path, step), value, why))


def _inside(container: Any, step: Any) -> Any:
    # What is read may be made by a step between versions, and not be there.
    if not isinstance(container, (Map, List)):
        return None
    try:
        return container[step]
    except LookupError:
        return None


def plain_node(value: Any, depth: int = 0) -> Node:
    """The tree of plain data. Raises `TypeError` or `ValueError` for what a document cannot hold."""
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Text):
        return TextNode(storable(str(value)))
    if isinstance(value, Counter):
        return CounterNode(value.value)
    if isinstance(value, dict):
        return MapNode({_key(key): Entry(plain_node(item, depth + 1), _key(key)) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return ListNode([plain_node(item, depth + 1) for item in value], [*range(len(value))], len(value))
    if isinstance(value, datetime):
        return from_milliseconds(to_milliseconds(value))
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise ValueError("an integer of a document has 64 bits")
    if isinstance(value, str):
        return storable(value)
    if value is None or isinstance(value, (bool, int, float, bytes, Unknown)):
        return value
    raise TypeError(f"a document cannot hold a {type(value).__name__}")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError("the keys of a map are strings")
    return storable(key)


def storable(text: str) -> str:
    """The text, if UTF-8 can hold it. Raises `UnicodeEncodeError`, which is a `ValueError`."""
    if not text.isascii():
        text.encode()
    return text


def check(node: Node) -> None:
    """See whether this may be written. Raises `InvalidValue`."""
    for look in node.checks if isinstance(node, (MapNode, ListNode)) else ():
        look()


def content(node: Node) -> Any:
    """What to assign in a document to make this. Raises `InvalidValue`."""
    check(node)
    match node:
        case TextNode(value=text):
            return Text(text)
        case CounterNode(value=number):
            return Counter(number)
        case MapNode(entries=entries):
            return {key: content(entry.node) for key, entry in entries.items()}
        case ListNode(items=items):
            return [content(item) for item in items]
        case Respelled(node=inner):
            return content(inner)
        case _:
            return node


def stored(node: Node) -> Any:
    """The plain data that is read of this."""
    match node:
        case TextNode(value=value) | CounterNode(value=value):
            return value
        case MapNode(entries=entries):
            return {key: stored(entry.node) for key, entry in entries.items()}
        case ListNode(items=items):
            return [stored(item) for item in items]
        case Respelled(node=inner):
            return stored(inner)
        case _:
            return node


def same(one: Node, other: Node) -> bool:
    """Whether two trees have equal content of equal types; nan is the same as nan, and 0.0 not as -0.0."""
    if isinstance(one, Respelled):
        return same(one.node, other)
    if type(one) is not type(other):
        return False
    match one, other:
        case MapNode(entries=mine), MapNode(entries=theirs):
            return mine.keys() == theirs.keys() and all(same(mine[key].node, theirs[key].node) for key in mine)
        case ListNode(items=items), ListNode(items=others):
            return len(items) == len(others) and all(map(same, items, others))
        case float(), float():
            return repr(one) == repr(other)
        case _:
            return one == other


def frozen(node: Node) -> object:
    """A hashable stand-in: equal for nodes that are the same."""
    match node:
        case MapNode(entries=entries):
            return MapNode, tuple((key, frozen(entries[key].node)) for key in sorted(entries))
        case ListNode(items=items):
            return ListNode, tuple(map(frozen, items))
        case TextNode() | CounterNode():
            return type(node), node.value
        case Respelled(node=inner):
            return frozen(inner)
        case float():
            return float, repr(node)  # so that nan equals nan, and 0.0 not -0.0
        case _:
            return type(node), node
