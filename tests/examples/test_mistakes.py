"""A person's mistake ends an example with one line that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from examples_running import EXAMPLES, QT_SAYS
from lichen.blocking import Engine
from lichen.testing.display import Display

BAD_TICKET = "lichen1nonsense"


@pytest.mark.parametrize(
    ("example", "arguments", "said"),
    [
        ("shopping_list.py", ("ann.db", BAD_TICKET), "ticket"),
        ("shopping_list.py", ("ann.db", "USED"), "used already"),
        ("shopping_list.py", ("USED",), "an invitation was given where a store is named"),
        ("kanban.py", ("ann.db", BAD_TICKET), "ticket"),
        ("kanban.py", ("ann.db", "--at", "nonsense"), "nonsense"),
        ("kanban.py", ("locked.db",), "passphrase"),
        ("shared_log.py", ("ann.db", BAD_TICKET), "ticket"),
        ("shared_log.py", ("held.db",), "is in use"),
        ("shared_log.py", ("ann.db", "--at", "BUSY"), "cannot listen at"),
        ("bookmarks.py", ("ann.db", BAD_TICKET, "--port", "0"), "ticket"),
        ("bookmarks.py", ("held.db", "--port", "0"), "is in use"),
        ("back_up_and_search.py", ("ann.db", "find", "milk"), "there is no store ann.db yet: `write`"),
        ("back_up_and_search.py", ("ann.db", "join", BAD_TICKET), "ticket"),
        ("back_up_and_search.py", ("ben.db", "back-up", "ben.db"), "choose another folder"),
    ],
)
def test_it_is_told_in_a_line(
    example: str, arguments: tuple[str, ...], said: str, tmp_path: Path, display: Display
) -> None:
    assert display.name
    around = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    with Engine.open(f"sqlite:///{tmp_path / 'locked.db'}", passphrase="of Ann's"):
        pass
    with Engine.open(f"sqlite:///{tmp_path / 'held.db'}") as engine:
        space, busy = engine.create_space("Shopping"), engine.listen("ws://127.0.0.1:0")
        used = space.invite(mode="auto")
        with Engine.open(f"sqlite:///{tmp_path / 'ben.db'}") as ben:
            ben.join(used)
        given = [{"USED": used, "BUSY": busy}.get(argument, argument) for argument in arguments]
        command = [sys.executable, "-W", "error", str(EXAMPLES / example), *given]
        ran = subprocess.run(command, cwd=tmp_path, env=around, capture_output=True, text=True, timeout=60, check=False)
    errors = ran.stderr.replace(QT_SAYS, "")
    assert (ran.returncode, errors.count("\n")) == (1, 1), errors
    assert said in errors
    assert BAD_TICKET not in arguments or not (tmp_path / "ann.db").exists()
