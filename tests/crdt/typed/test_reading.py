"""Documents read as dataclasses and pydantic models: what fits is there, what does not is reported and kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from lichen_crdt import Authors, Counter, Document, InvalidModel, Text, UnreadableField
from lichen_crdt.typed import Problem, View
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, RootModel, field_validator, model_validator


class Color(Enum):
    RED = "red"
    BLUE = 2


@dataclass
class Item:
    name: str
    count: int = 1


@dataclass
class Circle:
    kind: Literal["circle"]
    radius: float


@dataclass
class Square:
    kind: Literal["square"]
    side: float


@dataclass
class Everything:
    title: str
    flag: bool
    number: int
    share: float
    data: bytes
    made: datetime
    day: date
    key: UUID
    price: Decimal
    color: Color
    level: Literal[1, 2, "high"]
    body: Text
    notes: Annotated[str, Text]
    votes: Counter
    likes: Annotated[int, Counter]
    item: Item
    items: list[Item]
    shape: Circle | Square
    by_name: dict[str, Item]
    by_day: dict[date, int]
    points: tuple[int, ...]
    maybe: Item | None
    either: int | str
    anything: Any
    children: list[Everything] = field(default_factory=list, metadata={"alias": "kids"})


def everything(**changed: Any) -> Everything:
    values: dict[str, Any] = {
        "title": "T",
        "flag": True,
        "number": 2**63,
        "share": 1.5,
        "data": b"\x00",
        "made": datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "key": UUID(int=7),
        "price": Decimal("1.10"),
        "color": Color.BLUE,
        "level": 2,
        "body": Text("body"),
        "notes": "notes",
        "votes": Counter(3),
        "likes": 4,
        "item": Item("a"),
        "items": [Item("b", 2), Item("c")],
        "shape": Square("square", 2.0),
        "by_name": {"x": Item("d")},
        "by_day": {date(2026, 1, 3): 5},
        "points": (1, 2),
        "maybe": None,
        "either": "text",
        "anything": {"deep": [1, {"x": None}]},
    }
    return Everything(**(values | changed))


@dataclass
class Note:
    title: str
    stars: int = 0
    items: list[Item] = field(default_factory=list)
    by_name: dict[str, int] = field(default_factory=dict)


class Strict(BaseModel):
    title: str = Field(alias="t", min_length=2)
    stars: int = Field(default=3, ge=0)
    tags: list[Annotated[str, Field(max_length=3)]] = []
    body: Text = Field(default_factory=Text)

    @field_validator("title")
    @classmethod
    def clean(cls, title: str) -> str:
        return title.strip()


def document(**content: Any) -> Document:
    doc = Document(actor=b"a" * 16)
    with doc.change():
        doc.update(content)
    return doc


def test_every_type_comes_back_as_it_was_written() -> None:
    doc = Document()
    written = everything(children=[everything()], maybe=Item("e"), either=3, shape=Circle("circle", 1.0))
    doc.view(Everything).write(written)
    found = Document.load(doc.save()).view(Everything).read()
    assert found.value == written
    assert found.problems == ()


def test_types_are_stored_as_what_they_are() -> None:
    doc = Document()
    doc.view(Everything).write(everything())
    kinds = (type(doc[key]).__name__ for key in ("body", "notes", "votes", "likes", "item", "items"))
    assert [*kinds] == ["Text", "Text", "Counter", "Counter", "Map", "List"]
    stored = {key: doc[key] for key in ("day", "key", "price", "color", "level", "data", "number")}
    day, key = "2026-01-02", str(UUID(int=7))
    assert [*stored.values()] == [day, key, "1.10", 2, 2, b"\x00", 2**63]
    assert doc["by_day"] == {"2026-01-03": 5}
    assert "kids" in doc
    assert "children" not in doc


def test_what_is_not_there_has_its_default_and_reading_writes_nothing() -> None:
    doc = document(title="T")
    heads = doc.heads
    assert doc.view(Note).value == Note("T")
    with doc.view(Note).change() as note:
        assert note.items == []
    assert doc.heads == heads


def test_a_value_is_an_instance_of_its_own() -> None:
    doc = document(title="T", items=[{"name": "a", "count": 1}])
    view = doc.view(Note)
    view.value.items.clear()
    view.value.by_name["x"] = 1
    assert view.value == Note("T", items=[Item("a")])


def test_what_does_not_fit_is_reported_and_the_rest_is_readable() -> None:
    doc = document(title="T", stars="many", items=[{"name": "a"}, 7, {"count": 2}], by_name={"x": 1, "y": "z"})
    found = doc.view(Note).read()
    assert found.value.stars == 0
    assert found.value.by_name == {"x": 1}
    assert found.value.items[0] == Item("a")
    assert len(found.value.items) == 2
    assert [(problem.path, problem.value) for problem in found.problems] == [
        (("stars",), "many"),
        (("items", 1), 7),
        (("items", 2, "name"), None),
        (("by_name", "y"), "z"),
    ]
    assert found.problems[0] == Problem(("stars",), "many", "an int is needed, and a str is there")


@pytest.mark.parametrize("model", [Note, Strict])
def test_a_field_without_a_default_says_so_when_it_is_read(model: type) -> None:
    doc = document(title=1, t=1, stars=2)
    value: Any = doc.view(model).value
    assert value.stars == 2
    with pytest.raises(UnreadableField, match="title") as caught:
        _ = value.title
    assert caught.value.name == "title"
    assert not hasattr(value, "title")
    assert "stars=2" in repr(value)
    assert isinstance(value, model)
    with pytest.raises(AttributeError):
        _ = value.nothing


def test_one_and_true_are_two_things() -> None:
    doc = document(title="T", stars=True)
    assert [problem.path for problem in doc.view(Note).problems] == [("stars",)]


def test_pydantic_models_check_what_is_read() -> None:
    doc = document(t=" long ", stars=-1, tags=["ok", "longer", "abc"], body=Text("b"))
    found = doc.view(Strict).read()
    assert (found.value.title, found.value.stars, found.value.tags, found.value.body) == ("long", 3, ["ok", "abc"], "b")
    assert [problem.path for problem in found.problems] == [("tags", 1), ("stars",)]


def test_fields_are_checked_also_where_another_one_is_missing() -> None:
    assert [problem.path for problem in document(stars=-1).view(Strict).problems] == [("t",), ("stars",)]


def test_a_rule_of_the_whole_model_that_is_broken_is_reported_and_the_fields_are_readable() -> None:
    class Range(BaseModel):
        low: int
        high: int

        @model_validator(mode="after")
        def ordered(self) -> Range:
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    @dataclass
    class Plain:
        low: int
        high: int

        def __post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low is above high")

    doc = document(low=3, high=1)
    for model in (Range, Plain):
        found: Any = View(doc, model).read()
        assert (found.value.low, found.value.high) == (3, 1)
        assert [problem.path for problem in found.problems] == [()]
        assert "low is above high" in found.problems[0].why


def test_unions_go_by_their_tag() -> None:
    @dataclass
    class Drawing:
        shapes: list[Circle | Square]

    shapes = [{"kind": "square", "side": 2.0}, {"kind": "circle", "radius": "big"}, {"kind": "star"}, {"side": 1.0}, 5]
    found = View(document(shapes=shapes), Drawing).read()
    assert found.value.shapes[0] == Square("square", 2.0)
    assert isinstance(found.value.shapes[1], Circle)
    assert [problem.path for problem in found.problems] == [
        ("shapes", 1, "radius"),
        ("shapes", 2),
        ("shapes", 3),
        ("shapes", 4),
    ]
    assert "'circle', 'square'" in found.problems[1].why


def test_unions_without_a_tag_take_what_fits_best() -> None:
    @dataclass
    class Holder:
        value: Item | dict[str, int] | None

    assert View(document(value={"name": "a"}), Holder).value.value == Item("a")
    assert View(document(value={"x": 1}), Holder).value.value == {"x": 1}
    assert View(document(value=None), Holder).value.value is None


def test_the_keys_of_a_dict_may_be_of_several_types() -> None:
    @dataclass
    class Holder:
        values: dict[date | UUID, int]

    written = Holder({date(2026, 1, 2): 1, UUID(int=5): 2, date(2026, 1, 3): 3})
    doc = Document()
    View(doc, Holder).write(written)
    assert View(doc, Holder).value == written


def test_a_pydantic_union_with_a_discriminator() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"] = "cat"
        lives: int = 9

    class Dog(BaseModel):
        kind: Literal["dog"] = "dog"
        lives: int = 1

    class Home(BaseModel):
        pet: Cat | Dog | None = Field(default=None, discriminator="kind")
        key: UUID | None = None
        site: Annotated[str, Field(pattern="^https:")] = "https://example.org"

    doc = document(pet={"kind": "dog", "lives": 2}, site="ftp:")
    assert View(doc, Home).value == Home(pet=Dog(lives=2))
    with View(doc, Home).change() as home:
        home.pet = Cat(lives=3)
        home.key = UUID(int=1)
    assert doc == {"pet": {"kind": "cat", "lives": 3}, "site": "ftp:", "key": str(UUID(int=1))}


def test_pydantic_models_of_many_kinds() -> None:
    class Mood(str, Enum):  # noqa: UP042  # its str() is not its value
        GOOD = "good"

    class Tags(RootModel[list[str]]):
        pass

    class Node(BaseModel):
        model_config = ConfigDict(use_enum_values=True, extra="forbid", validate_assignment=True)
        mood: Mood = Mood.GOOD
        word: str = ""
        tags: Tags = Tags(["a"])
        body: Text | None = None
        children: list[Node] = []
        _seen: int = PrivateAttr(default=3)

    doc = Document()
    view = View(doc, Node)
    view.write(Node(word="w", children=[Node(body=Text("b"))]))
    with view.change() as node:
        node.word = Mood.GOOD
        assert node.children[0].body is not None
        node.children[0].body.append("!")
        node.tags = Tags(["b", "c"])
    assert (doc["mood"], doc["word"], doc["tags"]) == ("good", "good", ["b", "c"])
    assert doc["children"][0]["body"] == "b!"
    with doc.change():
        doc["later"] = 1
        doc["tags"] = [1]
        doc["children"].append({"word": 5})
    assert view.value.children[1].word == ""
    assert [problem.path for problem in view.problems] == [("tags",), ("children", 1, "word")]


def test_a_model_that_is_read_in_part_has_its_private_attributes() -> None:
    class Person(BaseModel):
        name: str
        _seen: int = PrivateAttr(default=3)

    person = View(document(name=5), Person).value
    assert person._seen == 3
    assert person.model_dump() == {}


def test_a_version_of_the_past_is_read_as_the_document_is() -> None:
    doc = document(title="old")
    heads = doc.heads
    with doc.view(Note).change() as note:
        note.title = "new"
    assert doc.at(heads).view(Note).value == Note("old")


def test_conflicts_are_typed_the_one_that_is_read_last() -> None:
    doc = document(title="T", items=[{"name": "a"}], stars=0)
    copy = doc.fork(actor=b"b" * 16)
    with doc.view(Note).change() as note:
        note.stars, note.items[0].count = 1, 5
    with copy.change():
        copy["stars"] = "two"
        copy["items"][0]["count"] = 6
    doc.merge(copy)
    view = doc.view(Note)
    assert [(one.value, one.actor[:1]) for one in view.conflicts("items", 0, "count")] == [(5, b"a"), (6, b"b")]
    assert view.value.items[0].count == 6
    ours, theirs = view.conflicts("stars")
    assert (ours.value, ours.problems) == (1, ())
    assert theirs.value == "two"
    assert theirs.problems[0].why == "an int is needed, and a str is there"
    assert [one.value for one in view.conflicts("title")] == ["T"]
    who = Authors({"Ann": [doc.actor], "Ben": [b"b" * 16]})
    for field_path in (("items", 0, "count"), ("stars",)):
        assert [one.author for one in view.conflicts(*field_path, authors=who)] == ["Ann", "Ben"]
    assert [one.author for one in view.conflicts("stars")] == [None, None]
    for path in (("nothing",), (), ("title", "x"), ("items", 9, "name"), ("by_name", "x", "y")):
        with pytest.raises(LookupError):
            view.conflicts(*path)


@dataclass
class Twice:
    first: int = field(default=0, metadata={"alias": "one"})
    second: int = field(default=0, metadata={"alias": "one"})


@dataclass
class Unknown:
    value: complex


@dataclass
class Numbered:
    value: dict[int, int]


@dataclass
class Unresolved:
    value: Nowhere  # type: ignore[name-defined]  # noqa: F821


@dataclass
class WrongDefault:
    value: int = "none"  # type: ignore[assignment]


@pytest.mark.parametrize("model", [Twice, Unknown, Numbered, Unresolved, int, "Note", [], WrongDefault])
def test_a_class_that_can_be_no_view_is_refused(model: Any) -> None:
    with pytest.raises(InvalidModel):
        document(x=1).view(model).read()
