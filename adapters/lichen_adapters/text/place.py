"""Where a text is in a document, and what changes of the document do to it. To be used on the engine's loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lichen import Document, Text
from lichen.errors import NotFound
from lichen_crdt import MarkPatch, Patch, TextPatch

from lichen_adapters.text.delta import Splice
from lichen_adapters.text.editing import difference


class TextPlace:
    """A document and a path in it, the keys of maps that lead to a text."""

    def __init__(self, note: Document, path: Sequence[str]) -> None:
        self.note = note
        self.path = tuple(path)

    def text(self) -> Text:
        """The text. Raises `NotFound` where there is none."""
        found: object = self.note.doc
        for key in self.path:
            found = found.get(key) if isinstance(found, Mapping) else None
        if not isinstance(found, Text):
            raise NotFound(f"there is no text at {'/'.join(self.path)} in document {self.note.id.hex()}")
        return found

    def now(self) -> str:
        """What it holds; nothing where it was deleted, which then takes no edits."""
        try:
            return str(self.text())
        except NotFound:
            return ""

    def splices(self, patches: Sequence[Patch]) -> list[Splice] | None:
        """What patches do to the text, each into the text as the ones before it left it.

        None where that is to be found by comparing: the text came in place of another, or holds blocks.
        """
        ours = [patch for patch in patches if patch.path == self.path and not isinstance(patch, MarkPatch)]
        texts = [patch for patch in ours if isinstance(patch, TextPatch)]
        if len(texts) < len(ours) or any(len(patch.path) < len(self.path) for patch in patches):
            return None
        return [Splice(patch.index, patch.deleted, patch.inserted) for patch in texts]

    def changed(self, before: str, patches: Sequence[Patch]) -> list[Splice]:
        """What patches, of which the last is in the document, have made of the text `before`."""
        found = self.splices(patches)
        return [difference(before, self.now())] if found is None else found
