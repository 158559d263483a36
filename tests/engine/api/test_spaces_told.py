"""Spaces of one name on one device, as a person is told of them."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from .conftest import Devices


async def test_spaces_of_one_name_and_owner_are_told_apart(devices: Devices, monkeypatch: pytest.MonkeyPatch) -> None:
    (ann,) = await devices("ann")
    times = (1_700_000_000, 1_700_000_600, 1_700_000_620, 260_000_000_000)
    for at in times:  # the second and the third in one minute, the last later than any calendar
        monkeypatch.setattr(time, "time", lambda at=at: at)
        await ann.create_space("Shopping")
    monkeypatch.undo()
    await ann.create_space("Garden")
    first = datetime.fromtimestamp(times[0], UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    ids = [space.id.hex()[:6] for space in ann.spaces]
    own = "Shopping, your own, "
    told = [f"{own}begun {first}", *(f"{own}{key}" for key in ids[1:4]), "Garden, your own"]
    assert [space.told for space in ann.spaces] == told
    assert ann.spaces[-1].about.splitlines()[1:] == [f"Also on this device: {one}" for one in told[:-1]]
    assert [space.begun_ms // 1000 for space in ann.spaces[:3]] == list(times[:3])
