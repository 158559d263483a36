"""A device that types numbers into one note without end, and says on stdout what is on disk. Killed by `test_kill.py`.

Usage: typist.py URL. It begins when it reads a line. The note is made by the first run.
"""

from __future__ import annotations

import asyncio
import os
import sys

from lichen import Engine, Text
from lichen.config import Limits

LIMITS = Limits(fold_changes=100)


async def main() -> None:
    """Go on after the newest number."""
    sys.stdin.readline()
    os.write(1, b"opening\n")
    async with Engine.open(sys.argv[1], limits=LIMITS) as engine:
        space = engine.spaces[0] if engine.spaces else await engine.create_space("Family")
        listed = await space.documents()
        if listed:
            note = await space.document(listed[0].id)
        else:
            note = await space.create({"body": Text("")})
        number = str(note.doc["body"]).count(".")
        while True:
            number += 1
            async with note.change() as doc:
                doc["body"].insert(len(doc["body"]), f"{number}.")
            os.write(1, b"%d\n" % number)


asyncio.run(main())
