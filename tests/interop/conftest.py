from __future__ import annotations

import sys

# The automerge package of PyPI has no wheels above CPython 3.12: there, its tests do not exist.
collect_ignore = ["test_python.py"] if sys.version_info >= (3, 13) else []


def pytest_report_header() -> str:
    """Say what is left out."""
    return "interop: without PyPI automerge, which has no wheels for this Python" if collect_ignore else ""
