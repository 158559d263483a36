"""What is fuzzed above documents: files of branches, lines of records, and what messages say of undo."""

from __future__ import annotations

import re
from random import Random

from crdt_format import Malformed, join, split
from fuzz_mutations import NUMBERS, alter_bytes, mutate
from fuzz_seeds import edit, replicas
from lichen_crdt import Branches, CrdtError, Document, InvalidDocument, MissingDependencies, Record, Undo
from lichen_crdt.branches import MAIN

OWN, OTHER = bytes([1]) * 16, bytes([2]) * 16
STEPS = 12
"""How many steps are taken back, and brought again."""


def branches(data: bytes) -> None:
    """A file of branches: refused, or each opens, merges and writes, and the file that it saves is the same."""
    try:
        loaded = Branches.load(data)
    except (InvalidDocument, MissingDependencies):
        return
    names = [name for name in loaded.names if name != MAIN]
    for name in names:
        assert loaded.open(name).heads == loaded.heads(name)
        with loaded.open(name).change():
            loaded.open(name)["written"] = name
    again = Branches.load(loaded.save())
    assert again.names == loaded.names
    assert [again.heads(name) for name in names] == [loaded.heads(name) for name in names]
    for name in names:
        again.merge(name)
        again.delete(name)
    assert (again.names, Document.load(again.save())) == ((MAIN,), again.main)


def record(data: bytes) -> None:
    """A line of changes: refused, or no line, or what a document holds that takes it."""
    line, doc = Record(), Document()
    try:
        taken = line.take(_chunks(data))
    except CrdtError:
        taken = None
    if taken is None:
        assert (line.heads, line.to_py()) == ((), {}), "a line that was not taken left something"
        return
    doc.apply_changes(_chunks(data), strict=True)
    assert (doc.heads, repr(doc.to_py())) == (line.heads, repr(line.to_py())), "a document holds something else"
    doc.apply_changes([line.change(OWN, {"goes": "on"})[1]], strict=True)
    assert doc.heads == line.heads


def undo(data: bytes) -> None:
    """A message of a stranger's change, and of one of the author's own: steps are taken back and brought again."""
    number, message = (data[0] if data else 0), data[1:].decode(errors="replace")
    doc = replicas(number)[0].fork(actor=OWN)
    other = doc.fork(actor=OTHER)
    for each in (doc, other):
        with each.change(message):
            each["text"].insert(0, "x")
    doc.merge(other)
    steps = Undo(doc)
    while steps.undo() is not None and len(steps.undone_steps) < STEPS:
        pass
    while steps.redo() is not None:
        pass
    assert "x" in str(doc["text"]), "a stranger's letter was taken back"
    assert Document.load(doc.save()) == doc


def _chunks(data: bytes) -> list[bytes]:
    try:
        return [join([chunk]) for chunk in split(data)]
    except Malformed:
        return [data]


def file_of_branches(rng: Random) -> bytes:
    """What `branches` takes."""
    made = Branches(replicas(rng.randrange(200))[0].fork(actor=OWN))
    for number in range(rng.randrange(1, 4)):
        branch = made.create(f"b{number}", of=rng.choice(made.names))
        with branch.change():
            edit(branch, rng)
    return made.save()


def line_of_records(rng: Random) -> bytes:
    """What `record` takes."""
    doc = Document(actor=OWN)
    for _ in range(rng.randrange(1, 5)):
        doc.actor = rng.choice([OWN, OTHER])
        with doc.change():
            doc.update({key: rng.choice([1, None, "s", 2.5, b"b", True]) for key in rng.sample("abcd", 2)})
    return b"".join(doc.changes())


def message_of_undo(rng: Random) -> bytes:
    """What `undo` takes."""
    number = rng.randrange(200)
    doc = replicas(number)[0].fork(actor=OWN)
    steps = Undo(doc)
    for _ in range(rng.randrange(1, 4)):
        steps.undo() if rng.random() < 0.7 else steps.redo()
    said = [info.message for info in doc.history() if info.message]
    return bytes([number]) + (said or ["Undo\nlichen-undo/1 undo - -"])[-1].encode()


def altered_message(data: bytes, rng: Random) -> bytes:
    """The same with other numbers, other parts or other bytes."""
    head, message = data[:1], data[1:]
    numbers = [*re.finditer(rb"\b\d+\b", message)]
    if not numbers or rng.random() < 0.3:
        return head + alter_bytes(message, rng)
    one, other = rng.choice(numbers), rng.choice(numbers)
    new = rng.choice([str(rng.choice(NUMBERS)).encode(), other[0], str(int(one[0]) + 1).encode()])
    return head + message[: one.start()] + new + message[one.end() :]


def altered(target: str, data: bytes, rng: Random) -> bytes:
    """Another input of one of these targets."""
    return altered_message(data, rng) if target == "undo" else mutate(data, rng)


TARGETS = {"branches": branches, "record": record, "undo": undo}
FRESH = {"branches": file_of_branches, "record": line_of_records, "undo": message_of_undo}
