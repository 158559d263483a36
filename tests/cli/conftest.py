from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from lichen import Engine, Text
from lichen.crypto import passphrase


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a store, a space and a document. Its key file asks for as little work as one may."""
    folder = tmp_path_factory.mktemp("made")

    async def make() -> None:
        async with Engine.open(f"sqlite:///{folder}/a.db", passphrase="right") as engine:
            space = await engine.create_space("Family")
            note = await space.create({"title": Text("Plans"), "body": Text("eggs")})
            await note.settled()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(passphrase, "MEMORY_KIB", 8)
        patched.setattr(passphrase, "PASSES", 1)
        asyncio.run(make())
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of that folder."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path
