"""Examples that run in processes of their own, and do there what tests ask for.

A driver, `drive_tk.py`, `drive_qt.py` or `drive_textual.py`, starts the example and takes expressions on stdin.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lichen.blocking import Engine

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
PICTURES = os.environ.get("PICTURES", "")
"""The folder in this repository where pictures go; empty where none are wanted."""
ALONE = "Only you are in it so far. To join others, use their invitation."
QT_SAYS = "This plugin does not support propagateSizeHints()\n"


class Instance:
    """One run of an example."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        """The next that it prints."""
        assert self.process.stdout is not None
        while (line := self.process.stdout.readline()).startswith(("looking for", "waiting for")):
            pass  # a join that takes more than a second says so
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

    def close(self, code: int = 0, said: str = "") -> str:
        """Let it end, by closing its window: it does so by itself, and tells no error. What it prints still."""
        printed, errors = self.process.communicate(timeout=30)
        assert (self.process.returncode, errors.replace(QT_SAYS, "")) == (code, said)
        return printed

    def interrupt(self, code: int = 0, said: str = "") -> None:
        """As Ctrl-C does. Once its window stands, it ends as when that is closed."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.close(code, said)


@contextmanager
def running(driver: str, example: str, folder: Path) -> Iterator[Callable[..., Instance]]:
    """Gives what begins an instance in a folder, with arguments and environment; at the end none is left."""
    begun: list[Instance] = []

    def begin(*arguments: str, **environment: str) -> Instance:
        command = [sys.executable, "-W", "error", str(HERE / driver), str(EXAMPLES / example), *arguments]
        pipe, around = subprocess.PIPE, {**os.environ, **environment}
        process = subprocess.Popen(
            command, cwd=folder, env=around, stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1
        )
        begun.append(Instance(process))
        return begun[-1]

    try:
        yield begin
    finally:
        for instance in begun:
            instance.process.kill()
            instance.process.communicate()


def begin_another(store: Path, name: str) -> None:
    """A device that has joined others begins something of its own."""
    with Engine.open(f"sqlite:///{store}") as engine:
        engine.create_space(name, member_name="Ben")


def without_font(picture: str) -> str:
    """A picture of a terminal without the font that it would load from elsewhere."""
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL).replace("Fira Code,", "")


def is_short(name: str) -> bool:
    """Whether a file of the examples is one to begin with."""
    return 50 <= (EXAMPLES / name).read_text().count("\n") <= 150
