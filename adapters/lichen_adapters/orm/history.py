"""Who changed a row, when, and what: told by the document in which it lies."""

from __future__ import annotations

import datetime
import itertools
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from lichen.errors import ConfigError
from lichen.ids import DeviceKey
from lichen_crdt import Document, HistoryEntry, Map
from sqlalchemy import Table
from sqlalchemy.orm import Mapper, Session, class_mapper

from lichen_adapters.orm.commits import Commit
from lichen_adapters.orm.errors import Misfit
from lichen_adapters.orm.frozen import frozen_value
from lichen_adapters.orm.past import located
from lichen_adapters.orm.plan import DELETED, TABLE, Plan, SyncedTable
from lichen_adapters.orm.projection import Stale, content_of, places_of, root_of, stale
from lichen_adapters.orm.restoring import read_document, sessions_of
from lichen_adapters.orm.writers import devices_of

MOST_EDITS = 100
"""Edits that are told, unless more are asked for."""

Happened = Literal["created", "changed", "deleted", "restored"]
_UNREADABLE = object()


@dataclass(frozen=True, slots=True)
class Edit:
    """What one commit did to a row."""

    happened: Happened
    values: Mapping[str, Any]
    """The attributes that it changed, with what they were after it, where the writer was; of a deletion none."""
    time: datetime.datetime | None
    """When, in UTC and whole seconds, by the clock of the device; None when that is not said."""
    device: DeviceKey | None
    """Whose it is; None when that is not known, as of another program. `space.members()` says whose a device is."""
    change: bytes = field(repr=False)
    """The hash of the change in the document."""
    document: uuid.UUID = field(repr=False)
    """The document in which the row lies."""

    @property
    def heads(self) -> tuple[bytes, ...]:
        """For `at`: the document as it was after this, where the writer was."""
        return (self.change,)

    @property
    def commit(self) -> Commit:
        """For `undo`: what this commit wrote into this document, of all its rows."""
        return Commit(((self.document, (self.change,)),))


def history(
    session: Session,
    what: Any,  # an object of a synced class, or such a class
    attribute: str | None = None,
    *,
    row: uuid.UUID | None = None,
    document: uuid.UUID | None = None,
    most: int = MOST_EDITS,
) -> list[Edit]:
    """What was done to an object, or to one attribute of it, the newest first; at most that many edits.

    An object that is not there any more is named as for `at`. What has not been committed is not told, nor what was
    done while a part lay in another document. Raises `NotFound`, and `ConfigError` for an attribute that is not synced.
    """
    place, doc = located(session, what, row, document)
    conn, sessions = session.connection(), sessions_of(session)
    told = _Teller(sessions.plan, class_mapper(what if isinstance(what, type) else type(what)), place[1], doc)
    if attribute is not None and attribute not in told.attributes.values():
        raise ConfigError(
            f"{attribute!r} is no synced attribute of {place[0].name}",
            hint=f"it has {', '.join(told.attributes.values())}",
        )
    crdt, devices = read_document(conn, doc), devices_of(conn, doc, sessions.memory.device)
    edits = (told.edit(crdt, entry, devices.get(entry.actor), attribute) for entry in reversed(crdt.history()))
    return list(itertools.islice((one for one in edits if one is not None), most))


class _Teller:
    """Tells what changes did to the rows of one object."""

    def __init__(self, plan: Plan, mapper: Mapper[Any], key: uuid.UUID, doc: uuid.UUID) -> None:
        self._plan = plan
        self._doc = doc
        tables = (plan.tables.get(table.name) for table in mapper.tables if isinstance(table, Table))
        self._places = [(table, key) for table in tables if table is not None]
        self.attributes = {
            (table, name): mapper.get_property_by_column(table.table.c[name]).key
            for table, _ in self._places
            for name in table.columns
            if table.table.c[name] in mapper.columns.values()
        }
        """By table and column, those that are synced."""

    def edit(
        self, document: Document, entry: HistoryEntry, device: DeviceKey | None, wanted: str | None
    ) -> Edit | None:
        """What a change did to the object, or to one attribute of it; None when that was nothing."""
        after = document.at((entry.hash,))
        root = root_of(self._plan, after)
        if root is None:
            return None
        places = places_of(document.diff(entry.deps, (entry.hash,)))
        what = stale(root, self._doc, places)
        named = self._named(what, wanted)
        if not named and (wanted is not None or not self._is_named(what)):
            return None
        before = document.at(entry.deps)
        was, now = self._is_there(before), self._is_there(after)
        values = self._changed(named, before, after) if now else {}
        if (was == now and not values) or (wanted is not None and wanted not in values):
            return None
        base, key = self._places[0]
        new: Happened = "created" if not _begun(before, base, key) else "restored"
        happened: Happened = "changed" if was and now else new if now else "deleted"
        return Edit(happened, values, _time(entry.time), device, entry.hash, self._doc)

    def _is_there(self, then: Map) -> bool:
        base, key = self._places[0]
        content = content_of(then, base, key)
        return _begun(then, base, key) and content is not None and not content.get(DELETED)

    def _is_named(self, what: Stale) -> bool:
        """Whether a change may have changed the object, if only that it is there."""
        return what.everything or any(place in what.rows for place in self._places)

    def _named(self, what: Stale, wanted: str | None) -> dict[tuple[SyncedTable, str], str]:
        """The attributes that a change may have changed; none where it leaves alone what is wanted."""
        rows = {table: what.rows.get((table, key), set()) for table, key in self._places}
        whole = what.everything or None in rows.values()
        found = {
            (table, name): attribute
            for (table, name), attribute in self.attributes.items()
            if whole or name in (rows[table] or ())
        }
        return found if wanted is None or wanted in found.values() else {}

    def _changed(self, named: Mapping[tuple[SyncedTable, str], str], before: Map, after: Map) -> dict[str, Any]:
        found = {}
        for (table, name), attribute in named.items():
            key = self._places[0][1]
            was, now = (_read(table, name, content_of(then, table, key)) for then in (before, after))
            if now != was and now is not _UNREADABLE:
                found[attribute] = frozen_value(now)
        return found


def _begun(then: Map, planned: SyncedTable, key: uuid.UUID) -> bool:
    """Whether a row was in a version of a document, live or deleted."""
    content = content_of(then, planned, key)
    return content is not None and (planned.owner is not None or TABLE in content)


def _read(planned: SyncedTable, name: str, content: Map | None) -> Any:
    with suppress(Misfit):
        return None if content is None else planned.columns[name].read(content)
    return _UNREADABLE


def _time(seconds: int) -> datetime.datetime | None:
    """A time that another device may have made up."""
    with suppress(OverflowError, ValueError, OSError):
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC) if seconds else None
    return None
