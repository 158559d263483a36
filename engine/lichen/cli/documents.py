"""`lichen doc ...`."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lichen.cli.editor import edited
from lichen.cli.names import SHORT, find_document, find_space
from lichen.cli.options import JsonOption, PassphraseFileOption, StoreOption, VerboseOption, opened
from lichen.cli.output import Report, configure_logs, line, lines, run, stdout
from lichen.errors import ConfigError

if TYPE_CHECKING:
    from lichen.api.document import Document

app = typer.Typer(help="Documents: what a space holds.", no_args_is_help=True)

TEXT_BYTES = 64 * 1024 * 1024
"""Largest text read from stdin."""

DocArgument = Annotated[str, typer.Argument(help="Id, beginning of an id, or title.")]


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


def _when(seconds: int) -> str:
    """A time that another device may have made up."""
    try:
        return _time(seconds * 1000)
    except (OverflowError, ValueError, OSError):
        return "unknown"


def _plain(value: Any) -> Any:
    """Data as JSON can hold it."""
    match value:
        case dict():
            return {key: _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case bytes():
            return value.hex()
        case float() if not math.isfinite(value):
            return str(value)
        case bool() | int() | float() | None:
            return value
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def describe(document: Document) -> dict[str, Any]:
    """A document as JSON."""
    return {
        "id": document.id.hex(),
        "space": document.space.hex(),
        "heads": [head.hex() for head in document.heads],
        "content": _plain(document.doc.to_py()),
    }


@app.command("create")
def create(
    title: Annotated[str, typer.Argument(help="Its title.")],
    store: StoreOption = "",
    space: Annotated[str | None, typer.Option("--space", help="Id, beginning of an id, or name.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="Its text; - reads standard input.")] = None,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Begin a document with a title and a text."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        from lichen_crdt import Text

        async with opened(store, passphrase_file) as engine:
            content = {"title": Text(title), "body": Text(_text(text or ""))}
            document = await find_space(engine, space).create(content)
            report.result(describe(document), lambda: stdout.print(document.id.hex()))

    run(report, work)


@app.command("list")
def list_documents(
    space: Annotated[str | None, typer.Argument(help="Only of this space.")] = None,
    store: StoreOption = "",
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """The documents on this device."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            spaces = [find_space(engine, space)] if space else engine.spaces
            rows = [
                {
                    "id": info.id.hex(),
                    "title": info.title,
                    "space": found.id.hex(),
                    "changed": _time(info.changed_ms),
                    "heads": [head.hex() for head in info.heads],
                }
                for found in spaces
                for info in await found.documents()
            ]
            report.result({"documents": rows}, lambda: _show_list(rows))

    run(report, work)


def _show_list(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("document", "title", "changed", "space")
    for row in rows:
        table.add_row(row["id"][:SHORT], line(row["title"] or ""), row["changed"], row["space"][:SHORT])
    stdout.print(table)


@app.command("show")
def show(
    document: DocArgument,
    store: StoreOption = "",
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """A document's content."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            found = await find_document(engine, document)
            report.result(describe(found), lambda: _show_one(found))

    run(report, work)


def _show_one(document: Document) -> None:
    content = document.doc.to_py()
    stdout.print(f"[bold]{line(str(content.get('title', document.id.hex())))}[/bold]", soft_wrap=True)
    stdout.print(lines(str(content.get("body", content))), soft_wrap=True)


@app.command("edit")
def edit(
    document: DocArgument,
    store: StoreOption = "",
    text: Annotated[str | None, typer.Option("--text", help="The whole new text; - reads standard input.")] = None,
    append: Annotated[str | None, typer.Option("--append", help="Text to add at the end.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="The new title.")] = None,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Change a document; without an option, in your editor. What merges is what you changed, not the whole text."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            found = await find_document(engine, document)
            new = text
            if text is None and append is None and title is None:
                new = edited(str(found.doc.get("body", "")))
            async with found.change("edit") as doc:
                _apply(doc, title, new, append)
            await found.settled()
            report.result(describe(found), lambda: _show_one(found))

    run(report, work)


def _apply(doc: Any, title: str | None, text: str | None, append: str | None) -> None:
    from lichen_crdt import Text

    for key, new in (("title", title), ("body", None if text is None else _text(text))):
        if new is None:
            continue
        if isinstance(doc.get(key), Text):
            doc[key].update(new)
        else:
            doc[key] = Text(new)
    if append is not None:
        body = doc.get("body")
        if isinstance(body, Text):
            body.insert(len(body), append)
        else:
            doc["body"] = Text(append)


def _text(text: str) -> str:
    if text != "-":
        return text
    read = sys.stdin.read(TEXT_BYTES + 1)
    if len(read) > TEXT_BYTES:
        raise ConfigError(f"standard input is longer than {TEXT_BYTES} characters")
    return read


@app.command("history")
def history(
    document: DocArgument,
    store: StoreOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show this many of the newest changes.")] = 50,
    passphrase_file: PassphraseFileOption = None,
    as_json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """A document's changes, newest first."""
    configure_logs(verbose=verbose)
    report = Report(as_json=as_json)

    async def work() -> None:
        async with opened(store, passphrase_file) as engine:
            found = await find_document(engine, document)
            infos = found.history()
            rows = [
                {
                    "hash": info.hash.hex(),
                    "actor": info.actor.hex(),
                    "seq": info.seq,
                    "operations": info.operations,
                    "time": info.time,
                    "message": info.message,
                }
                for info in reversed(infos[-limit:])
            ]
            report.result({"id": found.id.hex(), "count": len(infos), "changes": rows}, lambda: _show_history(rows))

    run(report, work)


def _show_history(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("change", "when", "actor", "seq", "message")
    for row in rows:
        table.add_row(
            row["hash"][:SHORT],
            _when(row["time"]),
            row["actor"][:SHORT],
            str(row["seq"]),
            line(row["message"] or ""),
        )
    stdout.print(table)
