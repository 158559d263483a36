"""However a script ends, what it was told is on disk is there, its process is gone, and the store opens again."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lichen import Engine as AsyncEngine
from lichen.blocking import Engine, Relay, host
from lichen.errors import EngineMisuse
from lichen.testing.waiting import until

from .conftest import Open

WRITER = Path(__file__).parent / "writer.py"


def begin(url: str, end: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-u", str(WRITER), url, end]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def number_in(url: str) -> int:
    with Engine.open(url, create=False) as engine:
        space = engine.spaces[0]
        (info,) = space.documents()
        note = space.document(info.id)
        assert info.heads == note.heads
        found = note.doc["n"]
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize(
    ("end", "code", "says"),
    [
        ("falls off its end", 0, ""),
        ("exits", 3, ""),
        ("closes", 0, ""),
        ("waits in a thread", 0, ""),
        ("raises in a callback", 1, "ZeroDivisionError"),
        ("leaves a block open", 3, ""),
    ],
)
def test_a_script_that_ends_leaves_everything_in_the_file(tmp_path: Path, end: str, code: int, says: str) -> None:
    url = f"sqlite:///{tmp_path}/notes.db"
    with begin(url, end) as script:
        try:
            told, errors = script.communicate(timeout=60)
        finally:
            script.kill()
    assert script.returncode == code, errors
    assert errors.strip().endswith(says) if says == "" else says in errors
    assert told.split()[-1] == "100"
    assert not (tmp_path / "notes.db-wal").exists(), "the store was closed as it should be"
    assert number_in(url) == 100


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_a_script_that_is_stopped_at_any_moment_loses_nothing_it_was_told(tmp_path: Path, how: signal.Signals) -> None:
    seed = int(os.environ.get("LICHEN_SEED", random.randrange(1 << 32)))
    print(f"seed {seed}")
    moment = random.Random(seed)
    url = f"sqlite:///{tmp_path}/notes.db"
    for _ in range(3):
        with begin(url) as script:
            try:
                assert script.stdout is not None
                assert script.stderr is not None
                told = 0
                for _ in range(moment.randrange(1, 120)):
                    told = int(script.stdout.readline())
                script.send_signal(how)
                rest, errors = script.stdout.read(), script.stderr.read()  # `communicate` passes over lines read ahead
                script.wait(timeout=60)
            finally:
                script.kill()
        told = int(rest.split()[-1]) if rest else told
        if how == signal.SIGINT:
            assert errors.strip().endswith("KeyboardInterrupt"), errors
            assert not (tmp_path / "notes.db-wal").exists(), "the store was closed as it should be"
        assert told <= number_in(url) <= told + 1


def test_ctrl_c_while_a_call_waits_cancels_it_and_the_engine_goes_on(open_engine: Open) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"n": 0})
    main = threading.get_ident()

    def interrupt() -> None:
        if engine.asynchronous._feeds:  # it waits for events
            signal.pthread_kill(main, signal.SIGINT)
        else:
            asyncio.get_running_loop().call_soon(interrupt)

    engine.call_soon(interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.wait_for_document(note.space, b"x" * 16, 60)  # type: ignore[arg-type]  # an id of none
    with note.change() as doc:
        doc["n"] = 1
    engine._host.run(until, lambda: not engine.asynchronous._feeds)  # what waited for events was cancelled


def test_ctrl_c_while_the_loop_begins_leaves_no_thread_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begin, began = threading.Thread.start, list[threading.Thread]()

    def interrupted(thread: threading.Thread) -> None:
        begin(thread)
        began.append(thread)
        raise KeyboardInterrupt

    url = f"sqlite:///{tmp_path}/notes.db"
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Engine.open(url)
    monkeypatch.undo()
    began[0].join(20)
    assert not began[0].is_alive()
    Engine.open(url).close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_call_that_waits_for_nothing_knows_of_a_fork_before_it_waits_for_another_thread(open_engine: Open) -> None:
    engine = open_engine()
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with engine._host._gate:
            holding.set()
            done.wait(20)

    holds = threading.Thread(target=hold)
    holds.start()
    assert holding.wait(20)
    if (child := os.fork()) == 0:
        signal.alarm(5)
        said = ""
        try:
            engine.call_soon(lambda: None)
        except EngineMisuse as error:
            said = str(error)
        finally:
            os._exit("before this process was forked" not in said)
    done.set()
    holds.join()
    assert os.waitpid(child, 0)[1] == 0


def test_what_is_to_be_done_before_closing_is_refused_by_what_is_closed(open_engine: Open) -> None:
    engine = open_engine()
    engine.close()
    with pytest.raises(EngineMisuse):
        engine.before_close(lambda: None)


def test_at_the_end_one_that_fails_as_it_closes_keeps_no_other_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    close = AsyncEngine._close

    async def fails(engine: AsyncEngine) -> None:
        await close(engine)
        raise OSError("the disk went")

    monkeypatch.setattr(AsyncEngine, "_close", fails)
    engines = [Engine.open(f"sqlite:///{tmp_path}/{number}.db") for number in range(2)]
    host._close_all()
    assert host._open.isdisjoint(engine._host for engine in engines)
    assert caplog.text.count("OSError: the disk went") == 2


def in_a_child(engine: Engine, relay: Relay, note: object, said: multiprocessing.SimpleQueue) -> None:  # type: ignore[type-arg]
    errors = []
    for use in (lambda: engine.spaces, engine.events, engine.settled, lambda: relay.status, note.change):  # type: ignore[attr-defined]
        try:
            use()
        except EngineMisuse as error:
            errors.append(str(error))
    engine.close()
    relay.close()
    said.put(errors)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_process_gets_clear_errors_may_open_others_and_harms_nothing(
    open_engine: Open, tmp_path: Path
) -> None:
    engine = open_engine()
    note = engine.create_space("Family").create({"n": 0})
    context = multiprocessing.get_context("fork")
    with Relay.open(f"sqlite:///{tmp_path}/relay.db") as relay:
        said = context.SimpleQueue()
        child = context.Process(target=in_a_child, args=(engine, relay, note, said))
        child.start()
        child.join(60)
        assert child.exitcode == 0
        errors = said.get()
        said.close()
    assert len(errors) == 5
    assert all("before this process was forked" in error for error in errors)
    script = "import os,sys; sys.path.insert(0, sys.argv[2]); import forking; forking.main(sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), str(WRITER.parent)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "EngineMisuse\nchild 1\nparent 2\n", "")
    with note.change() as doc:
        doc["n"] = 1
