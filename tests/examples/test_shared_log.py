"""The shared log, as two people use it: in two terminals, with keys, and a picture of it for the docs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "examples" / "shared_log.py"
DRIVER = Path(__file__).parent / "drive_textual.py"
PICTURES = os.environ.get("PICTURES", "")


class Terminal:
    """One run of the example, in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-W", "error", str(DRIVER), str(EXAMPLE), *arguments]
        pipe = subprocess.PIPE
        homes = {**os.environ, "XDG_DATA_HOME": str(folder)}
        self.process = subprocess.Popen(
            command, cwd=folder, env=homes, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1
        )

    def line(self) -> str:
        """The next that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return line.strip()

    def do(self, expression: str) -> Any:
        """What an expression gives in it."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{expression}\n")
        return json.loads(self.line().removeprefix("= "))

    def until(self, expression: str, wanted: object) -> None:
        """Until an expression gives this."""
        ends = time.monotonic() + 20
        while (found := self.do(expression)) != wanted:
            assert time.monotonic() < ends, f"{found!r} is not {wanted!r}"

    def close(self) -> None:
        """Quit: it ends by itself, and says nothing of an error."""
        _, errors = self.process.communicate(timeout=30)
        assert (self.process.returncode, errors) == (0, "")


ENTRIES = "[f'{row.who}{\" *\" if row.starred else \"\"}: {row.what}' for row in find('entries').rows]"
PINNED = "find('pinned').text"


def test_a_crew_keeps_one_log(tmp_path: Path) -> None:
    terminals: list[Terminal] = []
    try:
        ann, ben = _begin(terminals, tmp_path)
        _log(ann, ben)
        _pin(ann, ben)
        _picture(ann, tmp_path)
        ann.close()
        assert {file.name for file in (tmp_path / "Shared log").iterdir()} == {"store.db", "store.db.key"}
        ben.do("type_in('what', 'Alone')")
        ben.do("press('what', 'enter')")
        ben.close()
        again = Terminal(tmp_path, "--store", "ben.db", "--name", "Ben")
        terminals.append(again)
        again.until(f"{ENTRIES}[-1:]", ["Ben: Alone"])
        assert again.do(PINNED).startswith("Ann: bridge")
        again.close()
    finally:
        for terminal in terminals:
            terminal.process.kill()
            terminal.process.communicate()


def _begin(terminals: list[Terminal], folder: Path) -> tuple[Terminal, Terminal]:
    terminals.append(Terminal(folder, "--name", "Ann", "--at", "ws://127.0.0.1:0"))
    ticket = terminals[0].line()
    terminals.append(Terminal(folder, "--store", "ben.db", ticket, "--name", "Ben"))
    ann, ben = terminals
    ann.until("str(find('there').content)", "Ann  ●  Ben here")
    ben.until("str(find('there').content)", "Ben  ●  Ann here")
    return ann, ben


def _log(ann: Terminal, ben: Terminal) -> None:
    said = [
        (ann, "Ann: Left the harbour, wind south-west 4"),
        (ben, "Ben: Fixed the starboard lamp 💡"),
        (ann, "Ann: Fog, sounding the horn every two minutes"),
        (ben, "Ben: Fog is gone"),
        (ben, "Ben: oops"),
    ]
    for number, (who, entry) in enumerate(said, 1):
        who.do(f"type_in('what', {entry.partition(': ')[2]!r})")
        who.do("press('what', 'enter')")
        for terminal in (ann, ben):
            terminal.until(ENTRIES, [entry for _, entry in said[:number]])
    ben.do("press('entries', 'end')")
    ann.do("press('entries', 'home', 'down', 'down', 'enter')")
    starred = [entry.replace("Ann: Fog", "Ann *: Fog") for _, entry in said]
    for terminal in (ann, ben):
        terminal.until(ENTRIES, starred)
    ben.do("press('entries', 'delete')")
    for terminal in (ann, ben):
        terminal.until(ENTRIES, starred[:-1])
    assert ann.do("find('entries').highlighted") == 2


def _pin(ann: Terminal, ben: Terminal) -> None:
    """Both write the pinned text, one of them in the middle of what the other goes on with."""
    ann.do("type_in('pinned', 'Ann: bridge until 02:00\\n')")
    ben.until(PINNED, "Ann: bridge until 02:00\n")
    ben.do("press('pinned', 'down', 'end')")
    ben.do("type_in('pinned', 'Ben: engine, then tea 🫖')")
    ann.until(PINNED, "Ann: bridge until 02:00\nBen: engine, then tea 🫖")
    ann.do("press('pinned', 'up', 'home', *['right'] * 11)")
    ann.do("type_in('pinned', ' and lookout')")
    both = "Ann: bridge and lookout until 02:00\nBen: engine, then tea 🫖"
    for terminal in (ann, ben):
        terminal.until(PINNED, both)
    assert ann.do("find('pinned').cursor_location") == [0, 23]
    ben.do("press('pinned', 'ctrl+z')")
    ann.until(PINNED, "Ann: bridge and lookout until 02:00\n")
    ben.do("press('pinned', 'ctrl+y')")
    for terminal in (ann, ben):
        terminal.until(PINNED, both)


def _picture(ann: Terminal, folder: Path) -> None:
    ann.do("press('what')")
    ann.do(f"picture({str(folder / 'shared-log.svg')!r})")
    picture = (folder / "shared-log.svg").read_text()
    assert "Fixed&#160;the&#160;starboard" in picture
    if PICTURES:  # without the font that it would load from elsewhere
        picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL).replace("Fira Code,", "")
        (TOP / PICTURES / "shared-log.svg").write_text(picture)


def test_the_example_is_short_enough_to_begin_with() -> None:
    source = EXAMPLE.read_text()
    assert 50 <= source.count("\n") <= 150
    ast.parse(source)
