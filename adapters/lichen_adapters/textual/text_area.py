"""A synced text in a `TextArea`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from lichen import Document
from lichen.errors import ConfigError, EngineMisuse
from textual.geometry import Offset, Region
from textual.widgets import TextArea
from textual.widgets.text_area import Edit, EditResult, Location, Selection

from lichen_adapters.text import AsyncTextBinding
from lichen_adapters.text.bound import log_refused
from lichen_adapters.text.delta import Splice
from lichen_adapters.text.editing import difference
from lichen_adapters.textual.terminal import printable

log = logging.getLogger("lichen.textual")


class SyncedTextArea(TextArea):
    """A `TextArea` that is the same as a text of a document, while the user types and others do.

    Undo and redo take back what was typed here, and nothing else. Cursor, selection and what is in view stay at their
    characters. It may be read-only. It begins when it is mounted, and ends with that: what was typed is on disk then.
    Control characters are shown by stand-ins, also in `TextArea.text`.
    """

    def __init__(
        self,
        note: Document,
        path: Sequence[str],
        *,
        refused: Callable[[BaseException], object] = log_refused,
        **options: Any,  # what a `TextArea` takes besides its text, such as `read_only` and `id`
    ) -> None:
        """Of the text at `path`, the keys of maps in the document.

        `refused` is called when what was typed cannot be in the document, as after a loss of rights: the widget then
        shows the document's text again. Raises `ConfigError`; and when it is mounted `NotFound`, when there is no text
        at `path`, and `EngineMisuse`, when the engine was not opened in Textual's own loop.
        """
        if not isinstance(note, Document):
            raise ConfigError(
                f"a text area shows a text of a `lichen.Document`, and this is a {type(note).__module__} one",
                hint="open the engine in Textual's own loop: `async with lichen.Engine.open(...)`",
            )
        self._shown = ""
        self._binding: AsyncTextBinding | None = None
        self._still = False
        """What changes now is not to scroll."""
        super().__init__(**options, max_checkpoints=0)  # of Textual's own undo, which would take back others' work
        self._note, self._path, self._on_refused = note, path, refused

    @property
    def binding(self) -> AsyncTextBinding:
        """What it stands on: `undo`, `redo`, `text`, and whether all is `saved`. Raises `EngineMisuse` before it is
        mounted.
        """
        if self._binding is None:
            raise EngineMisuse("this text area holds no text before it is mounted", hint="await screen.mount(area)")
        return self._binding

    async def _on_mount(self) -> None:  # type: ignore[override]  # Textual calls that of each class, its own too
        self._binding = await AsyncTextBinding.open(self._note, self._path, _Widget(self), refused=self._on_refused)

    async def _on_unmount(self) -> None:  # type: ignore[override]  # as above
        if self._binding is not None:
            try:
                await self._binding.close()
            except TimeoutError:
                log.error("what was typed last could not be written to disk in time")

    # What it is asked to do, by keys and programs

    def edit(self, edit: Edit) -> EditResult:
        """As `TextArea.edit`, in the document too; refused, and nothing, when the engine was closed. Raises
        `EngineMisuse` while it is not mounted, and on another thread than Textual's.
        """
        if self.binding.closed and self.is_attached:
            self._on_refused(EngineMisuse("the engine of this text is closed", hint="close it after its widgets"))
            return EditResult(self.selection.end, "")
        inserted = edit.text.replace("\r\n", "\n").replace("\r", "\n")
        start, end = self.position(edit.top), self.position(edit.bottom)
        self.binding.edited(start, end - start, inserted)
        edit.from_location, edit.to_location, edit.text = self.location(start), self.location(end), printable(inserted)
        return self._change(edit, Splice(start, end - start, edit.text))

    def _change(self, edit: Edit, splice: Splice) -> EditResult:
        start, end = splice.position, splice.position + splice.removed
        self._shown = self._shown[:start] + splice.inserted + self._shown[end:]
        return super().edit(edit)

    def load_text(self, text: str) -> None:
        """As `TextArea.load_text`, as an edit: of what differs from the text as it is."""
        part = difference(self.binding.text, text)
        if part.removed or part.inserted:
            start, end = self.location(part.position), self.location(part.position + part.removed)
            self.edit(Edit(part.inserted, start, end, maintain_selection_offset=True))

    def undo(self) -> None:
        """Take back what was typed here last."""
        self.binding.undo()

    def redo(self) -> None:
        """Bring back what was taken back last."""
        self.binding.redo()

    def action_undo(self) -> None:
        """As `undo`, unless this is read-only, or the engine was closed."""
        if not self.read_only and not self.binding.closed:
            self.undo()

    def action_redo(self) -> None:
        """As `redo`, unless this is read-only, or the engine was closed."""
        if not self.read_only and not self.binding.closed:
            self.redo()

    # What others do

    def follow(self, splice: Splice) -> None:
        """Show what was done elsewhere. The cursor's line stays where it is on the screen, or if it is not in view, the
        uppermost line.
        """
        anchor = self._anchor()
        line = self._line(anchor)
        start, end = self.location(splice.position), self.location(splice.position + splice.removed)
        self._still = True
        try:
            self._change(Edit(splice.inserted, start, end, maintain_selection_offset=True), splice)
        finally:
            self._still = False
        moved = self._line(splice.moved(anchor, after=True)) - line
        if moved:
            self.scroll_to(y=self.scroll_y + moved, animate=False, immediate=True, force=True)

    def choose(self, anchor: int, head: int) -> None:
        """Set the selection, without scrolling there."""
        self._still = True
        try:
            self.selection = Selection(self.location(anchor), self.location(head))
        finally:
            self._still = False

    def scroll_to_region(self, region: Region, **options: Any) -> Offset:  # Any: as Textual's own
        """As Textual's own; what others do does not scroll."""
        return Offset() if self._still else super().scroll_to_region(region, **options)

    def _anchor(self) -> int:
        """A position that is to stay where it is on the screen."""
        top = int(self.scroll_y)
        cursor = self.position(self.cursor_location)
        if top <= self._line(cursor) < top + self.size.height:
            return cursor
        return self.position(self.wrapped_document.offset_to_location(Offset(0, top)))

    def _line(self, position: int) -> int:
        """The line on the screen of a position, as lines are wrapped, from the text's first."""
        return self.wrapped_document.location_to_offset(self.location(position)).y

    # Places: Textual's are (row, column)

    def location(self, position: int) -> Location:
        """The row and column of a code point."""
        row = self._shown.count("\n", 0, position)
        return row, position - (self._shown.rfind("\n", 0, position) + 1)

    def position(self, location: Location) -> int:
        """The code point at a row and column; at most the end."""
        row, column = location
        lines = self.document.lines
        if row >= len(lines):
            return len(self._shown)
        return sum(map(len, lines[:row])) + row + min(max(0, column), len(lines[row]))


class _Widget:
    """As its binding sees it (`lichen_adapters.text.TextWidget`)."""

    def __init__(self, area: SyncedTextArea) -> None:
        self._area = area

    def splice(self, position: int, removed: int, inserted: str) -> None:
        """As `TextWidget.splice`."""
        self._area.follow(Splice(position, removed, printable(inserted)))

    def selection(self) -> tuple[int, int]:
        """As `TextWidget.selection`."""
        anchor, head = self._area.selection
        return self._area.position(anchor), self._area.position(head)

    def select(self, anchor: int, head: int) -> None:
        """As `TextWidget.select`."""
        self._area.choose(anchor, head)
