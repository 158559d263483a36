"""The document's end of a text that a page shows, on the engine's loop: level with the document at every moment.

A page hears of nothing that is not on disk yet. What it hears names the document's heads, and what it sends a number,
so that after any break it says what it knows, and is told what it has missed and whether its last edit arrived: the
change of an edit bears a tag as its message, made of page and number with a secret of this device.
"""

from __future__ import annotations

import asyncio
import hmac
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lichen import Document
from lichen.errors import AccessDenied, LichenError, LimitExceeded, NotFound
from lichen_crdt import ChangeInfo, CrdtError, Patch

from lichen_adapters.asgi.bounds import DELTA_STEPS, TEXT_CHARACTERS, UNSEEN, WAITING
from lichen_adapters.asgi.errors import BadFrame, TooSlow, described
from lichen_adapters.text.delta import Delta, changed, delta_of, size
from lichen_adapters.text.editing import Edit
from lichen_adapters.text.level import LevelText

Message = dict[str, Any]
"""What a page is told, as JSON."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a page says of itself when it comes, or comes again."""

    client: str
    """Its name for this text, of its own choice."""
    heads: tuple[bytes, ...] = ()
    """Those of what it was told last; none at first."""
    flying: int = 0
    """The number of the edit that it has sent and heard nothing of; 0 where there is none."""


class PageText(LevelText):
    """One text of a document, for one page."""

    def __init__(self, note: Document, path: Sequence[str], known: Known, secret: bytes) -> None:
        super().__init__(note, path)
        self.space = note.space
        self._known = known
        self._secret = secret
        self._seen = 0
        self._waiting: deque[Message] = deque()
        self._characters = 0
        """In what waits."""
        self._something = asyncio.Event()
        self._writable: bool | None = None
        """As the page was told; nothing yet."""
        self._number = 0
        """Of the page's last edit."""

    # To the page

    async def messages(self) -> AsyncGenerator[Message, None]:
        """What the page is to be told: the text, or what it has missed of it, and then every change.

        Raises `NotFound` where there is no text, `LimitExceeded` for one that is too long, `TooSlow`, and
        `StoreError` where the document can be saved no longer.
        """
        stop = await self._note.look(lambda _: self._begin())
        try:
            while True:
                while self._waiting:
                    message = self._waiting.popleft()
                    self._characters -= _size(message)
                    await self._note.saved()
                    yield message
                    self._refuse_slow()
                if self._note.failure is not None:
                    raise self._note.failure
                self._something.clear()
                await self._something.wait()
        finally:
            stop()

    def _begin(self) -> Callable[[], None]:
        self._read()
        if len(self._text) > TEXT_CHARACTERS:
            raise LimitExceeded(f"a text of {len(self._text)} characters is too long for a page")
        self._writable = self._may_write()
        self._put({"opened": self._opening(), "writable": self._writable})
        return self._note.listen(self._applied)

    def _refuse_slow(self) -> None:
        unseen, characters = self._held.waits
        if len(self._waiting) > WAITING or unseen > UNSEEN or max(characters, self._characters) > 2 * TEXT_CHARACTERS:
            raise TooSlow("a page reads more slowly than its text changes")

    def access_changed(self) -> None:
        """Who may do what in its space may be other; a page that is affected is told."""
        with suppress(NotFound):  # the space has left, which ends the page's text
            if self._writable is not None and self._writable != self._may_write():
                self._writable = not self._writable
                self._put({"writable": self._writable})

    def _may_write(self) -> bool:
        try:
            self._note.change()
        except AccessDenied:
            return False
        return True

    def _opening(self) -> Message:
        """What the page lacks; where that cannot be told step by step, the whole text."""
        own: list[ChangeInfo] = []
        known = self._known.heads
        with suppress(CrdtError, ValueError):
            if self._note.doc.missing(known):
                known = ()
            own = self._own(known)
            steps = self._steps(known, own) if known else None
            if steps is not None:
                return {"steps": steps, "taken": bool(own)}
        return {"text": self._text, "taken": bool(own)}

    def _own(self, since: tuple[bytes, ...]) -> list[ChangeInfo]:
        """The changes of the page's last edit, if it is in the document."""
        if not self._known.flying:
            return []
        tag = self._tag(self._known.flying)
        return [info for info in self._note.history(since) if info.message == tag]

    def _steps(self, known: tuple[bytes, ...], own: list[ChangeInfo]) -> list[Delta] | None:
        """From what the page knows up to its own last edit, that, and what came after; or from there to now."""
        stops = [known, own[0].deps, (own[-1].hash,), self._heads] if own else [known, self._heads]
        steps: list[Delta] = []
        for before, after in pairwise(stops):
            parts = self._place.splices(self._note.doc.diff(before, after))
            if parts is None:
                return None
            steps.append(delta_of(parts))
        return steps

    def _put(self, message: Message) -> None:
        message["heads"] = [head.hex() for head in self._heads]
        message["version"] = self._held.version
        self._characters += _size(message)
        self._waiting.append(message)
        self._something.set()

    # From the document

    def _change(self, patches: Sequence[Patch]) -> None:
        delta = delta_of(self._place.changed(self._text, patches))
        if delta and len(self._waiting) <= WAITING:  # else it is too slow, and let go
            self._text = changed(self._text, delta)
            self._held.changed(delta, self._seen)
            self._put({"changed": delta})

    def _taken(self) -> None:
        self._put({"taken": self._number})

    def _failed(self, error: BaseException) -> None:  # `messages` raises it
        self._something.set()

    # From the page

    def saw(self, version: int) -> None:
        """The page has seen this version, and nothing that it sends later was made before it. Raises `BadFrame`."""
        if not self._seen <= version <= self._held.version:
            raise BadFrame(f"{version} is no version that a page can have seen")
        self._seen = version

    async def write(self, number: int, seen: int, steps: object) -> None:
        """Make an edit in the document, of which the page is told what came: taken, when it is on disk, or refused.

        `steps` are a delta of the text at the version `seen`. Raises `BadFrame`, `TooSlow` and `StoreError`.
        """

        def rebase() -> Delta:
            self._refuse_slow()
            self.saw(seen)
            if number <= self._number:
                raise BadFrame(f"edit {number} came twice")
            delta = self._held.rebased(Edit(self._checked(steps, seen), seen))
            self._refuse_long(delta)
            self._number = number
            return delta

        try:
            await self._write(self._tag(number), rebase)
        except LichenError as error:
            if isinstance(error, (BadFrame, TooSlow)) or self._note.failure is not None:
                raise
            self._put({"refused": number, "text": self._text, "error": described(error)})

    def _refuse_long(self, delta: Delta) -> None:
        growth = _growth(delta)
        if growth > 0 and len(self._text) + growth > TEXT_CHARACTERS:
            raise LimitExceeded(
                f"this text would have more than {TEXT_CHARACTERS} characters", hint="begin another, or shorten it"
            )

    def _checked(self, steps: object, seen: int) -> Delta:
        length = len(self._text) - sum(map(_growth, self._held.unseen(seen)))
        if not isinstance(steps, list) or len(steps) > DELTA_STEPS or not all(map(_is_step, steps)):
            raise BadFrame("an edit is not a list of steps")
        if sum(abs(step) for step in steps if isinstance(step, int)) > length:
            raise BadFrame("an edit goes beyond the end of the text")
        return tuple(steps)

    def _tag(self, number: int) -> str:
        """The message of the changes of an edit. Nobody else can make it, or learn anything from it."""
        words = b"%s %s %d" % (self._note.id, self._known.client.encode(), number)
        return f"page {hmac.digest(self._secret, words, 'sha256')[:16].hex()}"


def _size(message: Message) -> int:
    """About how many characters a message has."""
    opened = message.get("opened", {})
    deltas = (message.get("changed", ()), *opened.get("steps", ()))
    text: str = message.get("text") or opened.get("text") or ""
    return len(text) + sum(map(size, deltas))


def _growth(delta: Delta) -> int:
    return sum(len(step) if isinstance(step, str) else min(step, 0) for step in delta)


def _is_step(step: object) -> bool:
    if isinstance(step, str):
        return bool(step) and not any("\ud800" <= char <= "\udfff" for char in step)
    return isinstance(step, int) and not isinstance(step, bool) and step != 0
