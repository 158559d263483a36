"""What a command prints: with `--json` exactly one object on stdout, else text for people; errors likewise.

Exit codes: 0, 1 for an error of ours (with `{"error": {"type", "message", "hint"}}` under `--json`), 2 for wrong usage.
A command that is ended before its result is there prints none, also under `--json`, and ends with 128 and the signal's
number, as programs do: 130 for Ctrl-C, 143 for SIGTERM.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import typer
from rich.console import Console
from rich.markup import escape

from lichen.cli.interrupts import INTERRUPTED, TERMINATED, leave_at_once, raise_interrupts
from lichen.errors import ConfigError, LichenError

if TYPE_CHECKING:
    import asyncio

log = logging.getLogger("lichen")

T = TypeVar("T")

CROWDED_S = 60.0
"""That there are too many links is said again after this."""

_CONTROL = dict.fromkeys((*range(32), *range(127, 160)), "�")
_CONTROL_IN_TEXT = {code: shown for code, shown in _CONTROL.items() if chr(code) not in "\n\t"}


def line(text: str) -> str:
    """Data from anywhere as one line of output: no markup of ours, no control characters for the terminal."""
    return escape(text.translate(_CONTROL))


def lines(text: str) -> str:
    """Data from anywhere as text of several lines."""
    return escape(text.translate(_CONTROL_IN_TEXT))


stdout = Console(highlight=False)
stderr = Console(stderr=True, highlight=False)


class Report:
    """The output of one command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._printed = False
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):  # JSON is UTF-8; a terminal shows what it can
                stream.reconfigure(encoding="utf-8" if as_json else None, errors="replace")

    def result(self, value: dict[str, Any], show: Callable[[], None] | None = None) -> None:
        """The command's result: the object itself, or what `show` prints; without it one line a key."""
        if self.as_json:
            self._printed = True
            _print_object(value, sys.stdout)
        elif show is not None:
            show()
        else:
            for key, item in value.items():
                stdout.print(f"[bold]{line(key)}[/bold]  {lines(str(item))}", soft_wrap=True)

    def note(self, text: str) -> None:
        """Something for a person to know on the way; never on stdout under `--json`."""
        (stderr if self.as_json else stdout).print(text, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Something that may not be as it was meant, as plain text; on stderr."""
        stderr.print(f"[yellow]{lines(text)}[/yellow]", soft_wrap=True)

    def error(self, error: BaseException) -> None:
        """An error, as the command's only output under `--json`; after its result, on stderr."""
        hint = getattr(error, "hint", "")
        message = str(error) or type(error).__name__
        if self.as_json:
            body = {"error": {"type": type(error).__name__, "message": message, "hint": hint}}
            _print_object(body, sys.stderr if self._printed else sys.stdout)
        else:
            stderr.print(f"[bold red]error[/bold red] {lines(message)}", soft_wrap=True)
            if hint:
                stderr.print(f"[dim]{lines(hint)}[/dim]", soft_wrap=True)


def _print_object(value: dict[str, Any], stream: TextIO) -> None:
    stream.write(json.dumps(value, ensure_ascii=False) + "\n")
    stream.flush()


def configure_logs(*, verbose: bool) -> None:
    """Logs go to stderr, always."""
    import rich.table  # noqa: F401  # the handler needs it when there may be no file left to open
    from rich.logging import RichHandler

    handler = RichHandler(console=stderr, show_path=False, rich_tracebacks=False)
    level = logging.INFO if verbose else logging.ERROR
    logging.basicConfig(level=level, format="%(name)s: %(message)s", handlers=[handler], force=True)
    for library in ("alembic", "aioice", "aiortc", "websockets"):
        logging.getLogger(library).setLevel(logging.WARNING if verbose else logging.CRITICAL)


def run(report: Report, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a command's coroutine; errors of ours become output and exit code 1."""
    import asyncio

    terminated = asyncio.Event()
    raise_interrupts()
    try:
        return asyncio.run(_terminable(work(), terminated))
    except BrokenPipeError:  # whoever read our output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(TERMINATED if terminated.is_set() else INTERRUPTED) from None
    except BaseException as error:
        found = _ours(error)
        if found is None:
            raise
        report.error(found)
        raise typer.Exit(1) from error
    finally:
        leave_at_once()


async def _terminable(work: Coroutine[Any, Any, T], terminated: asyncio.Event) -> T:
    """Let SIGTERM end the work as Ctrl-C does, so that what it has begun is ended too."""
    import asyncio

    task = asyncio.current_task()
    assert task is not None

    def terminate() -> None:
        terminated.set()
        task.cancel()

    asyncio.get_running_loop().set_exception_handler(_Handler())
    with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers on the loop
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    return await work


class _Handler:
    """Told by the event loop of what nobody else took."""

    def __init__(self) -> None:
        self._told_at: float | None = None

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # Any: as asyncio has it
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        elif self._told_at is None or loop.time() - self._told_at > CROWDED_S:
            self._told_at = loop.time()
            log.error("too many files are open for more links: they wait until others end (see ulimit -n)")


def _ours(error: BaseException) -> BaseException | None:
    """The error of ours in what was raised, also within an exception group."""
    from lichen_crdt import CrdtError

    if isinstance(error, LichenError | CrdtError):
        return error
    if isinstance(error, OSError):
        return LichenError(f"the system refused: {error}", hint="see that file, folder and rights are right")
    if isinstance(error, UnicodeError):
        return ConfigError("what was given is not text in UTF-8", hint="convert it to UTF-8 first")
    if isinstance(error, typer.Abort):
        return ConfigError("nothing was entered at the prompt", hint="see --help for other ways to give it")
    if isinstance(error, BaseExceptionGroup):
        return next((found for inner in error.exceptions if (found := _ours(inner)) is not None), None)
    return None
