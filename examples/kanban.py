"""A kanban board that a team keeps together: each on their own device, also without a network.

    python examples/kanban.py ann.db --name Ann             # begins a board, and prints an invitation
    python examples/kanban.py ben.db lichen1... --name Ben  # joins it

Drag cards, or move the chosen one with Left and Right: what is done, off the board. Its notes are one text."""

from __future__ import annotations

import argparse

from lichen import Role, checked_ticket, in_words, passphrase_of
from lichen.blocking import Engine, Space, steady
from lichen_adapters.orm import Synced, in_space, synced_text
from lichen_adapters.orm.blocking import Sessions
from lichen_adapters.qt import ROW, ListRows, Peer, Queued, SpaceSignals, SyncedText, paint_at_once, quit_on_interrupt
from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtGui import QDropEvent, QShortcut
from PySide6.QtWidgets import QApplication, QGridLayout, QLabel, QLineEdit, QListView, QPlainTextEdit, QWidget
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, Mapped

STAGES = "To do", "Doing", "Done"
LOOKS = """* { font: 14px "DejaVu Sans"; color: #2b2b28; } Board { background: #f5f2eb; } QLabel { font-size: 16px; }
QListView, QPlainTextEdit, QLineEdit { background: white; border: none; border-radius: 10px; padding: 8px; }
QListView::item { background: white; border-radius: 8px; padding: 10px; margin: 4px; border: 2px solid white; }
QListView { background: #e9e4d8; outline: none; } QListView::item:selected { border-color: #1f7a6d; color: #2b2b28; }"""


class Base(DeclarativeBase): ...


class Card(Synced, Base):
    __tablename__ = "card"
    title: Mapped[str]
    stage: Mapped[int]
    notes: Mapped[str] = synced_text(default="")


class Cards(ListRows[Card]):
    def flags(self, index: QModelIndex | QPersistentModelIndex) -> Qt.ItemFlag:
        return super().flags(index) | Qt.ItemFlag.ItemIsDragEnabled | Qt.ItemFlag.ItemIsDropEnabled


class Stage(QListView):
    """Shows the cards of one stage, and takes the one that is dropped on it."""

    def __init__(self, board: Board, stage: int) -> None:
        super().__init__(wordWrap=True, resizeMode=self.ResizeMode.Adjust)
        self.setDragDropMode(self.DragDropMode.DragDrop)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.board, self.stage = board, stage
        self.setModel(board.cards)
        self.setSelectionModel(board.chosen)
        self.setCurrentIndex(QModelIndex())  # or the focus would choose a card
        for key, by in {"Left": -1, "Right": 1}.items():
            shortcut = QShortcut(key, self, context=Qt.ShortcutContext.WidgetShortcut)
            shortcut.activated.connect(lambda by=by: board.move_card(by))
        paint_at_once(self)

    def dropEvent(self, event: QDropEvent) -> None:
        if isinstance(event.source(), Stage):  # where the card was chosen as it was taken
            self.board.move_card(to=self.stage)
        self.setState(self.State.NoState)  # or the mark of where it drops would stay


class Board(QWidget):
    """A list for each stage, the notes of the chosen card, and who is there below."""

    def __init__(self, engine: Engine, sessions: Sessions, space: Space, name: str) -> None:
        super().__init__(windowTitle=f"{space.name} - {name}", styleSheet=LOOKS, minimumHeight=380, minimumWidth=720)
        self.sessions, self.space, self.name, self.deliver = sessions, space, name, Queued(self)
        cards = select(Card).where(in_space(Card, space), Card.stage < len(STAGES)).order_by(Card.title, Card.id)
        self.cards = Cards(sessions, cards, lambda card: card.title, self.deliver, parent=self)
        self.cards.rowsAboutToBeRemoved.connect(self.leave)  # before a view hears of it, which would choose the next
        self.chosen, self.notes = QItemSelectionModel(self.cards), list[SyncedText]()
        self.stages = [Stage(self, stage) for stage in range(len(STAGES))]
        self.text = QPlainTextEdit(readOnly=True, placeholderText="of the card that you choose")
        self.entry, self.status = QLineEdit(placeholderText="A new card"), QLabel(wordWrap=True)
        layout = QGridLayout(self)
        layout.addWidget(self.entry, 2, 0)  # first, so it has the focus at the beginning
        for column, widget in enumerate((*self.stages, self.text)):
            layout.addWidget(QLabel(f"<b>{(*STAGES, 'Notes')[column]}</b>"), 0, column)
            layout.addWidget(widget, 1, column)
        layout.addWidget(self.status, 2, 1, 1, 3)
        self.entry.returnPressed.connect(self.add)
        self.chosen.currentChanged.connect(self.show_notes)
        for changed in (self.cards.rowsInserted, self.cards.dataChanged):
            changed.connect(self.show_each_in_its_stage)
        SpaceSignals(engine, space, self.deliver, parent=self).peers_changed.connect(self.tell_who_is_there)
        self.tell_who_is_there(())

    def tell_who_is_there(self, peers: tuple[Peer, ...]) -> None:
        who = " and ".join(sorted(peer.name for peer in peers if peer.here))
        self.status.setText(f"{self.name}   {'●○'[not who]}   {who or 'nobody else'} here\n{self.space.about}".strip())

    def add(self) -> None:
        with self.sessions.begin(self.space) as session:
            if title := self.entry.text().strip():
                session.add(Card(title=title, stage=0))
        self.entry.clear()

    def move_card(self, by: int = 0, to: int | None = None) -> None:
        if chosen := self.chosen.currentIndex().data(ROW):
            with self.sessions.begin() as session:
                card = session.get_one(Card, chosen.id)
                card.stage = to = max(0, card.stage + by if to is None else to)
            self.stages[min(to, len(STAGES) - 1)].setFocus()  # there, the next key moves it on

    def show_each_in_its_stage(self) -> None:
        for row, card in enumerate(self.cards.rows):
            for stage in self.stages:
                stage.setRowHidden(row, card.stage != stage.stage)

    def leave(self, _: object, first: int, last: int) -> None:
        if first <= self.chosen.currentIndex().row() <= last:
            self.chosen.clear()

    def show_notes(self, index: QModelIndex) -> None:
        for notes in self.notes:
            notes.close()
        self.text.clear()
        self.text.setReadOnly(not (card := index.data(ROW)))
        self.notes = [SyncedText(self.text, self.sessions.document(card), ("notes",), self.deliver)] if card else []


@in_words()
def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("store", type="sqlite:///{}".format, help="the file of this device")
    parser.add_argument("ticket", nargs="?", default="", type=checked_ticket, help="an invitation, to join a board")
    parser.add_argument("--name", default="Me", help="what the others call you, from the first start on")
    parser.add_argument("--at", default="", help="where the others find the first device: ws://HOST:PORT")
    parser.add_argument("--own", action="store_true", help="show the board that this device began, if it joined others")
    given, application = parser.parse_intermixed_args(), QApplication([])
    with Engine.open(given.store, passphrase=passphrase_of(given.store)) as engine, Sessions(engine, Base) as sessions:
        sessions.prepare()
        engine.connect_remembered()
        space = engine.open_space("Garden", given.ticket, name=given.name, own=given.own, progress=print)
        if space.role == Role.OWNER:
            engine.listen(given.at or space.usual_address, required=bool(given.at))
            print(space.invite(mode="auto"), flush=True)
        (_board := Board(engine, sessions, space, space.name_of(engine.device))).show()  # it lives as long as its name
        steady()
        quit_on_interrupt(application)
        application.exec()


if __name__ == "__main__":
    main()
