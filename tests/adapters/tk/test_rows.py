"""Rows of a live query in a `ttk.Treeview`."""

from __future__ import annotations

import logging
import tkinter
from tkinter import ttk

import pytest
from lichen.errors import EngineMisuse
from lichen_adapters.orm.blocking import Sessions
from lichen_adapters.tk import Polling, TreeRows
from sqlalchemy import select
from tasks import TASKS, Task, write
from tk_pad import until


@pytest.fixture
def shown(root: tkinter.Toplevel, sessions: Sessions) -> tuple[ttk.Treeview, TreeRows[Task]]:
    tree = ttk.Treeview(root, columns=("rank",))
    tree.pack()
    rows = TreeRows(tree, sessions, TASKS, lambda task: {"text": task.title, "values": (task.rank,)}, Polling(root))
    until(root, lambda: titles(tree) == list("abcde"))
    return tree, rows


def titles(tree: ttk.Treeview) -> list[str]:
    return [str(tree.item(item, "text")) for item in tree.get_children()]


def test_rows_come_move_change_and_go_and_all_others_stay_the_items_they_are(
    root: tkinter.Toplevel, sessions: Sessions, shown: tuple[ttk.Treeview, TreeRows[Task]]
) -> None:
    tree, rows = shown
    items = dict(zip(titles(tree), tree.get_children(), strict=True))
    tree.selection_set(items["b"], items["d"])
    tree.focus(items["d"])

    def work(tasks: dict[str, Task]) -> list[Task]:
        tasks["d"].rank = -1
        tasks["e"].title = "E"
        return [Task(title="new", rank=1)]

    write(sessions, work)
    until(root, lambda: titles(tree) == ["d", "a", "b", "new", "c", "E"])
    now = dict(zip(titles(tree), tree.get_children(), strict=True))
    assert [now[title] for title in "abcdE"] == [items[title] for title in "abcde"]
    assert str(tree.item(now["d"], "values")[0]) == "-1"
    assert [task.title for task in rows.selected] == ["d", "b"]
    assert tree.focus() == items["d"]
    assert rows.row(now["E"]).title == "E"
    with sessions.begin() as session:
        for task in session.scalars(select(Task).where(Task.title.in_(["a", "d"]))):
            session.delete(task)
    until(root, lambda: len(tree.get_children()) == 4)
    assert [task.title for task in rows.rows] == titles(tree)
    assert [task.title for task in rows.selected] == ["b"]
    with pytest.raises(KeyError):
        rows.row(items["a"])


def test_rows_are_shown_otherwise_when_they_are_to_be(root: tkinter.Toplevel, sessions: Sessions) -> None:
    tree, mark = ttk.Treeview(root), ["-"]
    rows = TreeRows(tree, sessions, TASKS, lambda task: {"text": f"{mark[0]}{task.title}"}, Polling(root))
    until(root, lambda: titles(tree) == ["-a", "-b", "-c", "-d", "-e"])
    items = tree.get_children()
    mark[0] = "+"
    rows.refresh()
    assert (titles(tree), tree.get_children()) == (["+a", "+b", "+c", "+d", "+e"], items)


def test_a_row_that_cannot_be_shown_is_an_empty_item_and_the_others_are_right(
    root: tkinter.Toplevel, sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    tree = ttk.Treeview(root)

    def item(task: Task) -> dict[str, object]:
        return {"text": 1 // 0 if task.title == "c" else task.title}

    TreeRows(tree, sessions, TASKS, item, Polling(root))
    until(root, lambda: titles(tree) == ["a", "b", "", "d", "e"])
    assert "a row could not be shown" in caplog.text


def test_a_row_of_which_something_is_given_that_a_tree_has_not_is_an_empty_item_too(
    root: tkinter.Toplevel, sessions: Sessions
) -> None:
    tree = ttk.Treeview(root)
    TreeRows(
        tree, sessions, TASKS, lambda task: {"text": task.title, "done" if task.done else "open": 1}, Polling(root)
    )
    until(root, lambda: titles(tree) == ["a", "b", "c", "d", "e"])

    def work(tasks: dict[str, Task]) -> list[Task]:
        tasks["b"].done = True
        return [Task(title="first", rank=-1, done=True), Task(title="last", rank=9)]

    write(sessions, work)
    until(root, lambda: titles(tree) == ["", "a", "", "c", "d", "e", "last"])


def test_rows_come_in_the_place_of_what_a_tree_shows_and_only_once(root: tkinter.Toplevel, sessions: Sessions) -> None:
    tree, deliver = ttk.Treeview(root), Polling(root)

    def follow() -> TreeRows[Task]:
        return TreeRows(tree, sessions, TASKS, lambda task: {"text": task.title}, deliver)

    tree.insert("", 0, text="something else")
    first = follow()
    until(root, lambda: titles(tree) == ["a", "b", "c", "d", "e"])
    with pytest.raises(EngineMisuse, match="follows rows already"):
        follow()
    first.close()
    write(sessions, lambda _: [Task(title="new", rank=-1)])
    follow()
    first.close()
    with pytest.raises(EngineMisuse, match="follows rows already"):
        follow()
    until(root, lambda: titles(tree) == ["new", "a", "b", "c", "d", "e"])


def test_rows_of_a_tree_that_is_gone_are_followed_no_longer(
    root: tkinter.Toplevel,
    sessions: Sessions,
    shown: tuple[ttk.Treeview, TreeRows[Task]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tree, rows = shown
    tree.destroy()
    write(sessions, lambda _: [Task(title="late", rank=9)])
    for _ in range(50):
        root.update()
    rows.close()
    assert not sessions.feed.listened
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
