"""What has a form in a document comes back as the value that it was; what has none is refused when the view is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from lichen_crdt import Document, InvalidModel, Text
from pydantic import BaseModel, Secret, SecretBytes, SecretStr


class Planet(Enum):
    EARTH = (5.97, 6.37)


class Large(Enum):
    HUGE = 2**64


class Fine(Enum):
    MOMENT = datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)


class Single(Enum):
    NOTHING, YES, ONE, HALF, WORD, DATA = None, True, 2, 0.5, "word", b"data"
    DAY = datetime(2026, 1, 1, tzinfo=UTC)


def holder(annotation: Any) -> Any:
    return dataclass(type("Holder", (), {"__annotations__": {"value": annotation}}))


def pydantic_holder(annotation: Any) -> Any:
    return type("PydanticHolder", (BaseModel,), {"__annotations__": {"value": annotation}, "__module__": __name__})


@pytest.mark.parametrize("kind", [Planet, Large, Fine, Literal[2**64]])
@pytest.mark.parametrize("model", [holder, pydantic_holder])
def test_a_choice_of_what_is_no_single_value_is_refused(model: Any, kind: Any) -> None:
    with pytest.raises(InvalidModel, match="no single value"):
        Document().view(model(kind | None))


@pytest.mark.parametrize("model", [holder, pydantic_holder])
def test_a_choice_of_single_values_of_every_type_comes_back(model: Any) -> None:
    kind = model(list[Single])
    view = Document().view(kind)
    view.write(kind(value=[*Single]))
    assert (view.value.value, view.problems) == ([*Single], ())


@pytest.mark.parametrize(
    "kind", [SecretStr, SecretBytes | None, Secret[int], tuple[SecretStr, int], dict[str, SecretStr], list[SecretBytes]]
)
def test_secrets_that_pydantic_would_mask_are_refused(kind: Any) -> None:
    with pytest.raises(InvalidModel, match="asterisks"):
        Document().view(pydantic_holder(kind))


@pytest.mark.parametrize("kind", [int | float, float | int, float | int | None])
@pytest.mark.parametrize("model", [holder, pydantic_holder])
@pytest.mark.parametrize("value", [1, 1.0, 2**60 + 1])
def test_an_int_beside_a_float_stays_an_int(model: Any, kind: Any, value: float) -> None:
    made = model(kind)
    view = Document().view(made)
    view.write(made(value=value))
    assert (view.value.value, type(view.value.value)) == (value, type(value))


@pytest.mark.parametrize("kind", [str | date, UUID | None | str, list[Decimal | str], Annotated[str, Text] | time])
@pytest.mark.parametrize("model", [holder, pydantic_holder])
def test_a_union_of_a_str_and_what_is_stored_as_one_is_refused(model: Any, kind: Any) -> None:
    with pytest.raises(InvalidModel, match="stored as a str"):
        Document().view(model(kind))
