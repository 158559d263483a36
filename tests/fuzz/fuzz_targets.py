"""What is fuzzed: each target takes bytes of anyone, may raise documented errors only, and checks what it got."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable
from random import Random
from typing import Any

import fuzz_above
from crdt_format import Malformed, join, split
from fuzz_mutations import mutate
from fuzz_seeds import base_of, replicas
from lichen_crdt import (
    CrdtError,
    Document,
    InvalidCursor,
    InvalidDocument,
    List,
    Map,
    MissingDependencies,
    Text,
    apply_patches,
)

SEEDS = 200
MOST_BYTES = 1 << 24
MOST_OPERATIONS = 1 << 16


def load(data: bytes) -> None:
    """A file: refused, or a document that reads, saves and writes, and that its own changes make again."""
    try:
        doc = Document.load(data, max_bytes=MOST_BYTES, max_operations=MOST_OPERATIONS)
    except (InvalidDocument, MissingDependencies):
        return
    use(doc)
    again = Document()
    again.apply_changes(doc.changes(), replay=False)
    assert again.heads == doc.heads, "its changes make other heads"
    assert same(again.to_py(), doc.to_py()), "its changes make another content"


def apply(data: bytes) -> None:
    """Changes on top of a document: refused with the document as it was, or taken and kept whole."""
    number, changes = _numbered(data)
    doc, _ = base_of(number)
    doc, other = doc.fork(), doc.fork(actor=b"\xbb" * 16)
    heads, content = doc.heads, doc.to_py()
    try:
        doc.apply_changes(changes)
    except CrdtError:
        assert doc.heads == heads, "a refused change left other heads"
        assert same(doc.to_py(), content), "a refused change left another content"
        use(doc)
        return
    other.apply_changes(changes, replay=False)
    assert other.heads == doc.heads, "replay gave other heads"
    assert same(other.to_py(), doc.to_py()), "replay gave another content"
    use(doc)


def patch(data: bytes) -> None:
    """Changes on top of a document: their patches, and the difference both ways, turn one content into the other."""
    number, changes = _numbered(data)
    doc, _ = base_of(number)
    doc = doc.fork()
    heads, old = doc.heads, doc.to_py()
    try:
        patches = doc.apply_changes(changes)
    except CrdtError:
        return
    new = doc.to_py()
    assert same(apply_patches(copy.deepcopy(old), patches), new), "the patches of an apply"
    assert same(apply_patches(copy.deepcopy(old), doc.diff(heads)), new), "the difference"
    assert same(apply_patches(copy.deepcopy(new), doc.diff(doc.heads, heads)), old), "the difference backwards"


def cursor(data: bytes) -> None:
    """A cursor and heads: refused, or a position inside the text or list."""
    number, rest = data[0] % SEEDS if data else 0, data[1:]
    doc = replicas(number)[0]
    for target in containers(doc):
        if not isinstance(target, Map):
            with contextlib.suppress(InvalidCursor):
                assert 0 <= target.position(rest) <= len(target), "a position outside"
    with contextlib.suppress(CrdtError, ValueError):  # `ValueError`: no hash at all
        doc.at([rest[:32]])


def use(doc: Document) -> None:
    """Read everything, look back, write, and save: nothing of it may fail."""
    content = doc.to_py()
    for target in containers(doc):
        if isinstance(target, Map):
            for key in target:
                target.conflicts(key)
            continue
        if isinstance(target, Text):
            target.blame()
            target.marks()
        for index in (0, len(target) // 2, len(target)):
            assert target.position(target.cursor(index)) == index
    history = doc.history()
    for info in history[:: max(1, len(history) // 3)]:
        doc.at([info.hash]).to_py()
        doc.fork(at=[info.hash])
    doc.diff((), doc.heads)
    assert doc.fork().heads == doc.heads
    saved = Document.load(doc.save())
    assert saved.heads == doc.heads
    assert same(saved.to_py(), content), "a save loads as another content"
    with saved.change():
        saved["goes"] = "on"
        for target in containers(saved)[1:]:
            if isinstance(target, Text):
                target.insert(len(target), "!")
            elif isinstance(target, List):
                target.insert(0, 1)
    assert Document.load(saved.save()) == saved


def containers(view: Any) -> list[Any]:
    found = [view]
    if isinstance(view, (Map, List)):
        for place in view if isinstance(view, Map) else range(len(view)):
            if isinstance(view[place], (Map, List, Text)):
                found += containers(view[place])
    return found


def same(one: Any, other: Any) -> bool:
    """Equality in which not-a-number equals itself."""
    return one == other or repr(one) == repr(other)


def _numbered(data: bytes) -> tuple[int, list[bytes]]:
    """The number of a document, and changes for it."""
    if not data:
        return 0, []
    try:
        return data[0] % SEEDS, [join([chunk]) for chunk in split(data[1:])]
    except Malformed:
        return data[0] % SEEDS, [data[1:]]


def fresh(target: str, rng: Random) -> bytes:
    """An honest input of a target."""
    if target in fuzz_above.TARGETS:
        return fuzz_above.FRESH[target](rng)
    number = rng.randrange(SEEDS)
    doc = replicas(number)[0]
    behind, changes = base_of(number)
    if target == "load":
        return rng.choice([doc.save(), behind.save() + doc.save_after(behind.heads), b"".join(doc.changes())])
    if target == "cursor":
        found = [item for item in containers(doc) if not isinstance(item, Map)]
        item = rng.choice(found)
        return bytes([number]) + item.cursor(rng.randrange(len(item) + 1))
    kept = changes if rng.random() < 0.7 else [*changes, *doc.changes()]
    return bytes([number]) + b"".join(kept)


def mutated(target: str, data: bytes, rng: Random) -> bytes:
    """Another input of a target."""
    if target in fuzz_above.TARGETS:
        return fuzz_above.altered(target, data, rng)
    if target == "load":
        return mutate(data, rng)
    return data[:1] + mutate(data[1:], rng)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "load": load,
    "apply": apply,
    "cursor": cursor,
    "patch": patch,
    **fuzz_above.TARGETS,
}
