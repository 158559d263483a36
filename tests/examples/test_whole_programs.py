"""The whole programs at the ends of guides: two of each, of which the second joins in its window."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from examples_running import EXAMPLES, Instance, running
from lichen.testing.display import Display

HOWTO = EXAMPLES.parent / "docs" / "howto"
DO = {
    "tk": (
        ("find('entry').insert(0, {!r})", "press('entry', '<Return>')"),
        "find('status')['text']",
        "[find('tasks').item(one, 'text') for one in find('tasks').get_children()]",
    ),
    "qt": (
        ("find('QLineEdit').setText({!r})", "press(find('QLineEdit'), 'Return')"),
        "window.status.text()",
        "[task.title for task in window.tasks.rows]",
    ),
}


@pytest.mark.parametrize("toolkit", DO)
def test_one_joins_the_other_and_is_told_what_went_wrong(toolkit: str, tmp_path: Path, display: Display) -> None:
    assert display.name
    (program,) = re.findall(r"```py\n(.*?)```", (HOWTO / f"{toolkit}.md").read_text(), re.DOTALL)
    (tmp_path / "tasks.py").write_text(program)
    enter, status, tasks = DO[toolkit]

    def type_in(app: Instance, text: str) -> None:
        for one in enter:
            app.do(one.format(text))

    with running(f"drive_{toolkit}.py", str(tmp_path / "tasks.py"), tmp_path) as begin:
        ann, ben = (begin(*given, QT_QPA_PLATFORM="offscreen") for given in ((), ("ben.db",)))
        ticket = ann.line()
        assert ben.line().startswith("lichen1")
        type_in(ben, "Alone")
        ben.until(tasks, ["Alone"])
        type_in(ben, ticket[:50])
        ben.until(f"'ticket' in {status}", True)
        type_in(ben, ticket)
        ben.until(status, "Home. To join others, enter their invitation. Also here: Home, your own.")
        type_in(ann, "Water")
        for app in (ann, ben):
            app.until(tasks, ["Water"])
            app.close()


def test_one_joins_the_other_in_a_terminal(tmp_path: Path) -> None:
    parts = re.findall(r"```python\n(.*?)```", (HOWTO / "textual.md").read_text(), re.DOTALL)
    (tmp_path / "tasks.py").write_text("\n".join(parts))

    def enter(app: Instance, text: str) -> None:
        app.do(f"setattr(app.query_one('Input'), 'value', {text!r})")
        app.do("app.query_one('Input').action_submit()")

    with running("drive_textual.py", str(tmp_path / "tasks.py"), tmp_path) as begin:
        ann, ben = (begin(*given) for given in ((), ("ben.db",)))
        ann.do("app.action_invite()")
        ticket = ann.do("app.clipboard")
        enter(ann, "Water")
        enter(ben, ticket[:50])
        ben.until("[note.severity for note in app._notifications]", ["error"])
        enter(ben, ticket)
        ben.until("len(app.engine.spaces)", 2)
        ben.until("[note.message for note in app._notifications][1:]", ["Joined Home, which shows at the next start"])
        ben.close()
        again = begin("ben.db")
        again.until("[task.title for task in app.query_one('LiveOptionList').rows]", ["Water"])
        for app in (again, ann):
            app.close()
