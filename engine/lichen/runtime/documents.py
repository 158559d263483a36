"""The documents of one device that are in memory, each at most once."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from lichen_crdt import Document, Value

from lichen.config import Limits
from lichen.core.actors import actor_id
from lichen.core.effects import AcceptedSet, StoreSets
from lichen.crypto.plaintext import CHANGE_BYTES
from lichen.errors import LichenError, NotFound, StoreError
from lichen.ids import DeviceKey, DocId, Session, SpaceId
from lichen.runtime import rows
from lichen.runtime.building import build_crdt
from lichen.runtime.document import Host, OpenDocument, too_large
from lichen.runtime.freshening import Freshening
from lichen.runtime.sealer import SessionLog, Unsealed, run_of
from lichen.runtime.unopened import Unopened
from lichen.runtime.unsealed_rows import UnsealedDocument
from lichen.store import Store
from lichen.wire.changeset import doc_id

log = logging.getLogger("lichen.documents")


class Documents:
    """Loads documents on demand, and lets those go that nothing uses.

    A document lives as long as a handle, a task or the list of the most recently used holds it.
    """

    def __init__(self, host: Host, store: Store, device: DeviceKey, session: Session, limits: Limits) -> None:
        self._host = host
        self._store = store
        self._device = device
        self._session = session
        self._limits = limits
        self._alive: weakref.WeakValueDictionary[DocId, OpenDocument] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[DocId, OpenDocument] = OrderedDict()
        self._loading: dict[DocId, asyncio.Future[OpenDocument]] = {}
        self._late: dict[DocId, list[AcceptedSet]] = {}
        """Accepted while the document was being loaded."""
        self._late_written: dict[DocId, list[Sequence[Unsealed]]] = {}
        """Written by another connection while the document was being loaded."""
        self._other_sessions: list[Session] = []
        """Under which other connections of this process write."""
        self._unopened = Unopened(host, self._asleep, self._load_soon, limits.fold_loaded_changes)
        self._freshening = Freshening(host, self._asleep, self._load_to_freshen)
        self._unsealed: dict[DocId, SpaceId] = {}
        """With changes that could not be sealed when that was last tried, in memory or not."""

    def open_now(self, doc: DocId) -> OpenDocument | None:
        """The document, if it is in memory."""
        return self._alive.get(doc)

    def all_open(self) -> list[OpenDocument]:
        """Every document in memory."""
        return list(self._alive.values())

    def draft(
        self, space: SpaceId, nonce: bytes, content: Mapping[str, Value], now_ms: int
    ) -> tuple[OpenDocument, rows.CreatedDocument]:
        """A document that is being created here, to be begun once the store holds it, and what the store is to hold."""
        doc = doc_id(space, self._device, nonce)
        session = SessionLog(self._session, nonce=nonce)
        document = self._open(doc, space, Document(actor=actor_id(self._device, doc, self._session)), [session])
        filled = False
        try:
            with document.crdt.change("create", now_ms // 1000, max_bytes=CHANGE_BYTES) as made:
                for key, value in (content or {"created": now_ms}).items():
                    document.crdt[key] = value
                filled = True
        except OverflowError as refused:
            if not filled:  # a number was, and not the change
                raise
            raise too_large(refused) from refused
        changes = run_of(self._session, made.changes, ())
        created = rows.CreatedDocument(
            doc, space, self._session, nonce, changes, document.crdt.heads, rows.title_of(document.crdt), now_ms
        )
        return document, created

    def begin(self, document: OpenDocument, created: rows.CreatedDocument) -> None:
        """The store holds a document that was created here."""
        self.adopt(document)
        document.begin(created.changes)

    def _open(self, doc: DocId, space: SpaceId, crdt: Document, sessions: Sequence[SessionLog]) -> OpenDocument:
        return OpenDocument(
            id=doc,
            space=space,
            crdt=crdt,
            session=self._session,
            host=self._host,
            head_sets={},
            sessions={log.session: log for log in sessions},
            fold_changes=self._limits.fold_changes,
            fold_bytes=self._limits.fold_bytes,
        )

    def adopt(self, document: OpenDocument) -> None:
        """This is the document's one object in memory."""
        self._alive[document.id] = document
        self._use(document)

    async def get(self, doc: DocId) -> OpenDocument:
        """The document, loaded if need be. Raises `NotFound`."""
        if (document := self._alive.get(doc)) is None or document.failure is not None:
            await self._host.refuse_borrower()  # to load it may be to write
            document = self._alive.get(doc)
        if document is not None and document.failure is None:
            self._use(document)
            return document
        loading = self._loading.get(doc)
        if loading is None:
            loading = self._begin_loading(doc, document)
        return await asyncio.shield(loading)

    def _begin_loading(self, doc: DocId, failed: OpenDocument | None) -> asyncio.Future[OpenDocument]:
        """Load a document in a task of its own: who asked for it first may give up, and others wait for it too."""
        loading: asyncio.Future[OpenDocument] = asyncio.get_running_loop().create_future()
        task = self._host.spawn(self._load(doc, loading, failed), f"load {doc.hex()[:8]}")
        if task is None:
            raise StoreError("this engine is closed")
        self._loading[doc] = loading

        def ended(_task: object) -> None:
            if not loading.done():
                loading.set_exception(StoreError(f"document {doc.hex()} could not be loaded: the engine is closing"))
            loading.exception()  # nobody may be waiting any more

        task.add_done_callback(ended)
        return loading

    async def _load(self, doc: DocId, loading: asyncio.Future[OpenDocument], failed: OpenDocument | None) -> None:
        try:
            if failed is not None:
                await failed.ended()
            sealing = self._unopened.busy(doc)
            if sealing is not None:
                await sealing
            sessions = [self._session, *self._other_sessions]
            stored = await asyncio.wrap_future(self._store.write(lambda conn: rows.load_document(conn, doc, sessions)))
            if stored is None:
                raise NotFound(
                    f"document {doc.hex()} is not on this device",
                    hint="it may still come: Space.document waits with wait_s",
                )
            document = await self._build(stored)
            if not self._host.holds(stored.space):
                raise NotFound(f"document {doc.hex()} has left this device with its space")
            self.adopt(document)
            if stored.heads != b"".join(document.crdt.heads):
                document.freshen()
            document.take(self._late.pop(doc, []))
            for written in self._late_written.pop(doc, []):
                document.join(written)
            document.fold_from(self._limits.fold_loaded_changes)
            loading.set_result(document)
        except Exception as error:
            loading.set_exception(error)
        finally:
            del self._loading[doc]
            if late := self._late.pop(doc, None):  # what came while it could not be loaded
                self._freshening.freshen(doc, late[0].set.header.space)
            if self._late_written.pop(doc, None):
                self.seal([doc])

    async def _build(self, stored: rows.StoredDocument) -> OpenDocument:
        actor = actor_id(self._device, stored.doc, self._session)
        build = partial(build_crdt, stored.snapshot, stored.tail, actor)
        crdt = build() if stored.small else await asyncio.to_thread(build)
        document = self._open(stored.doc, stored.space, crdt, stored.sessions)
        document.head_sets.update(stored.head_sets)
        document.tail_changes = len(stored.tail)
        document.tail_bytes = sum(map(len, stored.tail))
        document.resume(stored.unsealed)
        return document

    def _use(self, document: OpenDocument) -> None:
        self._recent[document.id] = document
        self._recent.move_to_end(document.id)
        if len(self._recent) > self._limits.open_documents:
            self._recent.popitem(last=False)

    # Incoming

    def take(self, effect: StoreSets) -> None:
        """Change sets were accepted: give them to the documents in memory, note the others as changed."""
        by_document: dict[DocId, list[AcceptedSet]] = {}
        for item in effect.sets:
            by_document.setdefault(item.set.header.doc, []).append(item)
        for doc, items in by_document.items():
            document = self._alive.get(doc)
            if document is not None and document.failure is None:
                document.take(items)
            elif doc in self._loading:
                self._late.setdefault(doc, []).extend(items)
            else:
                self._freshening.freshen(doc, effect.space)

    def expect(self, session: Session) -> None:
        """Another connection will write under this session: what is loaded from now on knows how far it has come."""
        self._other_sessions.append(session)

    def written_elsewhere(
        self, written: Sequence[rows.WrittenDocument], unsealed: Sequence[UnsealedDocument] = ()
    ) -> None:
        """Another connection wrote these changes: show them in documents in memory, and seal them all.

        `unsealed` is what that connection read of some of them. What it could not see yet is sealed by jobs of the
        store that come after its transaction, so who waits for these hears of them after this call.
        """
        asleep = []
        for one in written:
            document = self._alive.get(one.doc)
            if document is not None and document.failure is None:
                document.join(one.changes)
            elif one.doc in self._loading:
                self._late_written.setdefault(one.doc, []).append(one.changes)
            else:
                asleep.append(one.doc)
        self._unopened.seal(asleep, [one for one in unsealed if one.doc in asleep])

    async def saved(self, space: SpaceId) -> None:
        """Return when everything recorded so far in a space is on disk. Raises `StoreError` where it could not be."""
        for document in self.all_open():
            if document.space == space and document.failure is None:
                await document.saved()

    async def leave(self, space: SpaceId, left: LichenError) -> None:
        """Let go of what is in memory of a space; who waits for it hears `left`. Returns when none of it is under way.

        What this device writes from now on, in any document, it writes under a new session: should the space come
        back, its logs are not continued from where they are forgotten.
        """
        self._session = Session(os.urandom(16))
        leaving = [document for document in self.all_open() if document.space == space]
        for document in leaving:
            document.fail(left)
            self._recent.pop(document.id, None)
        for document in leaving:
            await document.ended()
            if self._alive.get(document.id) is document:
                del self._alive[document.id]
        await self._unopened.settle()
        self._unsealed = {doc: where for doc, where in self._unsealed.items() if where != space}

    def seal(self, docs: Iterable[DocId]) -> None:
        """Seal what lies in the store unsealed."""
        self._unopened.seal(docs)

    def _asleep(self, doc: DocId) -> bool:
        return doc not in self._alive and doc not in self._loading

    def _load_soon(self, doc: DocId) -> None:
        """Load it, which seals what lies in the store unsealed, and folds a long tail."""
        self._host.spawn(self._load_alone(doc), f"seal {doc.hex()[:8]}")

    async def _load_to_freshen(self, doc: DocId) -> None:
        await self._load_alone(doc, OpenDocument.freshen)

    async def _load_alone(self, doc: DocId, then: Callable[[OpenDocument], None] = lambda _: None) -> None:
        """Load a document that nobody asked for."""
        try:
            then(await self.get(doc))
        except Exception as error:  # it may be damaged: the others are shown all the same
            log.error("document %s could not be loaded: %s", doc.hex(), error)

    def forget(self, docs: Iterable[DocId]) -> None:
        """Change sets that documents in memory show could not be stored: the next use loads what is on disk."""
        for doc in docs:
            document = self._alive.get(doc)
            if document is not None and document.failure is None:
                hint = "open the document again"
                document.fail(StoreError(f"change sets of document {doc.hex()} could not be stored", hint=hint))
            self._recent.pop(doc, None)

    def wake(self, space: SpaceId) -> None:
        """Rights or keys of a space have changed: what waited to be sealed may be now."""
        for document in self.all_open():
            if document.space == space:
                document.seal_soon()
        left = [doc for doc, where in self._unsealed.items() if where == space]
        if left and self._host.sealer.ready(space):
            for doc in left:
                del self._unsealed[doc]
            self.seal(doc for doc in left if doc not in self._alive)

    def cannot_seal(self, doc: DocId, space: SpaceId) -> None:
        """Its changes wait for rights or keys, wherever it is then."""
        self._unsealed[doc] = space

    async def settle(self) -> None:
        """Return when every document in memory is saved, sealed and applied, as far as it can be."""
        await self._unopened.settle()
        await self._freshening.settle()
        for document in self.all_open():
            await document.settled()
