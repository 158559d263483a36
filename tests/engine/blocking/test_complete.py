"""Everything that the asyncio API has, `lichen.blocking` has too: the same names, arguments and results."""

from __future__ import annotations

import inspect
import re
from typing import Any

import lichen
import pytest
from lichen import blocking
from lichen.api.document import Transaction
from lichen.runtime import document, driver
from lichen.runtime.connections import Connection
from lichen_adapters import orm
from lichen_adapters.orm import blocking as orm_blocking
from lichen_adapters.orm import sessions as orm_sessions
from lichen_adapters.text import AsyncTextBinding, TextBinding

PAIRS: list[tuple[type, type]] = [
    (lichen.Engine, blocking.Engine),
    (lichen.Space, blocking.Space),
    (lichen.Document, blocking.Document),
    (lichen.Relay, blocking.Relay),
    (Transaction, blocking.Transaction),
    (Connection, blocking.Connection),
    (orm.Sessions, orm_blocking.Sessions),
    (orm.AsyncSessions, orm_blocking.Sessions),
    (AsyncTextBinding, TextBinding),
]
BELOW = (driver.Application, document.Host, orm_sessions.Host)
"""What the rooms below an engine or a relay call of it, and what those who write beside it do."""
SOCKETS = {name for protocol in BELOW for name in vars(protocol)} - {"device", "document"} | {
    # What `Space` reads of its engine.
    "Engine.state_of",
    # The data of a document's presence, which is in its handle.
    "Engine.presence", "Engine.set_presence",
    # `Document.events().call(...)` calls back on the caller's thread.
    "Document.listen",
    # There is one loop for all blocking engines, on which no program's code runs.
    "Engine.refuse_other_loop", "Document.refuse_other_loop",
    # Awaited on the loop; where there is none, called on the thread that closes: `blocking.Engine.before_close`.
    "Engine.before_close", "Document.before_close",
    # How a block that is on another thread is driven: what `lichen.blocking` itself uses.
    "Transaction.lend", "Transaction.take_back", "Transaction.roll_back", "Transaction.abandon",
    "Document.refuse_holder", "Engine.refuse_holder",
    "Connection.run_as", "Connection.set_state",
    # `TextBinding(...)`, which is told too on which thread its widget is.
    "AsyncTextBinding.open",
}  # fmt: skip
WAITING = re.compile(r"Coroutine|Async|Awaitable")


def members(cls: type) -> dict[str, Any]:
    return {
        name: value
        for one in reversed(cls.__mro__[:-1])
        for name, value in vars(one).items()
        if name == "__call__" or not name.startswith("_")
    }


def function_of(member: Any) -> Any:
    member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    member = inspect.unwrap(member) if callable(member) else None
    return member if inspect.isfunction(member) else None


def shape(function: Any) -> list[tuple[str, Any, Any, Any]]:
    parameters = inspect.signature(function).parameters.values()
    return [(one.name, one.kind, one.default, one.annotation) for one in parameters]


def result(function: Any) -> str:
    """What it comes to for who waits for it."""
    found = str(inspect.signature(function).return_annotation)
    found = re.sub(r"^AsyncGenerator\[(.*), None\]$", r"Events[\1]", found)
    return re.sub(r"^(?:Async)?Iterator\[(.*)\]$", r"\1", found)


def missing(one: type, other: type) -> list[str]:
    """What a class has and its blocking form has not, or not in the same way."""
    have, found = members(other), []
    for name, member in members(one).items():
        function = function_of(member)
        if function is None or name in SOCKETS or f"{one.__name__}.{name}" in SOCKETS:
            continue
        if name not in have or function_of(have[name]) is None:
            found.append(f"{one.__name__}.{name} is missing")
            continue
        like = function_of(have[name])
        if inspect.iscoroutinefunction(like) or WAITING.search(result(like)):
            found.append(f"{one.__name__}.{name} does not block")
        elif shape(function) != shape(like) or (one is not orm.AsyncSessions and result(function) != result(like)):
            found.append(f"{one.__name__}.{name} is another")
    return found


@pytest.mark.parametrize(("one", "other"), PAIRS, ids=lambda cls: cls.__module__ + "." + cls.__name__)
def test_a_class_has_its_whole_blocking_form(one: type, other: type) -> None:
    assert missing(one, other) == []


def waits(cls: type) -> bool:
    """Whether something of a class is awaited."""
    functions = [function_of(member) for member in members(cls).values()]
    return hasattr(cls, "__aenter__") or any(
        inspect.iscoroutinefunction(one) or WAITING.search(result(one)) for one in functions if one is not None
    )


def test_every_class_of_the_api_that_waits_has_one() -> None:
    public = [getattr(module, name) for module in (lichen, orm) for name in module.__all__]
    waiting = {one for one in public if isinstance(one, type) and waits(one)}
    assert waiting <= {one for one, _ in PAIRS}
    assert {lichen.Engine, lichen.Space, lichen.Document, lichen.Relay, orm.Sessions} <= waiting


def test_what_the_classes_give_has_one_too() -> None:
    given_by = [member for cls, _ in PAIRS for name, member in members(cls).items() if name not in SOCKETS]
    functions = [one for one in map(function_of, given_by) if one is not None]
    given = {
        value
        for function in functions
        for name in re.findall(r"\w+", result(function))
        if isinstance(value := function.__globals__.get(name), type) and value.__module__.startswith("lichen")
    }
    waiting = {one for one in given if waits(one)}
    assert {Connection, Transaction} <= waiting <= {one for one, _ in PAIRS}


def test_live_queries_have_their_blocking_forms() -> None:
    """The only functions that wait, outside classes."""
    public = [getattr(module, name) for module in (lichen, orm) for name in module.__all__]
    functions = [one for one in public if inspect.isfunction(one)]
    waiting = {one.__name__ for one in functions if inspect.iscoroutinefunction(one) or WAITING.search(result(one))}
    assert waiting == {"live"}
    assert shape(orm.live) == shape(orm_blocking.live)
    assert [one[0] for one in shape(orm.call_live)] == [one[0] for one in shape(orm_blocking.call_live)]


def test_what_is_added_to_the_api_alone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def extra(self: lichen.Engine, number: int) -> int:
        return number

    monkeypatch.setattr(lichen.Engine, "extra", extra, raising=False)
    assert missing(lichen.Engine, blocking.Engine) == ["Engine.extra is missing"]
    monkeypatch.setattr(blocking.Engine, "extra", lambda self, numbers: numbers, raising=False)
    assert missing(lichen.Engine, blocking.Engine) == ["Engine.extra is another"]
    monkeypatch.setattr(blocking.Engine, "extra", extra)
    assert missing(lichen.Engine, blocking.Engine) == ["Engine.extra does not block"]


def test_every_public_name_says_what_it_is() -> None:
    for name in blocking.__all__:
        assert getattr(blocking, name).__doc__, name
