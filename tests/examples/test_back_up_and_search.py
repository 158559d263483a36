"""The script that backs up and searches, as two people use it from their command lines."""

from __future__ import annotations

import io
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from examples_running import ALONE, EXAMPLES, PICTURES, is_short, without_font
from rich.console import Console
from rich.text import Text

COMMAND = (sys.executable, "-u", "-W", "error", str(EXAMPLES / "back_up_and_search.py"))


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """What it prints."""
    ran = subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == code, ran.stderr
    return ran.stdout if not code else ran.stderr


class Terminal:
    """Command lines and what they print, also as a picture."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._console = Console(file=io.StringIO(), record=True, width=100)

    def run(self, *arguments: str) -> str:
        """What it prints."""
        return self.add(run(self._folder, *arguments), *arguments)

    def add(self, said: str, *arguments: str) -> str:
        """Show what was printed; an invitation by its beginning."""
        typed = f"$ python examples/back_up_and_search.py {shlex.join(arguments)}"
        for line, style in ((typed, "bold"), (f"{said.strip()}\n", "")):
            self._console.print(Text(re.sub("(lichen1.{5})[a-z0-9]+", r"\1…", line), style))
        return said

    def picture(self, file: Path) -> None:
        """Write what is shown, as SVG."""
        title = "Notes from the command line"
        file.write_text(without_font(self._console.export_svg(title=title, unique_id="notes")))


def test_two_people_share_notes_back_them_up_and_find_them(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.run("ann.db", "write", "Oat milk", "The market has it until noon.")
    said = run(tmp_path, "ben.db", "write", "My mill", "It was begun before he joined.")
    assert said == f"written into Notes, your own\n{ALONE}\n"
    share = [*COMMAND, "ann.db", "share", "ws://127.0.0.1:0"]
    with subprocess.Popen(share, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sharing:
        try:
            assert sharing.stdout is not None
            ticket = terminal.add(sharing.stdout.readline().strip(), "ann.db", "share")
            joined = terminal.run("ben.db", "join", ticket)
            assert joined.endswith("1 note is in Notes\nAlso on this device: Notes, your own\n")
            run(tmp_path, "ben.db", "write", "Mills", "Ours closes in May 🌾")
            run(tmp_path, "ben.db", "join")
            sharing.send_signal(signal.SIGINT)
            _, errors = sharing.communicate(timeout=30)
        except BaseException:
            sharing.kill()
            raise
    assert (sharing.returncode, errors) == (0, "")
    assert run(tmp_path, "ben.db", "find", "was", "--own") == "My mill: It «was» begun before he joined.\n"
    found = ["Mills: «Mills»", "Oat milk: Oat «milk»"]
    assert sorted(terminal.run("ben.db", "find", "mil").splitlines()) == found
    assert terminal.run("ann.db", "find", "closes may") == "Mills: Ours «closes» in «May» 🌾\n"
    said = terminal.run("ben.db", "back-up", "backups")
    (copy,) = re.fullmatch(r"3 notes are in (backups/ben .*/ben\.db)\n", said).groups()  # type: ignore[union-attr]  # else it fails
    (tmp_path / "ben.db").unlink()
    assert terminal.run(copy, "find", "noon") == "Oat milk: The market has it until «noon».\n"
    if PICTURES:
        terminal.picture(EXAMPLES.parent / PICTURES / "back-up-and-search.svg")


def test_wrong_use_is_told_in_words(tmp_path: Path) -> None:
    assert "missing a required argument: 'body'" in run(tmp_path, "ann.db", "write", "Bread", code=2)
    assert not (tmp_path / "ann.db").exists()


def test_the_example_is_short_enough_to_begin_with() -> None:
    assert is_short("back_up_and_search.py")
