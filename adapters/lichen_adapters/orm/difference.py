"""Minimal writes of plain data into maps and lists of a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from lichen_crdt import List, Map

MOST_PAIRS = 1_000_000
"""A stretch of lists with more pairs of items is replaced as a whole: the time of `difflib` grows with them."""


def update_map(there: Map, wanted: Mapping[str, Any]) -> None:
    """Make a map hold this."""
    for key in set(there) - wanted.keys():
        del there[key]
    for key, value in wanted.items():
        if key not in there or not _updated(there[key], value):
            there[key] = value


def update_list(there: List, wanted: Sequence[Any]) -> None:
    """Make a list hold this."""
    old, new = [_key(one) for one in there.to_py()], [_key(one) for one in wanted]
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    old, new = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(old) * len(new) > MOST_PAIRS:
        spans: Sequence[tuple[str, int, int, int, int]] = [("replace", 0, len(old), 0, len(new))]
    else:
        spans = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for tag, start, stop, new_start, new_stop in reversed(spans):
        items = wanted[head + new_start : head + new_stop]
        if tag == "replace" and stop - start == len(items):
            for index, value in enumerate(items, head + start):
                if not _updated(there[index], value):
                    there[index] = value
        elif tag != "equal":
            there[head + start : head + stop] = items


def _updated(there: Any, value: Any) -> bool:
    """Whether what is there holds the value now, without being replaced."""
    if isinstance(there, Map) and isinstance(value, Mapping):
        update_map(there, value)
        return True
    if isinstance(there, List) and isinstance(value, list):
        update_list(there, value)
        return True
    return type(there) is type(value) and bool(there == value)


def _key(value: Any) -> Any:
    """Equal for equal values of equal types only, and hashable."""
    if isinstance(value, Mapping):
        return tuple(sorted((key, _key(one)) for key, one in value.items()))
    if isinstance(value, list | tuple):
        return (list, *map(_key, value))
    return type(value), value


def _common(one: Sequence[Any], other: Sequence[Any]) -> int:
    count = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        count += 1
    return count
