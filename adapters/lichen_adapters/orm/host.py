"""What sessions need of the engine on whose store they work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from lichen import Document
from lichen.blocking import Engine as BlockingEngine
from lichen.errors import ConfigError
from lichen.ids import DeviceKey, DocId, Session
from lichen.runtime.rows import WrittenDocument
from lichen.runtime.unsealed_rows import UnsealedDocument
from lichen.store import Store


class Host(Protocol):
    """What sessions need of an engine."""

    @property
    def device(self) -> DeviceKey:
        """This device."""

    @property
    def store(self) -> Store:
        """Where its documents are."""

    def expect_writer(self, session: Session) -> None:
        """Another connection will write under this session."""

    async def document(self, doc: DocId) -> Document:
        """A document by its id."""

    def written_elsewhere(self, written: Sequence[WrittenDocument], unsealed: Sequence[UnsealedDocument]) -> None:
        """Another connection has written changes into documents of the store, and read what these have unsealed."""


def refuse_blocking(engine: object) -> None:
    """Raises `ConfigError` for an engine of `lichen.blocking`, which has sessions of its own."""
    if isinstance(engine, BlockingEngine):
        raise ConfigError(
            "these sessions are of an asyncio engine, and this is one of lichen.blocking",
            hint="import Sessions from lichen_adapters.orm.blocking",
        )
