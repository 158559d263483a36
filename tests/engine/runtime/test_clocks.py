"""Clocks that are wrong by ten years: documents agree all the same, and only what people look at is ugly."""

from __future__ import annotations

from pathlib import Path

from lichen import Engine, Text
from lichen.core.hlc import Clock, milliseconds
from lichen.testing.waiting import until

TEN_YEARS_MS = 10 * 366 * 86_400_000


class Wrong(Clock):
    """The clock of a device whose local time is off."""

    def __init__(self, by_ms: int) -> None:
        super().__init__()
        self._by_ms = by_ms

    def tick(self, now_ms: int) -> int:
        return super().tick(now_ms + self._by_ms)

    def observe(self, time: int, now_ms: int) -> None:
        super().observe(time, now_ms + self._by_ms)


async def test_devices_whose_clocks_are_off_by_ten_years_agree(tmp_path: Path) -> None:
    async with (
        Engine.open(f"sqlite:///{tmp_path}/alice.db") as alice,
        Engine.open(f"sqlite:///{tmp_path}/bob.db") as bob,
        Engine.open(f"sqlite:///{tmp_path}/cat.db") as cat,
    ):
        for device, by_ms in ((alice, 0), (bob, TEN_YEARS_MS), (cat, -TEN_YEARS_MS)):
            device.clock = Wrong(by_ms)
            device.sealer._clock = device.joining._clock = device.clock
        await alice.listen("memory://clocks")
        space = await alice.create_space("Family")
        note = await space.create({"body": Text("")})
        ticket = await space.invite(mode="auto", uses=2)
        copies = [note]
        for device in (bob, cat):
            joined = await device.join(ticket, timeout_s=20)
            copies.append(await joined.document(note.id, wait_s=20))
        for round_ in range(3):
            for copy in copies:
                async with copy.change() as doc:
                    doc["body"].insert(0, f"{round_} ")
        await until(lambda: len({copy.heads for copy in copies}) == 1 and len(str(note.doc["body"])) == 18)
        assert len({str(copy.doc["body"]) for copy in copies}) == 1
        times = [milliseconds(device.clock.last) for device in (cat, alice, bob)]
        assert times[2] - times[1] > TEN_YEARS_MS // 2
        known = alice._node.state.spaces[space.id].known
        assert {one.author for one in known.values()} == {alice.device, bob.device, cat.device}
