"""Everything that crosses a relay, and everything that it keeps, holds no word, no title and no hash of content."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lichen import Engine, Relay, Text
from lichen.runtime import rows
from lichen.runtime.unlock import open_store
from lichen.store import membership
from lichen.testing.scan import find, scan_folder, scan_tables

WORDS = ["gooseberry", "Tuesday-plans", "Hawthorn family", "Ottoline", "Barnaby", "porcupine"]


async def session(folder: Path) -> set[bytes]:
    """Two devices write through a relay that is captured; returns every Automerge hash of what they wrote."""
    async with (
        Relay.open(f"sqlite:///{folder / 'relay.db'}", capture=folder / "capture") as relay,
        Engine.open(f"sqlite:///{folder / 'a.db'}", passphrase="a") as ada,
        Engine.open(f"sqlite:///{folder / 'b.db'}", passphrase="b") as ben,
    ):
        await ada.connect(await relay.listen("ws://127.0.0.1:0"))
        space = await ada.create_space(WORDS[2], member_name=WORDS[3])
        note = await space.create({"title": WORDS[1], "body": Text(WORDS[0])})
        family = await ben.join(await space.invite(mode="auto"), name=WORDS[4])
        copy = await family.document(note.id, wait_s=10)
        note.set_presence({"name": WORDS[3], "where": WORDS[5]})
        for number in range(20):
            one = (note, copy)[number % 2]
            async with one.change(f"{WORDS[5]} {number}") as doc:
                doc["body"].append(f" {WORDS[0]} {number}")
        async with asyncio.timeout(20):
            while note.heads != copy.heads or not ada.up_to_date:
                await asyncio.sleep(0)
        await ben.settled()
        return {info.hash for info in note.history()}


async def test_a_relay_sees_and_keeps_nothing_that_tells_content(tmp_path: Path) -> None:
    hashes = await session(tmp_path)
    assert len(hashes) >= 21
    secrets = [word.encode() for word in WORDS] + sorted(hashes)
    capture = tmp_path / "capture"
    assert len(list(capture.iterdir())) > 40
    assert scan_folder(capture, secrets) == []
    store = open_store(f"sqlite:///{tmp_path / 'relay.db'}", passphrase=None, create=False)
    try:
        assert store.write(lambda conn: scan_tables(conn, secrets)).result() == []
        spaces = store.write(rows.load_spaces).result()
        assert len(spaces) == 1
        assert len(spaces[0].sets) >= 21
        assert store.write(lambda conn: membership.load_epoch_keys(conn, spaces[0].space)).result() == {}
        # the same scan finds what is planted: in the last file, and in a table
        planted = sorted(hashes)[0]
        store.write(lambda conn: membership.add_epoch_key(conn, planted, planted, b"x")).result()
        assert store.write(lambda conn: scan_tables(conn, secrets)).result()
    finally:
        store.close()
    last = sorted(capture.iterdir())[-1]
    last.write_bytes(last.read_bytes() + b"a porcupine" + planted.hex().encode())
    assert len(scan_folder(capture, secrets)) == 2


def test_a_secret_is_found_in_every_form_at_every_place() -> None:
    import base64

    secret = bytes(range(40, 72))
    for pad in range(6):
        around = b"\x00" * pad + secret + b"\xff\x07"
        assert find(around, [secret])
        assert find(around.hex().encode(), [secret])
        assert find(base64.b64encode(around), [secret])
        assert find(base64.urlsafe_b64encode(around), [secret])
    assert find(b"nothing here", [secret]) == []
