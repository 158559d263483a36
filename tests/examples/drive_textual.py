"""Runs an example that uses Textual, without a terminal, and does in it what comes on stdin: each line an expression.

Usage: drive_textual.py EXAMPLE ARGUMENTS. What an expression gives, awaited where that is to be done, is printed as
JSON, after "= ". In it there are `app`, `find(name)`, `press(name, *keys)`, `type_in(name, text)` and `picture(file)`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import runpy
import sys
from pathlib import Path
from typing import Any

from textual import events
from textual.app import App
from textual.pilot import Pilot

SIZE = (100, 24)


class Driver:
    """Keys for a program, and what it shows."""

    def __init__(self, app: App[Any], pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot
        self.names = {
            "app": app,
            "find": lambda name: app.query_one(f"#{name}"),
            "press": self.press,
            "type_in": self.type_in,
            "picture": lambda file: Path(file).write_text(app.export_screenshot(title=app.title)),
        }

    async def press(self, name: str, *keys: str) -> None:
        """Press keys in a widget."""
        self.app.query_one(f"#{name}").focus()
        await self.pilot.pause()
        await self.pilot.press(*keys)

    async def type_in(self, name: str, text: str) -> None:
        """Type, or paste what no key is for."""
        if text.isascii() and text.isalpha():
            await self.press(name, *text)
        else:
            await self.press(name)
            self.app.post_message(events.Paste(text))
            await self.pilot.pause()

    async def run(self) -> None:
        """Do what comes on stdin, until its end."""
        while line := await asyncio.to_thread(sys.stdin.readline):
            found = eval(line, self.names)
            result = await found if inspect.isawaitable(found) else found
            print("=", json.dumps(result), file=sys.__stdout__, flush=True)


def main() -> None:
    """Run the example with its arguments."""

    async def run_async(app: App[Any]) -> None:
        async with app.run_test(size=SIZE) as pilot:
            await Driver(app, pilot).run()

    App.run_async = run_async  # type: ignore[assignment, method-assign]
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
