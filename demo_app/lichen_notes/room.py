"""One note with the pages that have it open: between the authority over its text and the document.

The authority is always level with the document: it hears of every change at once, and takes what pages push only
inside a transaction, whose turn no change of another device can come into.

Pages hear of nothing that is not on disk yet: what a page counts as taken is there after any restart.
"""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lichen import Document, LichenError, Text
from lichen.runtime.document import Applied
from lichen_crdt import CrdtError, TextPatch, from_utf16, to_utf16

from lichen_notes.authority import Authority, BadUpdate, Update

TITLE_CHARACTERS = 200
TOLD = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a page's push."""

    taken: bool
    version: int
    heads: list[str]


class Room:
    """One open note."""

    def __init__(self, note: Document, tell: TOLD, secret: bytes) -> None:
        """`tell` is called with what every page that has this note open should hear; `secret` is this device's own."""
        self.note = note
        self._secret = secret
        self.epoch = os.urandom(8).hex()
        """Versions count within this; another one after every start of the program."""
        self.authority = Authority(self._body())
        self._tell = tell
        self._title = self.title
        self.told = (self.authority.version, self.heads)
        """The newest version that is on disk, and told to the pages, with its heads."""
        self._telling: asyncio.Task[None] | None = None
        self._stop_listening = note.listen(self._applied)

    def close(self) -> None:
        """Hear of nothing more."""
        self._stop_listening()
        if self._telling is not None:
            self._telling.cancel()

    def _body(self) -> str:
        body = self.note.doc.get("body")
        return str(body) if isinstance(body, Text) else ""

    @property
    def title(self) -> str:
        """The note's title."""
        return str(self.note.doc.get("title", ""))[:TITLE_CHARACTERS]

    @property
    def heads(self) -> list[str]:
        """The document's heads, in hexadecimal."""
        return [head.hex() for head in self.note.heads]

    # From elsewhere

    def _applied(self, applied: Applied) -> None:
        texts = [patch for patch in applied.patches if isinstance(patch, TextPatch) and patch.path == ("body",)]
        self.authority.patched(texts)
        self.authority.replaced(self._body())  # a body put in place of another, or changed here
        self._tell_soon()
        if self.title != self._title:
            self._title = self.title
            self._tell({"type": "title", "note": self.note.id.hex(), "title": self._title})

    def _tell_soon(self) -> asyncio.Task[None]:
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_saved(), name="tell pages")
        return self._telling

    async def _tell_saved(self) -> None:
        while self.told[0] < self.authority.version:
            reached = (self.authority.version, self.heads)
            try:
                await self.note.saved()
            except LichenError:
                return  # nothing more of this note is saved; who pushes is told why
            message = self.updates(self.told[0], reached)
            self.told = reached
            self._tell(message)

    def updates(self, since: int, reached: tuple[int, list[str]] | None = None) -> dict[str, Any]:
        """What a page hears that has got as far as version `since`: nothing, from a later one, if that is too long ago.

        A page that learns of a gap asks for the whole note.
        """
        version, heads = reached or self.told
        found = self.authority.since(since)
        return {
            "type": "updates",
            "note": self.note.id.hex(),
            "epoch": self.epoch,
            "from": version if found is None else since,
            "updates": [update.as_json() for update in (found or [])[: max(0, version - since)]],
            "heads": heads,
        }

    # From pages

    async def opened(self, client: str, known_heads: Sequence[str]) -> dict[str, Any]:
        """What a page needs to begin, or to go on after it has lost this program; all of it is on disk."""
        found = {
            "type": "note",
            "note": self.note.id.hex(),
            "epoch": self.epoch,
            "version": self.authority.version,
            "text": self.authority.text,
            "title": self.title,
            "heads": self.heads,
            "saved": self._saved_of(client, known_heads),
        }
        await self.note.saved()
        return found

    def _saved_of(self, client: str, known_heads: Sequence[str]) -> int:
        """How many of a page's updates after these heads are in the document: an earlier run of this program took them.

        Each push notes the page and the number of its last update as the change's message, with a proof that it was
        this device: anyone in the space can write such a message, and the page would drop what it believes saved.
        """
        try:
            heads = [bytes.fromhex(head) for head in known_heads]
            if not heads or self.note.doc.missing(heads):
                return 0
        except (ValueError, CrdtError):
            return 0
        last = 0
        for info in self.note.history(since=heads):
            message = info.message or ""
            number = message.removeprefix(f"page {client}:").partition(":")[0]
            if hmac.compare_digest(self._message(client, number).encode(), message.encode()):
                last = max(last, int(number))
        return last

    def _message(self, client: str, last: int | str) -> str:
        note = f"page {client}:{last}"
        proof = hmac.digest(self._secret, self.note.id + note.encode(), "sha256")
        return f"{note}:{proof[:16].hex()}"

    async def push(self, client: str, version: int, last: int, updates: Sequence[Update]) -> Pushed:
        """Take a page's updates, the last of which is its `last`-th, if they were made at the current version.

        Returns when they are on disk. Raises `BadUpdate`.
        """
        if not 0 <= version <= self.authority.version:
            raise BadUpdate(f"{version} is not a version of this text")
        taken = False
        try:
            async with self.note.change(self._message(client, last)) as doc:
                if version == self.authority.version:
                    splices = self.authority.check(updates)
                    body = _text(doc, "body")
                    for index, deleted, inserted in splices:
                        body.splice(index, deleted, inserted)
                    self.authority.take(updates, splices)
                    taken = True
        except Exception:
            self.authority.replaced(self._body())  # where the document took it back, so does the authority
            self._tell_soon()
            raise
        await asyncio.wait([self._tell_soon()])
        return Pushed(taken, *self.told)

    async def retitle(self, title: str) -> None:
        """Give the note another title; what merges is the difference."""
        async with self.note.change("title") as doc:
            _text(doc, "title").update(title.replace("\n", " ")[:TITLE_CHARACTERS])

    # Cursors

    def cursor(self, offset: int) -> bytes | None:
        """A place in the text that stays where it is while the text around it changes."""
        body = self.note.doc.get("body")
        index = from_utf16(self.authority.text, max(0, offset))
        if not isinstance(body, Text) or index > len(body):
            return None
        try:
            return body.cursor(index)
        except CrdtError:
            return None

    def offset(self, cursor: Any) -> int | None:
        """Where such a place is now, as a UTF-16 offset."""
        body = self.note.doc.get("body")
        if not isinstance(body, Text) or not isinstance(cursor, bytes):
            return None
        try:
            return to_utf16(self.authority.text, body.position(cursor))
        except CrdtError:
            return None


def _text(doc: Any, key: str) -> Text:
    """The text at a key, put there when it is missing or something else."""
    if not isinstance(doc.get(key), Text):
        doc[key] = Text(str(doc.get(key) or ""))
    text: Text = doc[key]
    return text
