"""What is imported is what an installation brings: what only a development environment has fails for users."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text())
OURS = {"lichen", "lichen_crdt", "lichen_transports", "lichen_adapters", "lichen_notes"}
ELSEWHERE = {
    "lichen/store/postgres.py": "postgres",
    "lichen_adapters/asgi/": "asgi",
    "lichen_adapters/asgi/fastapi.py": "fastapi",
    "lichen_adapters/asgi/uvicorn.py": "uvicorn",
    "lichen_adapters/qt/": "qt",
    "lichen_adapters/textual/": "textual",
    "lichen_crdt/typed/pydantic_": "pydantic",
    "lichen_notes/desk.py": "demo",
    "lichen_notes/server.py": "demo",
    "lichen_notes/serving.py": "demo",
    "lichen_transports/rtc_library.py": "webrtc",
}
"""The extra that files use whose names begin so; whoever imports them says so where it is missing."""


def extras_of(name: str) -> list[str]:
    """The extras that a file uses."""
    return [extra for start, extra in ELSEWHERE.items() if name.startswith(start)]


def names(requirements: list[str]) -> set[str]:
    """The distributions in requirements, normalised."""
    found = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {match[0].lower().replace("_", "-") for match in found if match}


def brought(extras: list[str]) -> set[str]:
    """What an installation with these extras brings, and what some of it is itself made of."""
    declared = PROJECT["project"]["dependencies"]
    optional = PROJECT["project"]["optional-dependencies"]
    found = names([*declared, *(requirement for extra in extras for requirement in optional[extra])])
    parts = (names(requires(whole) or []) for whole in {"aiortc", "pydantic"} & found)
    return found.union(*parts)


def imported(node: ast.AST) -> set[str]:
    """The packages outside the standard library that code imports at any place, but for its types alone."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            found = _imported_by(node.orelse)
        case ast.Import():
            found = {alias.name.split(".")[0] for alias in node.names}
        case ast.ImportFrom(module=str(module), level=0):
            found = {module.split(".")[0]}
        case _:
            found = _imported_by(ast.iter_child_nodes(node))
    return found - OURS - sys.stdlib_module_names


def _imported_by(nodes: Iterable[ast.AST]) -> set[str]:
    return {package for node in nodes for package in imported(node)}


def files() -> Iterator[tuple[str, Path]]:
    """Every file that an installation has, but for what is for testing applications of it, or run by PyInstaller."""
    for root in ("crdt", "engine", "transports", "adapters", "demo_app"):
        for file in sorted((TOP / root).glob("lichen*/**/*.py")):
            name = str(file.relative_to(TOP / root))
            if not name.startswith(("lichen/testing/", "lichen_adapters/freezing/hook-")):
                yield name, file


def test_what_is_imported_is_declared() -> None:
    distributions = packages_distributions()
    undeclared = [
        f"{name}: {package}"
        for name, file in files()
        for package in sorted(imported(ast.parse(file.read_text())))
        if not names(distributions.get(package, [])) & brought(extras_of(name))
    ]
    assert undeclared == []


def test_an_import_that_is_not_declared_is_found() -> None:
    code = "import json\nif TYPE_CHECKING:\n    import av\ndef f():\n    import pytest\n    from starlette.x import y"
    assert imported(ast.parse(code)) == {"pytest", "starlette"}
    assert not {"pytest", "starlette"} & brought([])
    assert "starlette" in brought(["demo"])
