"""Changes of a text as values: put one after the other, or moved past one that was made at the same time.

A delta is a tuple of steps through a text: a positive number keeps so many code points, a negative one deletes them, a
string is inserted. What comes after the last step is kept. `transform` is the one of Jupiter (Nichols, Curtis, Dixon,
Lamping 1995), for steps of any length.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Delta = tuple[int | str, ...]

NOTHING: Delta = ()

_ENDLESS = 1 << 62


@dataclass(frozen=True, slots=True)
class Splice:
    """At `position`, `removed` characters give way to `inserted`."""

    position: int
    removed: int
    inserted: str

    def moved(self, position: int, *, after: bool) -> int:
        """Where a position is after this; with `after` it stays before the character that follows it, else after the
        one before it.
        """
        if position < self.position or (position == self.position and (self.removed or not after)):
            return position
        if position < self.position + self.removed:
            return self.position
        return position + len(self.inserted) - self.removed

    @property
    def delta(self) -> Delta:
        """The same as a delta."""
        made = _Made()
        made.keep(self.position)
        made.insert(self.inserted)
        made.delete(self.removed)
        return made.done()


def moved_selection(selection: tuple[int, int], splices: Iterable[Splice]) -> tuple[int, int]:
    """Where an anchor and a head are after splices: at the same characters. What comes at an edge is outside."""
    anchor, head = selection
    for splice in splices:
        anchor, head = (
            splice.moved(anchor, after=anchor < head),
            splice.moved(head, after=head < anchor),
        )
    return anchor, head


def splices(delta: Delta) -> list[Splice]:
    """A delta as splices, each into the text as the ones before it left it."""
    found: list[Splice] = []
    position = 0
    for step in delta:
        match step:
            case str():
                found.append(Splice(position, 0, step))
                position += len(step)
            case int() if step > 0:
                position += step
            case _ if found and found[-1].position + len(found[-1].inserted) == position and not found[-1].removed:
                found[-1] = Splice(found[-1].position, -step, found[-1].inserted)
            case _:
                found.append(Splice(position, -step, ""))
    return found


def delta_of(parts: Iterable[Splice]) -> Delta:
    """One delta of splices, each into the text as the ones before it left it."""
    made = [splice.delta for splice in parts]
    while len(made) > 1:  # in pairs: what is composed again and again stays short
        odd = made[-1:] if len(made) % 2 else []
        made = [compose(one, then) for one, then in zip(made[::2], made[1::2], strict=False)] + odd
    return made[0] if made else NOTHING


def size(delta: Delta) -> int:
    """About how many characters a delta takes."""
    return sum(len(step) if isinstance(step, str) else 8 for step in delta)


def changed(text: str, delta: Delta) -> str:
    """The text after a delta."""
    pieces: list[str] = []
    at = 0
    for step in delta:
        if isinstance(step, str):
            pieces.append(step)
        elif step > 0:
            pieces.append(text[at : at + step])
            at += step
        else:
            at -= step
    return "".join((*pieces, text[at:]))


def compose(one: Delta, then: Delta) -> Delta:
    """What two deltas, the second of the text after the first, come to."""
    a, b, made = _Steps(one), _Steps(then), _Made()
    while a or b:
        if a.deletes:
            made.delete(a.take(a.left))
        elif b.inserts:
            made.insert(b.text(b.left))
        else:
            count = min(a.left, b.left)
            deletes = b.deletes
            b.take(count)
            if a.inserts:
                text = a.text(count)
                made.insert("" if deletes else text)
            elif a.take(count) and deletes:
                made.delete(count)
            else:
                made.keep(count)
    return made.done()


def transform(one: Delta, other: Delta) -> tuple[Delta, Delta]:
    """Two deltas of the same text, each as it is after the other: `(one, other)`.

    One and then the other as returned gives the same text as the other way round. Where both insert at one place, what
    `one` inserts comes first.
    """
    a, b, left, right = _Steps(one), _Steps(other), _Made(), _Made()
    while a or b:
        if a.inserts:
            text = a.text(a.left)
            left.insert(text)
            right.keep(len(text))
        elif b.inserts:
            text = b.text(b.left)
            left.keep(len(text))
            right.insert(text)
        else:
            count = min(a.left, b.left)
            _both(a.deletes, b.deletes, count, left, right)
            a.take(count)
            b.take(count)
    return left.done(), right.done()


def _both(one_deletes: bool, other_deletes: bool, count: int, left: _Made, right: _Made) -> None:
    if one_deletes and not other_deletes:
        left.delete(count)
    elif other_deletes and not one_deletes:
        right.delete(count)
    elif not one_deletes:
        left.keep(count)
        right.keep(count)


class _Steps:
    """Reads a delta in pieces; after its end it keeps."""

    def __init__(self, delta: Delta) -> None:
        self._steps = delta
        self._next = 0
        self._step: int | str = 0
        self._advance()

    def _advance(self) -> None:
        self._step = self._steps[self._next] if self._next < len(self._steps) else _ENDLESS
        self._next += 1

    def __bool__(self) -> bool:
        return self._next <= len(self._steps)

    @property
    def inserts(self) -> bool:
        return isinstance(self._step, str)

    @property
    def deletes(self) -> bool:
        return isinstance(self._step, int) and self._step < 0

    @property
    def left(self) -> int:
        """Of this step."""
        return len(self._step) if isinstance(self._step, str) else abs(self._step)

    def take(self, count: int) -> int:
        """Go on by so many that are kept or deleted."""
        assert isinstance(self._step, int)
        self._step = self._step - count if self._step > 0 else self._step + count
        if not self._step:
            self._advance()
        return count

    def text(self, count: int) -> str:
        """Go on by so many that are inserted."""
        assert isinstance(self._step, str)
        text, self._step = self._step[:count], self._step[count:]
        if not self._step:
            self._advance()
        return text


class _Made:
    """Gathers the steps of a delta in its one normal form: neighbours joined, insertions before deletions."""

    def __init__(self) -> None:
        self._steps: list[int | str] = []

    def keep(self, count: int) -> None:
        if self._steps and isinstance(last := self._steps[-1], int) and last > 0:
            self._steps[-1] = last + count
        elif count:
            self._steps.append(count)

    def delete(self, count: int) -> None:
        if self._steps and isinstance(last := self._steps[-1], int) and last < 0:
            self._steps[-1] = last - count
        elif count:
            self._steps.append(-count)

    def insert(self, text: str) -> None:
        if not text:
            return
        at = len(self._steps)
        if at and isinstance(last := self._steps[-1], int) and last < 0:
            at -= 1
        if at and isinstance(before := self._steps[at - 1], str):
            self._steps[at - 1] = before + text
        else:
            self._steps.insert(at, text)

    def done(self) -> Delta:
        if self._steps and isinstance(last := self._steps[-1], int) and last > 0:
            self._steps.pop()  # it is kept anyway
        return tuple(self._steps)
