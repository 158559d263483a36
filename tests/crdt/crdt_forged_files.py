"""Forged files: an honest document, and it with single things altered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from crdt_forge import Op, sleb, string, uleb
from crdt_format import DocumentBody, Row, Saved, join, split
from lichen_crdt import Counter as Count
from lichen_crdt import (
    Document,
    InvalidDocument,
    Text,
)

ALICE, BOB = b"\x11" * 16, b"\x22" * 16


def example() -> Document:
    """Two writers, every type, concurrent edits of the same places."""
    alice = Document(actor=ALICE)
    with alice.change(time=5):
        alice["text"] = Text("hello")
        alice["list"] = [1, {"x": 2.5}, b"z"]
        alice["count"] = Count(2)
        alice["map"] = {"k": None}
    bob = alice.fork(actor=BOB)
    with alice.change():
        alice["text"].insert(2, "XX")
        alice["count"] += 3
        alice["list"][0] = 7
        alice["text"].mark(1, 3, "bold", True)
    with bob.change():
        bob["text"].delete(1, 2)
        bob["count"] += 4
        bob["list"][0] = 8
        del bob["map"]["k"]
    alice.merge(bob)
    return alice


EXAMPLE = example()
FILE = EXAMPLE.save()


def saved() -> Saved:
    [(kind, body)] = split(FILE)
    assert kind == 0
    return Saved.parse(body)


def encode(forged: Saved) -> bytes:
    return join([(0, forged.encode())])


def refuse(data: bytes, **limits: int) -> None:
    with pytest.raises(InvalidDocument):
        Document.load(data, **limits)  # type: ignore[arg-type]


def row_of(forged: Saved, wanted: Callable[[Op], bool]) -> int:
    return next(index for index, row in enumerate(forged.rows) if wanted(row.op))


def change_row(wanted: Callable[[Op], bool], **fields: object) -> bytes:
    forged = saved()
    index = row_of(forged, wanted)
    row = forged.rows[index]
    forged.rows[index] = replace(row, op=replace(row.op, **fields))  # type: ignore[arg-type]
    return encode(forged)


def change_meta(index: int, **fields: object) -> bytes:
    forged = saved()
    forged.changes[index] = replace(forged.changes[index], **fields)  # type: ignore[arg-type]
    return encode(forged)


def drop_row(wanted: Callable[[Op], bool]) -> bytes:
    forged = saved()
    del forged.rows[row_of(forged, wanted)]
    return encode(forged)


def supersede(wanted: Callable[[Op], bool], *succ: tuple[int, int]) -> bytes:
    forged = saved()
    index = row_of(forged, wanted)
    forged.rows[index] = replace(forged.rows[index], succ=succ)
    return encode(forged)


def body() -> DocumentBody:
    return DocumentBody.parse(split(FILE)[0][1])


def with_body(**fields: object) -> bytes:
    return join([(0, replace(body(), **fields).encode())])  # type: ignore[type-var]


def with_column(spec: int, data: bytes) -> bytes:
    return with_body(ops=[(found, data if found == spec else old) for found, old in body().ops])


def with_change_column(spec: int, data: bytes) -> bytes:
    return with_body(changes=[(found, data if found == spec else old) for found, old in body().changes])


def with_actors(actors: list[bytes]) -> bytes:
    return join([(0, replace(body(), actors=actors).encode())])


def change_ident(wanted: Callable[[Op], bool], ident: tuple[int, int]) -> bytes:
    forged = saved()
    index = row_of(forged, wanted)
    forged.rows[index] = replace(forged.rows[index], ident=ident)
    return encode(forged)


def swap(first: tuple[int, int], second: tuple[int, int]) -> bytes:
    forged = saved()
    idents = [row.ident for row in forged.rows]
    one, two = idents.index(first), idents.index(second)
    forged.rows[one], forged.rows[two] = forged.rows[two], forged.rows[one]
    return encode(forged)


def with_extra_bytes(meta: int, data: bytes, second: bool = False) -> bytes:
    written = uleb(len(data) << 4 | meta)
    runs = sleb(-3) + b"\x07" + written + b"\x07" if second else sleb(-1) + written + sleb(2) + b"\x07"
    changes = [(spec, runs if spec == 0x56 else old) for spec, old in body().changes]
    return with_body(changes=[*changes, (0x57, data)])


def with_one_more() -> bytes:
    """An operation beyond the last of its actor."""
    forged = saved()
    index = row_of(forged, in_root)
    forged.rows.insert(index + 1, Row((20, 1), Op(key="unknown"), ()))
    return encode(forged)


def with_a_value_on_a_mark() -> bytes:
    """A character in the place of the begin of a mark."""
    forged = saved()
    index = row_of(forged, lambda op: op.mark is not None)
    mark = forged.rows[index]
    on = Op(obj=mark.op.obj, key=(mark.ident[0], ALICE), value=string("x"))
    forged.rows.insert(index + 1, Row((30, 0), on, ()))
    return encode(forged)


def with_dependencies(count: int) -> bytes:
    columns = {0x40: sleb(-1) + uleb(count) + sleb(2) + b"\x01", 0x43: sleb(count) + b"\x00"}
    return with_body(changes=[(spec, columns.get(spec, old)) for spec, old in body().changes])


def in_root(op: Op) -> bool:
    return op.obj is None and op.key == "text"


def is_character(op: Op) -> bool:
    return op.insert and op.value == string("l")
