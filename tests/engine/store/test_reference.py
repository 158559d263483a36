"""The reference page names every table, every column and every word for durability."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lichen.store.schema import metadata
from lichen.store.sqlite_file import _SETTINGS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "store.md"


def named(row: str) -> list[str]:
    return re.findall(r"`([a-z_]+)`", row)


@pytest.mark.parametrize("table", metadata.tables.values(), ids=str)
def test_every_table_and_column_is_on_the_page(table: object) -> None:
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{table}` |")]
    columns = [column.name for column in metadata.tables[str(table)].columns]
    assert [name for name in named(row.rsplit("|", 2)[1]) if name not in metadata.tables] == columns


def test_no_table_is_on_the_page_that_is_not_there() -> None:
    tables = PAGE.read_text().split("## Tables")[1]
    assert set(re.findall(r"^\| `([a-z_]+)` \|", tables, re.MULTILINE)) == set(metadata.tables)


def test_every_durability_is_on_the_page() -> None:
    assert set(re.findall(r'^\| `"([a-z]+)"`', PAGE.read_text(), re.MULTILINE)) == set(_SETTINGS)
