"""Two devices that found, invite, join and write, of which one is killed after a certain commit of its store.

Usage: pair.py FOLDER VICTIM COMMIT. Says the ticket, then `end` when it was not killed. Run by `test_crash_points.py`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lichen import Engine, Text
from lichen.store.worker import Job, Worker
from lichen.testing.waiting import until

FOLDER, VICTIM, COMMIT = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])


def dying(engine: Engine) -> None:
    """From now on this process dies just after a certain commit of an engine's store."""
    worker: Worker = engine.store._writer
    transact, count = worker._transact, 0

    def count_and_die(jobs: Sequence[Job]) -> list[Any]:
        nonlocal count
        results = transact(jobs)
        count += 1
        if count == COMMIT:
            os.kill(os.getpid(), signal.SIGKILL)
        return results

    worker._transact = count_and_die  # type: ignore[method-assign]  # it is to die there


async def main() -> None:
    """Everything that two devices do with a space, once."""
    async with (
        Engine.open(f"sqlite:///{FOLDER}/alice.db") as alice,
        Engine.open(f"sqlite:///{FOLDER}/bob.db") as bob,
    ):
        dying(alice if VICTIM == "alice" else bob)
        address = await alice.listen("memory://pair")
        space = await alice.create_space("Family", member_name="Alice")
        note = await space.create({"body": Text("begun")})
        ticket = await space.invite(mode="auto", hints=[address])
        os.write(1, f"{ticket}\n".encode())
        bobs = await bob.join(ticket, name="Bob", timeout_s=20)
        copy = await bobs.document(note.id, wait_s=20)
        async with copy.change() as doc:
            doc["body"].insert(0, "bob ")
        await until(lambda: note.heads == copy.heads)
        async with note.change() as doc:
            doc["body"].insert(0, "alice ")
        await until(lambda: note.heads == copy.heads and bob.up_to_date)
    os.write(1, b"end\n")


asyncio.run(main())
