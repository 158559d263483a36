"""What has a form in a document comes back as the value that it was; what has none is refused when the view is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

import pytest
from lichen_crdt import Counter, Document, InvalidModel, InvalidValue, Text
from pydantic import BaseModel, ConfigDict, Field, Secret, SecretBytes, SecretStr, ValidationError
from pydantic.dataclasses import dataclass as pydantic_dataclass


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


@pytest.mark.parametrize("kind", [list[float] | list[int], dict[str, float | None] | dict[str, int | None]])
@pytest.mark.parametrize("number", [1, 1.0, 2**60 + 1])
def test_ints_beside_floats_stay_ints_in_lists_and_dicts(kind: Any, number: float) -> None:
    value: Any = [number] if get_origin(get_args(kind)[0]) is list else {"a": number}
    made = holder(kind)
    view = Document().view(made)
    view.write(made(value=value))
    assert repr(view.value.value) == repr(value)


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


class Festival(Enum):
    NEW_YEAR = "2026-01-01"


class Season(StrEnum):
    SPRING = "spring"


class Size(IntEnum):
    LARGE = 3


@dataclass
class Point:
    x: int


@dataclass
class Pixel:
    x: int
    colour: int = 0


ALIKE = [
    (date | Decimal, Decimal("20260101"), Decimal("0.5")),
    (date | Festival, Festival.NEW_YEAR, date(2026, 1, 1)),
    (Literal["2026-01-01"] | date, date(2026, 1, 1), date(2026, 1, 2)),
    (list[str] | list[date], [date(2026, 1, 1)], ["2026-01-01"]),
    (list[date | Decimal], [Decimal("20260101")], [Decimal("0.5"), date(2026, 1, 1)]),
    (Any | date, date(2026, 1, 1), "2026-01-01"),
    (Point | Pixel, Pixel(1, 2), Point(1)),
    (Point | Pixel | None, Pixel(1, 2), None),
    (str | Season, Season.SPRING, "summer"),
    (int | Size, Size.LARGE, 2),
    (tuple[int, ...] | list[int], [1], (1,)),
    (list[int] | tuple[int, ...], (1,), [1]),
    (list[Festival] | list[str], ["2026-01-01"], ["summer"]),
    (dict[str, Size] | dict[str, int], {"a": 3}, {"a": 2}),
    (list[Size | int] | list[int], [3], [2]),
    (dict[str, tuple[int, ...]] | dict[str, list[int]], {"a": [1]}, {"a": (1,)}),
    (list[UUID | int] | list[Decimal | int], [Decimal(10**31)], [Decimal("0.5"), 1]),
]


@pytest.mark.parametrize(("kind", "alike", "other"), ALIKE)
@pytest.mark.parametrize("model", [holder, pydantic_holder])
def test_a_value_of_a_union_that_would_be_read_as_another_is_refused(
    model: Any, kind: Any, alike: Any, other: Any
) -> None:
    made, document = model(kind), Document()
    view = document.view(made)
    with pytest.raises(InvalidValue, match="would be read as"):
        view.write(made(value=alike))
    assert document == {}
    view.write(made(value=other))
    assert view.value.value == other
    heads = document.heads
    view.write(view.value)
    assert document.heads == heads


@pytest.mark.parametrize("kind", [IPv4Address | str, str | IPv4Address, Annotated[str, Field(max_length=20)] | date])
def test_what_pydantic_spells_is_read_again_or_refused(kind: Any) -> None:
    made = pydantic_holder(kind)
    for value in (IPv4Address("127.0.0.1"), "127.0.0.1", date(2026, 1, 1), "2026-01-01"):
        try:
            wanted = made(value=value).value
            view = Document().view(made)
            view.write(made(value=value))
        except (ValidationError, InvalidValue):
            continue
        assert (type(view.value.value), view.value.value) == (type(wanted), wanted)


@dataclass
class Sprite:
    x: int = 0
    name: str = ""


@dataclass
class Scene:
    sprites: list[Point | Sprite]
    title: str = ""


def test_what_stays_as_it_is_may_be_read_as_anything() -> None:
    document = Document()
    with document.change():
        document["sprites"] = [{"name": "fox"}, {"x": "far"}, {"x": 1}]
    view = document.view(Scene)
    assert view.value.sprites[::2] == [Sprite(0, "fox"), Point(1)]
    with view.change() as scene:
        scene.title = "wood"
        scene.sprites.append(Point(2))
    assert document.to_py() == {"sprites": [{"name": "fox"}, {"x": "far"}, {"x": 1}, {"x": 2}], "title": "wood"}
    heads = document.heads
    scene = view.value
    scene.sprites[0] = Sprite(0, "hare")
    with pytest.raises(InvalidValue, match="would be read as"):
        view.write(scene)
    scene = view.value
    scene.sprites.insert(0, Sprite(3, "owl"))
    with pytest.raises(InvalidValue, match="would be read as"):
        view.write(scene)
    assert document.heads == heads


@dataclass
class Branch:
    leaves: int = 0
    branches: list[Branch] | tuple[Branch, ...] = ()


def test_what_a_union_in_a_union_refuses_is_tried_once() -> None:
    tree = Branch(leaves=2**70)
    for _ in range(25):  # each level would double the time
        tree = Branch(branches=[tree])
    with pytest.raises(InvalidValue, match="64 bits"):
        Document().view(Branch).write(tree)
    tree.branches = [tree]
    with pytest.raises(InvalidValue, match="deeper than 64"):
        Document().view(Branch).write(tree)


@dataclass
class Twig:
    twigs: list[Twig | int] | list[Twig | str]


def test_what_a_union_in_a_union_takes_is_made_once() -> None:
    twig = Twig(["leaf"])
    for _ in range(25):  # each level would double the time: its last item does not fit the first of the two
        twig = Twig([twig, "leaf"])
    view = Document().view(Twig)
    view.write(twig)
    assert view.value == twig


@pytest.mark.parametrize("kind", [Any | int, list[Any] | dict[str, Any], list | dict | int])
def test_a_list_that_holds_itself_is_refused_by_a_union(kind: Any) -> None:
    made, value = holder(kind), list[Any]()
    value += [value, {"a": value}]
    with pytest.raises(InvalidValue, match="deeper than 64"):
        Document().view(made).write(made(value=value))


@pytest.mark.parametrize("value", [Point(1), {1}, bytearray(b"x")])
def test_what_has_no_hash_is_none_of_a_few_values(value: Any) -> None:
    made = holder(Literal["a", "b"])
    with pytest.raises(InvalidValue, match="one of"):
        Document().view(made).write(made(value=value))


@pytest.mark.parametrize("model", [holder, pydantic_holder])
def test_an_enum_that_stands_first_keeps_its_members(model: Any) -> None:
    for kind, member, other in ((Season | str, Season.SPRING, "summer"), (Size | int, Size.LARGE, 2)):
        made = model(kind)
        for value in (member, other):
            view = Document().view(made)
            view.write(made(value=value))
            assert (type(view.value.value), view.value.value) == (type(value), value)


def test_a_number_beside_a_counter_is_refused_where_it_would_be_read_as_one() -> None:
    made, document = holder(Counter | int), Document()
    view = document.view(made)
    with pytest.raises(InvalidValue, match="would be read as"):
        view.write(made(value=5))
    view.write(made(value=Counter(5)))
    assert isinstance(view.value.value, Counter)


@pytest.mark.parametrize("kind", [Counter | Festival, Festival | Counter])
def test_pydantic_takes_no_enum_for_a_counter(kind: Any) -> None:
    made = pydantic_holder(kind)
    for value in (Festival.NEW_YEAR, Counter(3)):
        view = Document().view(made)
        view.write(made(value=value))
        assert view.value.value == value


@pytest.mark.parametrize(
    ("kind", "member"),
    [(Season | None, Season.SPRING), (Size | int, Size.LARGE), (list[Size] | list[int] | None, [Size.LARGE])],
)
def test_models_that_hold_the_values_of_enums_have_them_in_unions_too(kind: Any, member: Any) -> None:
    config = ConfigDict(use_enum_values=True)
    namespace = {"__annotations__": {"value": kind, "name": str}, "__module__": __name__, "name": ""}
    made: Any = type("Valued", (BaseModel,), {**namespace, "model_config": config})
    decorated: Any = pydantic_dataclass(type("ValuedToo", (), namespace), config=config)
    for model in (made, decorated):
        document, wanted = Document(), model(value=member).value
        view = document.view(model)
        view.write(model(value=member))
        assert (type(view.value.value), view.value.value) == (type(wanted), wanted)
        with view.change() as draft:
            draft.name = "changed"
            draft.value = member
        assert (document["name"], view.value.value) == ("changed", wanted)
