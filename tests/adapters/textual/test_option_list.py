"""An option list over a live query: what is highlighted and in view stays so, whatever others do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import tasks
from lichen import Engine
from lichen_adapters.orm import SessionMisuse, Sessions
from lichen_adapters.textual import LiveOptionList
from showing import Showing, until
from sqlalchemy import select, text
from tasks import TASKS, Base, Task
from textual.content import Content
from textual.pilot import Pilot
from textual.visual import VisualType
from textual.widgets import OptionList


class Watching(Showing):
    """Notes what the list says of itself."""

    def __init__(self, *makers: Callable[[], LiveOptionList[Task]]) -> None:
        super().__init__(*makers)
        self.highlighted, self.chosen, self.followed = list[str](), list[str](), 0

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Note it."""
        self.highlighted.append(self.list_of(event).row(event.option).title)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Note it."""
        self.chosen.append(self.list_of(event).row(event.option).title)

    def on_live_option_list_followed(self, event: LiveOptionList.Followed) -> None:
        """Count it."""
        assert event.control is event.option_list
        self.followed += 1

    @staticmethod
    def list_of(event: OptionList.OptionMessage) -> LiveOptionList[Task]:
        """The list that it comes from."""
        assert isinstance(event.option_list, LiveOptionList)
        return event.option_list


@pytest.fixture
async def sessions(engine: Engine) -> AsyncIterator[Sessions]:
    await engine.create_space("Work")
    made = Sessions(engine, Base)
    made.prepare()
    yield made
    await asyncio.to_thread(made.close)


async def write(sessions: Sessions, work: Callable[[dict[str, Task]], list[Task]]) -> None:
    """As `tasks.write`, on a thread of its own."""
    await asyncio.to_thread(tasks.write, sessions, work)


def titles(shown: LiveOptionList[Task]) -> list[str]:
    return [task.title for task in shown.rows]


@asynccontextmanager
async def list_of(
    sessions: Sessions, names: str, prompt: Callable[[Task], VisualType] = lambda task: task.title
) -> AsyncIterator[tuple[LiveOptionList[Task], Pilot[None], Watching]]:
    await write(sessions, lambda _: [Task(title=name, rank=10 * rank) for rank, name in enumerate(names)])
    app = Watching(lambda: LiveOptionList(sessions, TASKS, prompt))
    async with app.run_test() as pilot:
        shown = app.query_one(LiveOptionList)
        await until(pilot, lambda: len(shown.rows) == len(names))
        shown.focus()
        await pilot.pause()
        yield shown, pilot, app


def lines(shown: LiveOptionList[Task]) -> list[str]:
    return [shown.render_line(row).text.strip() for row in range(shown.scrollable_content_region.height)]


async def test_rows_come_move_change_and_go_and_the_highlight_stays_with_its_row(sessions: Sessions) -> None:
    async with list_of(sessions, "abcde") as (shown, pilot, app):
        options = dict(zip(titles(shown), shown.options, strict=True))
        assert shown.highlighted_row is None
        await pilot.press("down", "down", "down", "down", "enter")
        assert (app.highlighted, app.chosen) == (list("abcd"), ["d"])

        def work(tasks: dict[str, Task]) -> list[Task]:
            tasks["d"].rank = -1
            tasks["d"].title = "D"
            tasks["e"].title = "E"
            return [Task(title="new", rank=11)]

        await write(sessions, work)
        await until(pilot, lambda: titles(shown) == ["D", "a", "b", "new", "c", "E"])
        assert lines(shown)[:5] == ["D", "a", "b", "new", "c"]
        now = dict(zip(titles(shown), shown.options, strict=True))
        assert [now[title] for title in "DabcE"] == [options[title] for title in "dabce"]
        assert shown.highlighted_row is shown.rows[0]
        assert app.highlighted == list("abcd"), "nobody moved it"
        with sessions.begin() as session:
            for task in session.scalars(select(Task).where(Task.title.in_(["a", "D"]))):
                session.delete(task)
        await until(pilot, lambda: titles(shown) == ["b", "new", "c", "E"])
        assert shown.highlighted_row is shown.rows[0]
        await until(pilot, lambda: app.highlighted == [*"abcd", "b"])
        assert shown.row(options["a"]).title == "a"
        assert app.followed == 3


async def test_what_is_in_view_stays_there_and_an_end_stays_an_end(sessions: Sessions) -> None:
    async with list_of(sessions, "abcdefghijklmnop", lambda task: f"{task.title}\n-") as (shown, pilot, _):
        shown.scroll_to(y=7, animate=False, immediate=True)
        assert lines(shown)[:3] == ["-", "e", "-"]
        await write(sessions, lambda tasks: [Task(title="new", rank=-1), Task(title="new", rank=41)])
        await until(pilot, lambda: len(shown.rows) == 18)
        assert lines(shown)[:5] == ["-", "e", "-", "new", "-"]
        with sessions.begin() as session:
            session.delete(session.scalars(select(Task).where(Task.title == "d")).one())
        await until(pilot, lambda: len(shown.rows) == 17)
        assert lines(shown)[:2] == ["e", "-"]
        shown.scroll_end(animate=False, immediate=True)
        await write(sessions, lambda tasks: [Task(title="last", rank=999)])
        await until(pilot, lambda: len(shown.rows) == 18)
        assert "last" in lines(shown)
        shown.scroll_home(animate=False, immediate=True)
        await write(sessions, lambda tasks: [Task(title="first", rank=-9)])
        await until(pilot, lambda: len(shown.rows) == 19)
        assert lines(shown)[0] == "first"


async def test_what_others_wrote_is_shown_as_it_is(sessions: Sessions, caplog: pytest.LogCaptureFixture) -> None:
    def prompt(task: Task) -> VisualType:
        match task.title:
            case "x":
                raise ZeroDivisionError
            case "y":
                return Content.from_markup("[b]$title[/b]", title="\x1b[2Jy")
            case _:
                return f"[@click=app.quit]\x1b]0;{task.title}\x07"

    async with list_of(sessions, "axyb", prompt) as (shown, _pilot, _app):
        found = ["[@click=app.quit]␛]0;a␇", "", "␛[2Jy", "[@click=app.quit]␛]0;b␇"]
        assert lines(shown)[:4] == found
        assert any(segment.style is not None and segment.style.bold for segment in shown.render_line(2))
        assert caplog.text.count("a row could not be shown") == 1


async def test_a_list_that_is_gone_follows_no_longer(sessions: Sessions, caplog: pytest.LogCaptureFixture) -> None:
    async with list_of(sessions, "ab") as (shown, pilot, _):
        assert sessions.feed.listened
        await shown.remove()
        assert not sessions.feed.listened
        await write(sessions, lambda _: [Task(title="late", rank=9)])
        await pilot.pause()
        assert titles(shown) == ["a", "b"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_list_that_goes_before_it_is_shown_follows_nothing(sessions: Sessions) -> None:
    async with list_of(sessions, "ab") as (shown, pilot, app):
        await shown.remove()
        for _ in range(3):
            brief = LiveOptionList(sessions, TASKS, lambda task: task.title)
            mounting = app.mount(brief)
            await brief.remove()
            await mounting
        await pilot.pause()
        assert not sessions.feed.listened


async def test_a_statement_that_cannot_be_followed_is_an_error_at_once(sessions: Sessions) -> None:
    def make() -> LiveOptionList[Task]:
        return LiveOptionList(sessions, select(Task).where(text("rank > 0")), lambda task: task.title)

    with pytest.raises(SessionMisuse):
        async with Showing(make).run_test() as pilot:
            await pilot.pause()
    with pytest.raises(KeyError):
        make().row(OptionList("x").options[0])


async def test_many_rows_are_prepared_in_steps_with_the_programs_other_work_in_between(sessions: Sessions) -> None:
    asked = list[str]()

    def prompt(task: Task) -> str:
        asked.append(task.title)
        return task.title

    await write(sessions, lambda _: [Task(title=f"number {number}", rank=number) for number in range(2_000)])
    turns = set[int]()
    app = Watching(lambda: LiveOptionList(sessions, TASKS, prompt))
    async with app.run_test() as pilot:
        shown = app.query_one(LiveOptionList)
        while not shown.rows:
            await asyncio.sleep(0)
            turns.add(len(asked))
        assert (len(shown.rows), len(asked)) == (2_000, 2_000)
        assert len(turns) > 2, "while it was at work, others were too"
        await pilot.pause()
        assert lines(shown)[0] == "number 0"
