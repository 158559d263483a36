"""Programs whose user types numbers, ended in several ways: what they were told is on disk is there.

Such a program is started with URL END, and says on stdout each number that is on disk; with an END it ends after 50.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from lichen.blocking import Engine

LAST = 50


def begin(program: Path, url: str, end: str = "") -> subprocess.Popen[str]:
    """Start one."""
    command = [sys.executable, "-W", "error", "-u", str(program), url, end]
    around = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_LOGGING_RULES": "*=false"}
    around["PYTHONPATH"] = str(Path(__file__).parent)
    return subprocess.Popen(command, env=around, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def numbers_in(url: str) -> list[int]:
    """What the text holds; every number up to the last, and each once."""
    with Engine.open(url, create=False) as engine:
        space = engine.spaces[0]
        found = next(
            [int(number) for number in str(doc["body"]).split()]
            for info in space.documents()
            if "body" in (doc := space.document(info.id).doc)
        )
    assert found == list(range(1, len(found) + 1))
    return found


def leaves_everything(program: Path, folder: Path, end: str, code: int, says: str) -> None:
    """It ends by itself, with this code and an error that says this, and everything is in the file."""
    url = f"sqlite:///{folder}/notes.db"
    with begin(program, url, end) as running:
        try:
            told, errors = running.communicate(timeout=60)
        finally:
            running.kill()
    assert running.returncode == code, errors
    assert (says in errors) if says else (errors == "")
    assert told.split()[-1] == str(LAST)
    assert not (folder / "notes.db-wal").exists(), "the store was closed as it should be"
    assert numbers_in(url)[-1] == LAST


def loses_nothing(program: Path, folder: Path, how: signal.Signals, code: int | None) -> None:
    """Stopped at some moment by a signal, it ends with this code, in silence, and nothing that it was told is lost.

    Without a code it dies where it is.
    """
    seed = int(os.environ.get("LICHEN_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    url = f"sqlite:///{folder}/notes.db"
    with begin(program, url) as running:
        try:
            assert running.stdout is not None
            assert running.stderr is not None
            told = 0
            for _ in range(random.Random(seed).randrange(1, 80)):
                told = int(running.stdout.readline())
            running.send_signal(how)
            rest, errors = running.stdout.read(), running.stderr.read()  # `communicate` passes over lines read ahead
            running.wait(timeout=60)
        finally:
            running.kill()
    told = int(rest.split()[-1]) if rest else told
    if code is not None:
        assert (running.returncode, errors) == (code, "")
        assert not (folder / "notes.db-wal").exists(), "the store was closed as it should be"
    assert told <= numbers_in(url)[-1] <= told + 1
