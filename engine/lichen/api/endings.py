"""How a program ends that people start from a command line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lichen.errors import LichenError

INTERRUPTED = 128 + signal.SIGINT


@contextmanager
def in_words() -> Iterator[None]:
    """Around a program: an error of lichen ends it with one line, what happened and what to do, and exit code 1.

    Ctrl-C, where nothing in the program has it end in order, ends it with a line and exit code 130, as programs do. Any
    other error is one of the program, and keeps its traceback.
    """
    try:
        yield
    except LichenError as error:
        sys.exit(error.told)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
