"""The page on Textual programs is real: its parts, put together, are one, which runs in a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from guides import parts

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TEXT_AREA = "\x1b[15;3H"
"""Moves the cursor to where the text area of the page's program begins."""


class Terminal:
    """A program in a terminal of 80 by 24 characters."""

    def __init__(self, program: str, folder: Path) -> None:
        self._ours, theirs = pty.openpty()
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
        command = [sys.executable, "-W", "error", "-c", program]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self.shown = ""

    def until(self, text: str) -> None:
        """Read what it draws, until it has drawn this."""
        self._until(lambda: text in ESCAPES.sub("", self.shown), f"{text!r} was not drawn")

    def until_cursor_at(self, place: str) -> None:
        """Read what it draws, until a drawing leaves the cursor there: in the widget that keys go to."""
        self._until(lambda: self.shown.endswith(place), f"the cursor did not come to {place!r}")

    def _until(self, holds: Callable[[], bool], failure: str) -> None:
        ends = time.monotonic() + 30
        while not holds():
            ready, _, _ = select.select([self._ours], [], [], max(0.0, ends - time.monotonic()))
            more = b""
            with suppress(OSError):  # it has let go of its terminal
                more = os.read(self._ours, 1 << 16) if ready else b""
            assert more, f"{failure}, but:\n{ESCAPES.sub('', self.shown)}"
            self.shown += more.decode(errors="replace")

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self._ours, keys.encode())
        self.shown = ""

    def close(self, keys: str = "") -> None:
        """Send keys, and quit at once: it ends by itself, and says nothing of an error."""
        self.press(f"{keys}\x11")
        with suppress(OSError):  # it has let go of its terminal
            while more := os.read(self._ours, 1 << 16):
                self.shown += more.decode(errors="replace")
        os.close(self._ours)
        assert self.process.wait(timeout=30) == 0, self.shown


def test_the_program_of_the_page_runs_in_a_terminal_and_keeps_what_was_typed(tmp_path: Path) -> None:
    program = parts("textual.md")
    terminals: list[Terminal] = []
    try:
        terminals.append(first := Terminal(program, tmp_path))
        first.until("What is to be done?")
        first.press("Water the plants\r")
        first.until("Water the plants")
        first.press("\t")
        first.until_cursor_at(TEXT_AREA)  # keys before that would go into the input
        first.close("and the dusty shelf")
        terminals.append(again := Terminal(program, tmp_path))
        again.until("and the dusty shelf")
        again.until("Water the plants")
        again.close()
    finally:
        for terminal in terminals:
            terminal.process.kill()
            terminal.process.wait()
