"""The kanban board, as two people use it: in two windows, with keys, clicks and drops, and a picture for the docs."""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
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


STAGES = "[titles(find('Stage', stage)) for stage in range(3)]"
NOTES = "find('QPlainTextEdit').toPlainText()"
STATUS = "window.status.text()"
CHOSEN = "[[one.data() for one in shown(find('Stage', at)) if window.chosen.isSelected(one)] for at in range(3)]"
LONG = "Ask everybody on the street who has a wheelbarrow or two to spare on Saturday"


def test_two_people_keep_one_board(tmp_path: Path, display: Display) -> None:
    apps: list[App] = []

    def begin(*arguments: str, platform: str = "xcb" if PICTURES else "offscreen") -> App:
        apps.append(App(tmp_path, platform, *arguments))
        return apps[-1]

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    try:
        ann = begin("ann.db", "--name", "Ann", "--at", f"ws://127.0.0.1:{port}", platform="xcb")
        ticket = ann.line()
        ben = begin("ben.db", ticket, "--name", "Ben")
        ann.until(STATUS, "Ann   ●   Ben here")
        ben.until(STATUS, "Ben   ●   Ann here")
        for app, top in zip(apps, (0, 400), strict=True):
            app.do(f"window.setGeometry(0, {top}, 1240, 400)")
        _use(ann, ben)
        if PICTURES:
            display.picture(TOP / PICTURES / "kanban.png")
        _stay_chosen(ann, ben)
        ann.close()
        ben.do("click(find('Stage', 0), 0)")
        ben.do("press(find('Stage', 0), 'Right')")
        last = [["Prune the apple tree"], [LONG, "Water the beans"], ["Dig the pond", "Sweep"]]
        ben.until(STAGES, last)
        ben.process.send_signal(signal.SIGINT)
        assert ben.process.wait(30) == 0
        ben.close()
        with socket.create_server(("127.0.0.1", port)) as silent:
            silent.settimeout(30)
            cleo = begin("cleo.db", "--name", "Cleo", ticket)
            with silent.accept()[0]:  # it is joining
                cleo.process.send_signal(signal.SIGINT)
                assert cleo.process.wait(30) != 0
                assert "KeyboardInterrupt" in cleo.process.communicate()[1]
        again = begin("ben.db", "--name", "Ben")
        again.until(STAGES, last)
        again.close()
    finally:
        for app in apps:
            app.process.kill()
            app.process.communicate()


def _stay_chosen(ann: App, ben: App) -> None:
    """A card that is moved by another is still the one that one writes in, until it is off the board."""
    for app in (ann, ben):
        app.do("click(find('Stage', 0), 0)")
        assert app.do(CHOSEN) == [["Order seeds"], [], []]
    ben.do("type_in(find('QPlainTextEdit'), 'Leek')")
    ann.do("press(find('Stage', 0), 'Right', 'Right')")
    for app in (ann, ben):
        app.until(CHOSEN, [[], [], ["Order seeds"]])
        app.until(STAGES, [["Prune the apple tree"], ["Water the beans"], ["Dig the pond", "Order seeds", "Sweep"]])
    ben.do("type_in(find('QPlainTextEdit'), ' and kale')")
    for app in (ann, ben):
        app.until(NOTES, "Leek and kale")
    ann.do("press(find('Stage', 0), 'Right')")
    for app in (ann, ben):
        app.until(STAGES, [["Prune the apple tree"], ["Water the beans"], ["Dig the pond", "Sweep"]])
        assert app.do(CHOSEN) == [[], [], []]
        app.do("type_in(find('QPlainTextEdit'), 'x')")
        assert app.do(NOTES) == ""
    for title in ("", "  ", LONG):
        ben.do(f"type_in(find('QLineEdit'), {title!r})")
        ben.do("press(find('QLineEdit'), 'Return')")
    ben.until("titles(find('Stage'))", [LONG, "Prune the apple tree"])
    long, short = ben.do("[find('Stage').visualRect(index).height() for index in shown(find('Stage'))]")
    assert long > short, "it is shown in lines"
    assert not ben.do("find('Stage').horizontalScrollBar().isVisible()")


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
    ann.do("click(find('Stage', 0), 3)")
    ann.do("press(find('Stage', 0), 'Left', 'Right')")
    ann.until(STAGES, [[*every[:3], every[4]], ["Sweep"], []])
    ben.until(STAGES, [[*every[:3], every[4]], ["Sweep"], []])
    ben.do("drag(find('Stage', 1), 0, find('Stage', 2))")
    ben.do("drag(find('Stage', 0), 0, find('Stage', 2))")
    assert ben.do("find('Stage', 2).state().name") == "NoState"
    ann.do("drag(find('Stage', 0), titles(find('Stage', 0)).index('Water the beans'), find('Stage', 1))")
    for app in (ann, ben):
        app.until(STAGES, [["Order seeds", "Prune the apple tree"], ["Water the beans"], ["Dig the pond", "Sweep"]])
    for app in (ann, ben):
        app.do("click(find('Stage', 1), 0)")
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
