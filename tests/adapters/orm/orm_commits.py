"""Commits of a device, and commits taken back."""

from __future__ import annotations

from collections.abc import Callable

from lichen_adapters.orm import Commit, last_commit, undo
from orm_devices import SPACE, Device
from sqlalchemy.orm import Session


def commit(device: Device, work: Callable[[Session], object]) -> Commit:
    with device.sessions.begin(SPACE) as session:
        work(session)
    found = last_commit(session)
    assert found is not None
    return found


def take_back(device: Device, what: Commit) -> bool:
    with device.sessions.begin() as session:
        return undo(session, what)
