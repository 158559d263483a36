"""Calls on the thread of Tk, and what is refused on another."""

from __future__ import annotations

import threading
import tkinter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from tkinter import ttk

import pytest
from lichen.blocking import Document
from lichen.errors import EngineMisuse
from lichen_adapters.orm.blocking import Sessions
from lichen_adapters.tk import Polling, SyncedText, TreeRows
from tasks import TASKS
from tk_pad import until


def test_calls_are_made_on_the_thread_of_tk_and_one_that_raises_stops_nothing(
    root: tkinter.Toplevel, tk: tkinter.Tk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, raised = list[int](), list[type]()
    monkeypatch.setattr(tk, "report_callback_exception", lambda kind, *_: raised.append(kind), raising=False)
    deliver = Polling(root)
    calling = threading.Thread(
        target=lambda: [deliver(lambda: made.append(1 // 0)), deliver(lambda: made.append(threading.get_ident()))]
    )
    calling.start()
    until(root, lambda: made)
    calling.join()
    assert (made, raised) == ([threading.get_ident()], [ZeroDivisionError])
    deliver.stop()
    deliver.stop()
    deliver(lambda: made.append(0))
    for _ in range(50):
        root.update()
    assert len(made) == 1


def test_they_end_with_their_widget(root: tkinter.Toplevel) -> None:
    frame = ttk.Frame(root)
    deliver, made = Polling(frame), list[int]()
    frame.destroy()
    deliver(lambda: made.append(1))
    for _ in range(50):
        root.update()
    assert made == []


def test_another_thread_than_tks_is_refused(root: tkinter.Toplevel, sessions: Sessions, note: Document) -> None:
    tree, widget, deliver = ttk.Treeview(root), tkinter.Text(root), Polling(root)
    widget.insert("1.0", "mine")
    begin: list[Callable[[], object]] = [
        lambda: Polling(root),
        lambda: SyncedText(widget, note, ("body",), deliver),
        lambda: TreeRows(tree, sessions, TASKS, lambda task: {"text": task.title}, deliver),
    ]

    def refused() -> list[str]:
        found = list[str]()
        for one in begin:
            with pytest.raises(EngineMisuse) as error:
                one()
            found.append(str(error.value))
        return found

    with ThreadPoolExecutor() as pool:
        asleep = pool.submit(refused).result(20)  # nobody takes calls for Tk meanwhile
        awake = pool.submit(refused)
        awake.add_done_callback(lambda _: deliver(root.quit))
        root.mainloop()
    assert asleep == awake.result()
    assert all("another thread" in error for error in asleep)
    assert widget.get("1.0", "end-1c") == "mine"
    assert not sessions.feed.listened
