"""The kanban board, as two people use it: in two windows, with keys, clicks and drops, and a picture for the docs."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lichen.testing.display import Display

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "examples" / "kanban.py"
DRIVER = Path(__file__).parent / "drive_qt.py"
PICTURES = os.environ.get("PICTURES", "")


class App:
    """One window of the example, in a process of its own."""

    def __init__(self, folder: Path, platform: str, *arguments: str) -> None:
        command = [sys.executable, "-W", "error", str(DRIVER), str(EXAMPLE), *arguments]
        shown = {**os.environ, "QT_QPA_PLATFORM": platform, "QT_LOGGING_RULES": "*.debug=false;qt.qpa.*=false"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            command, cwd=folder, env=shown, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1
        )

    def line(self) -> str:
        """The next that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return line.strip()

    def do(self, expression: str) -> Any:
        """What an expression gives in its window."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{expression}\n")
        return json.loads(self.line().removeprefix("= "))

    def until(self, expression: str, wanted: object) -> None:
        """Until an expression gives this."""
        ends = time.monotonic() + 20
        while (found := self.do(expression)) != wanted:
            assert time.monotonic() < ends, f"{found!r} is not {wanted!r}"

    def close(self) -> None:
        """Close its window: it ends by itself, and says nothing of an error."""
        _, errors = self.process.communicate(timeout=30)
        assert (self.process.returncode, errors.replace("This plugin does not support propagateSizeHints()\n", "")) == (
            0,
            "",
        )


STAGES = "[titles(find('QListView', stage)) for stage in range(3)]"
NOTES = "find('QPlainTextEdit').toPlainText()"
STATUS = "window.status.text()"


def test_two_people_keep_one_board(tmp_path: Path, display: Display) -> None:
    apps: list[App] = []
    try:
        apps.append(App(tmp_path, "xcb", "ann.db", "--name", "Ann", "--at", "ws://127.0.0.1:0"))
        apps.append(App(tmp_path, "xcb" if PICTURES else "offscreen", "ben.db", apps[0].line(), "--name", "Ben"))
        ann, ben = apps
        ann.until(STATUS, "Ann   ●   Ben here")
        ben.until(STATUS, "Ben   ●   Ann here")
        for app, top in zip(apps, (0, 400), strict=True):
            app.do(f"window.setGeometry(0, {top}, 1240, 400)")
        _use(ann, ben)
        if PICTURES:
            display.picture(TOP / PICTURES / "kanban.png")
        ann.close()
        ben.do("click(find('QListView', 0), 0)")
        ben.do("press(find('QListView', 0), 'Right')")
        ben.until(STAGES, [["Prune the apple tree"], ["Order seeds", "Water the beans"], ["Dig the pond", "Sweep"]])
        ben.process.send_signal(signal.SIGINT)
        assert ben.process.wait(30) == 0
        ben.close()
        again = App(tmp_path, "offscreen", "ben.db", "--name", "Ben")
        apps.append(again)
        again.until(STAGES, [["Prune the apple tree"], ["Order seeds", "Water the beans"], ["Dig the pond", "Sweep"]])
        again.close()
    finally:
        for app in apps:
            app.process.kill()
            app.process.communicate()


def _use(ann: App, ben: App) -> None:
    for app, cards in (
        (ann, ("Water the beans", "Sweep", "Order seeds")),
        (ben, ("Prune the apple tree", "Dig the pond")),
    ):
        for card in cards:
            app.do(f"type_in(find('QLineEdit'), {card!r})")
            app.do("press(find('QLineEdit'), 'Return')")
    every = ["Dig the pond", "Order seeds", "Prune the apple tree", "Sweep", "Water the beans"]
    for app in (ann, ben):
        app.until(STAGES, [every, [], []])
    ann.do("click(find('QListView', 0), 3)")
    ann.do("press(find('QListView', 0), 'Left', 'Right')")
    ann.until(STAGES, [[*every[:3], every[4]], ["Sweep"], []])
    ben.until(STAGES, [[*every[:3], every[4]], ["Sweep"], []])
    ben.do("drag(find('QListView', 1), 0, find('QListView', 2))")
    ben.do("drag(find('QListView', 0), 0, find('QListView', 2))")
    ann.do("drag(find('QListView', 0), titles(find('QListView', 0)).index('Water the beans'), find('QListView', 1))")
    for app in (ann, ben):
        app.until(STAGES, [["Order seeds", "Prune the apple tree"], ["Water the beans"], ["Dig the pond", "Sweep"]])
    for app in (ann, ben):
        app.do("click(find('QListView', 1), 0)")
    _write(ann, ben)


def _write(ann: App, ben: App) -> None:
    """Both write the notes of one card, one of them in the middle of what the other goes on with."""
    ann.do("type_in(find('QPlainTextEdit'), 'Each evening, 5 l.')")
    ben.until(NOTES, "Each evening, 5 l.")
    ben.do("press(find('QPlainTextEdit'), 'End')")
    ben.do("type_in(find('QPlainTextEdit'), '\\n\\nThe can is in the shed 🌱')")
    ann.do("press(find('QPlainTextEdit'), 'Home')")
    ann.do("type_in(find('QPlainTextEdit'), 'When dry: ')")
    both = "When dry: Each evening, 5 l.\n\nThe can is in the shed 🌱"
    for app in (ann, ben):
        app.until(NOTES, both)
    assert ann.do("find('QPlainTextEdit').textCursor().position()") == len("When dry: ")
    ben.do("press(find('QPlainTextEdit'), 'Ctrl+Z')")
    for app in (ann, ben):
        app.until(NOTES, "When dry: Each evening, 5 l.")
    ben.do("press(find('QPlainTextEdit'), 'Ctrl+Shift+Z')")
    for app in (ann, ben):
        app.until(NOTES, both)


def test_the_example_is_short_enough_to_begin_with() -> None:
    source = EXAMPLE.read_text()
    assert 50 <= source.count("\n") <= 150
    ast.parse(source)
