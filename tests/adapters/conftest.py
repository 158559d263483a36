"""What tests of several toolkits share: this folder is on the path, and an engine with tasks, or a note, is there."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen import Role, Text
from lichen.blocking import Document, Engine, timeout
from lichen_adapters.orm.blocking import Sessions

sys.path.insert(0, str(Path(__file__).parent))

from tasks import Base, Task, write


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine for calls without an event loop, which wait for a bounded time."""
    with timeout(100), Engine.open(f"sqlite:///{tmp_path}/notes.db") as opened:
        yield opened


@pytest.fixture
def sessions(engine: Engine) -> Iterator[Sessions]:
    """Sessions of a space with five tasks."""
    engine.create_space("Work")
    with Sessions(engine, Base) as made:
        made.prepare()
        write(made, lambda _: [Task(title=title, rank=rank) for rank, title in enumerate("abcde")])
        yield made


@pytest.fixture
def note(engine: Engine) -> Document:
    """A note with a text of two lines."""
    return engine.create_space("Family").create({"body": Text("oat 😀 milk\nbread"), "n": 0})


@pytest.fixture
def readers_note(engine: Engine, tmp_path: Path) -> Iterator[Document]:
    """A note on the device of someone who may only read it."""
    space = engine.create_space("Family")
    made = space.create({"body": Text("milk")})
    engine.listen(f"memory://{tmp_path.name}")
    with Engine.open(f"sqlite:///{tmp_path}/reader.db") as reader:
        yield reader.join(space.invite(mode="auto", role=Role.READER)).document(made.id, wait_s=20)
