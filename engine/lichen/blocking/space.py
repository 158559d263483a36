"""The handle of one space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from lichen_crdt import Value

from lichen.api.space import DocumentInfo, MemberInfo
from lichen.api.space import Space as AsyncSpace
from lichen.blocking.document import Document
from lichen.ids import DeviceKey, DocId, SpaceId
from lichen.wire.operation import Role

if TYPE_CHECKING:
    from lichen.blocking.engine import Engine


class Space:
    """One space on this device."""

    def __init__(self, engine: Engine, space: AsyncSpace) -> None:
        self._engine = engine
        self._space = space

    @property
    def id(self) -> SpaceId:
        """32 bytes."""
        return self._space.id

    @property
    def recovery_key(self) -> str | None:
        """The recovery key as text, only in the handle that `create_space` returned: it is kept nowhere."""
        return self._space.recovery_key

    @property
    def name(self) -> str:
        """What its members call it; empty while that is not known here."""
        return self._space.name

    @property
    def told(self) -> str:
        """Its name and whose it is, for a person: `Shopping, your own`, or `Shopping of Ann`.

        Where several spaces on this device have both alike, also when it was begun: `Shopping of Ann, begun 2026-11-27
        09:15`; or in the place of a time that is not known, or the same too, the first six digits of its id. An owner
        who has no name is not told.
        """
        return self._engine.call(lambda: self._space.told)

    @property
    def begun_ms(self) -> int:
        """When it was begun, in milliseconds since 1970, by the clock of who did it; 0 while not known here."""
        return self._engine.call(lambda: self._space.begun_ms)

    @property
    def about(self) -> str:
        """What a program that shows only this space says of it, in lines for a person: that nobody else is in it, and
        which others are on this device. Empty where neither is so.
        """
        return self._engine.call(lambda: self._space.about)

    @property
    def usual_address(self) -> str:
        """Where to listen for a space on this computer: the same at every start, and another for every space.

        Its port, from 10,000 to 29,999, is made of the space's id.
        """
        return self._space.usual_address

    @property
    def role(self) -> Role | None:
        """This device's role."""
        return self._engine.call(lambda: self._space.role)

    def members(self) -> list[MemberInfo]:
        """Everyone in the space, by role from owner down."""
        return self._engine.call(self._space.members)

    def name_of(self, device: DeviceKey) -> str:
        """What the member with this device calls itself; empty while that is not known."""
        return self._engine.call(self._space.name_of, device)

    def documents(self) -> list[DocumentInfo]:
        """The documents, most recently changed first."""
        return self._engine.run(self._space.documents)

    def create(self, content: Mapping[str, Value] | None = None) -> Document:
        """A new document with this content, on disk when this returns. Raises `AccessDenied`."""
        return Document(self._engine, self._engine.run(self._space.create, content))

    def document(self, doc: DocId, *, wait_s: float = 0.0) -> Document:
        """The document; waits for it to arrive up to `wait_s` seconds. Raises `NotFound` when it is not in this
        space.
        """
        return Document(self._engine, self._engine.run(self._space.document, doc, wait_s=wait_s))

    def titled(self, title: str, new: Mapping[str, Value] | None = None, *, wait_s: float | None = None) -> Document:
        """The document with this title, of several that of the least id.

        Where there is none, an owner of the space makes it, with what is in `new` too; others wait until it comes, so
        that there are not two. Raises `NotFound` when it has not come after `wait_s` seconds, by default as many as a
        join may take.
        """
        return Document(self._engine, self._engine.run(self._space.titled, title, new, wait_s=wait_s))

    def leave(self) -> None:
        """Take it off this device, as `Engine.leave`."""
        self._engine.run(self._space.leave)

    def invite(
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
        return self._engine.run(self._space.invite, mode=mode, role=role, expires=expires, uses=uses, hints=hints)
