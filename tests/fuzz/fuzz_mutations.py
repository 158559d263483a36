"""Mutations that know the format: what they make has right lengths and checksums, and often right heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any

from crdt_forge import Op, sleb, uleb
from crdt_format import (
    ChangeBody,
    Column,
    DocumentBody,
    Malformed,
    Saved,
    deflate,
    encode_values,
    join,
    split,
    values_of,
)

NUMBERS = (0, 1, 2, 3, 7, 127, 128, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)


def mutate(data: bytes, rng: Random) -> bytes:
    """Another file, made of this one by one to three mutations."""
    for _ in range(rng.randrange(1, 4)):
        try:
            data = rng.choice(MUTATIONS)(data, rng)
        except (Malformed, AttributeError, LookupError, OverflowError, TypeError, ValueError):
            data = alter_bytes(data, rng)
    return data


def alter_bytes(data: bytes, rng: Random) -> bytes:
    """Set, insert, take out or repeat a few bytes."""
    altered = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(altered) + 1)
        match rng.randrange(4):
            case 0 if at < len(altered):
                altered[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
            case 1:
                altered.insert(at, rng.randrange(256))
            case 2:
                del altered[at : at + rng.randrange(1, 5)]
            case _:
                altered[at:at] = altered[at : at + rng.randrange(1, 20)]
    return bytes(altered)


def in_a_chunk(change: Callable[[int, bytes, Random], bytes]) -> Callable[[bytes, Random], bytes]:
    """A mutation of the body of one chunk."""

    def mutation(data: bytes, rng: Random) -> bytes:
        chunks = split(data)
        at = rng.randrange(len(chunks))
        kind, body = chunks[at]
        chunks[at] = kind, change(kind, body, rng)
        return join(chunks)

    return mutation


def alter_body(kind: int, body: bytes, rng: Random) -> bytes:
    return alter_bytes(body, rng)


def alter_column(kind: int, body: bytes, rng: Random) -> bytes:
    """Alter the bytes of a column, or what one of its values is."""
    parts: Any = ChangeBody.parse(body) if kind else DocumentBody.parse(body)
    name = "columns" if kind else rng.choice(["changes", "ops"])
    columns = getattr(parts, name)
    at = rng.randrange(len(columns))
    columns[at] = altered_column(columns[at], rng)
    return bytes(parts.encode())


def altered_column(column: Column, rng: Random) -> Column:
    spec, data = column
    if rng.random() < 0.3 or spec & 7 == 7:
        return spec, alter_bytes(data, rng)
    if rng.random() < 0.1:
        return spec, sleb(rng.choice(NUMBERS)) + uleb(rng.randrange(3))
    values = values_of(spec, data)
    at, other = rng.randrange(len(values)), rng.randrange(len(values))
    match rng.randrange(5):
        case 0:
            values[at], values[other] = values[other], values[at]
        case 1:
            del values[at]
        case 2:
            values.insert(at, values[other])
        case 3 if isinstance(values[at], int):
            values[at] = max(0, values[at] + rng.choice([-1, 1, 2]))
        case _ if isinstance(values[at], int):
            values[at] = rng.choice(NUMBERS)
        case _:
            values[at] = None
    return spec, encode_values(spec, values)


def alter_rows(kind: int, body: bytes, rng: Random) -> bytes:
    """Alter an operation or a change of a document, and give it the heads that belong to that."""
    if kind:
        raise Malformed
    saved = Saved.parse(body)
    rows, changes = saved.rows, saved.changes
    at, other = rng.randrange(len(rows)), rng.randrange(len(rows))
    match rng.randrange(7):
        case 0:
            rows[at], rows[other] = rows[other], rows[at]
        case 1:
            rows.insert(other, rows.pop(at))
        case 2:
            rows[at] = replace(rows[at], op=altered_op(rows[at].op, rows[other].op, rng))
        case 3:
            rows[at] = replace(rows[at], succ=tuple(sorted({*rows[at].succ[1:], rows[other].ident})))
        case 4:
            rows[at] = replace(rows[at], ident=(rows[other].ident[0] + rng.randrange(2), rows[at].ident[1]))
        case 5:
            index = rng.randrange(len(changes))
            dep = rng.randrange(len(changes))
            changes[index] = replace(changes[index], deps=tuple({*changes[index].deps[1:], dep}))
        case _:
            index = rng.randrange(len(changes))
            field = rng.choice(["seq", "max_op", "actor"])
            changes[index] = replace(changes[index], **{field: getattr(changes[index], field) + rng.choice([-1, 1])})
    return saved.encode()


def altered_op(op: Op, other: Op, rng: Random) -> Op:
    field = rng.choice(["action", "obj", "key", "insert", "value", "mark", "expand"])
    return replace(op, **{field: getattr(other, field) if rng.random() < 0.7 else rng.choice([0, 1, 3, 5, 7])})


def shuffle_chunks(data: bytes, rng: Random) -> bytes:
    """Repeat, drop or move a chunk, or compress a change."""
    chunks = split(data)
    at = rng.randrange(len(chunks))
    match rng.randrange(4):
        case 0:
            chunks.insert(rng.randrange(len(chunks) + 1), chunks[at])
        case 1:
            del chunks[at]
        case 2:
            chunks[at] = rng.choice([2, 3, 1, 0]), chunks[at][1]
        case _:
            rng.shuffle(chunks)
    return join(chunks)


def add_a_bomb(data: bytes, rng: Random) -> bytes:
    """Append a compressed change that stands for a megabyte."""
    packed = deflate(bytes(1 << 20))
    return data + b"\x85\x6f\x4a\x83" + rng.randbytes(4) + b"\x02" + uleb(len(packed)) + packed


MUTATIONS: tuple[Callable[[bytes, Random], bytes], ...] = (
    alter_bytes,
    in_a_chunk(alter_body),
    in_a_chunk(alter_column),
    in_a_chunk(alter_column),
    in_a_chunk(alter_rows),
    in_a_chunk(alter_rows),
    shuffle_chunks,
    add_a_bomb,
)
