"""A script that forks with an engine open, and ends both processes in the ordinary way. Run by `test_endings.py`."""

from __future__ import annotations

import os
import sys

from lichen.blocking import Engine
from lichen.errors import EngineMisuse


def main(folder: str) -> None:
    """Say what the child may and may not do, and what is in the parent's store after it."""
    engine = Engine.open(f"sqlite:///{folder}/parent.db")
    note = engine.create_space("Family").create({"n": 1})
    child = os.fork()
    if child == 0:
        try:
            print(len(engine.spaces))
        except EngineMisuse as error:
            print(type(error).__name__)
        with Engine.open(f"sqlite:///{folder}/child.db") as own:
            print("child", own.create_space("Own").create({"n": 1}).doc["n"])
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with note.change() as doc:
        doc["n"] = 2
    engine.close()
    with Engine.open(f"sqlite:///{folder}/parent.db") as again:
        print("parent", again.document(note.id).doc["n"])
