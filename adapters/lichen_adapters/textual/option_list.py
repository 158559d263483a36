"""The rows of a live query in an `OptionList`."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, Generic, TypeVar, cast

from sqlalchemy.sql.selectable import TypedReturnsRows
from textual.content import Content
from textual.css.styles import RulesMap
from textual.events import Mount
from textual.message import Message
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual, VisualType, visualize
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from lichen_adapters.orm import Rows
from lichen_adapters.orm.live import LiveFactory, call_live
from lichen_adapters.textual.terminal import printable

log = logging.getLogger("lichen.textual")

T = TypeVar("T")


class LiveOption(Option, Generic[T]):
    """The option of a row: the same one as long as the row is in the list."""

    def __init__(self, row: T, look: _Look) -> None:
        self.row = row
        self.look = look
        super().__init__(look)


class LiveOptionList(OptionList, Generic[T]):
    """An `OptionList` of the rows of a live query, which follows them: an option is inserted, moved, changed or removed
    for a row that is. Highlight and scrolling stay at their rows; a list that is scrolled to its end stays there.

    It begins when it is mounted, and ends with that. Its options are those of the rows, and nobody else's.
    """

    class Followed(Message):
        """The rows have changed, and the list with them."""

        def __init__(self, option_list: LiveOptionList[Any]) -> None:
            super().__init__()
            self.option_list = option_list

        @property
        def control(self) -> LiveOptionList[Any]:
            """The list."""
            return self.option_list

    def __init__(
        self,
        sessions: LiveFactory,
        statement: TypedReturnsRows[T],
        prompt: Callable[[T], VisualType],
        *,
        reads: Iterable[Any] = (),
        name: str | None = None,
        id: str | None = None,  # noqa: A002  # as every widget of Textual calls it
        classes: str | None = None,
        disabled: bool = False,
        compact: bool = False,
    ) -> None:
        """`prompt` gives what is shown of a row: a text as it is, without markup, a `Content`, or anything that Rich
        renders. Of the last it does not see the texts: put those of others through `printable` first.

        Of a row for which it raises, which is logged, an empty option is shown. `reads` is as for live queries, whose
        errors are raised when it is mounted.
        """
        super().__init__(name=name, id=id, classes=classes, disabled=disabled, compact=compact, markup=False)
        self._sessions, self._statement, self._reads, self._prompt = sessions, statement, reads, prompt
        self._items: list[LiveOption[T]] = []
        self._end: Callable[[], None] = lambda: None
        self._gone = False

    @property
    def rows(self) -> list[T]:
        """All rows that are shown, from the top."""
        return [item.row for item in self._items]

    @property
    def highlighted_row(self) -> T | None:
        """The row that is highlighted."""
        return None if self.highlighted is None else self._items[self.highlighted].row

    def row(self, option: Option) -> T:
        """The row of one of its options, also when it has left the list, such as that of `OptionList.OptionSelected`.

        Raises `KeyError` for another list's.
        """
        if not isinstance(option, LiveOption):
            raise KeyError(option)
        row: T = option.row
        return row

    def _on_mount(self, _: Mount) -> None:
        """Begin to follow the rows, once it is known how wide they are shown."""
        self._gone = False
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if self._gone:  # before it was shown
            return
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()

        def deliver(call: Callable[[], None]) -> None:
            loop.call_soon_threadsafe(call, context=context)

        self._end = call_live(self._sessions, self._statement, self._follow, self._reads, deliver=deliver)

    def _on_unmount(self) -> None:
        """Follow them no longer."""
        self._gone = True
        self._end()

    def _follow(self, rows: Rows[T]) -> Iterator[None]:
        """Ask how new rows look and how tall they are, in steps, and then show all at once."""
        padding = self.get_component_styles("option-list--option").padding
        width = self.scrollable_content_region.width - padding.width
        looks: list[_Look] = []
        for _, row in (*rows.difference.added, *rows.difference.changed):
            looks.append(_Look(self._visual(row)))
            if width > 0:  # it has its place on the screen
                looks[-1].get_height(cast(RulesMap, self.styles), width)  # as Textual passes them
            yield
        self._show(rows, looks)

    def _visual(self, row: T) -> Visual:
        try:
            return visualize(self, _printable(self._prompt(row)), markup=False)
        except Exception:
            log.exception("a row could not be shown")
            return Content()

    def _show(self, rows: Rows[T], looks: list[_Look]) -> None:
        highlighted = self.highlighted_option
        at_end = 0 < self.scroll_y >= self.max_scroll_y
        top = self._top()
        self._change(rows, iter(looks))
        place = self.highlighted
        with self.prevent(OptionList.OptionHighlighted):
            self.set_options(self._items)
            if highlighted in self._items:
                self.highlighted = self._items.index(highlighted)
        if highlighted is not None and self.highlighted is None:
            self.highlighted = place  # of the one that follows it, or the last
        self.scroll_to(y=self.max_scroll_y if at_end else self._line(*top), animate=False, immediate=True, force=True)
        self.post_message(self.Followed(self))

    def _change(self, rows: Rows[T], looks: Iterator[_Look]) -> None:
        difference, items = rows.difference, self._items
        for position in difference.removed:
            del items[position]
        for start, end in difference.moved:
            items.insert(end, items.pop(start))
        for position, row in difference.added:
            items.insert(position, LiveOption(row, next(looks)))
        for position, row in difference.changed:
            items[position].row = row
            items[position].look.become(next(looks))

    # What is in view

    def _starts(self) -> list[int]:
        """On which line each option begins, and the end."""
        return list(accumulate((item.look.lines for item in self._items), initial=0))

    def _top(self) -> tuple[list[LiveOption[T]], int]:
        """The options from the uppermost in view on, and how many lines of that are out of view."""
        if not self.scroll_y:
            return [], 0
        starts = self._starts()
        index = bisect_right(starts, int(self.scroll_y)) - 1
        return self._items[index:], int(self.scroll_y) - starts[index]

    def _line(self, top: list[LiveOption[T]], hidden: int) -> int:
        """On which line the first of them is that is still there."""
        starts = dict(zip(map(id, self._items), self._starts(), strict=False))
        for item in top:
            if id(item) in starts:
                return starts[id(item)] + hidden
            hidden = 0
        return 0


class _Look(Visual):
    """What an option shows, which may change. How many lines it takes is asked of each option for each change."""

    def __init__(self, visual: Visual) -> None:
        self._visual = visual
        self.width, self.lines = -1, 0

    def become(self, other: _Look) -> None:
        """Show what another shows, from now on."""
        self._visual, self.width, self.lines = other._visual, other.width, other.lines

    def render_strips(self, width: int, height: int | None, style: Style, options: RenderOptions) -> list[Strip]:
        """As `Visual.render_strips`."""
        return self._visual.render_strips(width, height, style, options)

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:
        """As `Visual.get_optimal_width`."""
        return self._visual.get_optimal_width(rules, container_width)

    def get_height(self, rules: RulesMap, width: int) -> int:
        """As `Visual.get_height`."""
        if width != self.width:
            self.width, self.lines = width, self._visual.get_height(rules, width)
        return self.lines


def _printable(prompt: VisualType) -> VisualType:
    match prompt:
        case str():
            return Content(printable(prompt))
        case Content(plain=plain) if (shown := printable(plain)) != plain:
            return Content(shown, list(prompt.spans))
        case _:
            return prompt
