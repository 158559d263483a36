"""What the documents and docstrings show is real: every example in them is run."""

from __future__ import annotations

import asyncio
import doctest
import importlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from lichen import Engine, Text
from lichen_transports import memory

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
EXAMPLE = re.compile(r"```python\n(.*?)```", re.DOTALL)
ROOTS = ("crdt", "engine", "transports", "adapters", "demo_app")

# Examples that need more than their own page, each with its own test: below, and in `tests/adapters`.
APART = {
    "explanation/paths.md",
    "howto/asgi.md",
    "howto/qt.md",
    "howto/rows-in-postgresql.md",
    "howto/textual.md",
    "howto/tk.md",
    "tutorial/two-devices.md",
}

# Whose examples say that they begin with new files.
ONCE = {"tutorial/rows.md"}


def examples(page: str) -> list[str]:
    return EXAMPLE.findall((DOCS / page).read_text())


def pages() -> list[str]:
    found = (str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md"))
    return sorted(page for page in found if page not in APART and examples(page))


def modules() -> list[str]:
    """Every module whose docstrings show examples."""
    files = ((root, file) for root in ROOTS for file in (TOP / root).glob("lichen*/**/*.py"))
    shown = (file.relative_to(TOP / root) for root, file in files if ">>> " in file.read_text())
    return sorted(".".join(file.with_suffix("").parts).removesuffix(".__init__") for file in shown)


@pytest.mark.parametrize("page", pages())
def test_the_examples_of_a_page_run_from_top_to_bottom_and_again_over_the_same_files(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    _run(page)
    if page not in ONCE and any(tmp_path.iterdir()):
        _run(page)


def test_no_two_pages_write_into_one_store() -> None:
    stores: dict[str, str] = {}
    for page in sorted(str(found.relative_to(DOCS)) for found in DOCS.rglob("*.md")):
        for store in re.findall(r"[\w-]+\.db\b", "".join(examples(page))):
            assert stores.setdefault(store, page) == page, f"{store}: its rows are of other classes in {page}"
    assert len(stores) > 20


def _run(page: str) -> None:
    names: dict[str, object] = {"__name__": "example"}
    for example in examples(page):
        exec(compile(example, page, "exec", dont_inherit=True), names)


@pytest.mark.parametrize("name", modules())
def test_the_examples_of_a_docstring_give_what_they_show(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0


def test_the_pages_are_found() -> None:
    assert {"explanation/merging.md", "reference/crdt.md", "tutorial/crdt.md"} <= {*pages()}
    assert "lichen_crdt" in modules()


async def test_the_checks_of_a_channel_hold_for_the_memory_transport() -> None:
    names: dict[str, object] = {"open_my_pair": _memory_pair}
    (example,) = examples("explanation/paths.md")
    exec(compile(example, "paths.md", "exec"), names)
    check = names["CHECKS"][0]  # type: ignore[index]
    await names["test_is_a_channel"](check)  # type: ignore[operator]


async def _memory_pair(message_bytes: int) -> tuple[object, object]:
    paths = memory.MemoryTransport()
    listener = await paths.listen("memory://here", message_bytes=message_bytes)
    return await paths.dial("memory://here", message_bytes=message_bytes), await listener.accept()


def test_the_program_of_the_tutorial_edits_and_ends_at_ctrl_c(tmp_path: Path) -> None:
    (program,) = examples("tutorial/two-devices.md")
    asyncio.run(_prepare(tmp_path))
    command = [sys.executable, "-u", "-W", "error", "-c", program]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True, env=os.environ) as running:
        assert running.stdout is not None
        try:
            assert running.stdout.readline() == "local oat milk, eggs, bread\n"
            running.send_signal(signal.SIGINT)
            assert running.stdout.read() == "stopped\n"
        except BaseException:  # such as the test's time being up: nobody would end it
            running.kill()
            raise
    assert running.returncode == 0


async def _prepare(folder: Path) -> None:
    store = f"sqlite:///{folder / 'ada.db'}"
    async with Engine.open(store, passphrase="a passphrase of several words") as engine:
        space = await engine.create_space("Family", member_name="Ada")
        await space.create({"title": "Groceries", "body": Text("oat milk, eggs")})
