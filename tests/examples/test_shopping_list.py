"""The shopping list, as two people use it: in two windows, with keys and clicks, and a picture of it for the docs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from examples_running import ALONE, EXAMPLES, PICTURES, Instance, begin_another, is_short, running
from lichen.blocking import Engine
from lichen.testing.display import Display
from lichen.wire.ticket import Ticket

ITEMS = "[find('items').item(one, 'text') for one in find('items').get_children()]"
COUNTS = "[find('items').set(one, 'count') for one in find('items').get_children()]"
NOTES = "find('notes').get('1.0', 'end-1c')"
LONG = "The bread with the seeds on top that the bakery at the bridge has on Saturdays"


def test_two_people_keep_one_list(tmp_path: Path, display: Display) -> None:
    with running("drive_tk.py", "shopping_list.py", tmp_path) as begin:
        ann, ben = _begin(begin, tmp_path)
        _use(ann, ben)
        if PICTURES:
            display.picture(EXAMPLES.parent / PICTURES / "shopping-list.png", height=420)
        _add_what_is_long(ben)
        ann.close()
        ben.do("click('items', 0)")
        ben.interrupt()
        again = begin("ben.db")
        again.until("root.title()", "Shopping - Ben")
        again.until(ITEMS, [" ☐   Oat milk", " ☐   Tomatoes", " ☑   Bread", " ☑   Coffee"])
        again.close()
        begin_another(tmp_path / "ben.db", "Mine")
        another = begin("ben.db", "--name", "Ben", "--own")
        assert another.line().startswith("lichen1")
        another.until("find('status')['text'].splitlines()[1:]", [ALONE, "Also on this device: Shopping of Ann"])
        another.until(ITEMS, [])
        assert another.do("find('items').winfo_children()[0].winfo_ismapped()"), "it says what to do"
        another.close()


def _begin(begin: Callable[..., Instance], folder: Path) -> tuple[Instance, Instance]:
    with Engine.open(f"sqlite:///{folder / 'ann.db'}") as engine:  # Ann's program was killed here
        space = engine.create_space("Shopping", member_name="Ann").id
    ann = begin("ann.db", "--name", "Ann")
    ticket = ann.line()
    assert Ticket.parse(ticket).hints == (f"ws://127.0.0.1:{10_000 + int.from_bytes(space) % 20_000}",)
    ben = begin("ben.db", ticket, "--name", "Ben")
    for app, place in ((ann, "600x400+10+10"), (ben, "600x400+630+10")):
        app.do(f"root.geometry('{place}')")
    ann.until("find('status')['text']", "Ann   ●   Ben here")
    ben.until("find('status')['text']", "Ben   ●   Ann here")
    return ann, ben


def _add_what_is_long(ben: Instance) -> None:
    """It is shown in two lines, the last of which says that there is more."""
    ben.do(f"type_in('what', {LONG!r})")
    ben.do("press('what', '<Return>')")
    shown = f"next(text for text in {ITEMS} if 'bread' in text)"
    ben.until(f"any('bread' in text for text in {ITEMS})", True)
    first, second = ben.do(shown).split("\n")
    assert LONG.startswith(f"{first[5:]} {second.strip()[:-1]}")
    assert second.endswith("…")
    ben.do("root.geometry('1200x400')")
    ben.until(f"''.join({shown}.split('\\n'))[5:].replace(' ' * 7, ' ')", LONG)
    ben.do(f"find('items').selection_set(find('items').get_children()[{ITEMS}.index({shown})])")
    ben.do("press('items', '<Delete>')")
    ben.until(f"any('bread' in text for text in {ITEMS})", False)


def _use(ann: Instance, ben: Instance) -> None:
    for app, items in ((ann, ("Oat milk", "Bread", "Tomatoes")), (ben, ("Coffee", "Candles"))):
        for item in items:
            app.do(f"type_in('what', {item!r})")
            app.do("press('what', '<Return>')")
    for app in (ann, ben):
        app.until(ITEMS, [f" ☐   {item}" for item in ("Bread", "Candles", "Coffee", "Oat milk", "Tomatoes")])
    ann.do("click('items', 4)")
    ann.until("find('items').item(find('items').selection()[0], 'text')", " ☑   Tomatoes")
    ann.do("click('items', 4)")
    ann.until("find('items').item(find('items').selection()[0], 'text')", " ☐   Tomatoes")
    ben.until(ITEMS, [f" ☐   {item}" for item in ("Bread", "Candles", "Coffee", "Oat milk", "Tomatoes")])
    ann.do("press('items', '<plus>', '<plus>', '<plus>')")
    ben.do("find('items').selection_set(find('items').get_children()[4])")
    ben.do("press('items', '<plus>', '<minus>', '<plus>')")
    ben.do("find('items').selection_set(find('items').get_children()[1])")
    ben.do("press('items', '<Delete>')")
    ann.until(COUNTS, ["", "", "", "× 5"])
    ann.do("click('items', 0)")
    for app in (ann, ben):
        app.until(ITEMS, [" ☐   Coffee", " ☐   Oat milk", " ☐   Tomatoes", " ☑   Bread"])
        app.until(COUNTS, ["", "", "× 5", ""])
    _write(ann, ben)


def _write(ann: Instance, ben: Instance) -> None:
    """Both write the notes, one of them in the middle of what the other goes on with."""
    ann.do("type_in('notes', 'Dinner for six on Friday.')")
    ben.until(NOTES, "Dinner for six on Friday.")
    ben.do("find('notes').mark_set('insert', 'end')")
    ben.do("type_in('notes', '\\n\\nThe market closes at noon 🍅')")
    ann.do("find('notes').mark_set('insert', '1.14')")
    ann.do("type_in('notes', ' people')")
    for app in (ann, ben):
        app.until(NOTES, "Dinner for six people on Friday.\n\nThe market closes at noon 🍅")
    assert ann.do("find('notes').index('insert')") == "1.21"
    ben.do("press('notes', '<<Undo>>')")
    for app in (ann, ben):
        app.until(NOTES, "Dinner for six people on Friday.")
    ben.do("press('notes', '<<Redo>>')")
    for app in (ann, ben):
        app.until(NOTES, "Dinner for six people on Friday.\n\nThe market closes at noon 🍅")


def test_the_example_is_short_enough_to_begin_with() -> None:
    assert is_short("shopping_list.py")
