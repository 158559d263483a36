"""How long a window stalls while it merges what another device wrote: the longest gap between two beats of a timer.

Rows: {workload, library, n, median, p99, unit, limit}; the unit is milliseconds, one value a run: `median` is that of
the runs, `p99` the worst of them. `n` is the number of runs.

- gui-stall-qt-text, and so for tk and textual: 10,000 edits, each its own change, at random places of the text that is
  shown. They were made while the window's device was away, and come as fast as they are sent and taken.
- gui-stall-qt-rows, and so for the others: 10,000 rows, at random places of the list that is shown.
- gui-stall-qt-paste-10000, gui-stall-qt-undo-10000, and so for 65,000: so many characters in lines that the window's
  user pastes, and takes back with Ctrl-Z, without another device; library `qt` is an editor that holds no document.

`-steady`: the same in a program that calls `lichen.blocking.steady`.

The device that sends is a process of its own, which gives way to the window's where the system can do that: it stands
for another machine, which takes nothing of this one's.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from lichen import Text
from lichen.testing.display import Display
from lichen_adapters.orm import Sessions
from stall_models import Base, Line
from two_devices import first_device, process
from workloads_engine import row as measured

SCRIPTS = {"qt": "stall_window.py", "tk": "stall_window.py", "textual": "stall_terminal.py"}
COUNT, QUICK_COUNT = 10_000, 1_000
RUNS, QUICK_RUNS = 3, 1
READY_S = 600.0
HOW = {"": "as it is", "-steady": "steady"}
PASTED, QUICK_PASTED = (10_000, 65_000), (1_000,)
OWN = ("gui-stall-qt-paste", "gui-stall-qt-undo")


def rows(quick: bool, only: str | None = None) -> Iterator[dict[str, Any]]:
    """Every row; some minutes. Tk's need Xvfb, or a display of their own."""
    count, runs = (QUICK_COUNT, QUICK_RUNS) if quick else (COUNT, RUNS)
    for toolkit in SCRIPTS:
        for what in ("text", "rows"):
            for name, how in HOW.items():
                workload = f"gui-stall-{toolkit}-{what}{name}"
                if only is None or workload.startswith(only):
                    with _display(toolkit):
                        found = [_apart(toolkit, what, how, count) for _ in range(runs)]
                    times = [one["longest"] * 1e3 for one in found]
                    took = sorted(one["seconds"] for one in found)[len(found) // 2]
                    yield measured(workload, times, "ms", f"{count} in {took:.1f} s")
        if toolkit == "qt" and (only is None or "gui-stall-qt-".startswith(only) or only.startswith(OWN)):
            yield from _own_edits(QUICK_PASTED if quick else PASTED, runs)


def _own_edits(sizes: tuple[int, ...], runs: int) -> Iterator[dict[str, Any]]:
    for size in sizes:
        for name, how in (("", "unbound"), *HOW.items()):
            found = [_typed(size, how) for _ in range(runs)]
            for what in ("paste", "undo"):
                times = [one[what] * 1e3 for one in found]
                made = measured(f"gui-stall-qt-{what}-{size}{name}", times, "ms", None)
                yield {**made, "library": "qt"} if how == "unbound" else made


def _typed(size: int, how: str) -> dict[str, float]:
    script = str(Path(__file__).with_name("stall_typing.py"))
    found: dict[str, float] = json.loads(
        subprocess.check_output([sys.executable, script, str(size), how], timeout=READY_S)
    )
    return found


@contextmanager
def _display(toolkit: str) -> Iterator[None]:
    """A display for a toolkit that needs one, where there is none."""
    if toolkit != "tk" or "DISPLAY" in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="lichen-bench-") as name:
        shown = Display(Path(name))
        os.environ["DISPLAY"] = shown.name
        try:
            yield
        finally:
            del os.environ["DISPLAY"]
            shown.close()


def _apart(*arguments: Any) -> dict[str, Any]:
    """Measure in a process that is made for it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as processes:
        return processes.submit(_run, *arguments).result()


def _run(*arguments: Any) -> dict[str, Any]:
    return asyncio.run(_measure(*arguments))


def _give_way() -> None:
    if sys.platform == "linux":
        for thread in threading.enumerate():
            assert thread.native_id is not None
            os.setpriority(os.PRIO_PROCESS, thread.native_id, 19)


async def _measure(toolkit: str, what: str, how: str, count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lichen-bench-") as name:
        folder = Path(name)
        async with first_device(folder) as engine:
            listener = await engine.listen("ws://127.0.0.1:0")
            space = await engine.create_space("Bench", member_name="A")
            note = await space.create({"body": Text("word " * 200 + "\n")})
            sessions = Sessions(engine, Base)
            await asyncio.to_thread(sessions.prepare)
            ticket = await space.invite(mode="auto", expires=timedelta(hours=1), hints=[str(listener)])
            store = f"sqlite:///{folder / 'b.db'}"
            arguments = (toolkit, what, store, ticket, listener, note.id.hex(), str(count), how)
            async with process(str(Path(__file__).with_name(SCRIPTS[toolkit])), *arguments) as peer:
                assert (await peer.line(READY_S))["away"]
                rng = random.Random(1)
                if what == "text":
                    await _type(note, rng, count)
                else:
                    await asyncio.to_thread(_add, sessions, space, rng, count)
                await engine.settled()
                _give_way()
                assert peer.process.stdin is not None
                peer.process.stdin.write(b"\n")
                found = await peer.line(READY_S)
            sessions.close()
    return found


async def _type(note: Any, rng: random.Random, count: int) -> None:
    length = len(note.doc["body"])
    for number in range(count):
        with note.change() as doc:
            doc["body"].insert(rng.randrange(length + number), rng.choice("abc \n"))
        if number % 64 == 0:
            await asyncio.sleep(0)
            await note.room(1024 * 1024)


def _add(sessions: Sessions, space: Any, rng: random.Random, count: int) -> None:
    for start in range(0, count, 100):
        with sessions.begin(space) as session:
            session.add_all(
                Line(text=f"row {number}", place=rng.randrange(1 << 30)) for number in range(start, start + 100)
            )
