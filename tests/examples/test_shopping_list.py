"""The shopping list, as two people use it: in two windows, with keys and clicks, and a picture of it for the docs."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lichen.testing.display import Display

TOP = Path(__file__).parents[2]
EXAMPLE = TOP / "examples" / "shopping_list.py"
DRIVER = Path(__file__).parent / "drive_tk.py"
PICTURES = os.environ.get("PICTURES", "")


class App:
    """One window of the example, in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-W", "error", str(DRIVER), str(EXAMPLE), *arguments]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1)

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
        assert (self.process.returncode, errors) == (0, "")


ITEMS = "[find('items').item(one, 'text') for one in find('items').get_children()]"
COUNTS = "[find('items').set(one, 'count') for one in find('items').get_children()]"
NOTES = "find('notes').get('1.0', 'end-1c')"


def test_two_people_keep_one_list(tmp_path: Path, display: Display) -> None:
    apps: list[App] = []
    try:
        ann, ben = _begin(apps, tmp_path)
        _use(ann, ben)
        if PICTURES:
            display.picture(TOP / PICTURES / "shopping-list.png", height=420)
        ann.close()
        ben.do("click('items', 0)")
        ben.close()
        again = App(tmp_path, "ben.db", "--name", "Ben")
        apps.append(again)
        again.until(ITEMS, [" ☐   Oat milk", " ☐   Tomatoes", " ☑   Bread", " ☑   Coffee"])
        again.close()
    finally:
        for app in apps:
            app.process.kill()
            app.process.communicate()


def _begin(apps: list[App], folder: Path) -> tuple[App, App]:
    apps.append(App(folder, "ann.db", "--name", "Ann", "--at", "ws://127.0.0.1:0"))
    ticket = apps[0].line()
    apps.append(App(folder, "ben.db", ticket, "--name", "Ben"))
    for app, place in zip(apps, ("600x400+10+10", "600x400+630+10"), strict=True):
        app.do(f"root.geometry('{place}')")
    ann, ben = apps
    ann.until("find('status')['text']", "Ann   ●   Ben here")
    ben.until("find('status')['text']", "Ben   ●   Ann here")
    return ann, ben


def _use(ann: App, ben: App) -> None:
    for app, items in ((ann, ("Oat milk", "Bread", "Tomatoes")), (ben, ("Coffee", "Candles"))):
        for item in items:
            app.do(f"type_in('what', {item!r})")
            app.do("press('what', '<Return>')")
    for app in (ann, ben):
        app.until(ITEMS, [f" ☐   {item}" for item in ("Bread", "Candles", "Coffee", "Oat milk", "Tomatoes")])
    ann.do("click('items', 4)")
    ann.until("find('items').item(find('items').selection()[0], 'text')", " ☑   Tomatoes")
    ann.do("click('items', 4)")
    ann.until("find('items').item(find('items').selection()[0], 'text')", " ☐   Tomatoes")
    ben.until(ITEMS, [f" ☐   {item}" for item in ("Bread", "Candles", "Coffee", "Oat milk", "Tomatoes")])
    ann.do("press('items', '<plus>', '<plus>', '<plus>')")
    ben.do("find('items').selection_set(find('items').get_children()[4])")
    ben.do("press('items', '<plus>', '<minus>', '<plus>')")
    ben.do("find('items').selection_set(find('items').get_children()[1])")
    ben.do("press('items', '<Delete>')")
    ann.until(COUNTS, ["", "", "", "× 5"])
    ann.do("click('items', 0)")
    for app in (ann, ben):
        app.until(ITEMS, [" ☐   Coffee", " ☐   Oat milk", " ☐   Tomatoes", " ☑   Bread"])
        app.until(COUNTS, ["", "", "× 5", ""])
    _write(ann, ben)


def _write(ann: App, ben: App) -> None:
    """Both write the notes, one of them in the middle of what the other goes on with."""
    ann.do("type_in('notes', 'Dinner for six on Friday.')")
    ben.until(NOTES, "Dinner for six on Friday.")
    ben.do("find('notes').mark_set('insert', 'end')")
    ben.do("type_in('notes', '\\n\\nThe market closes at noon 🍅')")
    ann.do("find('notes').mark_set('insert', '1.14')")
    ann.do("type_in('notes', ' people')")
    for app in (ann, ben):
        app.until(NOTES, "Dinner for six people on Friday.\n\nThe market closes at noon 🍅")
    assert ann.do("find('notes').index('insert')") == "1.21"
    ben.do("press('notes', '<<Undo>>')")
    for app in (ann, ben):
        app.until(NOTES, "Dinner for six people on Friday.")
    ben.do("press('notes', '<<Redo>>')")
    for app in (ann, ben):
        app.until(NOTES, "Dinner for six people on Friday.\n\nThe market closes at noon 🍅")


def test_the_example_is_short_enough_to_begin_with() -> None:
    source = EXAMPLE.read_text()
    assert 50 <= source.count("\n") <= 150
    ast.parse(source)
