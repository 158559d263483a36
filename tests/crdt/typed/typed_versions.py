"""Three versions of one model, for the tests of migrations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lichen_crdt import Document, Text
from lichen_crdt.typed import Convert, Drop, Rename, SetDefault, WrapItems, versioned


def to_cents(price: str) -> int:
    return int(price) * 100


def to_euros(cents: int) -> float:
    return cents / 100


def to_words(flags: str) -> list[str]:
    return flags.split()


TO_2 = [
    Rename("name", "title"),
    Rename("body", "text"),
    Convert("price", "cents", to_cents),
    Convert("flags", "words", to_words),
    WrapItems("tags", "name"),
    SetDefault("priority", 1),
    Drop("junk"),
]
TO_3 = [Rename("title", "heading"), Convert("cents", "euros", to_euros), Rename("tags", "labels")]


@dataclass
class Row1:
    label: str
    done: bool = False


@versioned({2: [Rename("label", "name")]})
@dataclass
class Row2:
    name: str
    done: bool = False


@dataclass
class Tag:
    name: str
    color: str = "grey"


@versioned({})
@dataclass
class One:
    name: str = ""
    body: Text = field(default_factory=Text)
    price: str = "0"
    flags: str = ""
    tags: list[str] = field(default_factory=list)
    rows: list[Row1] = field(default_factory=list)
    priority: int | None = None
    junk: int = 0


@versioned({2: TO_2})
@dataclass
class Two:
    title: str = ""
    text: Text = field(default_factory=Text)
    cents: int = 0
    words: list[str] = field(default_factory=list)
    tags: list[Tag] = field(default_factory=list)
    rows: list[Row2] = field(default_factory=list)
    priority: int = 5


@versioned({2: TO_2, 3: TO_3})
@dataclass
class Three:
    heading: str = ""
    text: Text = field(default_factory=Text)
    euros: float = 0.0
    words: list[str] = field(default_factory=list)
    labels: list[Tag] = field(default_factory=list)
    rows: list[Row2] = field(default_factory=list)
    priority: int = 5


VERSIONS: tuple[type, ...] = (One, Two, Three)

SINGLE = ("name", "price", "flags", "priority", "row")
SHARED = ("body", "tags")


def base() -> Document:
    """A document that version 1 made; nothing is at `priority`."""
    doc = Document(actor=b"base" * 4)
    with doc.change():
        doc.update(
            schema_version=1,
            name="0",
            body=Text("|"),
            price="0",
            flags="w0",
            tags=["first"],
            rows=[{"label": "0", "done": False}],
            junk=1,
        )
    return doc


def edit(doc: Document, version: int, what: str, value: int) -> None:
    """Write a value as the program of a version does it; `body` and `tags` are added to."""
    with doc.view(VERSIONS[version - 1]).change() as draft:
        draft: Any
        match what:
            case "name":
                setattr(draft, ("name", "title", "heading")[version - 1], str(value))
            case "price":
                name, money = (("price", str(value)), ("cents", value * 100), ("euros", float(value)))[version - 1]
                setattr(draft, name, money)
            case "flags":
                draft.__setattr__(*(("flags", f"w{value}") if version == 1 else ("words", [f"w{value}"])))
            case "priority":
                draft.priority = value
            case "row":
                setattr(draft.rows[0], "label" if version == 1 else "name", str(value))
            case "body":
                (draft.body if version == 1 else draft.text).append(f"<{value}>")
            case "tags":
                tags = draft.labels if version == 3 else draft.tags
                tags.append(str(value) if version == 1 else Tag(str(value)))
