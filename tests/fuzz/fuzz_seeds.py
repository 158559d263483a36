"""Honest documents to mutate: made anew for each run, of a number."""

from __future__ import annotations

from functools import cache
from random import Random

from lichen_crdt import Counter, Document, List, Map, Text

WRITERS = 3
ALPHABET = "ab🥚é\u0301\n"


@cache
def replicas(number: int) -> tuple[Document, ...]:
    """Documents that a few writers edited concurrently, merged now and then; the first has everything."""
    rng = Random(number)
    docs = [Document(actor=bytes([writer + 1]) * 16) for writer in range(WRITERS)]
    with docs[0].change():
        docs[0].update({"text": Text("hello"), "list": [1, None, b"x"], "map": {"a": {}}, "n": Counter(1)})
    for doc in docs[1:]:
        doc.merge(docs[0])
    for _ in range(rng.randrange(1, 12)):
        doc = rng.choice(docs)
        with doc.change():
            for _ in range(rng.randrange(1, 5)):
                edit(doc, rng)
        if rng.random() < 0.4:
            rng.choice(docs).merge(doc)
    for doc in docs[1:]:
        docs[0].merge(doc)
    return tuple(docs)


def edit(doc: Document, rng: Random) -> None:
    """One random edit of some type."""
    target = doc[rng.choice(["text", "list", "map", "n", "text"])]
    match target:
        case Text() if len(target) > 2 and rng.random() < 0.6:
            start = rng.randrange(len(target) - 1)
            if rng.random() < 0.4:
                target.mark(start, start + 2, rng.choice(["bold", "link"]), rng.choice([True, "x", None]))
            else:
                target.delete(start, 2)
        case Text():
            target.insert(rng.randrange(len(target) + 1), rng.choice(ALPHABET) * rng.randrange(1, 4))
        case List() if len(target) and rng.random() < 0.5:
            at = rng.randrange(len(target))
            if rng.random() < 0.5:
                del target[at]
            else:
                target[at] = rng.choice([True, 2.5, "s", Counter(2), {"k": 1}])
        case List():
            target.insert(rng.randrange(len(target) + 1), rng.choice([1, [], Text("t"), b"bytes"]))
        case Map():
            target[rng.choice("abc")] = rng.choice([1, {}, "s", Text("u"), -(2**40)])
        case _:
            doc["n"] += rng.randrange(-3, 4)


def base_of(number: int) -> tuple[Document, list[bytes]]:
    """A replica behind the whole, and the changes it lacks."""
    whole, *others = replicas(number)
    behind = others[number % len(others)].fork(actor=b"\xaa" * 16)
    return behind, whole.changes(behind.heads)
