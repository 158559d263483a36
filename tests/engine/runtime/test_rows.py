"""What comes back from the store after a restart is what went in."""

from __future__ import annotations

from pathlib import Path

from lichen.config import Limits
from lichen.core.effects import AcceptedSet, StoreSets
from lichen.core.sealing_plan import next_set
from lichen.runtime import rows
from lichen.runtime.sealer import Unsealed
from lichen.store import Store
from lichen.testing.sets import Desk, Pen
from lichen_crdt import inspect


def test_the_changes_of_one_transaction_stay_one_change_set_after_a_crash(tmp_path: Path) -> None:
    pen = Pen(Desk())
    doc, space = pen.desk.doc, pen.desk.script.space
    made = [pen.change() for _ in range(4)]
    before = [
        Unsealed(pen.session, inspect(change).hash, change, () if index == 0 else None, index in (1, 2))
        for index, change in enumerate(made)
    ]
    store = Store.open(tmp_path / "store.db", bytes(32))
    created = rows.CreatedDocument(doc, space, pen.session, bytes(16), before[:1], (), None, 0)
    store.write(lambda conn: rows.create_document(conn, created)).result()
    store.write(lambda conn: rows.save_changes(conn, doc, before[1:])).result()
    store.close()
    store = Store.open(tmp_path / "store.db", bytes(32))
    stored = store.read(lambda conn: rows.load_document(conn, doc, [pen.session])).result()
    store.close()
    assert stored is not None
    assert stored.unsealed == before
    assert len(next_set(stored.unsealed, Limits(seal_target_bytes=1))) == 3


def test_what_is_kept_in_memory_of_a_set_is_the_same_after_a_restart(tmp_path: Path) -> None:
    desk = Desk()
    desk.script.add("ann")
    pen, other = Pen(desk), Pen(desk, "ann")
    first = pen.create()
    other.read(first)
    sets = [first, other.write(), pen.write()]
    sets.append(pen.merge(*sets))
    accepted = tuple(AcceptedSet(one, (), desk.known[one.id].last_hash) for one in sets)
    store = Store.open(tmp_path / "store.db", bytes(32))
    store.write(lambda conn: rows.store_space(conn, desk.script.space)).result()
    store.write(lambda conn: rows.store_sets(conn, StoreSets(desk.script.space, accepted))).result()
    (loaded,) = store.read(rows.load_spaces).result()
    store.close()
    assert list(loaded.sets) == [(one.id, desk.known[one.id]) for one in sets]
