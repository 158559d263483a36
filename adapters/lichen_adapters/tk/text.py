"""A synced text in a `tkinter.Text`."""

from __future__ import annotations

import threading
import tkinter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lichen.blocking import Deliver, Document
from lichen.errors import ConfigError, EngineMisuse
from lichen_crdt import from_utf16, utf16_length

from lichen_adapters.text import TextBinding
from lichen_adapters.text.bound import log_refused
from lichen_adapters.tk.threads import refuse_other_threads

_ASKED = """
    if {$operation in {insert delete replace} && [$below cget -state] eq "normal"} {
        set places [lrange $args 0 [dict get {insert 0 replace 1 delete end} $operation]]
        foreach place $places { $below index $place }
        return [$edit $operation {*}$args]
    }
    set what [lindex $args 0]
    if {$operation eq "edit" && $what in {undo redo}} { return [$edit $what] }
    if {$what eq "create" && $operation in {window image}} {
        error "in a synced text, a window or an image would move the places at which others write"
    }
    if {$what eq "create" && $operation eq "peer"} {
        error "of a synced text, what is typed into a peer would be lost: bind another Text to it"
    }
    uplevel 1 [list $below $operation {*}$args]
"""
"""What is done where a widget's own command is called: an edit is ours, where its places are such, and undo is. Refused
is what would part the widget from the text. All else is the widget's own, with its errors, by which scripts know that
nothing is selected."""


class SyncedText:
    """Keeps a `tkinter.Text` and a text of a document the same, while the user types and others do.

    Tk's own undo is switched off: its keys (`<<Undo>>`, `<<Redo>>`) take back what was typed here, and nothing else.
    Cursor, selection and tags stay at their characters. It may be read-only (`state="disabled"`). Use it on Tk's
    thread; it ends with the widget.
    """

    def __init__(
        self,
        widget: tkinter.Text,
        note: Document,
        path: Sequence[str],
        deliver: Deliver,
        *,
        refused: Callable[[BaseException], object] = log_refused,
    ) -> None:
        """Put the text at `path` in the place of what the widget shows. The rest is as for `TextBinding`.

        Raises `EngineMisuse` for a widget that is bound already, or has peers, and on another thread than Tk's.
        """
        refuse_other_threads(widget, "a text widget")
        self._widget = widget
        self._deliver = deliver
        self._refused = refused
        self._thread = threading.get_ident()
        self._tk: Any = widget.tk  # the interpreter, which has no types
        self._command = str(widget)
        self._below = self._command
        """The widget's own command: of another name, once ours is in its place."""
        self._pairs = int(self._tk.call("string", "length", "😀")) == 2
        """Tcl 8 counts UTF-16 units within a line, Tcl 9 code points."""
        self._shown = ""
        self._gone = False
        below, self._edit = f"lichen{widget}", f"lichen edit{widget}"
        if self._tk.call("info", "commands", below):
            raise EngineMisuse("this widget is bound to a text already", hint="close that one first")
        if widget.peer_names():
            raise EngineMisuse("this widget has peers, whose edits are not known of", hint="bind each to the text")
        before = widget.get("1.0", "end-1c")
        self._change("delete", "1.0", "end")
        try:
            self.binding = TextBinding(note, path, self, deliver, refused=refused)
            """What it stands on: `undo`, `redo`, and whether all is `saved`."""
        except BaseException:
            self._change("insert", "1.0", before)
            raise
        widget.configure(undo=False)
        self._below = below
        self._tk.call("rename", self._command, self._below)
        self._tk.createcommand(self._edit, self._edited)
        self._tk.call("proc", "lichen asked", "below edit operation args", _ASKED)
        self._tk.call("interp", "alias", "", self._command, "", "lichen asked", self._below, self._edit)
        widget.bind("<<Undo>>", lambda _: self._undo())
        widget.bind("<<Redo>>", lambda _: self._redo())
        widget.bind("<Destroy>", self._destroyed, add=True)

    def close(self) -> None:
        """Wait until what was typed is on disk, and leave the widget as it is; idempotent.

        Raises `EngineMisuse` on another thread; the rest as `TextBinding.close`.
        """
        if threading.get_ident() != self._thread:
            raise EngineMisuse("a text widget was used on another thread than Tk's", hint="deliver the call to it")
        self.binding.refuse_holder()
        if self._below != self._command:
            below, self._below = self._below, self._command
            for command in (self._command, self._edit):
                self._tk.deletecommand(command)
            if not self._gone:
                self._tk.call("rename", below, self._command)
        self.binding.close()

    def _destroyed(self, event: tkinter.Event[tkinter.Misc]) -> None:
        if event.widget is self._widget:
            self._gone = True
            self.close()

    def _undo(self) -> str:
        return self._step(self.binding.undo)

    def _redo(self) -> str:
        return self._step(self.binding.redo)

    def _step(self, undo: Callable[[], None]) -> str:
        try:
            if str(self._widget["state"]) == "normal":
                undo()
        except EngineMisuse as error:  # the engine was closed
            self._deliver(partial(self._tell, error))
        return "break"

    # What the widget is asked to do, by keys, menus and programs: all of it comes through its command

    def _edited(self, operation: str, *arguments: Any) -> str:
        try:
            return str(getattr(self, f"_{operation}")(*arguments))
        except tkinter.TclError:
            return ""  # raised, it would end Tk's main loop

    def _insert(self, index: str, *pieces: Any) -> str:
        return self._replaced(self._position(index), 0, pieces)

    def _replace(self, start: str, end: str, *pieces: Any) -> str:
        position = self._position(start)
        return self._replaced(position, max(0, self._position(end) - position), pieces)

    def _delete(self, *indexes: str) -> str:
        last = [] if len(indexes) % 2 == 0 else [f"{indexes[-1]}+1c"]
        places = [self._position(index) for index in (*indexes, *last)]
        for start, end in sorted(zip(places[::2], places[1::2], strict=True), reverse=True):
            self._replaced(start, max(0, end - start), ())
        return ""

    def _replaced(self, position: int, removed: int, pieces: Sequence[Any]) -> str:
        """An edit of the user's; pieces are a text and its tags, and again."""
        start, end = self._index(position), self._index(position + removed)
        if removed:
            self._tk.call(self._below, "delete", start, end)
        if pieces:
            self._tk.call(self._below, "insert", start, *_as_shown(pieces))
        inserted = "".join(map(str, pieces[::2]))
        was = self._shown[position : position + removed]
        self._shown = self._shown[:position] + inserted + self._shown[position + removed :]
        try:
            self.binding.edited(position, removed, inserted)
        except (ConfigError, EngineMisuse) as error:  # as when the engine was closed; raised, it would end Tk's loop
            self.splice(position, len(inserted), was)
            self._deliver(partial(self._tell, error))
        return ""

    def _tell(self, error: BaseException) -> None:
        self._refused(error)

    # What the binding asks the widget to do (`lichen_adapters.text.TextWidget`)

    def splice(self, position: int, removed: int, inserted: str) -> None:
        """As `TextWidget.splice`."""
        start, end = self._index(position), self._index(position + removed)
        if removed and not self._gone:
            self._change("delete", start, end)
        if inserted and not self._gone:
            self._change("insert", start, inserted)
        self._shown = self._shown[:position] + inserted + self._shown[position + removed :]

    def selection(self) -> tuple[int, int]:
        """As `TextWidget.selection`."""
        if self._gone:
            return 0, 0
        head = self._position("insert")
        chosen = self._widget.tag_ranges("sel")
        if len(chosen) != 2:
            return head, head
        start, end = (self._position(str(index)) for index in chosen)
        return (end if head == start else start), head

    def select(self, anchor: int, head: int) -> None:
        """As `TextWidget.select`."""
        if self._gone:
            return
        self._widget.tag_remove("sel", "1.0", "end")
        self._widget.mark_set("insert", self._index(head))
        if anchor != head:
            self._widget.tag_add("sel", self._index(min(anchor, head)), self._index(max(anchor, head)))

    def _change(self, *command: str) -> None:
        """Change the text past the user, also where the widget is read-only."""
        state = str(self._tk.call(self._below, "cget", "-state"))
        if state != "normal":
            self._tk.call(self._below, "configure", "-state", "normal")
        self._tk.call(self._below, *_as_shown(command))
        if state != "normal":
            self._tk.call(self._below, "configure", "-state", state)

    # Places: Tk's are line.column

    def _index(self, position: int) -> str:
        text = self._shown
        start = text.rfind("\n", 0, position) + 1
        before = text[start:position]
        return f"{text.count(chr(10), 0, position) + 1}.{utf16_length(before) if self._pairs else len(before)}"

    def _position(self, index: str) -> int:
        """The code point at an index; inside a pair, that of the pair; at most the end."""
        line, column = map(int, str(self._tk.call(self._below, "index", index)).split("."))
        text = self._shown
        start = len(text) - len(text.split("\n", line - 1)[-1]) if line <= text.count("\n") + 1 else len(text)
        end = text.find("\n", start)
        within = text[start:] if end < 0 else text[start:end]
        return start + min(from_utf16(within, column) if self._pairs else column, len(within))


def _as_shown(pieces: Sequence[Any]) -> list[Any]:
    """Of a text with a NUL Tk would show nothing from there on."""
    return [piece.replace("\0", "␀") if isinstance(piece, str) else piece for piece in pieces]
