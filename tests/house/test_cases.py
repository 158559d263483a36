"""The page of cases is true: every test that it names is there, and every case has its tests or is said to be open."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TOP = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| (.+?) \| (.+?) \|(.*)\|$", re.MULTILINE)
TEST = re.compile(r"`([\w/]+\.py)::(\w+)`")


def functions_of(file: Path) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(file.read_text()).body if isinstance(node, kinds)}


def rows() -> list[tuple[str, str, str, str]]:
    return ROW.findall((TOP / "docs/reference/cases.md").read_text())


def test_every_test_that_is_named_is_there() -> None:
    named = [test for *_, tests in rows() for test in TEST.findall(tests)]
    missing = [f"{file}::{name}" for file, name in named if name not in functions_of(TOP / "tests" / file)]
    assert len(named) > 30
    assert missing == []


def test_every_case_is_listed_once_and_has_a_test_or_is_open() -> None:
    assert [int(number) for number, *_ in rows()] == list(range(1, 47))
    for number, _, outcome, tests in rows():
        assert (outcome == "not yet") != bool(TEST.findall(tests)), number
