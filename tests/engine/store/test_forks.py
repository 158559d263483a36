"""A fork waits for the threads of stores, so that its child can use the database."""

from __future__ import annotations

import os
import threading

import pytest
from lichen.store import Store
from sqlalchemy import Connection

LONG = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000) SELECT count(*) FROM n"


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_waits_for_the_transaction_that_is_under_way(store: Store) -> None:
    begun, forking, over = threading.Event(), threading.Event(), threading.Event()

    def job(conn: Connection) -> None:
        begun.set()
        assert forking.wait(60)
        conn.exec_driver_sql(LONG).all()
        over.set()

    os.register_at_fork(before=forking.set)  # called before those that were registered earlier
    future = store.write(job)
    assert begun.wait(60)
    child = os.fork()
    if child == 0:
        os._exit(0 if over.is_set() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert store.write(lambda _: future.done()).result(60), "it goes on after the fork"
