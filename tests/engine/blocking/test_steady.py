"""What `steady` sets, in a process of its own, since it holds for all of one."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import gc, os, sys, threading
from lichen import turns
from lichen.blocking import Engine, steady

with Engine.open(sys.argv[1]) as engine:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    idle = threading.Thread(target=(end := threading.Event()).wait, daemon=True)
    idle.start()
    os.setpriority(os.PRIO_PROCESS, idle.native_id, 19)
    steady()
    steady()
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before
    others = [one for one in threading.enumerate() if one not in (idle, threading.current_thread())]
    assert {os.getpriority(os.PRIO_PROCESS, one.native_id) for one in others} == {before + 5}, others
    assert os.getpriority(os.PRIO_PROCESS, idle.native_id) == 19, "it gave way more before"
    end.set()
    engine.create_space("Family").create({"title": "Notes"})
    assert turns._turns._taken
    assert gc.get_freeze_count() > 10_000 and sys.getswitchinterval() < 0.001
"""


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
def test_other_threads_give_way_and_the_collector_leaves_what_is_there_alone(tmp_path: object) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, f"sqlite:///{tmp_path}/ann.db"], check=True, timeout=60)
