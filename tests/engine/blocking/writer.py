"""A script that counts in one note, and says on stdout what is on disk. Ended by `test_endings.py` in several ways.

Usage: writer.py URL END. The note is made by the first run.
"""

from __future__ import annotations

import os
import sys
import threading

from lichen.blocking import Engine, Inbox


def main(url: str, end: str) -> None:
    """Go on after the newest number; `end` says how the script ends after a hundred more, if nobody ends it before."""
    engine = Engine.open(url)
    space = engine.spaces[0] if engine.spaces else engine.create_space("Family")
    listed = space.documents()
    note = space.document(listed[0].id) if listed else space.create({"n": 0})
    inbox = Inbox()
    note.events().call(lambda _: None, inbox)
    for _ in range(100 if end else sys.maxsize):
        with note.change() as doc:
            number = doc["n"] + 1
            doc["n"] = number
        os.write(1, b"%d\n" % number)
        inbox.run()
    ENDS[end](engine, note)


def wait_in_a_thread(engine: Engine, _note: object) -> None:
    """The main thread ends while another waits for what never comes."""
    threading.Thread(target=lambda: list(engine.events())).start()


def raise_in_a_callback(_engine: object, note: object) -> None:
    """A toolkit's loop that lets errors of callbacks through."""
    inbox = Inbox()
    inbox(lambda: 1 // 0)
    inbox.run()


def leave_a_block_open(_engine: object, note: object) -> None:
    """The interpreter ends within a block."""
    block = note.change()  # type: ignore[attr-defined]  # a note
    block.__enter__()["n"] = -1
    sys.exit(3)


ENDS = {
    "falls off its end": lambda _engine, _note: None,
    "exits": lambda _engine, _note: sys.exit(3),
    "closes": lambda engine, _note: engine.close(),
    "waits in a thread": wait_in_a_thread,
    "raises in a callback": raise_in_a_callback,
    "leaves a block open": leave_a_block_open,
}

if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
