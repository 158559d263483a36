"""Taking back the marks of a step: each character gets the mark that it would have without the step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lichen_crdt import _native
from lichen_crdt.undo_past import Past
from lichen_crdt.undo_record import Id

TextMark = tuple[Id, int, int, str, Any]
"""A text, from where, to before where, the name and the value, None to take the mark away."""


class _Marked:
    """A text and its marks, now or at some heads."""

    def __init__(self, past: Past, obj: Id, at: list[bytes] | None) -> None:
        items = past.items(obj, at)
        # A stranger may put what is no string into a text: like a block, it takes up one position.
        self.ids = [op_id for _, op_id, _, value in items for _ in range(len(value) if isinstance(value, str) else 1)]
        """The operation that wrote each character."""
        self.places = {op_id: place for place, op_id in enumerate(self.ids)}
        self._spans: dict[str, list[tuple[int, int, Any]]] = {}
        for start, end, name, value in past.core.marks(_native.object_of(past.core, obj), at):
            self._spans.setdefault(name, []).append((start, end, value))

    @property
    def names(self) -> Iterable[str]:
        """Those of all marks."""
        return self._spans

    def values(self, name: str) -> list[Any]:
        """The value of one mark at each character."""
        values: list[Any] = [None] * len(self.ids)
        for start, end, value in self._spans.get(name, ()):
            values[start:end] = [value] * (end - start)
        return values


def restored(past: Past, last: bytes, origin: Mapping[Id, Id]) -> Iterator[TextMark]:
    """The marks to set, once the operations of the undo are in the document, so that those of the step are gone.

    `last` is the hash of the step's last change, `origin` what operations stand for. A character is left alone if its
    mark is not what the step made it, and a whole mark if someone else gave the text the same mark later. What was
    written inside the step's mark since goes with the character before it.
    """
    set_to: dict[Id, dict[str, list[Any]]] = {}
    for op in past.of_step():
        if op.action == "mark" and op.obj:
            set_to.setdefault(op.obj, {}).setdefault(op.value[0], []).append(op.value[1])
    for obj, names in set_to.items():
        text = past.object_now(obj)
        if text is None or not _native.is_reachable(past.core, text):
            continue
        later = _marked_later(past, {obj, text})
        before = _Marked(past, obj, past.without) if past.is_before(obj) else None
        made, now = _Marked(past, obj, [last]), _Marked(past, text, None)
        places = [*_places(now.ids, origin, made.places, before.places if before else {})]
        for name, new in names.items():
            if name not in later:
                values = now.values(name)
                wanted = _wanted(values, places, made.values(name), before.values(name) if before else [], new)
                yield from _runs(text, name, wanted, values)


def _wanted(
    now: list[Any], places: list[tuple[int | None, int | None]], made: list[Any], before: list[Any], set_to: list[Any]
) -> list[Any]:
    """The value of a mark that each character is to have, by what it was in the text of the step and in that before."""
    wanted: list[Any] = []
    for value, (at, was) in zip(now, places, strict=True):
        old = None if was is None else before[was]
        if at is not None:
            wanted.append(old if made[at] == value else value)
        elif was is not None:
            wanted.append(old)
        else:
            wanted.append(wanted[-1] if wanted and value in set_to else value)
    return wanted


def moved(past: Past, obj: Id, copy: Id, old: Mapping[Id, Id]) -> Iterator[TextMark]:
    """The marks to set on characters that came back into a copy of their text: those that they had there.

    `old` gives for each of them, as it is now, what it was.
    """
    without, before, now = (_Marked(past, *which) for which in ((obj, past.without), (obj, past.before), (copy, None)))
    for name in dict.fromkeys((*without.names, *before.names)):
        had = dict(zip(before.ids, before.values(name), strict=True))
        had |= dict(zip(without.ids, without.values(name), strict=True))
        values = now.values(name)
        wanted = [had.get(old[op_id]) if op_id in old else value for op_id, value in zip(now.ids, values, strict=True)]
        yield from _runs(copy, name, wanted, values)


def _places(
    ids: Iterable[Id], origin: Mapping[Id, Id], made: Mapping[Id, int], before: Mapping[Id, int]
) -> Iterator[tuple[int | None, int | None]]:
    """Where each operation, or the first that it stands for and that is there, is in two texts."""
    for op_id in ids:
        at: Id | None = op_id
        while at is not None and at not in made and at not in before:
            at = origin.get(at)
        yield (None, None) if at is None else (made.get(at), before.get(at))


def _marked_later(past: Past, texts: set[Id]) -> set[str]:
    """The names of marks that others gave one of the texts since."""
    return {
        op.value[0]
        for op in past.ops.values()
        if op.action == "mark" and op.obj in texts and not past.is_mine(op.id[1])
        if op.change not in past.ledger.undone
    }


def _runs(obj: Id, name: str, wanted: list[Any], now: list[Any]) -> Iterator[TextMark]:
    if wanted == now:
        return
    start = 0
    for i in range(1, len(wanted) + 1):
        if i == len(wanted) or (wanted[i], now[i]) != (wanted[start], now[start]):
            if wanted[start] != now[start]:
                yield obj, start, i, name, wanted[start]
            start = i
