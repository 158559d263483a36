"""From rows to documents: what a database transaction has touched becomes one transaction in each document."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lichen.crypto.plaintext import CHANGE_BYTES
from lichen.ids import DocId, SpaceId
from lichen.runtime import rows
from lichen.runtime.document import too_large
from lichen.runtime.sealer import run_of
from lichen_crdt import Document, Record
from sqlalchemy import Connection, RowMapping, select

from lichen_adapters.orm.carrying import Carried
from lichen_adapters.orm.claims import Claim
from lichen_adapters.orm.clash import claim_in
from lichen_adapters.orm.errors import Misfit, SessionMisuse
from lichen_adapters.orm.foreign_ids import not_ours, refuse_another_class
from lichen_adapters.orm.journal import Touched
from lichen_adapters.orm.memory import Memory, content_of_kept
from lichen_adapters.orm.plan import DELETED, SyncedTable
from lichen_adapters.orm.projection import content_of, fixed, root_of
from lichen_adapters.orm.projector import Projector
from lichen_adapters.orm.row_writer import RowWriter, puts
from lichen_adapters.orm.rows import CHUNK
from lichen_adapters.orm.seeing import Seeing
from lichen_adapters.orm.settlement import complete, settle
from lichen_adapters.orm.unique_keys import BEGUN, SPACE
from lichen_adapters.orm.whole_objects import check_whole, forget_gone, touch_whole

Rows = dict[uuid.UUID, RowMapping]
Docs = dict[uuid.UUID, bool]
"""The documents in which a row lies or lay before; whether it does now."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be written in one document."""

    rows: dict[SyncedTable, dict[uuid.UUID, bool]] = field(default_factory=dict)
    """The touched rows, and whether they are in this document now."""
    links: dict[tuple[str, ...], bool] = field(default_factory=dict)
    """The keys that stand for touched rows of associations, and whether these are there now."""
    follows: dict[SyncedTable, dict[uuid.UUID, uuid.UUID]] = field(default_factory=dict)
    """The rows that are joined to touched ones, and to which."""


@dataclass(slots=True)
class Told:
    """What a transaction is told beside its statements."""

    begun: dict[uuid.UUID, Begun] = field(default_factory=dict)
    """The documents whose ids were made in it."""
    settled: set[tuple[SyncedTable, uuid.UUID, str]] = field(default_factory=set)
    """Columns of rows that are written even where they hold the value already, since another was in dispute with it."""
    messages: dict[uuid.UUID, str] = field(default_factory=dict)
    """What the changes of documents are to say."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A document that a new row begins: in which space, and under which nonce its id was made."""

    space: SpaceId
    nonce: bytes


class Capture:
    """Writes what was touched into documents, and these into the store, on the connection that touched it."""

    def __init__(self, conn: Connection, memory: Memory, projector: Projector, told: Told, now_ms: int) -> None:
        self._conn = conn
        self._memory = memory
        self._projector = projector
        self._clashes = projector.clashes
        self._joins = projector.joins
        self._begun = told.begun
        self._settled = told.settled
        self._messages = told.messages
        self._now_ms = now_ms
        self._rows: dict[SyncedTable, Rows] = {}
        self._docs: dict[SyncedTable, dict[uuid.UUID, Docs]] = {}
        self._stale: dict[uuid.UUID, None] = {}
        """The documents of which other rows than those that were touched come, with what was written, or go."""

    def write(self, touched: Mapping[SyncedTable, Touched]) -> list[rows.WrittenDocument]:
        """One CRDT transaction in each document; returns what each made.

        Raises `SessionMisuse`, `Misfit` for values that cannot merge, and `ChangeTooLarge`.
        """
        self._seeing = Seeing(self._conn, self._joins, touched)
        self._carried = Carried(self._seeing.of)
        rows_of = dict(touched)
        touch_whole(self._conn, self._projector.held, rows_of)
        work = self._sort(rows_of)
        self._memory.load(self._conn, (doc for doc in work if doc not in self._begun))
        before = {planned: self._claims(planned) for planned in self._rows if self._contested(planned)}
        self._carry(work)
        written = [one for doc, what in work.items() if (one := self._document(doc, what)) is not None]
        self._check_whole(work)
        self._release(work)
        rows.write_many(self._conn, written, self._now_ms)
        for planned, claims in before.items():
            known = {row: claim for row, claim in claims.items() if not self._seeing.is_apart(planned, row)}
            settle(self._conn, self._clashes, planned, known, self._rows[planned])
            if planned.joins:
                self._rejoin(planned, claims, work)
        self._review(work)
        self._show_others()
        return written

    def _show_others(self) -> None:
        """What others have put into rows that were deleted, and copies of rows that have gone elsewhere."""
        for doc in self._stale:
            self._projector.rebuild(self._conn, doc)
        if self._stale:
            self._projector.before_commit(self._conn)

    def _check_whole(self, work: Mapping[uuid.UUID, Work]) -> None:
        """Objects over joined tables are whole, and what is held is in its document."""
        conn, held = self._conn, self._projector.held
        for doc, what in work.items():
            over = [planned for planned in what.rows if planned.base is not None or any(planned.joined)]
            noted = any(held.any(conn, one) for planned in what.rows for one in planned.beneath)
            kept = self._memory.kept(conn, doc) if over or noted else None
            content = {} if kept is None else content_of_kept(kept)
            root = root_of(self._projector.plan, content)
            if root is not None:
                check_whole(conn, root, doc, content, {(one.first, key) for one in over for key in what.rows[one]})
                forget_gone(conn, held, self._clashes, root, doc, content)

    def _release(self, work: Mapping[uuid.UUID, Work]) -> None:
        """A row that was held, or repaired, is in its table as it is in its document now, or deleted."""
        held = self._projector.held
        for doc, what in work.items():
            for planned, touched in what.rows.items():
                for key, here in touched.items() if held.notes(self._conn, planned) else ():
                    copies = held.docs(self._conn, planned, key)
                    held.release(self._conn, planned, key, doc)
                    # The copy that was held here is shown now with what it owns, or one in another document.
                    self._stale.update(dict.fromkeys(copies & {doc} if here else copies - {doc}))

    def _review(self, work: Mapping[uuid.UUID, Work]) -> None:
        """What was in dispute in these rows, and beneath them, may be settled now."""
        disputes = self._projector.disputes
        for doc, what in work.items():
            written: list[tuple[SyncedTable, Collection[uuid.UUID]]] = [*what.rows.items(), *what.follows.items()]
            for planned, touched in written:
                if any(disputes.any(self._conn, one) for one in (planned, *planned.beneath)):
                    document = self._memory.kept(self._conn, doc)
                    if document is not None:
                        self._projector.review(self._conn, doc, document, [(planned, key) for key in touched])

    def _rejoin(
        self, planned: SyncedTable, before: Mapping[uuid.UUID, Claim | None], work: Mapping[uuid.UUID, Work]
    ) -> None:
        """What touched rows, and those that are joined to them, are seen as now."""
        followers = {row for what in work.values() for row in what.follows.get(planned, ())}
        claims = {row: self._joins.claim(self._conn, planned, row) for row in followers} | {**before}
        touched = claims.keys() | self._docs[planned].keys()
        rows_now = {row: (claims.get(row), self._claim(planned, row, row)) for row in touched}
        self._projector.rejoin(self._conn, planned, rows_now)

    def _sort(self, touched: dict[SyncedTable, Touched]) -> dict[uuid.UUID, Work]:
        """What is to be written, by document."""
        work: dict[uuid.UUID, Work] = {}
        while touched:
            planned = min(touched, key=lambda one: one.number)  # what owns it has been sorted
            what = touched.pop(planned)
            if planned.other is not None:
                self._sort_links(work, planned, what)
                continue
            self._rows[planned] = self._fetch(planned, list(what.keys))
            found = self._docs[planned] = self._lie(planned, what)
            if (planned.unique and self._complete(planned)) or self._seeing.fit(planned, self._rows[planned]):
                self._rows[planned] = self._fetch(planned, list(what.keys))
            if planned.joins:
                self._follow(work, planned)
            for key, docs in found.items():
                for doc, here in docs.items():
                    work.setdefault(doc, Work()).rows.setdefault(planned, {})[key] = here
            moved = [key for key, docs in found.items() if len(docs) > 1]
            if moved:
                self._touch_beneath(touched, planned, moved)
        return work

    def _lie(self, planned: SyncedTable, what: Touched) -> dict[uuid.UUID, Docs]:
        """In which documents touched rows lie."""
        fetched, owner, above = self._rows[planned], planned.owner, planned.above
        if owner is None or above is None:
            return {key: {key: True} for key in what.keys}
        if alone := [key for key, row in fetched.items() if row[owner.name] is None]:
            raise SessionMisuse(
                f"row {alone[0]} of {planned.name} has no {owner.name}, but is part of what that points at",
                hint="give it an owner, or delete it; what may be without one is no part: leave out part_of",
            )
        if above.owner is None:
            return {
                key: {doc: key in fetched and fetched[key][owner.name] == doc for doc in what.owners[key]}
                for key in what.keys
            }
        named = {one for key in what.keys for one in what.owners.get(key, ())}
        owners = self._docs_of(above, named | {row[owner.name] for row in fetched.values()})
        found: dict[uuid.UUID, Docs] = {}
        for key in what.keys:
            docs = found[key] = {doc: False for one in what.owners.get(key, ()) for doc in owners.get(one, (one,))}
            if key in fetched:
                docs.update({doc: True for doc, here in owners.get(fetched[key][owner.name], {}).items() if here})
        return found

    def _docs_of(self, planned: SyncedTable, ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Docs]:
        """In which documents rows lie that this transaction may have left alone."""
        if planned.owner is None or planned.above is None:
            return {one: {one: True} for one in ids}
        known = self._docs.setdefault(planned, {})
        away = sorted(one for one in ids if one not in known)
        owners: dict[uuid.UUID, uuid.UUID] = {}
        for start in range(0, len(away), CHUNK):
            query = select(planned.table.c.id, planned.owner).where(planned.table.c.id.in_(away[start : start + CHUNK]))
            owners.update((row[0], row[1]) for row in self._conn.execute(query))
        above = self._docs_of(planned.above, {*owners.values()}) if owners else {}
        known.update({one: {doc: True for doc, here in above.get(owners[one], {}).items() if here} for one in owners})
        return known

    def _touch_beneath(self, touched: dict[SyncedTable, Touched], planned: SyncedTable, moved: list[uuid.UUID]) -> None:
        """What lies beneath rows that have moved to another document has moved with them."""
        for below in (*planned.parts, *planned.associations):
            assert below.owner is not None
            what = touched.setdefault(below, Touched({}, {}))
            for start in range(0, len(moved), CHUNK):
                query = select(below.key, below.owner).where(below.owner.in_(moved[start : start + CHUNK]))
                for key, owner in self._conn.execute(query):
                    what.keys[key] = None
                    what.owners.setdefault(key, {})[owner] = None

    def _sort_links(self, work: dict[uuid.UUID, Work], planned: SyncedTable, what: Touched) -> None:
        owner, other, above = planned.owner, planned.other, planned.above
        assert owner is not None
        assert other is not None
        assert above is not None
        pairs = self._seeing.fit_pairs(planned, ((one, key) for key, owners in what.owners.items() for one in owners))
        there: set[tuple[uuid.UUID, uuid.UUID]] = set()
        for start in range(0, len(pairs), CHUNK):
            chosen = pairs[start : start + CHUNK]
            query = select(owner, other).where(
                owner.in_({one for one, _ in chosen}), other.in_({key for _, key in chosen})
            )
            there.update((row[0], row[1]) for row in self._conn.execute(query))
        docs = self._docs_of(above, {one for one, _ in pairs})
        for pair in pairs:
            for doc, here in docs.get(pair[0], {}).items():
                work.setdefault(doc, Work()).links[self._seeing.links(planned, pair)] = here and pair in there

    def _carry(self, work: Mapping[uuid.UUID, Work]) -> None:
        """Note what rows, and their associations, leave in documents that they are in no more."""
        for doc, what in work.items():
            left = [
                ((planned, key), self._rows[planned][key])
                for planned, touched in what.rows.items()
                for key, here in (touched.items() if planned.references else ())
                if not here and key in self._rows[planned]
            ]
            unlinked = [links for links, here in what.links.items() if not here and len(links) > 1]
            kept = self._memory.kept(self._conn, doc) if left or unlinked else None
            content = {} if kept is None else content_of_kept(kept)
            for place, row in left:
                self._carried.leave(content, place, row)
            for links in unlinked:
                self._carried.unlink(content, links)

    def _follow(self, work: dict[uuid.UUID, Work], planned: SyncedTable) -> None:
        """What is joined to touched rows is written too."""
        touched = self._docs[planned]
        for key in touched:
            for row in self._seeing.followers(planned, key):
                if row not in touched:
                    work.setdefault(row, Work()).follows.setdefault(planned, {})[row] = key

    def _fetch(self, planned: SyncedTable, keys: Sequence[uuid.UUID]) -> Rows:
        owner = [] if planned.owner is None else [planned.owner]
        unique = [planned.table.c[SPACE], planned.table.c[BEGUN]] if planned.unique else []
        columns = [planned.table.c.id, *owner, *(one.column for one in planned.columns.values()), *unique]
        query = select(*dict.fromkeys(columns))
        found: Rows = {}
        for start in range(0, len(keys), CHUNK):
            chosen = query.where(planned.table.c.id.in_(keys[start : start + CHUNK]))
            try:
                found.update((row["id"], row) for row in self._conn.execute(chosen).mappings())
            except (ValueError, TypeError, LookupError, ArithmeticError) as error:  # of types, on SQLite
                raise Misfit(
                    f"a row of {planned.name} was to have a value that its column cannot read: {error}"
                ) from error
        return found

    def _space_of(self, doc: uuid.UUID) -> SpaceId:
        begun = self._begun.get(doc)
        if begun is not None:
            return begun.space
        if self._memory.kept(self._conn, doc) is None:
            raise not_ours(doc)
        return self._memory.space(self._conn, doc)

    def _space_of_row(self, planned: SyncedTable, key: uuid.UUID) -> SpaceId:
        (doc,) = (doc for doc, here in self._docs[planned][key].items() if here)
        return self._space_of(doc)

    def _complete(self, planned: SyncedTable) -> bool:
        space_of = functools.partial(self._space_of_row, planned)
        docs, rows = self._docs[planned], self._rows[planned]
        here = {
            key: row for key, row in rows.items() if any(docs[key].values())
        }  # others are shown as they lie elsewhere
        return complete(self._conn, planned, here, space_of, self._now_ms)

    def _contested(self, planned: SyncedTable) -> bool:
        joined = planned.joins and self._joins.of(self._conn, planned)
        return bool(planned.unique) and (bool(joined) or self._clashes.contested(self._conn, planned))

    def _claims(self, planned: SyncedTable) -> dict[uuid.UUID, Claim | None]:
        """What rows claimed before, by their documents: deleted ones too, which have their keys when they come back."""
        found: dict[uuid.UUID, Claim | None] = {}
        for key, docs in self._docs[planned].items():
            for doc in docs:
                claim = None if doc in self._begun else self._claim(planned, key, doc, deleted=not planned.joins)
                if claim is not None:
                    found[key] = claim
        return found

    def _claim(self, planned: SyncedTable, key: uuid.UUID, doc: uuid.UUID, *, deleted: bool = False) -> Claim | None:
        """What a row claims as a document has it now, also a `deleted` one; None when it does not live there."""
        document = self._memory.kept(self._conn, doc)
        content = None if document is None else content_of(content_of_kept(document), planned, key)
        if content is None or (content.get(DELETED) and not deleted):
            return None
        return claim_in(planned, content, fixed(planned, doc, key), self._space_of(doc))

    def _document(self, doc: uuid.UUID, what: Work) -> rows.WrittenDocument | None:
        begun = self._begun.get(doc)
        row = self._alone(doc, what)
        kept = self._memory.kept(self._conn, doc) if begun is None else None
        if kept is None:
            if not any(doc in self._rows[planned] for planned in what.rows if planned.owner is None):
                return None  # it came and went in this transaction
            if begun is None:
                raise not_ours(doc)
            kept = self._memory.new(doc) if row is None else self._memory.new_record(doc)
        refuse_another_class(doc, [one for one in what.rows if doc in self._rows[one]], content_of_kept(kept))
        values = None if row is None or not isinstance(kept, Record) else puts(kept, *row)
        if values is None:
            kept = self._memory.get(self._conn, doc) if isinstance(kept, Record) else kept
            assert kept is not None, "its changes are in the database"
        deps = self._memory.deps(doc)
        try:
            made = self._change(doc, kept, what) if isinstance(kept, Document) else self._put(doc, kept, values or {})
        except OverflowError as refused:
            raise too_large(refused) from refused
        if not made:
            return None
        self._memory.wrote(doc, made[-1][0])
        return rows.WrittenDocument(
            DocId(doc.bytes),
            kept.heads,
            rows.title_of(content_of_kept(kept)) if isinstance(kept, Record) else rows.title_of(kept),
            run_of(self._memory.session, made, deps),
            None if begun is None else (begun.space, begun.nonce),
        )

    def _alone(self, doc: uuid.UUID, what: Work) -> tuple[SyncedTable, RowMapping | None] | None:
        """The document's own row, with its table, if it is all that is to be written, and holds scalars alone."""
        if len(what.rows) != 1 or what.links or what.follows or self._settled or doc in self._messages:
            return None
        (planned,) = what.rows
        if planned.owner is not None or not planned.plain or any(map(self._seeing.of, planned.references.values())):
            return None
        return planned, self._rows[planned].get(doc)

    def _put(self, doc: uuid.UUID, record: Record, values: dict[str, Any]) -> list[tuple[bytes, bytes]]:
        if not values:
            return []
        time_s = self._now_ms // 1000
        return [record.change(self._memory.actor(doc), values, time_s, max_bytes=CHANGE_BYTES)]

    def _change(self, doc: uuid.UUID, document: Document, what: Work) -> list[tuple[bytes, bytes]]:
        writer = RowWriter(document, self._settled, self._seeing.of)
        with document.change(self._messages.get(doc), self._now_ms // 1000, max_bytes=CHANGE_BYTES) as made:
            for planned, touched in what.rows.items():
                for key, here in touched.items():
                    there = self._rows[planned].get(key) if here else None
                    writer.write(planned, key, None if there is None else self._carried.row((planned, key), there))
            for links, here in what.links.items():
                writer.link(links, self._carried.links(links) if here else ())
            for planned, rows_of in what.follows.items():
                for key, row in rows_of.items():
                    writer.follow(planned, key, self._rows[planned].get(row))
        if writer.brought_back:
            self._stale[doc] = None
        return made.changes
