"""kill -9 of a device that types: what was acknowledged is in the note, and in change sets that others can apply."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lichen import Engine
from lichen.crypto.sealing import open_set
from lichen.store import change_sets, membership
from lichen.wire.changeset import ChangeSet
from lichen_crdt import Document
from sqlalchemy import Connection

TYPIST = Path(__file__).parent / "typist.py"
KILLS = int(os.environ.get("LICHEN_KILLS", "50"))
"""`LICHEN_KILLS` kills more or less often, `LICHEN_SEED` repeats the moments of one run."""


def waiting_typist(url: str) -> subprocess.Popen[bytes]:
    """A device that loads what it needs while something else goes on, and then waits to be let off."""
    return subprocess.Popen([sys.executable, str(TYPIST), url], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def run_until_killed(typist: subprocess.Popen[bytes], moment: random.Random) -> int:
    """Let a device off, kill it at a random moment, and return the last number that it acknowledged, 0 for none."""
    with typist:
        assert typist.stdin is not None
        assert typist.stdout is not None
        typist.stdin.write(b"\n")
        typist.stdin.flush()
        assert typist.stdout.readline() == b"opening\n"
        acknowledged = 0
        if moment.random() < 0.3:  # while it opens, makes or recovers the store
            until = time.monotonic() + moment.random() * 0.1
            while time.monotonic() < until:
                pass
        else:
            for _ in range(moment.randrange(1, 300)):
                acknowledged = int(typist.stdout.readline())
        typist.kill()
        rest = typist.stdout.read().split(b"\n")[:-1]
    return int(rest[-1]) if rest else acknowledged


def sets_of(conn: Connection, space: bytes, doc: bytes) -> tuple[list[ChangeSet], dict[bytes, bytes]]:
    numbers = [num for num, *_ in change_sets.scan(conn, space, 0)]
    found = [ChangeSet.decode(body) for body in change_sets.bodies(conn, numbers)]
    return [one for one in found if one.header.doc == doc], membership.load_epoch_keys(conn, space)


async def check(url: str, acknowledged: int) -> int:
    """Open the store as the next start would; returns the newest number."""
    async with Engine.open(url) as engine:
        if not engine.spaces or not await engine.spaces[0].documents():
            assert acknowledged == 0
            return 0
        space = engine.spaces[0]
        note = await space.document((await space.documents())[0].id)
        text = str(note.doc["body"])
        newest = text.count(".")
        assert text == "".join(f"{number}." for number in range(1, newest + 1))
        assert newest >= acknowledged
        await engine._documents.settle()
        sealed, keys = await asyncio.wrap_future(engine.store.read(lambda conn: sets_of(conn, space.id, note.id)))
        by_session: dict[bytes, list[int]] = {}
        other = Document()
        for change_set in sealed:
            by_session.setdefault(change_set.header.session, []).append(change_set.header.seq)
            other.apply_changes(open_set(change_set, keys[change_set.header.epoch]))
        assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_session.values())
        assert other.heads == note.heads
        assert str(other["body"]) == text
        return newest


@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_and_all_of_it_is_sealed_once(tmp_path: Path) -> None:
    seed = int(os.environ.get("LICHEN_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    moment = random.Random(seed)
    url = f"sqlite:///{tmp_path / 'notes.db'}"
    newest, following = 0, waiting_typist(url)
    try:
        for _ in range(KILLS):
            typist, following = following, waiting_typist(url)
            newest = asyncio.run(check(url, max(newest, run_until_killed(typist, moment))))
    finally:
        with following:
            following.kill()
    assert newest > 0
