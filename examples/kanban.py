"""A kanban board that a team keeps together: each on their own device, also without a network.

    python examples/kanban.py ann.db --name Ann             # begins a board, and prints an invitation
    python examples/kanban.py ben.db --name Ben lichen1...  # joins it

Drag cards, or move the chosen one with Left and Right: what is done, off the board. Its notes are one text.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from uuid import UUID

from lichen import Role
from lichen.blocking import Engine, Space, steady
from lichen_adapters.orm import Synced, synced_text
from lichen_adapters.orm.blocking import Sessions
from lichen_adapters.qt import ROW, ListRows, Peer, Queued, SpaceSignals, SyncedText, paint_at_once, quit_on_interrupt
from PySide6.QtCore import QMimeData, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QApplication, QGridLayout, QLabel, QLineEdit, QListView, QPlainTextEdit, QWidget
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped

STAGES, CARD = ("To do", "Doing", "Done"), "application/x-card"
LOOKS = """
* { font: 14px "DejaVu Sans"; color: #2b2b28; } Board { background: #f5f2eb; } QLabel { font-size: 16px; }
QListView, QPlainTextEdit, QLineEdit { background: white; border: none; border-radius: 10px; padding: 8px; }
QListView::item { background: white; border-radius: 8px; padding: 10px; margin: 4px; border: 2px solid white; }
QListView { background: #e9e4d8; outline: none; } QListView::item:selected { border-color: #1f7a6d; color: #2b2b28; }
"""


class Base(DeclarativeBase):
    pass


class Card(Synced, Base):
    __tablename__ = "card"
    title: Mapped[str]
    stage: Mapped[int]
    notes: Mapped[str] = synced_text(default="")


class Stage(ListRows[Card]):
    """The cards of one stage, which takes those that are dropped on it."""

    def __init__(self, board: Board, stage: int) -> None:
        cards = select(Card).where(Card.stage == stage).order_by(Card.title, Card.id)
        super().__init__(board.sessions, cards, lambda card: card.title, board.deliver, parent=board)
        self.board, self.stage = board, stage

    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled | Qt.ItemFlag.ItemIsDropEnabled

    def mimeTypes(self) -> list[str]:
        return [CARD]

    def mimeData(self, indexes: Sequence[QModelIndex]) -> QMimeData:
        data = QMimeData()
        data.setData(CARD, indexes[0].data(ROW).id.bytes)
        return data

    def dropMimeData(self, data: QMimeData, *_: object) -> bool:
        self.board.move_card(UUID(bytes=bytes(data.data(CARD).data())), self.stage)
        return True


class Board(QWidget):
    """A list for each stage, the notes of the chosen card, and who is there below."""

    def __init__(self, engine: Engine, sessions: Sessions, space: Space, name: str) -> None:
        super().__init__(windowTitle=f"{space.name} - {name}", styleSheet=LOOKS)
        self.sessions, self.space, self.name = sessions, space, name
        self.deliver = Queued(self)  # all that lichen tells comes on Qt's thread
        self.stages, self.notes = [Stage(self, stage) for stage in range(len(STAGES))], list[SyncedText]()
        self.text, self.entry, self.status = QPlainTextEdit(readOnly=True), QLineEdit(placeholderText="New"), QLabel()
        layout = QGridLayout(self)
        for column, widget in enumerate((*map(self.view, self.stages), self.text)):
            layout.addWidget(QLabel(f"<b>{(*STAGES, 'Notes')[column]}</b>"), 0, column)
            layout.addWidget(widget, 1, column)
        layout.addWidget(self.entry, 2, 0)
        layout.addWidget(self.status, 2, 1, 1, 3)
        self.entry.returnPressed.connect(self.add)
        SpaceSignals(engine, space, self.deliver, parent=self).peers_changed.connect(self.tell_who_is_there)

    def view(self, stage: Stage) -> QListView:
        view = QListView(wordWrap=True)
        view.setModel(stage)
        view.setDragDropMode(QListView.DragDropMode.DragDrop)
        view.selectionModel().currentChanged.connect(self.choose)
        for key, by in {"Left": -1, "Right": 1}.items():
            shortcut = QShortcut(QKeySequence(key), view, context=Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(partial(self.press, view, by))
        paint_at_once(view)
        return view

    def tell_who_is_there(self, peers: tuple[Peer, ...]) -> None:
        there = " and ".join(sorted(peer.name for peer in peers if peer.here))
        self.status.setText(f"{self.name}   {'●' if there else '○'}   {there or 'nobody else'} here")

    def add(self) -> None:
        with self.sessions.begin(self.space) as session:
            session.add(Card(title=self.entry.text(), stage=0))
        self.entry.clear()

    def press(self, view: QListView, by: int) -> None:
        if card := view.currentIndex().data(ROW):
            self.move_card(card.id, max(0, card.stage + by))

    def move_card(self, card: UUID, stage: int) -> None:
        with self.sessions.begin() as session:
            session.get_one(Card, card).stage = stage

    def choose(self, index: QModelIndex) -> None:
        if index.isValid():
            for notes in self.notes:
                notes.close()
            self.notes = [SyncedText(self.text, self.sessions.document(index.data(ROW)), ("notes",), self.deliver)]
            self.text.setReadOnly(False)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", help="the file of this device")
    parser.add_argument("ticket", nargs="?", default="", help="an invitation, to join a board")
    parser.add_argument("--name", default="Me", help="what the others call you")
    parser.add_argument("--at", default="ws://127.0.0.1:8720", help="where the first device is found")
    given = parser.parse_args()
    quit_on_interrupt(application := QApplication([]))
    with Engine.open(f"sqlite:///{given.store}") as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        engine.connect_remembered()
        if not given.ticket and not engine.spaces:
            engine.create_space("Garden", member_name=given.name)
        space = engine.join(given.ticket, name=given.name, timeout_s=60) if given.ticket else engine.spaces[0]
        if space.role == Role.OWNER:
            engine.listen(given.at)
            print(space.invite(mode="auto"), flush=True)
        board = Board(engine, sessions, space, given.name)
        board.resize(960, 420)
        board.show()
        steady()
        application.exec()


if __name__ == "__main__":
    main()
