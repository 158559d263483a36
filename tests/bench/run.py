"""Benchmarks: `python tests/bench/run.py NAME [--json] [--quick] [--row WORKLOAD]`, or ALL.

With `--json` one object a line, a row: `{workload, library, n, median, p99, unit, limit, commit}`; ours is named
`lichen`. `p99` is the worse end: the 99th percentile of a time, the 1st of a rate. `limit` says what bounds or shortens
the workload. `--quick` ends within 60 seconds a workload; its figures are for a smoke test only.

The recorded traces are those of github.com/josephg/editing-traces (CC BY 4.0); `LICHEN_TRACES` names their folder.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import workloads_crdt
import workloads_engine
import workloads_live
import workloads_orm
import workloads_peers
import workloads_stall
import workloads_store

Row = dict[str, Any]
ROOT = Path(__file__).parents[2]
KEYS = ("workload", "library", "n", "median", "p99", "unit", "limit", "commit")


def orm(quick: bool, only: str | None = None) -> Iterable[Row]:
    """The rows of synced tables; those of live queries apart, since both take minutes."""
    if only is None or not only.startswith("orm-live"):
        yield from workloads_orm.rows(quick)
    if only is None or only.startswith("orm-live"):
        yield from workloads_live.rows(quick)


WORKLOADS: dict[str, Callable[[bool], Iterable[Row]]] = {
    "crdt": workloads_peers.rows,
    "replay": workloads_engine.replay,
    "edit": workloads_engine.edit,
    "fresh": workloads_engine.fresh,
    "live": workloads_engine.live,
    "apply": workloads_crdt.apply_one,
    "store": workloads_store.rows,
    "orm": orm,
    "gui-stall": workloads_stall.rows,
}


def commit() -> str:
    """The commit that is measured, with a + when the tree differs from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=10"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def main() -> int:
    """Run what is asked for, printing each row as it is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="ALL", choices=[*WORKLOADS, "ALL"])
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--quick", action="store_true", help="smaller, within 60 seconds a workload")
    parser.add_argument("--row", metavar="WORKLOAD", help="only the rows of this workload")
    options = parser.parse_args()
    measured, shown = commit(), 0
    for name in WORKLOADS if options.name == "ALL" else [options.name]:
        only = options.row
        parts = {"crdt": workloads_peers.rows, "orm": orm, "gui-stall": workloads_stall.rows}
        made = parts[name](options.quick, only) if name in parts else WORKLOADS[name](options.quick)
        for row in made:
            if only is None or row["workload"].startswith(only):
                show({**row, "commit": measured}, as_json=options.json)
                shown += 1
    if not shown:
        print(f"bench: {options.name} has no row {only}", file=sys.stderr)
    return 0 if shown else 1


def show(row: Row, *, as_json: bool) -> None:
    """Print one row."""
    row = {key: row.get(key) for key in KEYS}
    if as_json:
        print(json.dumps(row), flush=True)
        return
    limit = f"  ({row['limit']})" if row["limit"] else ""
    print(
        f"{row['workload']:<18} {row['library']:<28} n={row['n']:<7} median {row['median']:>14,.3f}"
        f"  p99 {row['p99']:>14,.3f} {row['unit']}{limit}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
