"""Devices that write one document in tests: real changes, sealed into real change sets. Needs the `dev` extra."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from lichen_crdt import Document, Text

from lichen.core.access.log import AccessLog
from lichen.core.actors import actor_id
from lichen.core.intake import known_of
from lichen.core.known import KnownSet
from lichen.crypto.sealing import change_hash, open_set, seal_set
from lichen.ids import DocId, OpId, Session, SetId
from lichen.testing.access import Script, device
from lichen.wire.changeset import NO_PREV, ChangeSet, Kind, create_prev, doc_id

KEY = b"k" * 32
"""The key of the only epoch."""
NONCE = b"n" * 16
"""Of the only document, which the owner creates."""


@dataclass
class Desk:
    """One document in one space, as some replica knows it."""

    script: Script = field(default_factory=Script)
    known: dict[SetId, KnownSet] = field(default_factory=dict)
    sets: dict[SetId, ChangeSet] = field(default_factory=dict)
    _clock: Iterator[int] = field(default_factory=itertools.count)

    @property
    def doc(self) -> DocId:
        """The document."""
        return doc_id(self.script.space, device(self.script.owner).public, NONCE)

    @property
    def log(self) -> AccessLog:
        """The access log."""
        return self.script.log()

    def tick(self) -> int:
        """The next hybrid time."""
        return next(self._clock)

    def keep(self, change_set: ChangeSet) -> ChangeSet:
        """Know a set, whether it is valid or not."""
        changes = open_set(change_set, KEY)
        last_hash = change_hash(changes[-1]) if changes else None
        self.known[change_set.id] = known_of(change_set, last_hash)
        self.sets[change_set.id] = change_set
        return change_set


class Pen:
    """One session of a device that writes in a desk's document."""

    def __init__(self, desk: Desk, name: str = "owner", session: str = "first") -> None:
        self.desk = desk
        self.signer = device(name)
        self.session = Session(hashlib.sha256(f"{name} {session}".encode()).digest()[:16])
        self.crdt = Document(actor=actor_id(self.signer.public, desk.doc, self.session))
        self.heads: dict[bytes, SetId] = {}
        self.last: ChangeSet | None = None

    def change(self, text: str = "x") -> bytes:
        """Type at the end of the document: one change."""
        with self.crdt.change() as made:
            if "body" in self.crdt:
                self.crdt["body"].append(text)
            else:
                self.crdt["body"] = Text(text)
        assert made.bytes is not None
        return made.bytes

    def read(self, *sets: ChangeSet) -> None:
        """Apply sets of others."""
        for change_set in sets:
            changes = open_set(change_set, KEY)
            self.crdt.apply_changes(changes)
            if changes:
                self.heads[change_hash(changes[-1])] = change_set.id

    def create(self, *texts: str, **fields: Any) -> ChangeSet:
        """The set that begins the document."""
        changes = [self.change(text) for text in texts or ("begin",)]
        return self._seal(changes, kind=Kind.CREATE, prev=create_prev(NONCE), deps=(), **fields)

    def write(self, *texts: str, **fields: Any) -> ChangeSet:
        """A set of one change a text, on everything that was read. `fields` are said otherwise, right or wrong."""
        external = self.crdt.heads
        changes = [self.change(text) for text in texts or ("x",)]
        deps = {self.heads[head] for head in external if head in self.heads}
        if self.last is not None:
            deps.add(self.last.id)
        return self._seal(changes, **({"deps": tuple(deps)} | fields))

    def merge(self, *sets: ChangeSet, **fields: Any) -> ChangeSet:
        """An empty set that adopts others."""
        deps = {one.id for one in sets} | ({self.last.id} if self.last is not None else set())
        tips = [self.desk.known[dep].tip for dep in sorted(deps)]
        return self._seal([], **({"kind": Kind.MERGE, "deps": tuple(deps), "dep_tips": tips} | fields))

    def _seal(self, changes: Sequence[bytes], **fields: Any) -> ChangeSet:
        last = self.last
        usual: dict[str, Any] = {
            "kind": Kind.CHANGES,
            "space": self.desk.script.space,
            "doc": self.desk.doc,
            "session": self.session,
            "seq": 1 if last is None else last.header.seq + 1,
            "prev": NO_PREV if last is None else last.id,
            "time": self.desk.tick(),
            "access": [OpId(head) for head in self.desk.log.heads],
            "changes": changes,
            "epoch_key": KEY,
            "signer": self.signer,
            "random": bytes(32),
        }
        change_set = self.desk.keep(seal_set(**(usual | fields)))
        self.last = change_set
        if changes:
            self.heads[change_hash(changes[-1])] = change_set.id
        return change_set
