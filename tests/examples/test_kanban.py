"""The kanban board, as two people use it: in two windows, with keys, clicks and drops, and a picture for the docs."""

from __future__ import annotations

import socket
from pathlib import Path

from examples_running import ALONE, EXAMPLES, PICTURES, Instance, begin_another, is_short, running
from lichen.testing.display import Display

STAGES = "[titles(find('Stage', stage)) for stage in range(3)]"
NOTES = "find('QPlainTextEdit').toPlainText()"
STATUS = "window.status.text()"
AGAIN = "start with its invitation again; or with --own (own=True), for one of your own"
CHOSEN = "[[one.data() for one in shown(find('Stage', at)) if window.chosen.isSelected(one)] for at in range(3)]"
LONG = "Ask everybody on the street who has a wheelbarrow or two to spare on Saturday"


def test_two_people_keep_one_board(tmp_path: Path, display: Display) -> None:
    quiet = {"QT_LOGGING_RULES": "*.debug=false;qt.qpa.*=false"}
    unseen = {**quiet, "QT_QPA_PLATFORM": "xcb" if PICTURES else "offscreen"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running("drive_qt.py", "kanban.py", tmp_path) as begin:
        ann = begin("ann.db", "--name", "Ann", "--at", f"ws://127.0.0.1:{port}", **quiet, QT_QPA_PLATFORM="xcb")
        ticket = ann.line()
        assert ann.do("type(window.nextInFocusChain()).__name__") == "QLineEdit", "where the focus is at the beginning"
        ben = begin("ben.db", ticket, "--name", "Ben", **unseen)
        ann.until(STATUS, "Ann   ●   Ben here")
        ben.until(STATUS, "Ben   ●   Ann here")
        for app, top in ((ann, 0), (ben, 400)):
            app.do(f"window.setGeometry(0, {top}, 1240, 400)")
        _use(ann, ben)
        if PICTURES:
            for app in (ann, ben):
                app.do("window.repaint()")
            display.picture(EXAMPLES.parent / PICTURES / "kanban.png")
        _stay_chosen(ann, ben)
        ann.close()
        ben.do("click(find('Stage', 0), 0)")
        ben.do("press(find('Stage', 0), 'Right')")
        last = [["Prune the apple tree"], [LONG, "Water the beans"], ["Dig the pond", "Sweep"]]
        ben.until(STAGES, last)
        ben.interrupt()
        with socket.create_server(("127.0.0.1", port)) as silent:
            silent.settimeout(30)
            cleo = begin("cleo.db", "--name", "Cleo", ticket, **unseen)
            with silent.accept()[0]:  # it is joining
                cleo.interrupt(130, "interrupted\n")
        begun = f"a join at ws://127.0.0.1:{port} was begun, and not finished"
        begin("cleo.db", "--name", "Cleo", **unseen).close(1, f"{begun}: {AGAIN}\n")
        again = begin("ben.db", **unseen)
        again.until(STAGES, last)
        assert again.do(STATUS) == "Ben   ○   nobody else here"
        again.close()
        begin_another(tmp_path / "ben.db", "Mine")
        another = begin("ben.db", "--name", "Ben", **unseen)
        assert another.line().startswith("lichen1")
        another.until(f"{STATUS}.splitlines()[1:]", [ALONE, "Also on this device: Garden of Ann"])
        another.until(STAGES, [[], [], []])
        another.close()


def _stay_chosen(ann: Instance, ben: Instance) -> None:
    """A card that is moved by another is still the one that one writes in, until it is off the board."""
    for app in (ann, ben):
        app.do("click(find('Stage', 0), 0)")
        assert app.do(CHOSEN) == [["Order seeds"], [], []]
    ben.do("type_in(find('QPlainTextEdit'), 'Leek')")
    ann.do("press(find('Stage', 0), 'Right')")
    assert ann.do("window.focusWidget().stage") == 1, "the focus goes with the card"
    ann.do("press(window.focusWidget(), 'Right')")
    for app in (ann, ben):
        app.until(CHOSEN, [[], [], ["Order seeds"]])
        app.until(STAGES, [["Prune the apple tree"], ["Water the beans"], ["Dig the pond", "Order seeds", "Sweep"]])
    ben.do("type_in(find('QPlainTextEdit'), ' and kale')")
    for app in (ann, ben):
        app.until(NOTES, "Leek and kale")
    ann.do("press(window.focusWidget(), 'Right')")
    for app in (ann, ben):
        app.until(STAGES, [["Prune the apple tree"], ["Water the beans"], ["Dig the pond", "Sweep"]])
        assert app.do(CHOSEN) == [[], [], []]
        app.do("type_in(find('QPlainTextEdit'), 'x')")
        assert app.do(NOTES) == ""
    for title in ("", "  ", LONG):
        ben.do(f"type_in(find('QLineEdit'), {title!r})")
        ben.do("press(find('QLineEdit'), 'Return')")
    ben.until("titles(find('Stage'))", [LONG, "Prune the apple tree"])
    long, short = ben.do("[find('Stage').visualRect(index).height() for index in shown(find('Stage'))]")
    assert long > short, "it is shown in lines"
    assert not ben.do("find('Stage').horizontalScrollBar().isVisible()")


def _use(ann: Instance, ben: Instance) -> None:
    for app, cards in (
        (ann, ("Water the beans", "Sweep", "Order seeds")),
        (ben, ("Prune the apple tree", "Dig the pond")),
    ):
        for card in cards:
            app.do(f"type_in(find('QLineEdit'), {card!r})")
            app.do("press(find('QLineEdit'), 'Return')")
    every = ["Dig the pond", "Order seeds", "Prune the apple tree", "Sweep", "Water the beans"]
    for app in (ann, ben):
        app.until(STAGES, [every, [], []])
    ann.do("click(find('Stage', 0), 3)")
    ann.do("press(find('Stage', 0), 'Left', 'Right')")
    ann.until(STAGES, [[*every[:3], every[4]], ["Sweep"], []])
    ben.until(STAGES, [[*every[:3], every[4]], ["Sweep"], []])
    ben.do("drag(find('Stage', 1), 0, find('Stage', 2))")
    ben.do("drag(find('Stage', 0), 0, find('Stage', 2))")
    assert ben.do("find('Stage', 2).state().name") == "NoState"
    ann.do("drag(find('Stage', 0), titles(find('Stage', 0)).index('Water the beans'), find('Stage', 1))")
    for app in (ann, ben):
        app.until(STAGES, [["Order seeds", "Prune the apple tree"], ["Water the beans"], ["Dig the pond", "Sweep"]])
    for app in (ann, ben):
        app.do("click(find('Stage', 1), 0)")
    _write(ann, ben)


def _write(ann: Instance, ben: Instance) -> None:
    """Both write the notes of one card, one of them in the middle of what the other goes on with."""
    ann.do("type_in(find('QPlainTextEdit'), 'Each evening, 5 l.')")
    ben.until(NOTES, "Each evening, 5 l.")
    ben.do("press(find('QPlainTextEdit'), 'End')")
    ben.do("type_in(find('QPlainTextEdit'), '\\n\\nThe can is in the shed 🌱')")
    ann.do("press(find('QPlainTextEdit'), 'Home')")
    ann.do("type_in(find('QPlainTextEdit'), 'When dry: ')")
    both = "When dry: Each evening, 5 l.\n\nThe can is in the shed 🌱"
    for app in (ann, ben):
        app.until(NOTES, both)
    assert ann.do("find('QPlainTextEdit').textCursor().position()") == len("When dry: ")
    ben.do("press(find('QPlainTextEdit'), 'Ctrl+Z')")
    for app in (ann, ben):
        app.until(NOTES, "When dry: Each evening, 5 l.")
    ben.do("press(find('QPlainTextEdit'), 'Ctrl+Shift+Z')")
    for app in (ann, ben):
        app.until(NOTES, both)


def test_the_example_is_short_enough_to_begin_with() -> None:
    assert is_short("kanban.py")
