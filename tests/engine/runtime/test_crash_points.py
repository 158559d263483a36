"""kill -9 just after each commit of a store, one after the other: whatever was under way can be done again.

A space is there with its card or not at all, a document with its first change or not at all, and a device that was
killed while it joined joins with the same ticket.
"""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from lichen import Document, Engine, Space, Text
from lichen.testing.waiting import until

PAIR = Path(__file__).parent / "pair.py"


def run(folder: Path, victim: str, commit: int) -> list[str]:
    """What two devices said until one was killed after this commit."""
    command = [sys.executable, str(PAIR), str(folder), victim, str(commit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout.split()
    assert (said[-1:] == ["end"]) == (done.returncode == 0), done.stderr
    return said


async def founded(alice: Engine) -> Space:
    """The one space that is there, whole; founded now where it was not."""
    if not alice.spaces:
        await alice.create_space("Family", member_name="Alice")
    (space,) = alice.spaces
    assert space.name == "Family"
    assert [member.name for member in space.members()][:1] == ["Alice"]
    return space


async def begun(space: Space) -> Document:
    """The one note that is there, with its first change at least; begun now where it was not."""
    if not await space.documents():
        await space.create({"body": Text("begun")})
    (listed,) = await space.documents()
    assert listed.heads
    note = await space.document(listed.id)
    assert str(note.doc["body"]).endswith("begun")
    return note


async def go_on(folder: Path, said: list[str]) -> None:
    async with (
        Engine.open(f"sqlite:///{folder}/alice.db") as alice,
        Engine.open(f"sqlite:///{folder}/bob.db") as bob,
    ):
        space = await founded(alice)
        note = await begun(space)
        address = await alice.listen("memory://pair")
        ticket = said[0] if said else await space.invite(mode="auto", hints=[address])
        bobs = await bob.join(ticket, name="Bob", timeout_s=20)
        copy = await bobs.document(note.id, wait_s=20)
        async with copy.change() as doc:
            doc["body"].insert(0, "bob again ")
        await until(lambda: note.heads == copy.heads and bob.up_to_date)
        assert str(note.doc["body"]) == str(copy.doc["body"])
        assert sorted(member.name for member in space.members()) == ["Alice", "Bob"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", ["alice", "bob"])
def test_after_a_crash_between_any_two_commits_everything_goes_on(tmp_path: Path, victim: str) -> None:
    for commit in itertools.count(1):
        folder = tmp_path / str(commit)
        folder.mkdir()
        said = run(folder, victim, commit)
        asyncio.run(go_on(folder, said))
        if said[-1:] == ["end"]:
            assert commit > 8
            return
