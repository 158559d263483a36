"""Taking back the marks of a step: each character gets the mark that it would have without the step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lichen_crdt import _native
from lichen_crdt.undo_past import Past
from lichen_crdt.undo_record import Id

TextMark = tuple[Id, int, int, str, Any]
"""A text, from where, to before where, the name and the value, None to take the mark away."""


def restored(past: Past, last: bytes, origin: Mapping[Id, Id]) -> Iterator[TextMark]:
    """The marks to set, once the operations of the undo are in the document, so that those of the step are gone.

    `last` is the hash of the step's last change, `origin` what operations stand for. A character is left alone if its
    mark is not what the step made it, and a whole mark if someone else gave the text the same mark later. What was
    written inside the step's mark since goes with the character before it.
    """
    named = dict.fromkeys((op.obj, op.value[0]) for op in past.of_step() if op.action == "mark" and op.obj)
    for obj, name in named:
        text = past.object_now(obj)
        if obj is None or text is None or not _native.is_reachable(past.core, text):
            continue
        if _is_marked_later(past, {obj, text}, name):
            continue
        before = dict(_by_character(past, obj, name, past.without)) if past.is_before(obj) else {}
        made = dict(_by_character(past, obj, name, [last]))
        set_to = [op.value[1] for op in past.of_step() if op.action == "mark" and op.obj == obj and op.value[0] == name]
        now = _by_character(past, text, name, None)
        wanted: list[Any] = []
        for op_id, value in now:
            known = _known(op_id, origin, before, made)
            if known in made:
                wanted.append(before.get(known) if made[known] == value else value)
            elif known in before:
                wanted.append(before[known])
            else:
                wanted.append(wanted[-1] if wanted and value in set_to else value)
        yield from _runs(text, name, wanted, [value for _, value in now])


def moved(past: Past, obj: Id, copy: Id, old: Mapping[Id, Id]) -> Iterator[TextMark]:
    """The marks to set on characters that came back into a copy of their text: those that they had there.

    `old` gives for each of them, as it is now, what it was.
    """
    for name in dict.fromkeys(mark[2] for at in (past.without, past.before) for mark in _marks(past, obj, at)):
        had = dict(_by_character(past, obj, name, past.before)) | dict(_by_character(past, obj, name, past.without))
        now = _by_character(past, copy, name, None)
        wanted = [had.get(old[op_id]) if op_id in old else value for op_id, value in now]
        yield from _runs(copy, name, wanted, [value for _, value in now])


def _known(op_id: Id, origin: Mapping[Id, Id], *tables: Mapping[Id, Any]) -> Id:
    """The operation, or the first that it stands for, which is in one of the tables."""
    at = op_id
    while not any(at in table for table in tables):
        if at not in origin:
            return op_id
        at = origin[at]
    return at


def _is_marked_later(past: Past, texts: set[Id], name: str) -> bool:
    return any(
        op.obj in texts and op.action == "mark" and op.value[0] == name and not past.is_mine(op.id[1])
        for op in past.ops.values()
        if op.change not in past.ledger.undone
    )


def _by_character(past: Past, obj: Id, name: str, at: list[bytes] | None) -> list[tuple[Id, Any]]:
    """The operation that wrote each character, and the value of one mark there."""
    contents = past.items(obj, at)
    # A stranger may put what is no string into a text: like a block, it takes up one position.
    ids = [op_id for _, op_id, _, value in contents for _ in range(len(value) if isinstance(value, str) else 1)]
    values: list[Any] = [None] * len(ids)
    for start, end, found, value in _marks(past, obj, at):
        if found == name:
            values[start:end] = [value] * (end - start)
    return [*zip(ids, values, strict=True)]


def _marks(past: Past, obj: Id, at: list[bytes] | None) -> list[tuple[int, int, str, Any]]:
    return past.core.marks(_native.object_of(past.core, obj), at)


def _runs(obj: Id, name: str, wanted: list[Any], now: list[Any]) -> Iterator[TextMark]:
    start = 0
    for i in range(1, len(wanted) + 1):
        if i == len(wanted) or (wanted[i], now[i]) != (wanted[start], now[start]):
            if wanted[start] != now[start]:
                yield obj, start, i, name, wanted[start]
            start = i
