"""Undo of what was typed into one text: steps are bursts of typing, and nothing else that the program wrote."""

from __future__ import annotations

from collections.abc import Sequence

from lichen_crdt import Document, Undo, Undone, UndoStep

TOGETHER_S = 2.0
"""Edits that follow each other within so many seconds are one step."""


class TypingUndo(Undo):
    """Takes back the newest step of this process in a document, if it was typed into this text."""

    def __init__(self, document: Document, path: Sequence[str]) -> None:
        super().__init__(document)
        self._label = f"Type in {'/'.join(path)}"
        self._message = ""
        self._last_s = 0.0

    def message(self, now_s: float) -> str | None:
        """The message of an edit at this time; None where one is to be asked for of `begin`."""
        if not self._message or now_s - self._last_s > TOGETHER_S:
            return None
        self._last_s = now_s
        return self._message

    def begin(self, now_s: float) -> str:
        """The message of an edit that begins a step. The document must not be in the hands of another thread."""
        self._message, self._last_s = self.group(self._label), now_s
        return self._message

    def undo(self, time: int | None = None) -> Undone | None:
        """As `Undo.undo`; None where the newest step is another."""
        self._message = ""
        return super().undo(time) if self._typed(self.steps) else None

    def redo(self, time: int | None = None) -> Undone | None:
        """As `Undo.redo`; None where the newest step is another."""
        self._message = ""
        return super().redo(time) if self._typed(self.undone_steps) else None

    def _typed(self, steps: Sequence[UndoStep]) -> bool:
        return bool(steps) and steps[-1].label == self._label
