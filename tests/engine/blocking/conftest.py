from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from lichen.blocking import Engine

Open = Callable[..., Engine]


@pytest.fixture
def open_engine(tmp_path: Path) -> Iterator[Open]:
    """Opens engines, each with a store of its own; afterwards nothing of them is left."""
    before = {*threading.enumerate()}
    with ExitStack() as stack:

        def open_one(name: str = "device") -> Engine:
            return stack.enter_context(Engine.open(f"sqlite:///{tmp_path}/{name}.db"))

        yield open_one
    assert {*threading.enumerate()} <= before
