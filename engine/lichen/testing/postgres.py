"""A PostgreSQL server for tests: one for a run, without a network, and a database of its own for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine

START_S = 30
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",  # no test cuts the power
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
}


class PostgresServer:
    """A server on a socket in a folder of its own. It runs as another user where this one is root, as it must."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._made: list[str] = []
        self._templates: dict[str, str] = {}
        data = folder / "data"
        self._own(folder)
        self._run("initdb", "-D", data, "-U", "lichen", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        settings = _SETTINGS | {"unix_socket_directories": str(folder)}
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self._keeper = self._start(data)

    def database(self) -> str:
        """The URL of a new, empty database."""
        return self._create("template1")

    def copy(self, of: str, make: Callable[[str], object]) -> str:
        """The URL of a new database, a copy of the one that `make` fills, given its URL, for the first `of` this name.

        Copying one is faster than to make its tables.
        """
        if of not in self._templates:
            made = self._create("template1")
            make(made)
            self._templates[of] = self._made.pop()
        return self._create(self._templates[of])

    def _create(self, template: str) -> str:
        name = f"db{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._made.append(name)
        return self._url(name).render_as_string()

    def drop_all(self) -> None:
        """Remove every database that was made, whoever is connected to it."""
        while self._made:
            self._execute(f"DROP DATABASE {self._made.pop()} WITH (FORCE)")

    def stop(self) -> None:
        """End it at once."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(20)

    def _start(self, data: Path) -> subprocess.Popen[bytes]:
        """Start it, after a shell that ends it when the shell's own input ends: also when this process is killed."""
        keep = 'read -r _; exec "$@"'
        keeper = subprocess.Popen(
            ["sh", "-c", keep, "sh", _program("pg_ctl"), "-D", str(data), "-m", "immediate", "stop"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd=self._folder,
            user=_user(),
            extra_groups=None if _user() is None else (),
        )
        self._run("pg_ctl", "-D", data, "-l", self._folder / "log", "-w", "-t", str(START_S), "start")
        return keeper

    def _url(self, database: str) -> URL:
        return URL.create("postgresql+psycopg", username="lichen", database=database, query={"host": str(self._folder)})

    def _execute(self, statement: str) -> None:
        engine = create_engine(self._url("postgres"), connect_args={"autocommit": True})
        with engine.connect() as conn:
            conn.exec_driver_sql(statement)
        engine.dispose()

    def _own(self, folder: Path) -> None:
        if sys.platform != "win32" and os.geteuid() == 0:
            import pwd

            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)

    def _run(self, program: str, *arguments: str | Path) -> None:
        done = subprocess.run(
            [_program(program), *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            user=_user(),
            extra_groups=None if _user() is None else (),
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")


def _user() -> str | None:
    """Who runs it: this user, or where that is root, whom it refuses, another."""
    return "postgres" if sys.platform != "win32" and os.geteuid() == 0 else None


def _program(name: str) -> str:
    """Where a program of PostgreSQL is: on the path, or where Debian has it. Raises `LookupError`."""
    places = [os.environ.get("PATH", ""), *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))]
    found = shutil.which(name, path=os.pathsep.join(reversed(places)))
    if found is None:
        raise LookupError(f"PostgreSQL's {name} is not here: make setup installs it")
    return found


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the run."""
    folder = Path(tempfile.mkdtemp(prefix="lichen-postgres-"))  # a short path: that of a socket has a limit
    try:
        server = PostgresServer(folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A new, empty database."""
    yield postgres_server.database()
    postgres_server.drop_all()
