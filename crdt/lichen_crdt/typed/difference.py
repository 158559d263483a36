"""Minimal writes: what makes a document hold one tree where it holds another."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

from lichen_crdt.counter import Counter
from lichen_crdt.errors import NewerDocument, TransactionError
from lichen_crdt.text import Text
from lichen_crdt.typed.nodes import (
    CounterNode,
    Entry,
    ListNode,
    MapNode,
    Node,
    Respelled,
    TextNode,
    check,
    content,
    frozen,
    same,
)
from lichen_crdt.views import List, Map

_MOST_PAIRS = 1_000_000
_MOST_EQUAL_PAIRS = 50_000
"""Stretches of lists with more pairs of items, or of equal ones, are replaced as a whole: the time of `difflib` grows
with both."""


class Writer:
    """Writes differences. With `newer`, the document is of a newer version than the model is: a field of a record that
    is not there may have moved, and writing it is `NewerDocument`."""

    def __init__(self, *, newer: bool = False) -> None:
        self._newer = newer

    def map(self, target: Map, before: MapNode, after: MapNode) -> bool:
        """Make the map hold `after` where it held `before`; whether anything is different."""
        wrote = False
        for key, entry in after.entries.items():
            old = before.entries.get(key)
            if old is not None and same(old.node, entry.node):
                continue
            wrote |= self._entry(target, key, old, entry.node, is_record=after.is_record)
        for key, old in before.entries.items():
            if key not in after.entries:
                wrote |= _delete(target, (old.stored or key, *old.replaced))
        return wrote

    def _entry(self, target: Map, key: str, old: Entry | None, new: Node, *, is_record: bool) -> bool:
        stored = old.stored if old is not None else None
        replaced = old.replaced if old is not None else ()
        if stored is None and self._newer and is_record:
            raise NewerDocument(
                f"the document is of a newer version, in which {key!r} may be elsewhere: update the program"
            )
        if old is not None and stored is not None:
            done = self._inside(target, stored, old.node, new)
            if done is not None:
                return _delete(target, replaced) or done
            replaced = tuple(name for name in (*replaced, stored) if name != key)
        target[key] = content(new)
        _delete(target, replaced)
        return True

    def _inside(self, target: Map | List, place: Any, before: Node, after: Node) -> bool | None:
        """Change the object that is at a place; whether anything was written, None if it must be replaced."""
        check(after)
        if isinstance(before, Respelled):
            return None
        there = target[place]
        match there, after:
            case Text(), TextNode() | str():
                text = after.value if isinstance(after, TextNode) else after
                if str(there) != text:  # else it was edited in the draft, at once
                    there.update(text)
            case Counter(), CounterNode() | int() if not isinstance(after, bool):
                number = after.value if isinstance(after, CounterNode) else after
                if there.value != number:
                    there.increment(number - there.value)
            case Map(), MapNode():
                return self.map(there, before if isinstance(before, MapNode) else MapNode({}), after)
            case List(), ListNode():
                return self.list(there, before if isinstance(before, ListNode) else _unread(there), after)
            case _:
                return None
        return True

    def list(self, target: List, before: ListNode, after: ListNode) -> bool:
        """Make the list hold `after` where it holds `before`, its items that do not fit left where they are."""
        if len(target) != before.size:
            raise TransactionError("a list was changed beside the draft of it, in the same block")
        wrote = False
        # From the end, so that the indexes before stay what they were.
        for kept, start, stop, new_start, new_stop in reversed([*_stretches(before.items, after.items)]):
            old, new = before.items[start:stop], after.items[new_start:new_stop]
            if kept:
                indexes = before.indexes[start:stop]
                for index, was, now in reversed([*zip(indexes, old, new, strict=True)]):
                    wrote |= self._item(target, index, was, now)
            else:
                end = before.size if stop == len(before.items) else before.indexes[stop - 1] + 1 if stop else 0
                _replace(target, before.indexes[start:stop], end, [content(item) for item in new])
                wrote = True
        return wrote

    def _item(self, target: List, index: int, before: Node, after: Node) -> bool:
        if same(before, after):
            return False
        done = self._inside(target, index, before, after)
        if done is None:
            target[index] = content(after)
        return True if done is None else done


def _delete(target: Map, keys: tuple[str, ...]) -> bool:
    found = [key for key in keys if key in target]
    for key in found:
        del target[key]
    return bool(found)


def _unread(target: List) -> ListNode:
    """A list of which nothing was read: all of it is replaced."""
    size = len(target)
    return ListNode([None] * size, [*range(size)], size)


def _replace(target: List, indexes: list[int], end: int, items: list[Any]) -> None:
    """Put items in the place of those at `indexes`, or before `end` where there are none."""
    if indexes and indexes[-1] - indexes[0] == len(indexes) - 1:
        target[indexes[0] : indexes[-1] + 1] = items
        return
    target[end:end] = items
    for index in reversed(indexes):
        del target[index]


def _stretches(before: list[Node], after: list[Node]) -> Iterator[tuple[bool, int, int, int, int]]:
    """The lists in stretches: whether the items are the same ones, perhaps edited, and where they are in each list."""
    known = _origins(before) & _origins(after)
    old, new = ([_identity(node, known) for node in nodes] for nodes in (before, after))
    head, tail = _common(old, new)
    end, new_end = len(old) - tail, len(new) - tail
    if head:
        yield True, 0, head, 0, head
    if _is_too_long(old[head:end], new[head:new_end]):
        yield False, head, end, head, new_end
    else:
        matcher = SequenceMatcher(None, old[head:end], new[head:new_end], autojunk=False)
        for tag, i, j, k, m in matcher.get_opcodes():
            i, j, k, m = i + head, j + head, k + head, m + head
            pairs = zip(before[i:j], after[k:m], strict=False)
            edited = tag == "replace" and j - i == m - k and all(_is_edit(was, now, known) for was, now in pairs)
            yield tag == "equal" or edited, i, j, k, m
    if tail:
        yield True, end, len(old), new_end, len(new)


def _is_too_long(old: list[object], new: list[object]) -> bool:
    if len(old) * len(new) > _MOST_PAIRS:
        return True
    counts, others = collections.Counter(old), collections.Counter(new)
    return sum(count * others[item] for item, count in counts.items()) > _MOST_EQUAL_PAIRS


def _origins(nodes: list[Node]) -> set[int]:
    return {id(node.origin) for node in nodes if isinstance(node, MapNode) and node.origin is not None}


def _common(old: list[object], new: list[object]) -> tuple[int, int]:
    """How many items the lists begin with alike, and how many of the others they end with alike."""
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    tail = next((i for i in range(most - head) if old[-1 - i] != new[-1 - i]), most - head)
    return head, tail


def _identity(node: Node, known: set[int]) -> object:
    """What makes an item of a list the same one: its object if it is in both lists, else its content."""
    if isinstance(node, MapNode) and node.origin is not None and id(node.origin) in known:
        return "object", id(node.origin)
    return "content", frozen(node)


def _is_edit(was: Node, now: Node, known: set[int]) -> bool:
    """Whether one item in the place of another is that one, edited: models are, if half of their fields are equal."""
    if not isinstance(was, MapNode) or not isinstance(now, MapNode) or was.origin is None:
        return True
    if id(was.origin) in known or id(now.origin) in known:
        return False
    fields = {*was.entries, *now.entries}
    alike = sum(
        key in was.entries and key in now.entries and same(was.entries[key].node, now.entries[key].node)
        for key in fields
    )
    return alike * 2 >= len(fields)
