"""Two devices and one document: apart and together again, seen by each other, over paths that end."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest
from lichen import Document, Engine, Relay, Text
from lichen.api.events import DocumentChanged, PresenceChanged
from lichen.config import DEFAULT_LIMITS, Limits
from lichen.errors import StoreError
from lichen.runtime import incoming
from lichen.runtime.document import OpenDocument
from lichen.runtime.incoming import Incoming
from lichen.testing.waiting import until
from lichen_crdt import Applying

from .conftest import Devices


async def shared_note(ann: Engine, bob: Engine, address: str) -> tuple[Document, Document]:
    """One note on two devices that both dial `address`."""
    await ann.connect(address)
    space = await ann.create_space("Family", member_name="Ann")
    note = await space.create({"title": "Plans", "body": Text("eggs")})
    joined = await bob.join(await space.invite(mode="auto"), name="Bob", timeout_s=20)
    return note, await joined.document(note.id, wait_s=20)


async def write(document: Document, text: str) -> None:
    async with document.change() as doc:
        doc["body"].append(text)


async def test_what_was_written_apart_merges(tmp_path: Path, devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    async with Relay.open(f"sqlite:///{tmp_path}/relay.db") as relay:
        address = await relay.listen("ws://127.0.0.1:0")
        note, copy = await shared_note(ann, bob, address)
    await until(lambda: not any(path.path != "none" for path in ann.paths(note.space)))
    for number in range(10):
        await write(note, f" a{number}")
        await write(copy, f" b{number}")
    assert note.heads != copy.heads
    async with Relay.open(f"sqlite:///{tmp_path}/relay.db") as relay:
        await relay.listen(address)
        await until(lambda: note.heads == copy.heads, 40)
        await until(lambda: ann.up_to_date and bob.up_to_date)
    words = str(note.doc["body"]).split()
    assert sorted(words) == sorted(["eggs", *(f"{who}{number}" for who in "ab" for number in range(10))])
    assert str(copy.doc["body"]) == str(note.doc["body"])


async def test_a_device_hears_who_changed_what(relay: Relay, devices: Devices) -> None:
    ann, bob = await devices("ann", "bob")
    note, copy = await shared_note(ann, bob, await relay.listen("ws://127.0.0.1:0"))
    async with asyncio.timeout(20), contextlib.aclosing(bob.events()) as events:
        await write(note, " and milk")
        async for event in events:
            if isinstance(event, DocumentChanged) and event.patches:
                break
    assert (event.doc, event.local, event.authors) == (copy.id, False, (ann.device,))
    assert [getattr(patch, "inserted", None) for patch in event.patches] == [" and milk"]


async def test_who_is_there_shows_and_goes(tmp_path: Path, relay: Relay) -> None:
    limits = replace(DEFAULT_LIMITS, presence_s=4.0, presence_renew_s=1.0)
    async with Engine.open(f"sqlite:///{tmp_path}/ann.db", limits=limits) as ann:
        note = await _bob_shows_and_leaves(tmp_path, ann, limits, await relay.listen("ws://127.0.0.1:0"))
        await until(lambda: note.presence == {}, 30)


async def _bob_shows_and_leaves(folder: Path, ann: Engine, limits: Limits, address: str) -> Document:
    async with Engine.open(f"sqlite:///{folder}/bob.db", limits=limits) as bob:
        note, copy = await shared_note(ann, bob, address)
        cursor = copy.doc["body"].cursor(2)
        copy.set_presence({"name": "Bob", "cursor": cursor})
        await until(lambda: bob.device in note.presence)
        assert dict(note.presence[bob.device]) == {"name": "Bob", "cursor": cursor}
        assert note.doc["body"].position(cursor) == 2
        async with asyncio.timeout(20), contextlib.aclosing(ann.events()) as events:
            copy.set_presence(None)
            async for event in events:
                if isinstance(event, PresenceChanged):
                    break
        assert (event.device, event.data) == (bob.device, None)
        assert note.presence == {}
        copy.set_presence({"name": "Bob"})
        await until(lambda: bob.device in note.presence)
    return note


@pytest.mark.timeout(120)
async def test_a_direct_path_carries_on_without_the_relay_and_the_relay_without_it(
    tmp_path: Path, devices: Devices
) -> None:
    ann, bob = await devices("ann", "bob")
    written: list[str] = ["eggs"]

    async def both_write() -> None:
        for number in range(20):
            word = f"{len(written)}-{number}"
            written.append(word)
            await write((note, copy)[number % 2], f" {word}")
        await until(lambda: note.heads == copy.heads, 40)

    async with Relay.open(f"sqlite:///{tmp_path}/relay.db") as relay:
        address = await relay.listen("ws://127.0.0.1:0")
        note, copy = await shared_note(ann, bob, address)
        assert [path.path for path in ann.paths(note.space)] == ["websocket"]
        for engine in (ann, bob):
            engine.use_direct()
        await both_write()
        await until(lambda: [path.path for path in ann.paths(note.space)] == ["webrtc"], 40)
        await both_write()
    assert [path.path for path in ann.paths(note.space)] == ["webrtc"]
    await both_write()
    async with Relay.open(f"sqlite:///{tmp_path}/relay.db") as relay:
        await relay.listen(address)
        await until(lambda: len(ann._driver.links) == 2 and len(bob._driver.links) == 2, 40)
        [direct] = [link for link in ann._driver.links.values() if link.channel.path == "webrtc"]
        await direct.channel.close()
        await until(lambda: [path.via for path in ann.paths(note.space)] == ["relay"], 40)
        await both_write()
    words = str(note.doc["body"]).split()
    assert sorted(words) == sorted(written)
    assert str(copy.doc["body"]) == str(note.doc["body"])


async def test_what_comes_while_a_plain_transaction_is_open_is_applied_after_it(relay: Relay, devices: Devices) -> None:
    """To await inside of one is unwise, and must still lose nothing: also when it is taken back."""
    ann, bob = await devices("ann", "bob")
    note, copy = await shared_note(ann, bob, await relay.listen("ws://127.0.0.1:0"))
    with contextlib.suppress(ZeroDivisionError), copy.change() as doc:
        doc["body"].append(" bread")
        await write(note, " and milk")
        await until(lambda: copy._opened.incoming.waiting)
        raise ZeroDivisionError
    await until(lambda: copy.heads == note.heads)
    assert str(copy.doc["body"]) == "eggs and milk"


@pytest.mark.parametrize("behind", [False, True], ids=["at once", "behind"])
async def test_what_could_not_be_applied_is_there_when_the_document_is_opened_again(
    relay: Relay, devices: Devices, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    """An error that nobody foresaw: whoever listens is told, and nothing of what came is lost."""
    ann, bob = await devices("ann", "bob")
    note, copy = await shared_note(ann, bob, await relay.listen("ws://127.0.0.1:0"))
    if behind:
        monkeypatch.setattr(Incoming, "_applied_at_once", lambda _self, _opened, _batch: False)

    def broken(_document: OpenDocument, _batch: object) -> Applying:
        raise RuntimeError("nobody foresaw this")

    events = copy.events()
    heard = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    with monkeypatch.context() as breaking:
        breaking.setattr(incoming, "_begin", broken)
        await write(note, " and milk")
        await until(lambda: copy.failure)
    assert (await heard).patches == ()
    await events.aclose()
    with pytest.raises(StoreError, match="could not take"):
        await write(copy, " lost")
    again = await bob.document(note.id)
    assert str(again.doc["body"]) == "eggs and milk"
    await write(again, " and bread")
    await until(lambda: note.heads == again.heads)
    assert str(note.doc["body"]) == "eggs and milk and bread"
