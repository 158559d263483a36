"""The page on Textual programs is real: its parts, put together, are one, which runs in a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from guides import parts


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
        while text not in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown):
            self.shown += os.read(self._ours, 1 << 16).decode(errors="replace")

    def press(self, keys: str) -> None:
        """Send keys."""
        os.write(self._ours, keys.encode())
        self.shown = ""

    def close(self) -> None:
        """Quit: it ends by itself, and says nothing of an error."""
        self.press("\x11")
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
        first.until("palette")  # the footer, for the text area
        first.press("\x1b[200~and the dusty shelf\x1b[201~")  # pasted: keys that are on their way when it ends are lost
        first.until("and the dusty shelf")
        first.close()
        terminals.append(again := Terminal(program, tmp_path))
        again.until("and the dusty shelf")
        again.until("Water the plants")
        again.close()
    finally:
        for terminal in terminals:
            terminal.process.kill()
            terminal.process.wait()
