"""A frozen program, without Python: it opens the store of one that was not frozen, syncs, dies and goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lichen import Text
from lichen.blocking import Document, Engine, timeout

TOP = Path(__file__).parents[3]
PROGRAM = Path(__file__).parent / "program.py"
ROOTS = [str(TOP / root) for root in ("crdt", "engine", "transports", "adapters")]
NOT_NEEDED = ("PySide6", "aiortc", "psycopg", "pydantic", "setuptools", "textual", "tkinter")
"""What is here for other tests: a program has what its own environment has."""
RUN = "/program/program"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a machine that has nothing but the C library and the program."""
    folder = tmp_path_factory.mktemp("frozen")
    command = [sys.executable, "-m", "PyInstaller", "--onedir", "--noconfirm", "--log-level", "ERROR"]
    command += ["--distpath", str(folder), "--workpath", str(folder / "work"), "--specpath", str(folder / "work")]
    command += [option for root in ROOTS for option in ("--paths", root)]  # where an editable installation points
    command += [option for name in NOT_NEEDED for option in ("--exclude-module", name)]
    frozen = subprocess.run([*command, str(PROGRAM)], check=False, cwd=folder, capture_output=True, text=True)
    assert frozen.returncode == 0, frozen.stderr
    shutil.rmtree(folder / "work")
    for library in system_libraries(folder / "program"):
        (folder / library.parent.relative_to("/")).mkdir(parents=True, exist_ok=True)
        shutil.copy(library, folder / library.relative_to("/"))
    for name in ("stores", "tmp"):
        (folder / name).mkdir()
    return folder


def system_libraries(program: Path) -> set[Path]:
    """What the loader takes from the system for a program and what it brings: the C library, and itself."""
    files = [program / "program", *program.rglob("*.so*")]
    told = subprocess.run(["ldd", *map(str, files)], check=False, capture_output=True, text=True).stdout
    words = {word for line in told.splitlines() for word in line.split() if word.startswith("/")}
    return {Path(word) for word in words if word.startswith(("/lib", "/usr/lib")) and not word.endswith(":")}


def on_files_of(image: Path) -> list[str]:
    """The command by which another is run on these files alone: for anyone but root in a namespace where it is root."""
    name, options = ("chroot", ()) if os.geteuid() == 0 else ("unshare", ("--map-root-user", "--root"))
    command = shutil.which(name, path=f"{os.defpath}:/usr/sbin:/sbin")
    assert command, f"{name} is needed: make setup installs it where apt is"
    return [command, *options, str(image)]


class Frozen:
    """One run of it, as on a machine of its own."""

    def __init__(self, image: Path, *arguments: str) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*on_files_of(image), RUN, *arguments],
            env={"PATH": ""},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            bufsize=1,
        )

    def line(self) -> str:
        """The next that it prints."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return line.strip()

    def tell(self, line: str) -> str:
        """What it says to a line."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        return self.line()


@pytest.fixture
def devices(image: Path) -> Iterator[tuple[str, str, Document]]:
    """A store that Ann's device has closed, where Ben's device is found, and the note there."""
    with timeout(60), Engine.open(f"sqlite:///{image}/ben.db") as ben:
        address = ben.listen("ws://127.0.0.1:0")
        with Engine.open(f"sqlite:///{image}/stores/ann.db") as ann:
            space = ann.create_space("Family")
            note = space.create({"title": "Notes", "body": Text("begun")})
            ann.listen("ws://127.0.0.1:0")
            copy = ben.join(space.invite(mode="auto")).document(note.id, wait_s=20)
        yield "sqlite:////stores/ann.db", address, copy


@pytest.mark.timeout(600)  # freezing takes half a minute on an idle machine
def test_it_opens_a_store_syncs_dies_and_goes_on_without_python(
    image: Path, devices: tuple[str, str, Document]
) -> None:
    assert [
        file for file in image.rglob("*") if file.is_file() and os.access(file, os.X_OK) and ".so" not in file.name
    ] == [image / "program" / "program"]
    store, address, copy = devices
    runs: list[Frozen] = []
    try:
        runs.append(first := Frozen(image, store, address))
        assert first.line() == "opened begun"
        assert first.tell(" one") == "saved one"
        assert "lichen_version" in first.tell("migrate").split()
        first.process.kill()
        first.process.wait()
        runs.append(second := Frozen(image, store, address))
        assert second.line() == "opened begunone"
        with copy.events() as events:
            assert second.tell("two") == "saved two"
            while str(copy.doc["body"]) != "begunonetwo":
                next(events)
        with copy.change() as doc:
            doc["body"].append("three")
        assert second.tell("until three") == "until three"
        rest, errors = second.process.communicate(timeout=30)
        assert (second.process.returncode, rest, errors) == (0, "rows one two\n", "")
    finally:
        for run in runs:
            run.process.kill()
            run.process.communicate()
    with Engine.open(f"sqlite:///{image}/stores/ann.db") as again:
        assert str(again.document(copy.id).doc["body"]) == "begunonetwothree"
