"""Fuzz one target for a time: `python tests/fuzz/run.py load 600`.

The fuzzer is atheris (libFuzzer); its mutations are ours, which know the format, since the coverage of the
native core is not seen. An input that breaks a target is kept in `tests/fuzz/found/`, where the suite tries it again.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import resource
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "crdt")]

FOUND = Path(__file__).parent / "found"
MOST_MEMORY_MB = 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", choices=["load", "apply", "cursor", "patch", "branches", "record", "undo"])
    parser.add_argument("seconds", type=int)
    parser.add_argument("--seed", type=int, default=0, help="0: of the clock")
    options = parser.parse_args()
    try:
        import atheris
    except ImportError:
        print("fuzz: atheris is not here: it has wheels for Linux on x86-64 and CPython up to 3.13", file=sys.stderr)
        return 2
    return fuzz(atheris, options.target, options.seconds, options.seed or time.time_ns() % 2**31)


def fuzz(atheris: Any, target: str, seconds: int, seed: int) -> int:
    """Fuzz in a child process, which libFuzzer ends in its own way, and say what it did."""
    counter = mmap.mmap(-1, 8)
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        run(atheris, target, seconds, seed, counter)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    executions, took = int.from_bytes(counter[:], "little"), round(time.monotonic() - began)
    report = {"target": target, "seed": seed, "executions": executions, "seconds": took, "peak_mb": peak}
    print(json.dumps({**report, "ok": status == 0}))
    return 0 if status == 0 else 1


def run(atheris: Any, target: str, seconds: int, seed: int, counter: mmap.mmap) -> None:
    from fuzz_targets import TARGETS, fresh, mutated

    def one(data: bytes) -> None:
        counter[:] = (int.from_bytes(counter[:], "little") + 1).to_bytes(8, "little")
        TARGETS[target](data)

    def mutator(data: bytes, max_size: int, number: int) -> bytes:
        rng = Random(number)
        base = data if len(data) > 10 and rng.random() < 0.5 else fresh(target, rng)
        return mutated(target, base, rng)[:max_size]

    FOUND.joinpath(target).mkdir(parents=True, exist_ok=True)
    flags = [f"-max_total_time={seconds}", f"-seed={seed}", "-max_len=65536", f"-rss_limit_mb={MOST_MEMORY_MB}"]
    flags += ["-timeout=20", f"-artifact_prefix={FOUND / target}{os.sep}", "-verbosity=0", "-reload=0"]
    atheris.Setup([sys.argv[0], *flags], one, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
