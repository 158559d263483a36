"""Tk on a display without a screen, and a window of its own for each test."""

from __future__ import annotations

import sys
import tkinter
from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen.testing.display import Display

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tk(display: Display) -> Iterator[tkinter.Tk]:
    """One for all tests: one that is dropped may be freed by another thread, which Tcl does not allow."""
    made = tkinter.Tk()
    yield made
    made.destroy()


@pytest.fixture
def root(tk: tkinter.Tk) -> Iterator[tkinter.Toplevel]:
    """A window of its own."""
    made = tkinter.Toplevel(tk)
    yield made
    made.update()
    made.destroy()
