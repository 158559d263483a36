"""One workload of one Python library, in a process of its own: `python peer.py LIBRARY WORKLOAD FOLDER N`.

Prints one number a line: seconds, microseconds for the workloads of one change, MB for `memory`. What a library cannot
do is not among its functions, and has no row.
"""

from __future__ import annotations

import gc
import struct
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

Edit = tuple[int, int, str]


def pieces(data: bytes) -> Iterator[bytes]:
    """What was written as length (u32, little-endian) and bytes."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        yield data[at + 4 : at + 4 + length]
        at += 4 + length


def resident_mb() -> float:
    """Resident memory of this process (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def timed(work: Callable[[], object]) -> None:
    """Print the seconds that a call takes."""
    gc.collect()
    begin = time.perf_counter()
    made = work()
    print(time.perf_counter() - begin)
    del made


class Peer:
    """A library: how it types, saves, loads, reads."""

    def new(self) -> Any: ...
    def edit_one(self, doc: Any, edits: list[Edit]) -> None: ...
    def edit_each(self, doc: Any, edits: list[Edit]) -> None: ...
    def save(self, doc: Any) -> bytes: ...
    def load(self, data: bytes) -> Any: ...
    def to_py(self, doc: Any) -> object: ...


class Lichen(Peer):
    def new(self) -> Any:
        from lichen_crdt import Document, Text

        doc = Document()
        with doc.change():
            doc["body"] = Text()
        return doc

    def edit_one(self, doc: Any, edits: list[Edit]) -> None:
        body = doc.text("body")
        with doc.change():
            for at, deleted, text in edits:
                body.splice(at, deleted, text)

    def edit_each(self, doc: Any, edits: list[Edit]) -> None:
        body = doc.text("body")
        for at, deleted, text in edits:
            with doc.change():
                body.splice(at, deleted, text)

    def save(self, doc: Any) -> bytes:
        return doc.save()

    def load(self, data: bytes) -> Any:
        from lichen_crdt import Document

        return Document.load(data)

    def to_py(self, doc: Any) -> object:
        return doc.to_py()

    def fork_at(self, doc: Any, heads: list[bytes]) -> object:
        return doc.fork(at=heads)

    def diff(self, doc: Any, before: list[bytes]) -> object:
        return doc.diff(before)

    def apply_all(self, changes: list[bytes]) -> object:
        from lichen_crdt import Document

        doc = Document()
        return doc, doc.apply_changes(changes, strict=True)

    def apply_each(self, doc: Any, changes: list[bytes], concurrent: bool) -> None:
        if concurrent:
            with doc.change():
                doc.text("body").insert(0, "!")
        for change in changes:
            begin = time.perf_counter()
            doc.apply_changes([change], strict=True)
            print((time.perf_counter() - begin) * 1e6)


class PypiAutomerge(Peer):
    def new(self) -> Any:
        from automerge import core

        doc = core.Document()
        with doc.transaction() as tx:
            tx.put_object(core.ROOT, "body", core.ObjType.Text)
        return doc

    def _body(self, doc: Any) -> Any:
        from automerge import core

        return doc.get(core.ROOT, "body")[1]

    def edit_one(self, doc: Any, edits: list[Edit]) -> None:
        body = self._body(doc)
        with doc.transaction() as tx:
            for edit in edits:
                self._type(tx, body, edit)

    def edit_each(self, doc: Any, edits: list[Edit]) -> None:
        body = self._body(doc)
        for edit in edits:
            with doc.transaction() as tx:
                self._type(tx, body, edit)

    def _type(self, tx: Any, body: bytes, edit: Edit) -> None:
        from automerge import core

        at, deleted, text = edit
        for _ in range(deleted):
            tx.delete(body, at)
        for index, character in enumerate(text, at):
            tx.insert(body, index, core.ScalarType.Str, character)

    def save(self, doc: Any) -> bytes:
        return doc.save()

    def load(self, data: bytes) -> Any:
        from automerge import core

        return core.Document.load(data)

    def to_py(self, doc: Any) -> object:
        return doc.text(self._body(doc))

    def fork_at(self, doc: Any, heads: list[bytes]) -> object:
        return doc.fork(heads)

    def diff(self, doc: Any, before: list[bytes]) -> object:
        return doc.diff(before, doc.get_heads())


class Pycrdt(Peer):
    def new(self) -> Any:
        from pycrdt import Doc, Text

        return Doc({"body": Text()})

    def edit_one(self, doc: Any, edits: list[Edit]) -> None:
        body = doc["body"]
        with doc.transaction():
            self._type(body, edits)

    def edit_each(self, doc: Any, edits: list[Edit]) -> None:
        self._type(doc["body"], edits)

    def _type(self, body: Any, edits: list[Edit]) -> None:
        for at, deleted, text in edits:
            if deleted:
                del body[at : at + deleted]
            if text:
                body.insert(at, text)

    def save(self, doc: Any) -> bytes:
        return doc.get_update()

    def load(self, data: bytes) -> Any:
        doc = self.new()
        doc.apply_update(data)
        return doc

    def to_py(self, doc: Any) -> object:
        return str(doc["body"])


class PycrdtBytes(Pycrdt):
    """Asked for the bytes of each edit, which `lichen_crdt` gives and the bare crate is asked for."""

    def edit_each(self, doc: Any, edits: list[Edit]) -> None:
        subscription = doc.observe(lambda event: event.update)
        super().edit_each(doc, edits)
        doc.unobserve(subscription)


class Loro(Peer):
    def new(self) -> Any:
        from loro import LoroDoc

        return LoroDoc()

    def edit_one(self, doc: Any, edits: list[Edit]) -> None:
        body = doc.get_text("body")
        self._type(body, edits, lambda: None)
        doc.commit()

    def edit_each(self, doc: Any, edits: list[Edit]) -> None:
        self._type(doc.get_text("body"), edits, doc.commit)

    def _type(self, body: Any, edits: list[Edit], done: Callable[[], object]) -> None:
        for at, deleted, text in edits:
            if deleted:
                body.delete(at, deleted)
            if text:
                body.insert(at, text)
            done()

    def save(self, doc: Any) -> bytes:
        from loro import ExportMode

        return doc.export(ExportMode.Snapshot())

    def load(self, data: bytes) -> Any:
        doc = self.new()
        doc.import_(data)
        return doc

    def to_py(self, doc: Any) -> object:
        return doc.get_deep_value()


PEERS: dict[str, type[Peer]] = {
    "lichen": Lichen,
    "automerge": PypiAutomerge,
    "pycrdt": Pycrdt,
    "pycrdt-bytes": PycrdtBytes,
    "loro": Loro,
}


def edits_of(folder: Path, most: int) -> list[Edit]:
    """The recorded edits."""
    found = [
        (*struct.unpack_from("<II", piece), piece[8:].decode()) for piece in pieces((folder / "edits").read_bytes())
    ]
    return found[:most]


def own(peer: Peer, folder: Path) -> Path:
    """Where the finished document lies in the library's own format."""
    return folder / f"own-{type(peer).__name__}"


def finished(peer: Peer, folder: Path) -> Any:
    """The finished Automerge document."""
    return peer.load((folder / "document").read_bytes())


def versions(folder: Path) -> list[list[bytes]]:
    """The heads of some of its last versions."""
    return [[head] for head in pieces((folder / "versions").read_bytes())]


def keep(peer: Peer, folder: Path, most: int) -> None:
    """Write that document, once."""
    if isinstance(peer, (Lichen, PypiAutomerge)):
        own(peer, folder).write_bytes((folder / "document").read_bytes())
    elif not own(peer, folder).exists():
        doc = peer.new()
        peer.edit_each(doc, edits_of(folder, most))
        own(peer, folder).write_bytes(peer.save(doc))


def run(peer: Peer, workload: str, folder: Path, most: int) -> None:
    """Run one workload, and print its numbers."""
    peer.new()  # what is imported by it is not measured
    match workload:
        case "edit-one" | "edit-each":
            edits, doc = edits_of(folder, most), peer.new()
            work = peer.edit_one if workload == "edit-one" else peer.edit_each
            timed(lambda: work(doc, edits))
        case "save" | "to-py":
            doc = peer.load(own(peer, folder).read_bytes())
            timed(lambda: peer.save(doc) if workload == "save" else peer.to_py(doc))
        case "load":
            data = own(peer, folder).read_bytes()
            timed(lambda: peer.load(data))
        case "fork-at" if isinstance(peer, (Lichen, PypiAutomerge)):
            timed(partial(peer.fork_at, finished(peer, folder), versions(folder)[0]))
        case "diff" if isinstance(peer, (Lichen, PypiAutomerge)):
            doc = finished(peer, folder)
            for before in versions(folder):
                timed(partial(peer.diff, doc, before))
        case "memory":
            data = own(peer, folder).read_bytes()
            before = resident_mb()
            doc = peer.load(data)
            print(resident_mb() - before)
        case "keep":  # apart, since a process whose memory is measured must not have typed before
            keep(peer, folder, most)
        case "apply-all" if isinstance(peer, Lichen):
            changes = list(pieces((folder / "changes").read_bytes()))
            timed(lambda: peer.apply_all(changes))
        case "apply-one" | "apply-one-concurrent" if isinstance(peer, Lichen):
            changes = list(pieces((folder / "last").read_bytes()))[:most]
            doc = peer.load((folder / "before").read_bytes())
            peer.apply_each(doc, changes, workload == "apply-one-concurrent")
        case _:
            raise SystemExit(f"no workload {workload}")


if __name__ == "__main__":
    run(PEERS[sys.argv[1]](), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
