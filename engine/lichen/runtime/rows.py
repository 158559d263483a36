"""Between the engine's values and the store's rows. Every function runs on one of the store's threads.

The first argument is the SQLAlchemy connection of the job; what is written becomes visible when the job's group
commits.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lichen_crdt import inspect
from sqlalchemy import Connection

from lichen.config import Limits
from lichen.core import effects as do
from lichen.core import events as happened
from lichen.core.access.authoring import Founded
from lichen.core.known import KnownSet
from lichen.crypto.identity import Identity
from lichen.errors import LimitExceeded
from lichen.ids import DeviceKey, DocId, EpochId, OpId, Session, SetId, SpaceId
from lichen.runtime.sealer import SessionLog, Unsealed
from lichen.runtime.transports import split_token
from lichen.store import change_sets, documents, mailbox, membership, node
from lichen.wire.changeset import ChangeSet
from lichen.wire.operation import Operation

IDENTITY = "identity"
"""The key under which `meta` holds the device's private keys."""
STORE_ID = "store_id"
MOST_NUMBER = 2**63 - 1
"""The largest number that a column holds; a later time from outside is cut to it, in the row only."""
TITLE_CHARACTERS = 200
SMALL_TAIL = 256
"""A tail up to this long is applied on the loop, and with those of other documents,"""
SMALL_TAIL_BYTES = 64 * 1024
"""unless its changes have more bytes together."""


# Identity and spaces


def load_identity(conn: Connection) -> tuple[Identity, bytes]:
    """The device in this store, made when there is none, and the store's 16-byte id.

    From now on positions are above the time in microseconds. A store that was put back from a backup, or is a copy,
    would else give positions again that its peers have read already, and they would never ask for what it writes.
    """
    change_sets.raise_position(conn, time.time_ns() // 1_000)
    held = node.get_meta(conn, IDENTITY)
    store_id = node.get_meta(conn, STORE_ID)
    if held is None or store_id is None:
        identity, store_id = Identity.generate(os.urandom(96)), os.urandom(16)
        node.set_meta(conn, IDENTITY, identity.to_bytes())
        node.set_meta(conn, STORE_ID, store_id)
        return identity, store_id
    return Identity.from_bytes(held), store_id


def load_spaces(conn: Connection) -> list[happened.SpaceLoaded]:
    """Every space with all that the node keeps of it in memory."""
    return [_load_space(conn, SpaceId(row.space), row.inviter) for row in membership.list_spaces(conn)]


def drop_space(conn: Connection, space: SpaceId) -> None:
    """This device holds a space no longer."""
    membership.drop_space(conn, space)


def _load_space(conn: Connection, space: SpaceId, inviter: bytes | None) -> happened.SpaceLoaded:
    return happened.SpaceLoaded(
        space,
        tuple(Operation.decode(body) for body in membership.load_operations(conn, space)),
        tuple(_known(row) for row in change_sets.known_sets(conn, space)),
        tuple((EpochId(epoch), key) for epoch, key in membership.load_epoch_keys(conn, space).items()),
        None if inviter is None else DeviceKey(inviter),
    )


def _known(row: change_sets.KnownRow) -> tuple[SetId, KnownSet]:
    return SetId(row.id), KnownSet(
        DocId(row.doc),
        DeviceKey(row.author),
        Session(row.session),
        row.seq,
        tuple(OpId(head) for head in ids_of(row.access)),
        tuple(SetId(dep) for dep in ids_of(row.deps)),
        row.tip,
        row.last_hash,
    )


def ids_of(joined: bytes) -> list[bytes]:
    """The ids that a column holds, one after the other."""
    return [joined[start : start + 32] for start in range(0, len(joined), 32)]


def store_space(conn: Connection, space: SpaceId) -> None:
    """A relay admitted a space."""
    membership.add_space(conn, space, _now_ms(), None)


def check_room(conn: Connection, space: SpaceId, limits: Limits) -> None:
    """Raises `LimitExceeded` for one more space than a link can name."""
    held = membership.list_spaces(conn)
    if len(held) >= limits.spaces and all(row.space != space for row in held):
        hint = "use another store for further spaces"
        raise LimitExceeded(f"this device is in {len(held)} spaces already, the most that it may be in", hint=hint)


def add_founded(conn: Connection, founded: Founded, epoch_key: bytes, card: CreatedDocument, limits: Limits) -> None:
    """A space that this device has just created, with its card. Raises `LimitExceeded`."""
    check_room(conn, founded.space, limits)
    membership.add_space(conn, founded.space, card.created_ms, None)
    membership.add_operations(conn, founded.space, [(o.id, o.encode()) for o in founded.operations])
    membership.add_epoch_key(conn, founded.space, founded.epoch, epoch_key)
    create_document(conn, card)


def store_operations(conn: Connection, effect: do.StoreOperations) -> None:
    """Access operations that became part of a log."""
    membership.add_operations(conn, effect.space, [(o.id, o.encode()) for o in effect.operations])


def store_keys(conn: Connection, effect: do.StoreKeys) -> None:
    """Epoch keys that this device could open."""
    for epoch, key in effect.keys:
        membership.add_epoch_key(conn, effect.space, epoch, key)


# Change sets


def set_row(change_set: ChangeSet, last_hash: bytes | None) -> change_sets.ChangeSetRow:
    """A change set as the store keeps it."""
    header = change_set.header
    return change_sets.ChangeSetRow(
        id=change_set.id,
        space=header.space,
        doc=header.doc,
        author=header.author,
        session=header.session,
        seq=header.seq,
        deps=b"".join(header.deps),
        access=b"".join(header.access),
        time=min(header.time, MOST_NUMBER),
        tip=header.tip,
        last_hash=last_hash,
        body=change_set.encode(),
    )


def store_sets(conn: Connection, effect: do.StoreSets) -> None:
    """Accepted change sets, and at a device the changes in them."""
    change_sets.add_change_sets(conn, [set_row(item.set, item.last_hash) for item in effect.sets])
    now_ms = _now_ms()
    by_document: dict[bytes, list[bytes]] = {}
    for item in effect.sets:
        if item.changes is not None:
            by_document.setdefault(item.set.header.doc, []).extend(item.changes)
    documents.create_documents(conn, by_document, effect.space, now_ms)
    documents.append_changes(conn, by_document)


def save_sealed(conn: Connection, change_set: ChangeSet, last_hash: bytes, changes: int) -> None:
    """An own change set, made of that many of its session's oldest unsealed changes."""
    change_sets.add_change_sets(conn, [set_row(change_set, last_hash)])
    header = change_set.header
    documents.mark_sealed(conn, header.doc, header.session, changes)
    documents.put_session(conn, header.doc, documents.SessionRow(header.session, None, header.seq, change_set.id))


def count_sets(conn: Connection, doc: DocId) -> int:
    """How many change sets of a document are here."""
    return change_sets.count(conn, doc)


# Documents


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it lies in the store."""

    doc: DocId
    space: SpaceId
    heads: bytes
    """As lists have them, joined: they may be old."""
    snapshot: bytes | None
    tail: list[bytes]
    head_sets: dict[bytes, SetId]
    sessions: list[SessionLog]
    unsealed: list[Unsealed]

    @property
    def small(self) -> bool:
        """Loading it takes no longer than starting a thread."""
        return (
            len(self.tail) <= SMALL_TAIL
            and sum(map(len, self.tail)) <= SMALL_TAIL_BYTES
            and len(self.snapshot or b"") <= 4 * 1024
        )


@dataclass(frozen=True, slots=True)
class CreatedDocument:
    """A document that this device creates, with its first changes: they are kept together, or a crash between the
    two would leave an empty document for good."""

    doc: DocId
    space: SpaceId
    session: Session
    nonce: bytes
    """Kept until the set that creates the document is sealed."""
    changes: list[Unsealed]
    heads: tuple[bytes, ...]
    title: str | None
    created_ms: int


def create_document(conn: Connection, created: CreatedDocument) -> None:
    """Keep a document that this device creates."""
    documents.create_documents(conn, [created.doc], created.space, created.created_ms)
    documents.put_session(conn, created.doc, documents.SessionRow(created.session, created.nonce, 0, None))
    save_changes(conn, created.doc, created.changes)
    save_heads(conn, created.doc, created.heads, created.title, created.created_ms)


def load_document(conn: Connection, doc: DocId, sessions: Sequence[Session]) -> StoredDocument | None:
    """A document with all that this process needs to go on with it and to seal what others left; None when not here.

    Its `sessions` may have written in it before: a document leaves memory and comes back while the process runs on.
    """
    row = documents.get_document(conn, doc)
    if row is None:
        return None
    snapshot, tail = documents.load_tail(conn, doc)
    pending = documents.unsealed(conn, doc)
    return StoredDocument(
        doc=doc,
        space=SpaceId(row.space),
        heads=row.heads,
        snapshot=snapshot,
        tail=tail,
        head_sets={last_hash: SetId(set_id) for last_hash, set_id in change_sets.last_hashes(conn, doc)},
        sessions=[
            _session_log(conn, doc, one) for one in dict.fromkeys([*sessions, *(row.session for row in pending)])
        ],
        unsealed=unsealed_of(pending),
    )


def _session_log(conn: Connection, doc: DocId, session: bytes) -> SessionLog:
    row = documents.get_session(conn, doc, session)
    if row is None:
        return SessionLog(Session(session))
    last = None if row.last is None else SetId(row.last)
    return SessionLog(Session(session), row.seq, last, row.nonce or b"")


def unsealed_of(pending: Sequence[documents.UnsealedRow]) -> list[Unsealed]:
    """Changes of one document with their dependencies, where those are more than the change before."""
    found: list[Unsealed] = []
    before: dict[bytes, bytes] = {}
    for row in pending:
        info = inspect(row.change)
        plain = list(info.deps) == [before.get(row.session)]
        deps = None if plain else tuple(info.deps)
        found.append(Unsealed(Session(row.session), info.hash, row.change, deps, row.continues))
        before[row.session] = info.hash
    return found


@dataclass(frozen=True, slots=True)
class WrittenDocument:
    """What one transaction of another connection made of a document."""

    doc: DocId
    heads: tuple[bytes, ...]
    title: str | None
    changes: list[Unsealed]
    begun: tuple[SpaceId, bytes] | None
    """The space and the nonce of one that begins with these changes."""


def write_many(conn: Connection, written: Sequence[WrittenDocument], now_ms: int) -> None:
    """Keep what a transaction made of many documents. Who follows documents is not told."""
    found = [
        documents.WrittenRow(one.doc, b"".join(one.heads), one.title, _unsealed_rows(one.doc, one.changes), one.begun)
        for one in written
    ]
    documents.write_many(conn, found, now_ms)


def title_of(document: Mapping[str, Any]) -> str | None:
    """A document's `title`, where it has one, cut to 200 characters."""
    value = document.get("title")
    return None if value is None else str(value)[:TITLE_CHARACTERS]


def save_changes(conn: Connection, doc: DocId, changes: Sequence[Unsealed]) -> None:
    """Local changes, not sealed yet."""
    documents.append_unsealed(conn, _unsealed_rows(doc, changes))


def _unsealed_rows(doc: DocId, changes: Sequence[Unsealed]) -> list[documents.UnsealedRow]:
    return [documents.UnsealedRow(doc, item.session, item.change, item.continues) for item in changes]


def save_heads(conn: Connection, doc: DocId, heads: Sequence[bytes], title: str | None, now_ms: int) -> None:
    """What lists show of a document."""
    documents.set_heads(conn, doc, b"".join(heads), title, now_ms)


def save_many_heads(conn: Connection, shown: Sequence[tuple[DocId, Sequence[bytes], str | None]]) -> None:
    """As `save_heads`, of many documents."""
    documents.set_many_heads(conn, [(doc, b"".join(heads), title) for doc, heads, title in shown], _now_ms())


def tail_position(conn: Connection, doc: DocId) -> int:
    """The position of the newest change in a document's tail."""
    return documents.tail_position(conn, doc)


def replace_snapshot(conn: Connection, doc: DocId, snapshot: bytes, upto: int) -> None:
    """Fold the tail up to a position into a snapshot."""
    documents.replace_snapshot(conn, doc, snapshot, upto)


def documents_to_seal(conn: Connection) -> list[DocId]:
    """Documents with changes that an earlier process saved and did not seal."""
    return [DocId(doc) for doc in documents.documents_to_seal(conn)]


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document as a list shows it."""

    doc: DocId
    title: str | None
    changed_ms: int
    heads: tuple[bytes, ...]


def list_documents(conn: Connection, space: SpaceId) -> list[ListedDocument]:
    """The documents of a space."""
    return [
        ListedDocument(DocId(row.doc), row.title, row.changed_ms, tuple(ids_of(row.heads)))
        for row in documents.list_documents(conn, space)
    ]


# Addresses


def remember_address(conn: Connection, url: str) -> None:
    """Dial this after a restart, in place of the same address with another token."""
    address, _ = split_token(url)
    for known in node.list_addresses(conn):
        if known != url and split_token(known)[0] == address:
            node.drop_address(conn, known)
    node.add_address(conn, url)


def remembered_addresses(conn: Connection) -> list[str]:
    """What is dialled after a restart."""
    return node.list_addresses(conn)


# Mail


def store_mail(conn: Connection, effect: do.StoreMail, limits: Limits) -> None:
    """Keep a mail; above the bound of its receiver it is dropped, which is no error of whose job this is."""
    bounds = {"most": limits.mail_per_device, "most_in_all": limits.mail_in_all}
    with suppress(LimitExceeded):
        mailbox.put_mail(conn, effect.to, effect.sender, effect.body, _now_ms(), **bounds)


def take_mail(conn: Connection, effect: do.ReadMail) -> happened.MailRead:
    """The mail kept for a device, which is then no longer kept."""
    mails = mailbox.take_mail(conn, effect.device)
    return happened.MailRead(effect.link, tuple((DeviceKey(sender), body) for sender, body in mails))


def expire_mail(conn: Connection, limits: Limits) -> None:
    """Drop mail that was kept too long."""
    mailbox.expire_mail(conn, _now_ms() - int(limits.mail_s * 1000))


def _now_ms() -> int:
    return int(time.time() * 1000)
