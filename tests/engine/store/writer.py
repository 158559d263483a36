"""A process that writes to a store without end, and says on stdout what was acknowledged. Killed by `test_crash.py`.

Usage: writer.py URL DURABILITY. Each job is one change and its number as the document's title; many are outstanding.
"""

from __future__ import annotations

import os
import sys
import threading
from functools import partial

from lichen.runtime.unlock import open_store
from lichen.store import documents
from sqlalchemy import Connection

DOC, SPACE, SESSION = b"d" * 16, b"s" * 32, b"n" * 16
FOLD_EVERY = 500
OUTSTANDING = threading.BoundedSemaphore(64)


def write(conn: Connection, number: int) -> int:
    """Append a change and its number; now and then fold what is sealed."""
    body = b"%d:" % number + os.urandom(200)
    documents.append_unsealed(conn, [documents.UnsealedRow(DOC, SESSION, body)])
    documents.set_heads(conn, DOC, b"%d" % number, str(number), number)
    if number % FOLD_EVERY == 0:
        documents.mark_sealed(conn, DOC, SESSION, FOLD_EVERY)
        documents.replace_snapshot(conn, DOC, b"%d" % number, documents.tail_position(conn, DOC))
    return number


def acknowledge(number: int | None, error: BaseException | None) -> None:
    """One line for each commit."""
    os.write(1, b"%d\n" % number if number is not None else repr(error).encode() + b"\n")
    OUTSTANDING.release()


def main() -> None:
    """Go on after the newest title."""
    os.write(1, b"opening\n")
    url, durability = sys.argv[1:]
    words = "kill" if url.startswith("postgresql") else None
    store = open_store(url, passphrase=words, durability=durability, clear_rows=True)  # type: ignore[arg-type]  # an argument
    store.write(lambda conn: documents.create_documents(conn, [DOC], SPACE, 0)).result()
    row = store.read(lambda conn: documents.get_document(conn, DOC)).result()
    number = int(row.title or 0) if row is not None else 0
    while True:
        number += 1
        OUTSTANDING.acquire()
        store.write_soon(partial(write, number=number), acknowledge)


main()
