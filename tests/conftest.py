"""What holds for every test: it closes what it opened, and in continuous integration a skipped test is a failed one.

There `make setup` has installed what every test needs, so a skip only means that something went unchecked.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings
from lichen.testing.disks import make_read_only as make_read_only
from lichen.testing.disks import small_disk as small_disk
from lichen.testing.display import display as display
from lichen.testing.postgres import postgres_server as postgres_server
from lichen.testing.postgres import postgres_url as postgres_url

# A shell lets what it starts in the background ignore Ctrl-C, and whatever that starts would ignore it too.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says something of the machine, and nothing of the code.
settings.register_profile("lichen", deadline=None)
settings.load_profile("lichen")


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """The test that leaves an engine or a store open fails itself, not one that comes after it."""
    before = _our_threads()
    yield
    left = _our_threads() - before
    assert not left, f"left running: {sorted(thread.name for thread in left)}"


def _our_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("lichen ")}


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in {"", "0", "false"}


def _refuse_skip(report: Any, name: str) -> None:
    if not _in_ci() or report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = f"{name} was skipped, which in CI is a failure: {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one."""
    report = yield
    _refuse_skip(report, item.nodeid)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a skipped file into a failed one."""
    report = yield
    _refuse_skip(report, collector.nodeid)
    return report
