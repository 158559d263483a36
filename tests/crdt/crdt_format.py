"""Automerge's file format taken apart and put together again, so that single values of it can be altered.

A file is a list of chunks; a chunk of a change or a document has columns, and the columns of the operations
are rows. Whatever comes out has right lengths and checksums; nothing else is checked.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any

from crdt_forge import Change, Op, boolean, chunk, delta, encode_ops, prefixed, rle, sleb, uleb

MAGIC = b"\x85\x6f\x4a\x83"
MOST_VALUES = 20_000
Column = tuple[int, bytes]


class Malformed(Exception):
    """Bytes that cannot be taken apart."""


class Reader:
    """Reads bytes from the front."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if count > len(self.data) - self.at:
            raise Malformed
        self.at += count
        return self.data[self.at - count : self.at]

    def uleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    def sleb(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value - (1 << shift) if byte & 0x40 else value

    def prefixed(self) -> bytes:
        return self.take(self.uleb())

    @property
    def rest(self) -> bytes:
        return self.data[self.at :]


def split(data: bytes) -> list[tuple[int, bytes]]:
    """The chunks of a file: kind and body."""
    reader, found = Reader(data), []
    while reader.rest:
        if reader.take(4) != MAGIC:
            raise Malformed
        reader.take(4)
        kind = reader.take(1)[0]
        found.append((kind, reader.prefixed()))
    return found


def join(chunks: list[tuple[int, bytes]]) -> bytes:
    """Chunks with right lengths and checksums."""
    return b"".join(pack(body) if kind == 2 else chunk(body, kind) for kind, body in chunks)


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def pack(body: bytes) -> bytes:
    """A compressed change chunk: its checksum is that of what is in it."""
    packed = deflate(body)
    return MAGIC + chunk(body)[4:8] + b"\x02" + prefixed(packed)


def inflate(data: bytes) -> bytes:
    """At most a megabyte of what is compressed in `data`."""
    try:
        return zlib.decompressobj(-15).decompress(data, 1 << 20)
    except zlib.error as error:
        raise Malformed from error


def read_columns(reader: Reader) -> list[tuple[int, int]]:
    return [(reader.uleb(), reader.uleb()) for _ in range(min(reader.uleb(), 99))]


def take_columns(reader: Reader, layout: list[tuple[int, int]]) -> list[Column]:
    columns = []
    for spec, length in layout:
        data = reader.take(length)
        columns.append((spec & ~8, inflate(data) if spec & 8 else data))
    return columns


def write_columns(columns: list[Column]) -> tuple[bytes, bytes]:
    kept = sorted((spec, data) for spec, data in columns if data)
    layout = uleb(len(kept)) + b"".join(uleb(spec) + uleb(len(data)) for spec, data in kept)
    return layout, b"".join(data for _, data in kept)


@dataclass
class ChangeBody:
    """The body of a change chunk."""

    head: bytes
    columns: list[Column]
    extra: bytes

    @classmethod
    def parse(cls, body: bytes) -> ChangeBody:
        reader = Reader(body)
        reader.take(32 * reader.uleb())
        reader.prefixed()
        for read in (reader.uleb, reader.uleb, reader.sleb, reader.prefixed):
            read()
        for _ in range(reader.uleb()):
            reader.prefixed()
        head = body[: reader.at]
        columns = take_columns(reader, read_columns(reader))
        return cls(head, columns, reader.rest)

    def encode(self) -> bytes:
        layout, data = write_columns(self.columns)
        return self.head + layout + data + self.extra


@dataclass
class DocumentBody:
    """The body of a document chunk, with its columns inflated."""

    actors: list[bytes]
    heads: list[bytes]
    changes: list[Column]
    ops: list[Column]
    tail: bytes

    @classmethod
    def parse(cls, body: bytes) -> DocumentBody:
        reader = Reader(body)
        actors = [reader.prefixed() for _ in range(min(reader.uleb(), 9999))]
        heads = [reader.take(32) for _ in range(min(reader.uleb(), 9999))]
        changes, ops = read_columns(reader), read_columns(reader)
        return cls(actors, heads, take_columns(reader, changes), take_columns(reader, ops), reader.rest)

    def encode(self) -> bytes:
        head = uleb(len(self.actors)) + b"".join(map(prefixed, self.actors))
        head += uleb(len(self.heads)) + b"".join(self.heads)
        (change_layout, changes), (op_layout, ops) = write_columns(self.changes), write_columns(self.ops)
        return head + change_layout + op_layout + changes + ops + self.tail


# How the values of a column are written, by the last three bits of its number.
def values_of(spec: int, data: bytes) -> list[Any]:
    """The values of one column, None where there is none."""
    kind = spec & 7
    if kind == 4:
        return read_booleans(data)
    if kind == 3:
        return running_sum(read_runs(data, Reader.sleb))
    return read_runs(data, Reader.prefixed if kind == 5 else Reader.uleb)


def encode_values(spec: int, values: list[Any]) -> bytes:
    """A column of these values."""
    kind = spec & 7
    if kind == 4:
        return boolean([bool(value) for value in values])
    if kind == 3:
        return delta(values)
    return rle(values, prefixed if kind == 5 else uleb)


def read_runs(data: bytes, read: Any) -> list[Any]:
    reader, values = Reader(data), []
    while reader.rest and len(values) < MOST_VALUES:
        run = reader.sleb()
        if run == 0:
            values += [None] * min(reader.uleb(), MOST_VALUES)
        elif run > 0:
            values += [read(reader)] * min(run, MOST_VALUES)
        else:
            values += [read(reader) for _ in range(min(-run, MOST_VALUES))]
    return values


def running_sum(steps: list[int | None]) -> list[int | None]:
    total, values = 0, []
    for step in steps:
        total += step or 0
        values.append(None if step is None else total)
    return values


def read_booleans(data: bytes) -> list[bool]:
    reader, values, value = Reader(data), [], False
    while reader.rest and len(values) < MOST_VALUES:
        values += [value] * min(reader.uleb(), MOST_VALUES)
        value = not value
    return values


@dataclass(frozen=True)
class Row:
    """One operation of a document; ids are (counter, index of the actor)."""

    ident: tuple[int, int]
    op: Op
    succ: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Meta:
    """One change of a document."""

    actor: int
    seq: int
    max_op: int
    time: int
    deps: tuple[int, ...]


OP_NAMES = {0x01: "obj_actor", 0x02: "obj", 0x11: "key_actor", 0x13: "key", 0x15: "name", 0x21: "actor", 0x23: "ctr"}
OP_NAMES |= {0x34: "insert", 0x42: "action", 0x56: "meta", 0x80: "succ", 0x94: "expand", 0xA5: "mark"}


@dataclass
class Saved:
    """A document chunk as rows, which are encoded again with the heads that belong to them."""

    actors: list[bytes]
    changes: list[Meta]
    rows: list[Row]

    @classmethod
    def parse(cls, body: bytes) -> Saved:
        parts = DocumentBody.parse(body)
        return cls(parts.actors, _read_changes(dict(parts.changes)), _read_rows(dict(parts.ops), parts.actors))

    def encode(self) -> bytes:
        hashes = self.hashes()
        heads = {*range(len(hashes))} - {dep for change in self.changes for dep in change.deps}
        ordered = sorted((hashes[index], index) for index in heads)
        body = DocumentBody(self.actors, [digest for digest, _ in ordered], self._change_columns(), [], b"")
        body.ops = self._op_columns()
        body.tail = b"".join(uleb(index) for _, index in ordered)
        return body.encode()

    def hashes(self) -> list[bytes]:
        """The hash of each change, made of its operations as the rows have them."""
        ops = self._operations()
        hashes: list[bytes] = []
        last: dict[int, int] = {}
        for meta in self.changes:
            first = last.get(meta.actor, 0) + 1
            last[meta.actor] = meta.max_op
            numbers = [n for n in range(first, min(meta.max_op, first + MOST_VALUES) + 1) if (n, meta.actor) in ops]
            change = Change(
                actor=self.actors[meta.actor],
                seq=meta.seq,
                start_op=numbers[0] if numbers else meta.max_op + 1,
                deps=tuple(hashes[dep] if dep < len(hashes) else bytes(32) for dep in meta.deps),
                time=meta.time,
                ops=tuple(ops[n, meta.actor] for n in numbers),
            )
            hashes.append(change.hash)
        return hashes

    def _operations(self) -> dict[tuple[int, int], Op]:
        ops = {row.ident: row.op for row in self.rows}
        pred: dict[tuple[int, int], set[tuple[int, int]]] = {}
        for row in self.rows:
            place = self._name(row.ident) if row.op.insert else row.op.key
            for succ in row.succ:
                pred.setdefault(succ, set()).add(row.ident)
                ops.setdefault(succ, Op(action=3, obj=row.op.obj, key=place))
        return {
            ident: replace(op, pred=tuple(self._name(one) for one in sorted(pred.get(ident, ()))))
            for ident, op in ops.items()
        }

    def _name(self, ident: tuple[int, int]) -> tuple[int, bytes]:
        return ident[0], self.actors[ident[1]]

    def _change_columns(self) -> list[Column]:
        changes = self.changes
        return [
            (0x01, rle([change.actor for change in changes], uleb)),
            (0x03, delta([change.seq for change in changes])),
            (0x13, delta([change.max_op for change in changes])),
            (0x23, delta([change.time for change in changes])),
            (0x40, rle([len(change.deps) for change in changes], uleb)),
            (0x43, delta([dep for change in changes for dep in change.deps])),
            (0x56, rle([7 for _ in changes], uleb)),
        ]

    def _op_columns(self) -> list[Column]:
        rows = self.rows
        succ = [ident for row in rows for ident in row.succ]
        columns = [column for column in encode_ops([row.op for row in rows], self.actors.index) if column[0] < 0x70]
        columns += [column for column in encode_ops([row.op for row in rows], self.actors.index) if column[0] > 0x80]
        return [
            *columns,
            (0x21, rle([row.ident[1] for row in rows], uleb)),
            (0x23, delta([row.ident[0] for row in rows])),
            (0x80, rle([len(row.succ) for row in rows], uleb)),
            (0x81, rle([actor for _, actor in succ], uleb)),
            (0x83, delta([counter for counter, _ in succ])),
        ]


def _read_changes(columns: dict[int, bytes]) -> list[Meta]:
    actors, seqs = values_of(0x01, columns.get(0x01, b"")), values_of(0x03, columns.get(0x03, b""))
    max_ops, times = values_of(0x13, columns.get(0x13, b"")), values_of(0x23, columns.get(0x23, b""))
    counts, deps = values_of(0x40, columns.get(0x40, b"")), values_of(0x43, columns.get(0x43, b""))
    changes = []
    for row in zip(actors, seqs, max_ops, times, counts, strict=True):
        actor, seq, max_op, time, count = row
        changes.append(Meta(actor, seq, max_op, time, tuple(deps[:count])))
        deps = deps[count:]
    return changes


def _read_rows(columns: dict[int, bytes], actors: list[bytes]) -> list[Row]:
    read = {name: values_of(spec, columns.get(spec, b"")) for spec, name in OP_NAMES.items()}
    succ_actor, succ_ctr = (values_of(spec, columns.get(spec, b"")) for spec in (0x81, 0x83))
    succ = list(zip(succ_ctr, succ_actor, strict=True))
    values = Reader(columns.get(0x57, b""))
    rows = []
    for at, actor in enumerate(read["actor"]):
        row = {name: column[at] if at < len(column) else None for name, column in read.items()}
        name, mark = (row[key].decode() if row[key] is not None else None for key in ("name", "mark"))
        key = name if name is not None else (row["key"], actors[row["key_actor"]]) if row["key"] else "head"
        op = Op(
            action=row["action"],
            obj=None if row["obj"] is None else (row["obj"], actors[row["obj_actor"]]),
            key=key,
            insert=bool(row["insert"]),
            value=(row["meta"] & 15, values.take(row["meta"] >> 4)),
            expand=bool(row["expand"]),
            mark=mark,
        )
        count = row["succ"]
        rows.append(Row((row["ctr"], actor), op, tuple(succ[:count])))
        succ = succ[count:]
    return rows


__all__ = ["ChangeBody", "DocumentBody", "Malformed", "Meta", "Row", "Saved", "join", "pack", "sleb", "split"]
