"""The two ends of one edited text: what the widget shows, and what the document holds. Pure: no I/O.

The document's end decides the order. The widget's end has at most one edit on its way; what is typed meanwhile gathers.
What comes from the document is moved past both before it is shown, and what comes to the document is moved past all
that the widget had not seen. So both come to the same text (Nichols and others 1995), and nothing comes back to the
widget that came from it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lichen_adapters.text.delta import NOTHING, Delta, Splice, compose, size, splices, transform
from lichen_adapters.text.delta import changed as changed_text


@dataclass(frozen=True, slots=True)
class Edit:
    """What a widget's user did, as it is sent to the document's end."""

    delta: Delta
    seen: int
    """The version that the widget had seen."""


@dataclass(slots=True)
class Shown:
    """The widget's end."""

    text: str
    seen: int = 0
    flying: Delta | None = None
    """Sent, and not known to be in the document."""
    gathered: Delta = NOTHING
    """Made after that."""

    @property
    def idle(self) -> bool:
        """Everything that was typed is in the document."""
        return self.flying is None

    def edited(self, splice: Splice) -> Edit | None:
        """The user has made this edit; what is to be sent, if nothing is on its way."""
        self.text = changed_text(self.text, splice.delta)
        self.gathered = compose(self.gathered, splice.delta)
        return self._send() if self.flying is None else None

    def taken(self) -> Edit | None:
        """What was sent is in the document; what is to be sent next."""
        self.flying = None
        return self._send() if self.gathered else None

    def _send(self) -> Edit:
        self.flying, self.gathered = self.gathered, NOTHING
        return Edit(self.flying, self.seen)

    def changed(self, version: int, delta: Delta) -> list[Splice]:
        """The document has changed otherwise; what the widget is to do."""
        self.seen = version
        if self.flying is not None:
            delta, self.flying = transform(delta, self.flying)
            delta, self.gathered = transform(delta, self.gathered)
        self.text = changed_text(self.text, delta)
        return splices(delta)

    def replaced(self, version: int, text: str) -> list[Splice]:
        """What was typed and is not in the document is given up; what the widget is to do."""
        self.seen, self.flying, self.gathered = version, None, NOTHING
        splice = difference(self.text, text)
        self.text = text
        return [splice] if splice.removed or splice.inserted else []


@dataclass(slots=True)
class Held:
    """The document's end, for one widget."""

    version: int = 0
    _log: deque[tuple[int, Delta]] = field(default_factory=deque)
    """What the widget may not have seen."""
    _characters: int = 0
    """In that."""

    @property
    def waits(self) -> tuple[int, int]:
        """How many changes the widget may not have seen, and about how many characters these have."""
        return len(self._log), self._characters

    def changed(self, delta: Delta, seen: int) -> int:
        """The document has changed, and not by the widget; its version now. Nothing that is sent from now on, or is on
        its way, was made before the version `seen`.
        """
        self._forget(seen)
        self.version += 1
        self._log.append((self.version, delta))
        self._characters += size(delta)
        return self.version

    def rebased(self, edit: Edit) -> Delta:
        """An edit, to be made in the document as it is now."""
        self._forget(edit.seen)
        delta = edit.delta
        for _, change in self._log:
            _, delta = transform(change, delta)
        return delta

    def unseen(self, seen: int) -> list[Delta]:
        """What has changed after a version that the widget had seen, and is not known to have gone beyond."""
        return [change for version, change in self._log if version > seen]

    def _forget(self, seen: int) -> None:
        while self._log and self._log[0][0] <= seen:
            self._characters -= size(self._log.popleft()[1])


def difference(before: str, after: str) -> Splice:
    """The one splice that makes a text of another, and leaves what they begin and end with alone."""
    least = min(len(before), len(after))
    start = _common(least, lambda count: before[:count] == after[:count])
    end = _common(least - start, lambda count: before[len(before) - count :] == after[len(after) - count :])
    return Splice(start, len(before) - start - end, after[start : len(after) - end])


def _common(most: int, holds: Callable[[int], bool]) -> int:
    """The largest count for which it holds; it holds for all below."""
    return bisect_left(range(1, most + 1), True, key=lambda count: not holds(count))
