"""One node of a seeded world (`lichen.testing.world`): a real `Node`, what it has written, and its documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lichen_crdt import Document, Text

from lichen.core import effects as do
from lichen.core import events as happened
from lichen.core.actors import actor_id
from lichen.core.intake import known_of
from lichen.core.known import KnownSet
from lichen.core.node import Node
from lichen.core.space import SpaceState
from lichen.crypto.identity import Identity
from lichen.crypto.sealing import open_set, seal_set
from lichen.crypto.signing import verify_many
from lichen.errors import CannotOpen, InvalidChangeSet
from lichen.ids import DeviceKey, DocId, EpochId, Session, SetId, SpaceId
from lichen.wire import frames
from lichen.wire.changeset import NO_PREV, ChangeSet, Kind, create_prev, doc_id
from lichen.wire.operation import Operation, Role

if TYPE_CHECKING:
    from lichen.testing.world import World


@dataclass
class Disk:
    """What a node has written: it survives a crash."""

    store: bytes
    operations: dict[SpaceId, list[Operation]] = field(default_factory=dict)
    sets: dict[SpaceId, list[tuple[ChangeSet, KnownSet, tuple[bytes, ...] | None]]] = field(default_factory=dict)
    keys: dict[SpaceId, dict[EpochId, bytes]] = field(default_factory=dict)
    cursors: dict[tuple[DeviceKey, SpaceId], tuple[bytes, int]] = field(default_factory=dict)
    mail: dict[DeviceKey, list[tuple[DeviceKey, bytes]]] = field(default_factory=dict)


@dataclass
class Log:
    """How far the running session of a device has written in a document."""

    seq: int = 0
    last: SetId | None = None


class Machine:
    """One node with its disk and its documents."""

    def __init__(self, world: World, name: str, *, relay: bool) -> None:
        self.world = world
        self.name = name
        self.relay = relay
        self.identity = Identity(world.random_bytes(96))
        self.disk = Disk(world.random_bytes(16))
        self.invalid: list[str] = []
        self._life = 0
        self._untold_losses = 0
        self.boot()

    @property
    def device(self) -> DeviceKey:
        """Its key."""
        return self.identity.device

    def boot(self) -> None:
        """Start from what is on the disk, in a new session."""
        self._life += 1
        self._untold_losses = 0
        self.session = Session(self.world.random_bytes(16))
        self.node = Node(
            self.identity,
            self.session,
            self.disk.store,
            self.world.random_bytes(32),
            relay=self.relay,
            limits=self.world.limits,
        )
        self.documents: dict[DocId, Document] = {}
        self.head_sets: dict[bytes, SetId] = {}
        self.logs: dict[DocId, Log] = {}
        for space in list(self.disk.operations):
            self.feed(self._loaded(space))
            for change_set, _, changes in self.disk.sets.get(space, []):
                self._apply(change_set, changes)

    def _loaded(self, space: SpaceId) -> happened.SpaceLoaded:
        sets = tuple((change_set.id, known) for change_set, known, _ in self.disk.sets.get(space, []))
        keys = tuple(self.disk.keys.get(space, {}).items())
        return happened.SpaceLoaded(space, tuple(self.disk.operations[space]), sets, keys)

    # Events

    def feed(self, event: happened.Event) -> None:
        """Handle an event, and carry out what it leads to."""
        for effect in self.node.handle(event, self.world.now):
            self._carry_out(effect)
        if isinstance(event, happened.SetsNotStored):
            self._untold_losses -= 1
        due = self.node.next_timer
        if due is not None:
            self.world.at(max(due, self.world.now + 0.001), self._later(happened.TimeReached()))

    def _later(self, event: happened.Event) -> Callable[[], None]:
        life = self._life

        def run() -> None:
            if life == self._life:
                self.feed(event)

        return run

    def soon(self, event: happened.Event) -> None:
        """Feed an event after as long as a disk or a thread may take, unless the node has crashed by then."""
        self.world.at(self.world.now + self.world.random.uniform(0, 0.02), self._later(event))

    def _carry_out(self, effect: do.Effect) -> None:
        match effect:
            case do.Send(link, message):
                self.world.send(self, link, frames.encode(message))
            case do.CloseLink(link, reason):
                self.invalid.append(reason)
                self.world.cut(link)
            case do.CheckSets():
                self.soon(happened.SetsChecked(effect.space, self._check(effect)))
            case do.StoreSets():
                self._store_sets(effect)
            case do.StoreOperations(space, operations):
                self.disk.operations.setdefault(space, []).extend(operations)
            case do.StoreKeys(space, keys):
                self.disk.keys.setdefault(space, {}).update(keys)
            case do.StoreSpace(space):
                self.disk.operations.setdefault(space, [])
            case do.TellInvalid(_, _, reason):
                self.invalid.append(reason)
            case _:
                self._read_or_note(effect)

    def _read_or_note(self, effect: do.Effect) -> None:
        match effect:
            case do.ReadCursor(link, peer, space):
                store, position = self.disk.cursors.get((peer, space), (b"", 0))
                self.soon(happened.CursorRead(link, space, store, position))
            case do.StoreCursor():
                self._store_cursor(effect)
            case do.ReadCatchUp():
                self._catch_up(effect)
            case do.ReadSets(link, space, ids):
                found = [s.encode() for s, _, _ in self.disk.sets.get(space, []) if s.id in ids]
                self.soon(happened.SetsRead(link, space, tuple(found)))
            case do.ReadPosition(space):
                self.soon(happened.PositionRead(space, len(self.disk.sets.get(space, []))))
            case do.StoreMail(to, sender, body):
                self.disk.mail.setdefault(to, []).append((sender, body))
            case do.ReadMail(link, device):
                self.soon(happened.MailRead(link, tuple(self.disk.mail.pop(device, []))))

    def _check(self, effect: do.CheckSets) -> tuple[happened.CheckedSet, ...]:
        jobs = [(s.header.author, s.signed_message, s.signature) for _, s, _ in effect.sets]
        checked = []
        for (link, change_set, key), good in zip(effect.sets, verify_many(jobs), strict=True):
            error, changes = "", None
            try:
                changes = tuple(open_set(change_set, key)) if key is not None and good else None
            except (CannotOpen, InvalidChangeSet) as problem:
                error = str(problem)
            checked.append(happened.CheckedSet(change_set, link, good, error, changes))
        return tuple(checked)

    def _store_sets(self, effect: do.StoreSets) -> None:
        rows = self.disk.sets.setdefault(effect.space, [])
        here = {change_set.id for change_set, _, _ in rows} | {item.set.id for item in effect.sets}
        whole = all(here.issuperset(item.set.header.deps) for item in effect.sets)
        if not whole or (self.world.full and self.world.random.random() < self.world.full):
            self._untold_losses += 1
            self.soon(happened.SetsNotStored(effect.space, tuple(item.set.id for item in effect.sets)))
            return
        for item in effect.sets:
            rows.append((item.set, self.state(effect.space).known[item.set.id], item.changes))
            self._apply(item.set, item.changes)

    def _store_cursor(self, effect: do.StoreCursor) -> None:
        """Unless sets were lost that the node takes for stored: then the link ends, as in the driver."""
        if self._untold_losses:
            self.world.cut(effect.link)
            return
        self.disk.cursors[effect.peer, effect.space] = (effect.store, effect.position)
        self.soon(happened.CursorStored(effect.link, effect.space, effect.position))

    def _catch_up(self, effect: do.ReadCatchUp) -> None:
        rows = self.disk.sets.get(effect.space, [])
        held = set(effect.sample)
        wanted: list[bytes] = []
        for change_set, known, _ in reversed(rows[effect.since :]):
            if change_set.id in held:
                held.update(known.deps)
            else:
                wanted.append(change_set.encode())
        wanted.reverse()
        half = len(wanted) // 2
        parts = [wanted[:half], wanted[half:]] if half else [wanted]
        at = self.world.now
        for number, part in enumerate(parts):
            done = number == len(parts) - 1
            at += self.world.random.uniform(0, 0.02)
            event = happened.CatchUpRead(effect.link, effect.space, tuple(part), len(rows), done)
            self.world.at(at, self._later(event))

    # Documents

    def state(self, space: SpaceId) -> SpaceState:
        """The node's state of a space."""
        return self.node.state.spaces[space]

    def document(self, doc: DocId) -> Document:
        """A document, begun when it is new here."""
        if doc not in self.documents:
            self.documents[doc] = Document(actor_id(self.device, doc, self.session))
        return self.documents[doc]

    def _apply(self, change_set: ChangeSet, changes: tuple[bytes, ...] | None) -> None:
        if changes is not None:
            self.document(change_set.header.doc).apply_changes(changes, strict=True)
            known = self.state(change_set.header.space).known[change_set.id]
            if known.last_hash is not None:
                self.head_sets[known.last_hash] = change_set.id

    def can_write(self, space: SpaceId) -> bool:
        """Whether it is in the space, with a key."""
        state = self.node.state.spaces.get(space)
        if state is None:
            return False
        role = state.log.role_of(self.device)
        return role is not None and role >= Role.WRITER and state.log.eligible_epoch(state.keys) is not None

    def create(self, space: SpaceId) -> DocId:
        """A new document in a space."""
        nonce = self.world.random_bytes(16)
        doc = doc_id(space, self.device, nonce)
        self._write(space, doc, create_prev(nonce), lambda crdt: crdt.__setitem__("body", Text("")))
        return doc

    def insert(self, space: SpaceId, doc: DocId, at: int, word: str) -> None:
        """Insert a word into a document's text."""
        self._write(space, doc, None, lambda crdt: crdt["body"].insert(at, word))

    def _write(self, space: SpaceId, doc: DocId, create: bytes | None, work: Callable[[Document], None]) -> None:
        crdt, state = self.document(doc), self.state(space)
        before = crdt.heads
        with crdt.change() as transaction:
            work(crdt)
        log = self.logs.setdefault(doc, Log())
        deps = {self.head_sets[head] for head in before} | ({log.last} if log.last else set())
        epoch = state.log.eligible_epoch(state.keys)
        assert epoch is not None
        change_set = seal_set(
            kind=Kind.CREATE if create else Kind.CHANGES,
            space=space,
            doc=doc,
            session=self.session,
            seq=log.seq + 1,
            prev=create or log.last or NO_PREV,
            time=int(self.world.now * 1000) << 16,
            access=state.log.heads,
            deps=tuple(sorted(deps)),
            changes=[change for _, change in transaction.changes],
            last_hash=transaction.hash,
            epoch_key=state.keys[epoch],
            signer=self.identity.signer,
            random=self.world.random_bytes(32),
        )
        log.seq, log.last = log.seq + 1, change_set.id
        last_hash = transaction.hash or b""
        self.head_sets[last_hash] = change_set.id
        known = known_of(change_set, last_hash)
        self.disk.sets.setdefault(space, []).append((change_set, known, tuple(c for _, c in transaction.changes)))
        self.feed(happened.SetSealed(space, change_set, last_hash))
