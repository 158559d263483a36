"""Rows of an ordinary SQLAlchemy application as documents that work offline and merge.

::

    class Note(Synced, Base):
        __tablename__ = "note"
        title: Mapped[str]
        body: Mapped[str] = synced_text()
        stars: Mapped[int] = synced_counter()

    sessions = Sessions(engine, Base)
    sessions.prepare()  # creates tables, and brings rows up to date with documents
    with sessions.begin(space) as session:
        session.add(Note(title="Groceries", body="milk"))
"""

from __future__ import annotations

from lichen_adapters.orm.adopting import adopt as adopt
from lichen_adapters.orm.associations import local_association as local_association
from lichen_adapters.orm.associations import synced_association as synced_association
from lichen_adapters.orm.async_sessions import AsyncSessions as AsyncSessions
from lichen_adapters.orm.checking import Report as Report
from lichen_adapters.orm.checking import check as check
from lichen_adapters.orm.checking import rebuild as rebuild
from lichen_adapters.orm.columns import Kind as Kind
from lichen_adapters.orm.columns import local_column as local_column
from lichen_adapters.orm.columns import synced_counter as synced_counter
from lichen_adapters.orm.columns import synced_list as synced_list
from lichen_adapters.orm.columns import synced_set as synced_set
from lichen_adapters.orm.columns import synced_text as synced_text
from lichen_adapters.orm.commits import Commit as Commit
from lichen_adapters.orm.commits import last_commit as last_commit
from lichen_adapters.orm.comparison import Discrepancy as Discrepancy
from lichen_adapters.orm.conflicts import Clash as Clash
from lichen_adapters.orm.conflicts import Conflict as Conflict
from lichen_adapters.orm.conflicts import Dispute as Dispute
from lichen_adapters.orm.conflicts import EditedDeletion as EditedDeletion
from lichen_adapters.orm.conflicts import HeldRow as HeldRow
from lichen_adapters.orm.conflicts import Joined as Joined
from lichen_adapters.orm.conflicts import Repaired as Repaired
from lichen_adapters.orm.conflicts import Side as Side
from lichen_adapters.orm.conflicts import conflicts as conflicts
from lichen_adapters.orm.errors import AdoptionError as AdoptionError
from lichen_adapters.orm.errors import MappingError as MappingError
from lichen_adapters.orm.errors import Misfit as Misfit
from lichen_adapters.orm.errors import SessionMisuse as SessionMisuse
from lichen_adapters.orm.feed import Changes as Changes
from lichen_adapters.orm.history import Edit as Edit
from lichen_adapters.orm.history import history as history
from lichen_adapters.orm.in_space import in_space as in_space
from lichen_adapters.orm.listing import Difference as Difference
from lichen_adapters.orm.listing import Rows as Rows
from lichen_adapters.orm.live import call_live as call_live
from lichen_adapters.orm.live import live as live
from lichen_adapters.orm.merges import Merged as Merged
from lichen_adapters.orm.migrations import alembic_options as alembic_options
from lichen_adapters.orm.migrations import migrating as migrating
from lichen_adapters.orm.past import at as at
from lichen_adapters.orm.postgres_triggers import triggers as triggers
from lichen_adapters.orm.restoring import restore as restore
from lichen_adapters.orm.search_words import SearchTooLong as SearchTooLong
from lichen_adapters.orm.searching import search as search
from lichen_adapters.orm.sessions import Sessions as Sessions
from lichen_adapters.orm.standing import standing as standing
from lichen_adapters.orm.synced import DocId as DocId
from lichen_adapters.orm.synced import Synced as Synced
from lichen_adapters.orm.synced import SyncedDataclass as SyncedDataclass
from lichen_adapters.orm.undoing import undo as undo

__all__ = [
    "AdoptionError",
    "AsyncSessions",
    "Changes",
    "Clash",
    "Commit",
    "Conflict",
    "Difference",
    "Discrepancy",
    "Dispute",
    "DocId",
    "Edit",
    "EditedDeletion",
    "HeldRow",
    "Joined",
    "Kind",
    "MappingError",
    "Merged",
    "Misfit",
    "Repaired",
    "Report",
    "Rows",
    "SearchTooLong",
    "SessionMisuse",
    "Sessions",
    "Side",
    "Synced",
    "SyncedDataclass",
    "adopt",
    "alembic_options",
    "at",
    "call_live",
    "check",
    "conflicts",
    "history",
    "in_space",
    "last_commit",
    "live",
    "local_association",
    "local_column",
    "migrating",
    "rebuild",
    "restore",
    "search",
    "standing",
    "synced_association",
    "synced_counter",
    "synced_list",
    "synced_set",
    "synced_text",
    "triggers",
    "undo",
]
