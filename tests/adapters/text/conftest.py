"""What the tests of texts in widgets share."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lichen import Role, Text
from lichen.blocking import Document, Engine, timeout

sys.path.insert(0, str(Path(__file__).parent))

from text_editor import Open


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Open]:
    """One note on two devices."""
    with ExitStack() as stack:

        def open_them(role: Role = Role.WRITER, body: str = "milk") -> tuple[Document, Document]:
            ann, bob = (stack.enter_context(Engine.open(f"sqlite:///{tmp_path}/{who}.db")) for who in ("ann", "bob"))
            ann.listen(f"memory://{tmp_path.name}")
            space = ann.create_space("Family")
            note = space.create({"body": Text(body), "title": "Plans"})
            family = bob.join(space.invite(mode="auto", role=role))
            return note, family.document(note.id, wait_s=20)

        with timeout(100):
            yield open_them
