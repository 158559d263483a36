"""Two devices with a widget each: whatever comes when, they end with one text, and cursors stay where they were."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st
from lichen_adapters.text.delta import Splice, delta_of, moved_selection, splices
from lichen_adapters.text.editing import Edit, Held, Shown
from lichen_crdt import Document, Text, TextPatch

ALPHABET = [*"aeiou", "\u0301", "é", "😀", "👍", "א", "ב", "ع", "\u200d", "\n"]


def letters() -> Iterator[str]:
    """Characters of many kinds, no two alike: so each can be known again."""
    yield from ALPHABET
    for number in count():
        yield chr((0x4E00, 0x1F300, 0x0710, 0x0310)[number % 4] + number // 4)


class Device:
    """A document, a widget, and all that is on its way between them."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.shown = Shown(str(document["body"]))
        self.held = Held()
        self.cursor = 0
        self.sent: deque[Edit] = deque()
        self.told: deque[tuple[int, object] | None] = deque()
        self.typed: set[str] = set()

    @property
    def widget(self) -> str:
        return self.shown.text

    def type(self, position: int, removed: int, inserted: str) -> None:
        self.send(self.shown.edited(Splice(position, removed, inserted)))
        self.cursor = position + len(inserted)

    def send(self, edit: Edit | None) -> None:
        if edit is not None:
            self.sent.append(edit)

    def write(self) -> None:
        """What was sent is made in the document."""
        if self.sent:
            with self.document.change():
                for part in splices(self.held.rebased(self.sent.popleft())):
                    self.document.text("body").splice(part.position, part.removed, part.inserted)
            self.told.append(None)

    def receive(self, other: Device) -> None:
        """What the other has in its document comes here."""
        patches = self.document.apply_changes(other.document.changes(self.document.heads))
        delta = delta_of(Splice(p.index, p.deleted, p.inserted) for p in patches if isinstance(p, TextPatch))
        if delta:
            seen = self.shown.seen if self.shown.idle and not self.sent else 0
            self.told.append((self.held.changed(delta, seen), delta))

    def hear(self) -> None:
        """One of the things that the widget was told reaches it."""
        if not self.told:
            return
        message = self.told.popleft()
        if message is None:
            self.send(self.shown.taken())
            return
        before, cursor = self.widget, self.cursor
        parts = self.shown.changed(*message)  # type: ignore[arg-type]  # it is what the other end sent
        text = before
        for part in parts:
            text = text[: part.position] + part.inserted + text[part.position + part.removed :]
        assert text == self.widget, "the widget does what it is told"
        self.cursor, _ = moved_selection((cursor, cursor), parts)
        if before[cursor - 1 : cursor] in self.widget and cursor:
            assert self.widget[self.cursor - 1] == before[cursor - 1], "the cursor stays at its character"


@settings(max_examples=300)
@given(st.data())
def test_two_widgets_come_to_one_text_whatever_comes_when(data: st.DataObject) -> None:
    fresh = letters()
    first = Document(actor=b"\x01" * 16)
    with first.change():
        first["body"] = Text("".join(next(fresh) for _ in range(6)))
    devices = [Device(first), Device(Document.load(first.save(), actor=b"\x02" * 16))]
    kept, gone = set(str(first["body"])), set[str]()
    steps = st.tuples(st.integers(0, 1), st.sampled_from("tttwwhhr"))
    for who, what in data.draw(st.lists(steps, max_size=40)):
        one, other = devices[who], devices[1 - who]
        if what == "t":
            position = data.draw(st.integers(0, len(one.widget)))
            removed = data.draw(st.integers(0, min(3, len(one.widget) - position)))
            inserted = "".join(next(fresh) for _ in range(data.draw(st.integers(0, 3))))
            gone |= set(one.widget[position : position + removed])
            kept |= set(inserted)
            one.type(position, removed, inserted)
        else:
            {"w": one.write, "h": one.hear, "r": partial(one.receive, other)}[what]()
    while any(one.sent or one.told or not one.shown.idle for one in devices):
        for one, other in (devices, devices[::-1]):
            one.write()
            one.receive(other)
            one.hear()
    for one, other in (devices, devices[::-1]):
        one.receive(other)
    for one in devices:
        while one.told:
            one.hear()
    texts = {text for one in devices for text in (one.widget, str(one.document["body"]))}
    assert len(texts) == 1
    (text,) = texts
    assert sorted(text) == sorted(kept - gone), "nothing is lost, doubled or back again"


def test_an_edit_on_its_way_is_neither_echoed_nor_doubled() -> None:
    shown, held = Shown("milk"), Held()
    edit = shown.edited(Splice(4, 0, " eggs"))
    assert edit is not None
    assert shown.edited(Splice(9, 0, "!")) is None, "one is on its way at a time"
    assert held.rebased(edit) == (4, " eggs")
    version = held.changed((-4, "oats"), shown.seen)
    assert shown.changed(version, (-4, "oats")) == [Splice(0, 4, "oats")]
    assert shown.text == "oats eggs!"
    following = shown.taken()
    assert following == Edit((9, "!"), 1)
    assert held.rebased(following) == (9, "!")
    assert shown.taken() is None
    assert shown.idle


def test_what_was_refused_gives_way_to_the_text_of_the_document() -> None:
    shown = Shown("milk")
    shown.edited(Splice(4, 0, " eggs"))
    shown.edited(Splice(0, 0, "oat "))
    assert shown.text == "oat milk eggs"
    assert shown.replaced(3, "milk") == [Splice(0, 13, "milk")]
    assert (shown.text, shown.seen, shown.idle) == ("milk", 3, True)
    assert shown.replaced(3, "milk") == []


def test_what_the_widget_has_seen_is_forgotten() -> None:
    held = Held()
    for number in range(100):
        held.changed((1, "x"), number)
    assert len(held._log) == 1
