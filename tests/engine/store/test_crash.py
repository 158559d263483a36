"""kill -9 at seeded random moments: what was acknowledged is there, whole and in order, and the store opens."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lichen.runtime.unlock import open_store
from lichen.store import documents
from sqlalchemy import Connection

WRITER = Path(__file__).parent / "writer.py"
DOC = b"d" * 16
KILLS = int(os.environ.get("LICHEN_KILLS", "10"))
"""`LICHEN_KILLS=50` kills more often, `LICHEN_SEED` repeats the moments of one run."""


def run_until_killed(url: str, durability: str, moment: random.Random) -> int:
    """Start a writer, kill it at a random moment, and return the last number that it acknowledged, 0 for none."""
    with subprocess.Popen([sys.executable, str(WRITER), url, durability], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"opening\n"
        acknowledged = 0
        if moment.random() < 0.3:  # while it opens, makes or recovers the store
            until = time.monotonic() + moment.random() * 0.05
            while time.monotonic() < until:
                pass
        else:
            for _ in range(moment.randrange(1, 3_000)):
                acknowledged = int(writer.stdout.readline())
        writer.kill()
        rest = writer.stdout.read().split(b"\n")[:-1]
    return int(rest[-1]) if rest else acknowledged


def state(conn: Connection) -> tuple[int, bytes | None, list[int]]:
    """The newest number by the title, the snapshot, and the numbers in the tail."""
    row = documents.get_document(conn, DOC)
    if row is None:
        return 0, None, []
    snapshot, tail = documents.load_tail(conn, DOC)
    return int(row.title or 0), snapshot, [int(change.split(b":")[0]) for change in tail]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("durability", ["process", "power"])
def test_nothing_acknowledged_is_lost_and_nothing_is_half_written(tmp_path: Path, durability: str) -> None:
    seed = int(os.environ.get("LICHEN_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    moment = random.Random(seed)
    url = f"sqlite:///{tmp_path / 'notes.db'}"
    newest = 0
    for _ in range(KILLS):
        newest = max(newest, run_until_killed(url, durability, moment))
        store = open_store(url, passphrase=None)
        try:
            title, snapshot, tail = store.read(state).result()
            folded = int(snapshot or 0)
            assert title >= newest
            assert tail == list(range(folded + 1, title + 1))
            assert store.read(lambda conn: conn.exec_driver_sql("PRAGMA integrity_check").scalar_one()).result() == "ok"
            assert store.read(lambda conn: conn.exec_driver_sql("PRAGMA cipher_integrity_check").all()).result() == []
            newest = title
        finally:
            store.close()
