"""The authority over one text that several editors change at once: the central side of CodeMirror's collab protocol.

An editor sends updates together with the version that they were made at; the authority takes them if that is its own
version, and refuses them otherwise: the editor then receives what it has missed, rebases its updates and sends them
again. Changes that come from other devices enter as updates of one more client. Offsets are UTF-16 code units, as in
JavaScript; the text itself, and the splices that are given out, count code points. Pure: no I/O.

A change is CodeMirror's JSON for a change set: a list of sections, a number for so many units that stay, `[deleted]` or
`[deleted, line, line, ...]` for units that are replaced by lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from lichen_crdt import TextPatch, from_utf16, to_utf16, utf16_length

DEVICE = "device"
"""The client id of everything that does not come from an editor."""
KEPT_UPDATES = 10_000
"""Updates that are remembered for editors that were away."""
MOST_UPDATES = 1_000
"""Most updates in one push."""
MOST_SECTIONS = 10_000
"""Most sections of one change."""

Splice = tuple[int, int, str]
"""Index and count of code points that go, and the text that comes."""


class BadUpdate(ValueError):
    """An update does not fit the text."""


@dataclass(frozen=True, slots=True)
class Update:
    """One step of the text."""

    client: str
    changes: list[Any]
    """CodeMirror's JSON."""

    def as_json(self) -> dict[str, Any]:
        """As the page's collab package takes it."""
        return {"clientID": self.client, "changes": self.changes}


class Authority:
    """One text and its versions; the version counts all updates so far."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.version = 0
        self._updates: list[Update] = []

    def since(self, version: int) -> list[Update] | None:
        """The updates after a version; None when that is no version, or one too long ago."""
        behind = self.version - version
        if not 0 <= behind <= len(self._updates):
            return None
        return self._updates[len(self._updates) - behind :]

    def check(self, updates: Sequence[Update]) -> list[Splice]:
        """The splices, each into the text as the ones before it left it, that these updates come to.

        Changes nothing. Raises `BadUpdate`.
        """
        if len(updates) > MOST_UPDATES:
            raise BadUpdate(f"more than {MOST_UPDATES} updates at once")
        text = self.text
        splices: list[Splice] = []
        for update in updates:
            for splice in splices_of(text, update.changes):
                splices.append(splice)
                text = spliced(text, splice)
        return splices

    def take(self, updates: Sequence[Update], splices: Iterable[Splice]) -> None:
        """Take updates that were checked at this version."""
        for splice in splices:
            self.text = spliced(self.text, splice)
        self._append(updates)

    def patched(self, patches: Iterable[TextPatch]) -> list[Update]:
        """Take what has changed from elsewhere; returns it as updates."""
        made = []
        for patch in patches:
            made.append(Update(DEVICE, changes_of(self.text, patch.index, patch.deleted, patch.inserted)))
            self.text = spliced(self.text, (patch.index, patch.deleted, patch.inserted))
        self._append(made)
        return made

    def replaced(self, text: str) -> list[Update]:
        """Take a whole new text, of which only the differing middle becomes an update."""
        start, deleted, inserted = middle(self.text, text)
        if not deleted and not inserted:
            return []
        return self.patched([TextPatch(("body",), start, inserted, deleted)])

    def _append(self, updates: Sequence[Update]) -> None:
        self._updates.extend(updates)
        self.version += len(updates)
        del self._updates[:-KEPT_UPDATES]


def spliced(text: str, splice: Splice) -> str:
    """The text after a splice."""
    index, deleted, inserted = splice
    return text[:index] + inserted + text[index + deleted :]


def middle(old: str, new: str) -> Splice:
    """The one splice that makes `new` of `old` and leaves their common beginning and end alone."""
    least = min(len(old), len(new))
    start = 0
    while start < least and old[start] == new[start]:
        start += 1
    end = 0
    while end < least - start and old[len(old) - 1 - end] == new[len(new) - 1 - end]:
        end += 1
    return start, len(old) - start - end, new[start : len(new) - end]


def changes_of(text: str, index: int, deleted: int, inserted: str) -> list[Any]:
    """A splice as CodeMirror's JSON."""
    before = utf16_length(text[:index])
    gone = utf16_length(text[index : index + deleted])
    after = utf16_length(text[index + deleted :])
    section: list[Any] = [gone, *inserted.split("\n")] if inserted else [gone]
    return [*([before] if before else []), section, *([after] if after else [])]


def splices_of(text: str, changes: Any) -> list[Splice]:
    """CodeMirror's JSON as splices, each into the text as the ones before it left it. Raises `BadUpdate`."""
    if not isinstance(changes, list) or len(changes) > MOST_SECTIONS:
        raise BadUpdate("a change is not a list of sections")
    splices: list[Splice] = []
    offset, shift = 0, 0
    for section in changes:
        length, inserted = _section(section)
        start, end = _index(text, offset), _index(text, offset + length)
        offset += length
        if inserted is not None:
            splices.append((start + shift, end - start, inserted))
            shift += len(inserted) - (end - start)
    if _index(text, offset) != len(text):
        raise BadUpdate("a change is not as long as the text")
    return splices


def _section(section: Any) -> tuple[int, str | None]:
    match section:
        case bool():
            pass
        case int() if section >= 0:
            return section, None
        case [int() as gone, *lines] if gone >= 0 and all(isinstance(line, str) for line in lines):
            return gone, "\n".join(lines)
    raise BadUpdate("a section of a change is neither a length nor a replacement")


def _index(text: str, offset: int) -> int:
    index = from_utf16(text, offset)
    if not 0 <= index <= len(text) or to_utf16(text, index) != offset:
        raise BadUpdate(f"offset {offset} is not between two characters of the text")
    return index
