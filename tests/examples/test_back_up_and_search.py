"""The script that backs up and searches, as two people use it from their command lines."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

from examples_running import ALONE, EXAMPLES, is_short

COMMAND = (sys.executable, "-u", "-W", "error", str(EXAMPLES / "back_up_and_search.py"))


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    """What it prints."""
    ran = subprocess.run([*COMMAND, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == code, ran.stderr
    return ran.stdout if not code else ran.stderr


def test_two_people_share_notes_back_them_up_and_find_them(tmp_path: Path) -> None:
    run(tmp_path, "ann.db", "write", "Oat milk", "The market has it until noon.")
    said = run(tmp_path, "ben.db", "write", "My mill", "It was begun before he joined.")
    assert said == f"written into Notes, your own\n{ALONE}\n"
    share = [*COMMAND, "ann.db", "share", "ws://127.0.0.1:0"]
    with subprocess.Popen(share, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as sharing:
        try:
            assert sharing.stdout is not None
            joined = run(tmp_path, "ben.db", "join", sharing.stdout.readline().strip())
            assert joined.endswith("1 note is in Notes\nAlso on this device: Notes, your own\n")
            run(tmp_path, "ben.db", "write", "Mills", "Ours closes in May 🌾")
            run(tmp_path, "ben.db", "join")
            sharing.send_signal(signal.SIGINT)
            _, errors = sharing.communicate(timeout=30)
        except BaseException:
            sharing.kill()
            raise
    assert (sharing.returncode, errors) == (0, "")
    assert run(tmp_path, "ben.db", "find", "was", "--own") == "My mill: It «was» begun before he joined.\n"
    found = ["Mills: «Mills»", "Oat milk: Oat «milk»"]
    assert sorted(run(tmp_path, "ben.db", "find", "mil").splitlines()) == found
    assert run(tmp_path, "ann.db", "find", "closes may") == "Mills: Ours «closes» in «May» 🌾\n"
    said = run(tmp_path, "ben.db", "back-up", "backups")
    (copy,) = re.fullmatch(r"3 notes are in (backups/ben .*/ben\.db)\n", said).groups()  # type: ignore[union-attr]  # else it fails
    (tmp_path / "ben.db").unlink()
    assert run(tmp_path, copy, "find", "noon") == "Oat milk: The market has it until «noon».\n"


def test_wrong_use_is_told_in_words(tmp_path: Path) -> None:
    assert "missing a required argument: 'body'" in run(tmp_path, "ann.db", "write", "Bread", code=2)
    assert not (tmp_path / "ann.db").exists()


def test_the_example_is_short_enough_to_begin_with() -> None:
    assert is_short("back_up_and_search.py")
