"""`python -m lichen_crdt.traces FILE [--json]`: runs a recorded editing trace, and says whether all end the same.

A concurrent trace has one replica for each agent, a `Document` that writes under its own actor. A transaction is typed
into exactly the merge of its parents: before it, its replica applies the changes it lacks of theirs, all in one call.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from heapq import heapify, heappop, heappush
from pathlib import Path

from lichen_crdt.document import Document
from lichen_crdt.errors import CrdtError, InvalidTrace
from lichen_crdt.text import Text
from lichen_crdt.trace_files import MOST_AGENTS, ConcurrentTrace, Patches, Trace, read_trace

MOST_REPLICAS = 2 * MOST_AGENTS
"""Most replicas of one run: an agent that works on several branches has one for each."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running a trace led to."""

    kind: str
    """"sequential" or "concurrent"."""
    replicas: int
    """How many documents were written in, and compared at the end."""
    edits: int
    """How many patches were typed."""
    equal: bool
    """Whether all replicas, after full exchange, have the same heads and text."""
    end_equal: bool
    """Whether that text is the trace's `endContent`."""
    seconds: float
    """How long typing, merging and comparing took, without reading the file."""


def run_trace(trace: Trace | ConcurrentTrace) -> Outcome:
    """Run a trace of either kind. Raises `InvalidTrace` for an edit outside of the text it is made in."""
    began = time.perf_counter()
    if isinstance(trace, Trace):
        kind, ends = "sequential", iter([_run_sequential(trace)])
    else:
        kind, ends = "concurrent", _run_concurrent(trace)
    first, replicas, equal = next(ends), 1, True
    for end in ends:
        replicas, equal = replicas + 1, equal and end == first
    end_equal = first[1] == trace.end
    return Outcome(kind, replicas, trace.edits, equal, end_equal, round(time.perf_counter() - began, 3))


End = tuple[tuple[bytes, ...], str]
"""Heads and text of a replica."""


def _run_sequential(trace: Trace) -> End:
    doc = Document(_actor(0))
    with doc.change():
        doc["body"] = Text(trace.start)
    body = doc.text("body")
    for index, patches in enumerate(trace.transactions):
        with doc.change():
            _type(body, index, patches)
    return doc.heads, str(body)


def _type(body: Text, index: int, patches: Patches) -> None:
    try:
        for position, deleted, inserted in patches:
            body.splice(position, deleted, inserted)
    except IndexError as error:
        raise InvalidTrace(f"transaction {index} reaches beyond the end of the text") from error


def _actor(number: int) -> bytes:
    return number.to_bytes(16, "big")


class _Replica:
    """One document of an agent, and what it has seen.

    A document cannot go back in time: each of its transactions is typed on top of all that it has seen. They are
    therefore a chain, each in the past of the next, and what a replica has seen is a number of transactions for each.
    """

    def __init__(self, number: int, origin: Document, seen: Mapping[int, int]) -> None:
        self.number = number
        self.typed = 0
        self.seen = {**seen}
        self.doc = origin.fork(_actor(number + 1))
        self.body = self.doc.text("body")


class _Run:
    """The replicas of a concurrent trace, and the changes that its transactions became."""

    def __init__(self, trace: ConcurrentTrace) -> None:
        self.steps = trace.steps
        self.changes: list[list[bytes]] = []
        self.places: list[tuple[int, int]] = []
        """For each transaction, the number of its replica, and its own number among those of that replica, from 1."""
        self.replicas: list[_Replica] = []
        self.latest: dict[int, dict[int, _Replica]] = {agent: {} for agent in range(trace.agents)}
        """For each agent, its replicas by their latest transaction."""
        self.origin = Document(_actor(0))
        with self.origin.change():
            self.origin["body"] = Text(trace.start)

    def new_replica(self, parents: Sequence[int]) -> _Replica:
        """A copy of the replica that has most of `parents` and nothing else, as whoever comes later is given one."""
        if len(self.replicas) == MOST_REPLICAS:
            raise InvalidTrace(f"the trace needs more than {MOST_REPLICAS} replicas")
        latest = {index: replica for replicas in self.latest.values() for index, replica in replicas.items()}
        index = self._newest(parents, dict(sorted(latest.items())))
        doc, seen = (self.origin, {}) if index is None else (latest[index].doc, latest[index].seen)
        replica = _Replica(len(self.replicas), doc, seen)
        self.replicas.append(replica)
        return replica

    def step(self, index: int) -> None:
        """Type the next transaction."""
        step = self.steps[index]
        own = self.latest[step.agent]
        latest = self._newest(step.parents, own)
        replica = self.new_replica(step.parents) if latest is None else own.pop(latest)
        self._apply(replica, self._lacking(replica, step.parents))
        with replica.doc.change() as tx:
            _type(replica.body, index, step.patches)
        self.changes.append([data for _, data in tx.changes])
        replica.typed += 1
        replica.seen[replica.number] = replica.typed
        self.places.append((replica.number, replica.typed))
        own[index] = replica

    def _newest(self, parents: Sequence[int], latest: Mapping[int, _Replica]) -> int | None:
        """Of these latest transactions of replicas, in order, the newest in the past of `parents`; None without one.

        Walks back from the newest, and no further than to that transaction.
        """
        if not latest:
            return None
        oldest = next(iter(latest))
        heap = [-parent for parent in parents]
        heapify(heap)
        met = set(heap)
        while heap and -heap[0] >= oldest:
            index = -heappop(heap)
            if index in latest:
                return index
            for parent in self.steps[index].parents:
                if -parent not in met:
                    met.add(-parent)
                    heappush(heap, -parent)
        return None

    def _lacking(self, replica: _Replica, parents: Sequence[int]) -> list[int]:
        """The transactions up to and with `parents` that a replica has not seen, in order."""
        found = set[int]()
        stack = [*parents]
        while stack:
            index = stack.pop()
            if index not in found and not self._has(replica, index):
                found.add(index)
                stack.extend(self.steps[index].parents)
        return sorted(found)

    def _has(self, replica: _Replica, index: int) -> bool:
        writer, count = self.places[index]
        return replica.seen.get(writer, 0) >= count

    def _apply(self, replica: _Replica, indexes: Sequence[int]) -> None:
        changes = [data for index in indexes for data in self.changes[index]]
        if changes:
            replica.doc.apply_changes(changes)
        for index in indexes:
            writer, count = self.places[index]
            replica.seen[writer] = count

    def ends(self) -> Iterator[End]:
        """Bring every replica to the end, one after the other, and let it go."""
        everything = range(len(self.steps))
        while self.replicas:
            replica = self.replicas.pop()
            self._apply(replica, [index for index in everything if not self._has(replica, index)])
            yield replica.doc.heads, str(replica.body)


def _run_concurrent(trace: ConcurrentTrace) -> Iterator[End]:
    run = _Run(trace)
    for index in range(len(trace.steps)):
        run.step(index)
    for replicas in run.latest.values():
        if not replicas:  # an agent that typed nothing still reads
            run.new_replica(())
    return run.ends()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit code: 0 when the trace was run, 1 for a file that is none."""
    parser = argparse.ArgumentParser(
        prog="python -m lichen_crdt.traces",
        description="Run a recorded editing trace, sequential or concurrent, and compare where all its replicas end.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="JSON or gzipped JSON, as in josephg/editing-traces")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    try:
        return _run_and_print(options.file, as_json=options.json)
    except BrokenPipeError:  # whoever read our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run_and_print(file: Path, *, as_json: bool) -> int:
    try:
        outcome = run_trace(read_trace(file))
    except CrdtError as error:
        _report_error(error, as_json=as_json)
        return 1
    print(json.dumps(asdict(outcome)) if as_json else _describe(outcome), flush=True)
    return 0


def _describe(outcome: Outcome) -> str:
    replicas = "1 replica" if outcome.replicas == 1 else f"{outcome.replicas} replicas"
    return (
        f"{outcome.kind} trace: {outcome.edits} edits on {replicas} in {outcome.seconds} s\n"
        f"replicas {'equal' if outcome.equal else 'NOT EQUAL'}, "
        f"end {'as recorded' if outcome.end_equal else 'NOT AS RECORDED'}"
    )


def _report_error(error: CrdtError, *, as_json: bool) -> None:
    kind, message, hint = type(error).__name__, str(error), getattr(error, "hint", "")
    if as_json:
        print(json.dumps({"error": {"type": kind, "message": message, "hint": hint}}), flush=True)
    else:
        print(f"{kind}: {message}{f' ({hint})' if hint else ''}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
