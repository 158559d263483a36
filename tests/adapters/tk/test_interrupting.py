"""Ctrl-C in a Tk program closes its window, wherever it comes."""

from __future__ import annotations

import subprocess
import sys

import pytest
from lichen.testing.display import Display

PROGRAM = """
import signal, tkinter
from lichen_adapters.tk import quit_on_interrupt

def interrupted():
    signal.raise_signal(signal.SIGINT)
    stood.append(root.winfo_exists())

before, stood, root = signal.getsignal(signal.SIGINT), [], tkinter.Tk()
quit_on_interrupt(root)
{when}
root.mainloop()
assert stood == [1], "what was under way goes on to its end"
assert signal.getsignal(signal.SIGINT) is before
"""


@pytest.mark.parametrize("when", ["root.after(0, interrupted)", "interrupted()"], ids=["in a callback", "early"])
def test_ctrl_c_closes_the_window(display: Display, when: str) -> None:
    assert display.name
    command = [sys.executable, "-W", "error", "-c", PROGRAM.format(when=when)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
