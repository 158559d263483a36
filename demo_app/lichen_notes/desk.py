"""What lies open in this program: the engine, the notes that pages look at, and the pages to tell."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from lichen import Document, Engine, Space, Text
from lichen.api.events import DocumentChanged, PresenceChanged
from lichen.errors import ConfigError
from lichen.ids import DeviceKey, DocId, SpaceId

from lichen_notes.room import Room

log = logging.getLogger("lichen.notes")

STATE_PAUSE_S = 0.1
"""Changes of the state are gathered this long before the pages are told."""
COLOURS = ("#d1495b", "#2e86ab", "#3a7d44", "#b5651d", "#6a4c93", "#c2185b", "#00796b", "#8a6d00")
"""Dark enough to read on white, light enough on black."""


def colours(devices: Iterable[DeviceKey]) -> dict[DeviceKey, str]:
    """The colour in which each device of a space is shown: the same everywhere, and no two alike while they suffice."""
    given: dict[DeviceKey, str] = {}
    used = Counter[str]()
    for device in sorted(devices):
        first = hashlib.sha256(device).digest()[0] % len(COLOURS)
        wanted = COLOURS[first:] + COLOURS[:first]
        given[device] = min(wanted, key=used.__getitem__)
        used[given[device]] += 1
    return given


def _colours_in(space: Space) -> dict[DeviceKey, str]:
    return colours(device for member in space.members() for device in member.devices)


class Page:
    """One browser page, as the desk sees it."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self.tell = tell
        self.notes: set[DocId] = set()


class Desk:
    """The state of this program."""

    def __init__(self, engine: Engine, name: str) -> None:
        self.engine = engine
        self.name = name
        self._rooms: dict[DocId, Room] = {}
        self._pages: list[Page] = []
        self._state_due = asyncio.Event()
        self._shown: dict[DocId, dict[str, Any]] = {}

    async def run(self) -> None:
        """Follow the engine's events, and tell the pages; runs until cancelled."""
        teller = asyncio.create_task(self._tell_states(), name="tell states")
        try:
            async with contextlib.aclosing(self.engine.events()) as events:
                async for event in events:
                    self._state_due.set()
                    match event:
                        case PresenceChanged():
                            self._tell_people(event.space, event.doc)
                        case DocumentChanged():
                            await self._renew(event.doc)
        finally:
            teller.cancel()

    async def _tell_states(self) -> None:
        while True:
            await self._state_due.wait()
            await asyncio.sleep(STATE_PAUSE_S)
            self._state_due.clear()
            if self._pages:
                self._tell_all(await self.state())

    # Pages

    def add(self, page: Page) -> None:
        """A page has come."""
        self._pages.append(page)

    def remove(self, page: Page) -> None:
        """A page has gone: rooms that nobody looks at are left."""
        self._pages.remove(page)
        for doc in list(page.notes):
            self.leave(page, doc)

    def leave(self, page: Page, doc: DocId) -> None:
        """A page looks at a note no longer."""
        page.notes.discard(doc)
        room = self._rooms.get(doc)
        if room is not None and not any(doc in other.notes for other in self._pages):
            del self._rooms[doc]
            room.close()
            self._shown.pop(doc, None)
            room.note.set_presence(None)

    def _tell_all(self, message: dict[str, Any]) -> None:
        for page in list(self._pages):
            page.tell(message)

    async def room(self, page: Page, note_id: str) -> Room:
        """The room of a note, opened when it is not, with this page in it. Raises `LichenError`."""
        room = self._open(await self.engine.document(DocId(parse_id(note_id, 16))))
        page.notes.add(room.note.id)
        return room

    def _open(self, note: Document) -> Room:
        """The note's room; another one when the document in the old one is of no more use."""
        room = self._rooms.get(note.id)
        if room is not None and room.note.failure is None:
            return room
        if room is not None:
            room.close()
        secret = self.engine.derive_secret("lichen-notes pushes")
        self._rooms[note.id] = Room(note, lambda message: self._tell_room(note.id, message), secret)
        return self._rooms[note.id]

    async def _renew(self, doc: DocId) -> None:
        """After a failure, as of a full disk, the pages go on from what is on disk."""
        room = self._rooms.get(doc)
        if room is None or room.note.failure is None:
            return
        try:
            note = await self.engine.document(doc)
            if doc in self._rooms:
                self._tell_room(doc, await self._open(note).opened("", []))
        except Exception:
            log.exception("note %s could not be opened again", doc.hex())

    def _tell_room(self, doc: DocId, message: dict[str, Any]) -> None:
        for page in list(self._pages):
            if doc in page.notes:
                page.tell(message)

    # People

    def show_cursor(self, room: Room, anchor: int, head: int) -> None:
        """Show everyone where this device's cursor is."""
        data = {"name": self.name, "anchor": room.cursor(anchor), "head": room.cursor(head)}
        if self._shown.get(room.note.id) != data:
            self._shown[room.note.id] = data
            room.note.set_presence(data)

    def _tell_people(self, _space: SpaceId, doc: DocId) -> None:
        room = self._rooms.get(doc)
        if room is not None:
            self._tell_room(doc, self.people(room))

    def people(self, room: Room) -> dict[str, Any]:
        """Who is in a note, and where."""
        space = self.engine.space(room.note.space)
        colour = _colours_in(space)
        there = [
            {
                "device": device.hex(),
                "name": space.name_of(device) or str(data.get("name", ""))[:64] or device.hex()[:6],
                "colour": colour.get(device, COLOURS[0]),
                "anchor": room.offset(data.get("anchor")),
                "head": room.offset(data.get("head")),
            }
            for device, data in room.note.presence.items()
        ]
        return {"type": "people", "note": room.note.id.hex(), "people": sorted(there, key=lambda one: one["device"])}

    # State

    async def state(self) -> dict[str, Any]:
        """Everything that a page's frame shows."""
        engine = self.engine
        return {
            "type": "state",
            "device": engine.device.hex(),
            "name": self.name,
            "spaces": [await self._space(space) for space in engine.spaces],
            "relays": [{"url": c.url, "state": c.state, "error": c.error} for c in engine.connections],
            "upToDate": engine.up_to_date,
            "traffic": {path: {"sent": sent, "received": got} for path, (sent, got) in engine.traffic.items()},
        }

    async def _space(self, space: Space) -> dict[str, Any]:
        notes = [
            {"id": info.id.hex(), "title": info.title or "", "changed": info.changed_ms}
            for info in await space.documents()
        ]
        colour = _colours_in(space)
        peers = [
            {
                "device": peer.device.hex(),
                "name": space.name_of(peer.device) or peer.device.hex()[:6],
                "colour": colour.get(peer.device, COLOURS[0]),
                "path": peer.path,
                "via": peer.via,
            }
            for peer in self.engine.paths(space.id)
        ]
        role, names = space.role, [one.name for one in self.engine.spaces]
        return {
            "id": space.id.hex(),
            "name": space.told if names.count(space.name) > 1 else space.name,
            "role": "" if role is None else role.name.lower(),
            "colour": colour.get(self.engine.device, COLOURS[0]),
            "notes": notes,
            "peers": peers,
        }

    # Doing

    async def create_space(self, name: str, me: str) -> dict[str, Any]:
        """A new space; its recovery key is in the answer, this once."""
        self._call_me(me)
        space = await self.engine.create_space(name, member_name=self.name)
        return {"space": space.id.hex(), "recoveryKey": space.recovery_key}

    async def create_note(self, space_id: str, title: str, body: str = "") -> dict[str, Any]:
        """A new note in a space."""
        space = self.engine.space(SpaceId(parse_id(space_id, 32)))
        note = await space.create({"title": Text(title[:200]), "body": Text(body), "created": datetime.now(UTC)})
        return {"note": note.id.hex(), "space": space.id.hex()}

    async def invite(self, space_id: str) -> dict[str, Any]:
        """A ticket, with its picture."""
        space = self.engine.space(SpaceId(parse_id(space_id, 32)))
        if not self.engine.connections:
            raise ConfigError(
                "nobody could find this device with a ticket: it knows no relay",
                hint="start the program with --relay URL",
            )
        ticket = await space.invite(mode="auto", expires=timedelta(days=1))
        return {"ticket": ticket, "svg": qr_code(ticket)}

    async def join(self, ticket: str, me: str, timeout_s: float) -> dict[str, Any]:
        """Join with a ticket."""
        self._call_me(me)
        space = await self.engine.join(ticket, name=self.name, timeout_s=timeout_s)
        return {"space": space.id.hex()}

    def _call_me(self, name: str) -> None:
        if name.strip():
            self.name = name.strip()[:64]
        if not self.name:
            raise ConfigError("tell the others what you are called", hint="fill in your name")


def qr_code(text: str) -> str:
    """A QR code as an SVG element."""
    import segno

    return str(segno.make(text, error="l", micro=False).svg_inline(omitsize=True, border=2, dark="#111111"))


def parse_id(text: str, length: int) -> bytes:
    """An id in hexadecimal. Raises `ConfigError`."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != length:
        raise ConfigError(f"{text[:80]!r} is not an id")
    return value
