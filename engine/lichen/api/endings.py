"""How a program ends that people start from a command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lichen.errors import LichenError


@contextmanager
def in_words() -> Iterator[None]:
    """Around a program: an error of lichen ends it with one line, what happened and what to do, and exit code 1.

    Ctrl-C ends it with exit code 0. Any other error is one of the program, and keeps its traceback.
    """
    try:
        yield
    except LichenError as error:
        sys.exit(error.told)
    except KeyboardInterrupt:
        sys.exit()
