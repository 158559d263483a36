"""Rows of a live query as Qt's models: checked by Qt's own tester, with views and selections on them."""

from __future__ import annotations

import gc
import logging
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import shiboken6
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lichen.errors import ConfigError, EngineMisuse
from lichen_adapters.orm import Rows
from lichen_adapters.orm.blocking import Sessions
from lichen_adapters.orm.listing import difference
from lichen_adapters.qt import ROW, Column, ListRows, Queued, TableRows
from PySide6.QtCore import (
    QAbstractItemModel,
    QModelIndex,
    QModelRoleData,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtTest import QAbstractItemModelTester
from PySide6.QtWidgets import QListView, QTableView, QWidget
from sqlalchemy import select
from tasks import TASKS, Task, write
from turns import go_on, until

DISPLAY, CHECK, EDIT = Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.CheckStateRole, Qt.ItemDataRole.EditRole


class Watched:
    """A model with a view on it, watched by Qt's tester: what it finds wrong it says, which fails the test."""

    def __init__(self, model: QAbstractItemModel) -> None:
        self.model = model
        self.tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Warning)
        self.told: list[str] = []
        model.modelReset.connect(lambda: self.told.append("reset"))
        model.layoutChanged.connect(lambda: self.told.append("layout"))
        model.rowsInserted.connect(lambda _, first, last: self.told.append(f"+{first}-{last}"))
        model.rowsRemoved.connect(lambda _, first, last: self.told.append(f"-{first}-{last}"))
        model.rowsMoved.connect(lambda _, start, __, ___, to: self.told.append(f"{start}>{to}"))
        model.dataChanged.connect(lambda first, last: self.told.append(f"~{first.row()}-{last.row()}"))

    @property
    def titles(self) -> list[str]:
        return [self.model.index(row, 0).data() for row in range(self.model.rowCount())]


@pytest.fixture
def shown(window: QWidget, sessions: Sessions) -> tuple[ListRows[Task], QListView, Watched]:
    model = ListRows(sessions, TASKS, lambda task: task.title, Queued(window), parent=window)
    view = QListView(window)
    view.setModel(model)
    view.setSelectionMode(QListView.SelectionMode.ExtendedSelection)
    window.show()
    watched = Watched(model)
    until(lambda: watched.titles == list("abcde"))
    watched.told.clear()
    return model, view, watched


def test_each_change_is_told_by_itself_and_selection_stays_at_its_rows(
    sessions: Sessions, shown: tuple[ListRows[Task], QListView, Watched]
) -> None:
    model, view, watched = shown
    for row in (1, 4):
        view.selectionModel().select(model.index(row), view.selectionModel().SelectionFlag.Select)
    view.selectionModel().setCurrentIndex(model.index(4), view.selectionModel().SelectionFlag.NoUpdate)

    def change(tasks: dict[str, Task]) -> list[Task]:
        tasks["e"].rank = -1  # to the top
        tasks["a"].title = "A"
        return [Task(title=title, rank=10) for title in "xyz"]

    write(sessions, change)
    until(lambda: watched.titles == ["e", "A", "b", "c", "d", "x", "y", "z"])
    assert watched.told[:2] == ["4>0", "+5-7"], watched.told
    assert sorted(watched.told[2:]) == ["~0-1"]
    assert sorted(task.title for index in view.selectedIndexes() for task in [model.row(index)]) == ["b", "e"]
    assert view.currentIndex().data() == "e"
    watched.told.clear()
    with sessions.begin() as session:
        for title in ("b", "c"):
            session.delete(session.scalars(select(Task).where(Task.title == title)).one())
    until(lambda: watched.titles == ["e", "A", "d", "x", "y", "z"])
    assert watched.told == ["-2-3"]
    assert [model.row(index).title for index in view.selectedIndexes()] == ["e"]
    assert [task.title for task in model.rows] == watched.titles
    for nowhere in (9, -1, QModelIndex()):
        with pytest.raises(IndexError):
            model.row(nowhere)


def test_views_stay_where_they_were_scrolled_to(
    sessions: Sessions, shown: tuple[ListRows[Task], QListView, Watched]
) -> None:
    model, view, watched = shown
    write(sessions, lambda _: [Task(title=f"t{number:03}", rank=10) for number in range(200)])
    until(lambda: len(watched.titles) == 205)
    view.setCurrentIndex(model.index(3))
    view.scrollTo(model.index(100), QListView.ScrollHint.PositionAtTop)
    go_on()
    top = view.verticalScrollBar().value()
    assert top > 0
    write(sessions, lambda tasks: [tasks.pop("t050"), *(Task(title=title, rank=20) for title in "xyz")])
    until(lambda: len(watched.titles) == 208)
    go_on()
    assert (view.verticalScrollBar().value(), view.currentIndex().data()) == (top, "d")


def test_random_changes_of_two_models_are_followed_and_never_by_a_reset(sessions: Sessions, window: QWidget) -> None:
    chance, deliver = random.Random(11), Queued(window)
    table = TableRows(
        sessions, TASKS, [Column("What", lambda task: task.title), Column("Rank", lambda task: str(task.rank))], deliver
    )
    proxy = QSortFilterProxyModel()
    proxy.setSourceModel(table)
    proxy.sort(0)
    view = QTableView(window)
    view.setModel(proxy)
    window.show()
    both = [Watched(table), Watched(proxy)]
    kept: dict[uuid.UUID, QPersistentModelIndex] = {}
    for number in range(40):

        def change(tasks: dict[str, Task], number: int = number) -> list[Task]:
            for task in chance.sample(list(tasks.values()), k=min(len(tasks), chance.randrange(6))):
                match chance.randrange(3):
                    case 0:
                        task.rank = chance.randrange(10)
                    case 1:
                        task.title += "'"
                    case _:
                        task.done = not task.done
            return [Task(title=f"{number}-{extra}", rank=chance.randrange(10)) for extra in range(chance.randrange(4))]

        write(sessions, change)
        with sessions.begin() as session:
            for task in chance.sample(list(session.scalars(select(Task))), k=chance.randrange(3)):
                session.delete(task)
        if chance.random() < 0.7:
            go_on(0.005)
        with sessions() as session:
            wanted = [(task.id, task.title, str(task.rank)) for task in session.scalars(TASKS)]
        if number % 4 == 3:
            until(lambda wanted=wanted: shown_by(table) == wanted)
            kept = {key: index for key, index in kept.items() if key in {row[0] for row in wanted}}
            assert all(index.isValid() and index.data(ROW).id == key for key, index in kept.items())
            kept = {row.id: QPersistentModelIndex(table.index(at, 0)) for at, row in enumerate(table.rows)}
    assert "reset" not in both[0].told + both[1].told
    assert any(">" in one for one in both[0].told)
    assert any("~" in one for one in both[0].told)


def shown_by(table: TableRows[Task]) -> list[tuple[uuid.UUID, str, str]]:
    """What a table shows, with the keys of its rows."""
    return [(row.id, table.index(at, 0).data(), table.index(at, 1).data()) for at, row in enumerate(table.rows)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.lists(st.tuples(st.integers(0, 30), st.booleans()), unique_by=lambda pair: pair[0]), max_size=6)
)
def test_any_list_is_made_of_any_other(
    shown: tuple[ListRows[Task], QListView, Watched], steps: list[list[tuple[int, bool]]]
) -> None:
    model, _, watched = shown
    before = [task.title for task in model.rows]
    for step in [*steps, [(number, False) for number in range(5)]]:
        after = [str(key) for key, _ in step]
        kept = {title: QPersistentModelIndex(model.index(row)) for row, title in enumerate(before) if title in after}
        changed = [at for at, (key, changes) in enumerate(step) if changes and str(key) in before]
        rows = [Task(title=title, rank=0) for title in after]
        for _ in model._steps(Rows.of(rows, difference(before, after, rows, changed))):
            assert model.rowCount() == len(model.rows)
        assert watched.titles == after
        assert {title: index.data() for title, index in kept.items()} == {title: title for title in kept}
        before = after
    assert "reset" not in watched.told


def test_cells_show_by_role_and_are_edited_by_the_column(sessions: Sessions, window: QWidget) -> None:
    def tick(task: Task, done: bool) -> None:
        with sessions.begin() as session:
            session.get_one(Task, task.id).done = done

    def name(task: Task, title: str) -> None:
        if not title:
            raise ValueError("a task has a title")
        with sessions.begin() as session:
            session.get_one(Task, task.id).title = title

    columns = [
        Column[Task]("", lambda task: {CHECK: Qt.CheckState.Checked if task.done else Qt.CheckState.Unchecked}, tick),
        Column[Task]("What", lambda task: {DISPLAY: task.title.upper(), EDIT: task.title}, name),
        Column[Task]("Rank", lambda task: str(1 // task.rank)),
    ]
    model = TableRows(sessions, TASKS, columns, Queued(window), parent=window)
    watched = Watched(model)
    until(lambda: model.rowCount() == 5)
    assert [model.headerData(column, Qt.Orientation.Horizontal) for column in range(4)] == ["", "What", "Rank", None]
    assert model.headerData(0, Qt.Orientation.Vertical) == 1
    box, cell, rank = (model.index(0, column) for column in range(3))
    assert (cell.data(), cell.data(EDIT), rank.data(), model.index(1, 2).data(EDIT)) == ("A", "a", None, "1")
    assert cell.flags() & Qt.ItemFlag.ItemIsEditable
    assert box.flags() & Qt.ItemFlag.ItemIsUserCheckable
    assert not rank.flags() & Qt.ItemFlag.ItemIsEditable
    one, none = QModelRoleData(DISPLAY), QModelRoleData(Qt.ItemDataRole.FontRole)
    for wanted in (one, none):
        model.multiData(cell, wanted)
    assert (one.data(), none.data()) == ("A", None), "as views ask"
    watched.told.clear()
    assert model.setData(cell, "first")
    assert model.setData(box, Qt.CheckState.Checked, CHECK)
    until(lambda: cell.data() == "FIRST" and model.row(cell).done)
    assert set(watched.told) == {"~0-0"}
    assert not model.setData(cell, ""), "its writer raised"
    assert not model.setData(rank, "7")
    assert not model.setData(model.index(99, 0), "7")
    assert not model.setData(cell, 7, Qt.ItemDataRole.DecorationRole)
    go_on()
    assert cell.data() == "FIRST"


def test_rows_end_with_their_model_however_it_goes(
    sessions: Sessions, window: QWidget, caplog: pytest.LogCaptureFixture
) -> None:
    deliver, parent = Queued(window), QWidget()

    def make(parent: QWidget | None = None) -> ListRows[Task]:
        return ListRows(sessions, TASKS, lambda task: task.title, deliver, parent=parent)

    models = [make(), make(), make(), make(parent)]
    until(lambda: all(model.rowCount() == 5 for model in models))
    closed, deleted, _ = models[1:]
    models.clear()
    closed.close()
    closed.close()
    gc.collect()
    shiboken6.delete(deleted)
    shiboken6.delete(parent)
    assert not sessions.feed.listened
    write(sessions, lambda _: [Task(title="late", rank=9)])
    go_on()
    assert closed.rowCount() == 5
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_bad_use_is_refused_and_changes_nothing(
    sessions: Sessions, window: QWidget, caplog: pytest.LogCaptureFixture
) -> None:
    deliver = Queued(window)
    with pytest.raises(ConfigError, match="no columns"):
        TableRows(sessions, TASKS, [], deliver)
    model = ListRows(sessions, TASKS, lambda task: task.title, deliver, edit=lambda *_: None, parent=window)
    until(lambda: model.rowCount() == 5)
    with ThreadPoolExecutor(1) as pool:
        for use in (model.close, lambda: model.setData(model.index(0), "x")):
            with pytest.raises(EngineMisuse, match="another thread"):
                pool.submit(use).result()
    elsewhere = ListRows(sessions, TASKS, lambda task: task.title, lambda call: call())
    until(lambda: "another thread" in caplog.text)
    assert elsewhere.rowCount() == 0
    elsewhere.close()
    sessions.close()
    go_on()
    assert model.rowCount() == 5, "what is shown stays"
