"""What a page may give a query or a text, and how rows become JSON."""

from __future__ import annotations

import enum
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from lichen.errors import ConfigError, LimitExceeded, NotFound
from lichen_adapters.asgi import rows
from lichen_adapters.asgi.declared import Declared, Served

if TYPE_CHECKING:
    from lichen import Document as Elsewhere

KEY = UUID(int=7)


def find(word: str, least: int = 0, *, near: float = 1.0, done: bool = False) -> None: ...


def when(day: date, at: datetime, key: UUID) -> None: ...


def test_parameters_are_of_the_kinds_that_were_declared() -> None:
    assert Declared.of(find).arguments({"word": "a", "least": 3, "near": 2}) == {"word": "a", "least": 3, "near": 2.0}
    given = {"word": "a", "least": "3", "near": "2.5", "done": "true"}
    assert Declared.of(find).arguments(given, texts=True) == {"word": "a", "least": 3, "near": 2.5, "done": True}
    times = {"day": "2026-01-02", "at": "2026-01-02T03:04:05+00:00", "key": str(KEY)}
    found = Declared.of(when).arguments(times)
    assert found == {"day": date(2026, 1, 2), "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "key": KEY}


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {},
        {"word": 7},
        {"word": "x" * 4_097},
        {"word": "\ud83d"},
        {"word": "a", "other": 1},
        {"word": "a", "least": "3"},
        {"word": "a", "least": True},
        {"word": "a", "least": 1.0},
        {"word": "a", "least": 2**63},
        {"word": "a", "near": float("nan")},
        {"word": "a", "near": 10**400},
        {"word": "a", "done": 1},
        {"word": "a", "done": None},
        {"word": "a", "least": {}},
    ],
    ids=lambda given: str(given)[:40],
)
def test_what_does_not_fit_is_refused_in_words(given: object) -> None:
    with pytest.raises(ConfigError, match="find"):
        Declared.of(find).arguments(given)


@pytest.mark.parametrize("given", ["x", "1e999", "nan", ""])
def test_what_an_address_says_is_read_or_refused(given: str) -> None:
    for name in ("least", "near", "done"):
        with pytest.raises(ConfigError, match=f"{name} of find is no"):
            Declared.of(find).arguments({"word": "a", name: given}, texts=True)


def test_only_what_a_page_can_give_can_be_declared() -> None:
    def anything(value: Any) -> None: ...

    def unsaid(value) -> None: ...  # type: ignore[no-untyped-def]  # which is what is wrong

    def many(*values: int) -> None: ...

    for function in (anything, unsaid, many):
        with pytest.raises(ConfigError, match="a page cannot give"):
            Declared.of(function)


def test_what_could_not_be_called_is_refused_when_it_is_declared() -> None:
    async def later() -> None: ...

    def unknown(least: int) -> Elsewhere: ...

    served: Served[Any] = Served("query")
    with pytest.raises(ConfigError, match="query later is a coroutine"):
        served.add(later)
    Served[Any]("text", may_wait=True).add(later)
    with pytest.raises(ConfigError, match="annotated with Elsewhere"):
        served.add(unknown)


def test_nothing_is_served_but_what_was_declared() -> None:
    served: Served[Any] = Served("query")
    served.add(find)
    assert served.named("find").function is find
    for name in ("when", "__class__", "", None, 7, ["find"]):
        with pytest.raises(NotFound, match="serves no query"):
            served.named(name)
    with pytest.raises(ConfigError, match="query find is declared twice"):
        served.add(find)


class Colour(enum.Enum):
    RED = "red"


def test_values_of_rows_become_json() -> None:
    values = [KEY, date(2026, 1, 2), timedelta(seconds=2), Colour.RED, Decimal("1.50"), b"\x00\xff", {2, 1}, "é", None]
    text = rows.text_of(values)
    assert json.loads(text) == [str(KEY), "2026-01-02", 2.0, "red", "1.50", "AP8=", [1, 2], "é", None]


@pytest.mark.parametrize("value", [object(), float("nan"), {"a": 1j}, "half \ud83d"])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="cannot be told"):
        rows.text_of(value)


def test_what_is_too_large_for_a_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "FRAME_BYTES", 10)
    rows.text_of("x" * 8)
    with pytest.raises(LimitExceeded, match="11 characters"):
        rows.text_of("x" * 9)
