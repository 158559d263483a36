"""Recorded editing traces of one writer, for `lichen replay` and the benchmarks; see `lichen_crdt.trace_files`."""

from __future__ import annotations

from pathlib import Path

from lichen_crdt.errors import InvalidTrace
from lichen_crdt.trace_files import Trace as Trace
from lichen_crdt.trace_files import play, read_trace

from lichen.errors import TraceError


def load_trace(path: Path) -> Trace:
    """Read a sequential trace and check it whole. Raises `TraceError`."""
    try:
        trace = read_trace(path)
        if not isinstance(trace, Trace):
            raise TraceError(f"{path} is a concurrent trace", hint="python -m lichen_crdt.traces runs those")
        if play(trace.start, trace.transactions) != trace.end:
            raise TraceError(f"{path} does not lead to its own endContent")
    except InvalidTrace as error:
        raise TraceError(str(error)) from error
    return trace
