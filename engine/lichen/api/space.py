"""The handle of one space."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from lichen_crdt import Value

from lichen.api.document import Document
from lichen.core.hlc import milliseconds
from lichen.errors import NotFound
from lichen.ids import DeviceKey, DocId, MemberId, SpaceId
from lichen.wire.operation import Role

if TYPE_CHECKING:
    from lichen.api.engine import Engine
    from lichen.core.space import SpaceState


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document as a list shows it."""

    id: DocId
    title: str | None
    """The text of its `title`, where it has one."""
    changed_ms: int
    """When it last changed here, in milliseconds since 1970."""
    heads: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class MemberInfo:
    """A member as a list shows it."""

    id: MemberId
    name: str
    """What the member calls itself; empty while that is not known here."""
    role: Role
    devices: tuple[DeviceKey, ...]


class Space:
    """One space on this device."""

    def __init__(self, engine: Engine, state: SpaceState, recovery_key: str | None = None) -> None:
        self._engine = engine
        self._id = state.id
        self.recovery_key = recovery_key
        """The recovery key as text, only in the handle that `create_space` returned: it is kept nowhere."""

    @property
    def id(self) -> SpaceId:
        """32 bytes."""
        return self._id

    @property
    def _state(self) -> SpaceState:
        return self._engine.state_of(self._id)

    @property
    def name(self) -> str:
        """What its members call it; empty while that is not known here."""
        return self._engine.cards.name(self.id)

    @property
    def told(self) -> str:
        """Its name and whose it is, for a person: `Shopping, your own`, or `Shopping of Ann`.

        Where several spaces on this device have both alike, also when it was begun: `Shopping of Ann, begun 2026-11-27
        09:15`; or in the place of a time that is not known, or the same too, the first six digits of its id. An owner
        who has no name is not told.
        """
        whose, begun = _whose(self), _minute(self.begun_ms)
        named = [space for space in self._engine.spaces if space.id != self.id and space.name == self.name]
        alike = [_minute(space.begun_ms) for space in named if _whose(space) == whose]
        if not alike:
            return whose
        return f"{whose}, {f'begun {begun}' if begun and begun not in alike else self.id.hex()[:6]}"

    @property
    def begun_ms(self) -> int:
        """When it was begun, in milliseconds since 1970, by the clock of who did it; 0 while not known here."""
        genesis = self._state.log.genesis
        return 0 if genesis is None else milliseconds(genesis.time)

    @property
    def about(self) -> str:
        """What a program that shows only this space says of it, in lines for a person: that nobody else is in it, and
        which others are on this device. Empty where neither is so.
        """
        alone = ["Only you are in it so far. To join others, use their invitation."] if len(self.members()) == 1 else []
        others = [f"Also on this device: {space.told}" for space in self._engine.spaces if space.id != self.id]
        return "\n".join([*alone, *others])

    @property
    def usual_address(self) -> str:
        """Where to listen for a space on this computer: the same at every start, and another for every space.

        Its port, from 10,000 to 29,999, is made of the space's id.
        """
        return f"ws://127.0.0.1:{10_000 + int.from_bytes(self.id) % 20_000}"

    @property
    def role(self) -> Role | None:
        """This device's role."""
        return self._state.log.role_of(self._engine.device)

    def members(self) -> list[MemberInfo]:
        """Everyone in the space, by role from owner down."""
        names = self._engine.cards.members(self.id)
        found = [
            MemberInfo(member.id, names.get(member.id, ""), member.role, tuple(d.key for d in member.devices))
            for member in self._state.log.members().values()
        ]
        return sorted(found, key=lambda info: (-info.role, info.name, info.id))

    def name_of(self, device: DeviceKey) -> str:
        """What the member with this device calls itself; empty while that is not known."""
        member = self._state.log.member_of(device)
        return "" if member is None else self._engine.cards.members(self.id).get(member, "")

    async def documents(self) -> list[DocumentInfo]:
        """The documents, most recently changed first."""
        return await self._engine.list_documents(self.id)

    async def create(self, content: Mapping[str, Value] | None = None) -> Document:
        """A new document with this content, on disk when this returns. Raises `AccessDenied`."""
        return await self._engine.create_document(self.id, content or {})

    async def document(self, doc: DocId, *, wait_s: float = 0.0) -> Document:
        """The document; waits for it to arrive up to `wait_s` seconds. Raises `NotFound` when it is not in this
        space.
        """
        await self._engine.wait_for_document(self.id, doc, wait_s)
        found = await self._engine.document(doc)
        if found.space != self.id:
            raise NotFound(
                f"document {doc.hex()} is not in space {self.id.hex()[:12]}", hint="ask its own space, or the engine"
            )
        return found

    async def titled(
        self, title: str, new: Mapping[str, Value] | None = None, *, wait_s: float | None = None
    ) -> Document:
        """The document with this title, of several that of the least id.

        Where there is none, an owner of the space makes it, with what is in `new` too; others wait until it comes, so
        that there are not two. Raises `NotFound` when it has not come after `wait_s` seconds, by default as many as a
        join may take.
        """
        within_s = self._engine.limits.join_s if wait_s is None else wait_s
        try:
            async with asyncio.timeout(within_s), aclosing(self._engine.events()) as events:
                while not (found := await self._titled(title)) and self.role != Role.OWNER:
                    await anext(events)
        except TimeoutError:
            raise NotFound(
                f"{title!r} of {self.name or 'this space'} has not come to this device within {within_s:g} s",
                hint="it comes when another device of the space, or its relay, is there: try again then",
            ) from None
        return await (self.document(min(found)) if found else self.create({"title": title, **(new or {})}))

    async def _titled(self, title: str) -> list[DocId]:
        return [info.id for info in await self.documents() if info.title == title]

    async def leave(self) -> None:
        """Take it off this device, as `Engine.leave`."""
        await self._engine.leave(self.id)

    async def invite(
        self,
        *,
        mode: Literal["auto"],
        role: Role = Role.WRITER,
        expires: timedelta = timedelta(days=1),
        uses: int = 1,
        hints: Sequence[str] | None = None,
    ) -> str:
        """A ticket: one string that lets whoever has it join with `role`.

        With `mode="auto"` this device answers by itself, whenever it is there. `hints` are addresses to find it at;
        by default those that it is connected to or listens at: so connect or listen first. A ticket without any is
        logged as a warning, unless `hints` say so. Raises `AccessDenied`, `ConfigError`.
        """
        return await self._engine.joining.invite(self._state, mode, role, expires, uses, hints)


def _whose(space: Space) -> str:
    if space.role == Role.OWNER:
        return f"{space.name}, your own"
    owners = [member.name for member in space.members() if member.role == Role.OWNER and member.name]
    return f"{space.name} of {' and '.join(owners)}" if owners else space.name


def _minute(time_ms: int) -> str:
    """A time as this computer's clock shows it; empty for one that it does not know, as others may send."""
    try:
        return f"{datetime.fromtimestamp(time_ms / 1000, UTC).astimezone():%Y-%m-%d %H:%M}" if time_ms else ""
    except (OverflowError, ValueError, OSError):
        return ""
