"""The build backend finds a Rust toolchain, or fetches one; and it builds the notes page where that can be done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from toolchain_server import ToolchainServer

BACKEND = Path(__file__).parents[2] / "build_backend" / "lichen_build.py"

PYPROJECT = """
[build-system]
requires = ["setuptools", "setuptools-rust", "puccinialin"]
build-backend = "lichen_build"
backend-path = ["build_backend"]
[project]
name = "sample"
version = "1"
[tool.setuptools]
py-modules = []
[[tool.setuptools-rust.ext-modules]]
target = "sample_native"
path = "Cargo.toml"
binding = "NoBinding"
"""
CARGO_TOML = '[package]\nname = "sample"\nversion = "1.0.0"\nedition = "2021"\n[lib]\ncrate-type = ["cdylib"]\n'


def script(path: Path, body: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def rust_on_path(folder: Path, version: str) -> None:
    """Put a rustc and a cargo of a version into a folder that stands for PATH."""
    script(folder / "rustc", f'echo "rustc {version}"')
    script(folder / "cargo", f'echo "cargo {version}"')


class Sample:
    """A project with one native module and our backend, and a PATH of its own."""

    def __init__(self, folder: Path, server: ToolchainServer) -> None:
        self.folder = folder / "project"
        self.path = folder / "bin"
        self.path.mkdir()
        self.home = folder / "home"
        self.server = server
        (self.folder / "build_backend").mkdir(parents=True)
        (self.folder / "src").mkdir()
        shutil.copy(BACKEND, self.folder / "build_backend")
        (self.folder / "pyproject.toml").write_text(PYPROJECT)
        (self.folder / "Cargo.toml").write_text(CARGO_TOML)
        (self.folder / "src" / "lib.rs").write_text("")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": str(self.path),
            "HOME": str(self.home),
            "RUSTUP_UPDATE_ROOT": self.server.url,
            "NO_PROXY": "127.0.0.1",
        }
        return subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    def build(self) -> subprocess.CompletedProcess[str]:
        """Build a wheel as a user would: through pip."""
        pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"]
        return self.run(*pip, "--disable-pip-version-check", "--wheel-dir", "out", ".")

    def call(self, expression: str) -> subprocess.CompletedProcess[str]:
        """Run an expression in the backend."""
        code = f"import sys; sys.path.insert(0, 'build_backend'); import lichen_build; {expression}"
        return self.run(sys.executable, "-c", code)


@pytest.fixture
def sample(tmp_path: Path) -> Iterator[Sample]:
    with ToolchainServer(tmp_path).serving() as server:
        yield Sample(tmp_path, server)


def test_without_rust_a_wheel_is_built_with_a_fetched_toolchain(sample: Sample) -> None:
    done = sample.build()
    assert "found no rustc, and 1.90 is needed: fetching a Rust toolchain" in done.stderr + done.stdout
    assert any(request.startswith("GET /rustup/dist/") for request in sample.server.requests)
    assert "metadata" in sample.server.calls.read_text() or "rustc" in sample.server.calls.read_text()
    assert "the stand-in cargo builds nothing" in done.stderr + done.stdout


@pytest.mark.parametrize("version", ["1.89.3", "1.9.0"])
def test_a_rustc_that_is_too_old_is_not_used(sample: Sample, version: str) -> None:
    rust_on_path(sample.path, version)
    done = sample.call("lichen_build.ensure_rust(); print(lichen_build.rust_version())")
    assert f"found rustc {version.rpartition('.')[0]}" in done.stderr
    assert done.stdout.splitlines()[-1] == "(1, 90)", done.stderr
    assert sample.server.requests


def test_a_toolchain_proxy_without_a_toolchain_is_no_rustc(sample: Sample) -> None:
    for name in ("rustc", "cargo"):
        script(sample.path / name, "echo 'no default is configured' >&2; exit 1")
    done = sample.call("lichen_build.ensure_rust(); print(lichen_build.rust_version())")
    assert "found no rustc" in done.stderr
    assert done.stdout.splitlines()[-1] == "(1, 90)", done.stderr


@pytest.mark.parametrize("version", ["1.90.0", "1.101.0", "2.0.0"])
def test_a_rustc_that_is_new_enough_is_used_and_nothing_is_fetched(sample: Sample, version: str) -> None:
    rust_on_path(sample.path, version)
    done = sample.call("lichen_build.ensure_rust()")
    assert (done.returncode, done.stderr) == (0, "")
    assert sample.server.requests == []


def test_a_proxy_finds_its_toolchains_beside_it_under_another_home(sample: Sample, tmp_path: Path) -> None:
    proxies = tmp_path / "owner" / ".cargo" / "bin"
    (tmp_path / "owner" / ".rustup" / "toolchains").mkdir(parents=True)
    for name in ("rustc", "cargo"):
        script(proxies / name, f'[ -d "$RUSTUP_HOME/toolchains" ] || exit 1; echo "{name} 1.90.0"')
    sample.path = proxies
    done = sample.call("lichen_build.ensure_rust()")
    assert (done.returncode, done.stderr) == (0, "")
    assert sample.server.requests == []


def test_a_failed_download_is_one_clear_error(tmp_path: Path) -> None:
    with ToolchainServer(tmp_path, status=503).serving() as server:
        done = Sample(tmp_path, server).call("lichen_build.ensure_rust()")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("lichen: a Rust toolchain could not be fetched")
    assert "503" in done.stderr
    assert "install Rust 1.90 or newer and try again" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_is_not_there_is_one_clear_error(sample: Sample) -> None:
    sample.server.url = "http://127.0.0.1:1/rustup"
    done = sample.call("lichen_build.ensure_rust()")
    assert done.returncode == 1
    assert "lichen: a Rust toolchain could not be fetched" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_fetched_toolchain_that_is_too_old_as_well_is_refused(tmp_path: Path) -> None:
    with ToolchainServer(tmp_path, version="1.80.1").serving() as server:
        done = Sample(tmp_path, server).call("lichen_build.ensure_rust()")
    assert done.returncode == 1
    assert "does not run, or is too old" in done.stderr


NPM = """
echo "$@" >> npm-calls
case "$1" in
  ci) {mkdir} node_modules ;;
  run) {mkdir} -p ../lichen_notes/static/bundle; echo built > ../lichen_notes/static/bundle/app.js ;;
esac
"""


def web(sample: Sample) -> Path:
    folder = sample.folder / "demo_app" / "web"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "app.ts").write_text("export {};\n")
    return folder


def give_npm(sample: Sample, body: str = NPM) -> None:
    script(sample.path / "npm", body.replace("{mkdir}", shutil.which("mkdir") or "mkdir"))


def test_the_page_is_built_when_it_is_missing_and_again_when_its_sources_are_newer(sample: Sample) -> None:
    folder = web(sample)
    give_npm(sample)
    bundle = sample.folder / "demo_app" / "lichen_notes" / "static" / "bundle" / "app.js"
    calls = folder.parent / "web" / "npm-calls"
    assert sample.call("lichen_build.ensure_bundle()").returncode == 0
    assert bundle.read_text() == "built\n"
    first = calls.read_text().splitlines()
    assert [call.split()[0] for call in first] == ["ci", "run"]
    calls.unlink()
    assert sample.call("lichen_build.ensure_bundle()").returncode == 0
    assert not calls.exists(), "nothing changed, so nothing is built"
    os.utime(bundle, (1, 1))
    assert sample.call("lichen_build.ensure_bundle()").returncode == 0
    assert [call.split()[0] for call in calls.read_text().splitlines()] == ["run"]


def test_without_npm_the_page_is_left_out_and_that_is_said(sample: Sample) -> None:
    web(sample)
    done = sample.call("lichen_build.ensure_bundle()")
    assert done.returncode == 0
    assert "npm is not here: the notes page is left out of this build" in done.stderr


def test_a_page_that_does_not_build_fails_the_build(sample: Sample) -> None:
    web(sample)
    give_npm(sample, "exit 3")
    done = sample.call("lichen_build.ensure_bundle()")
    assert done.returncode == 1
    assert "lichen: the notes page could not be built" in done.stderr
    assert "Traceback" not in done.stderr


def test_sources_without_a_page_need_no_npm(sample: Sample) -> None:
    assert sample.call("lichen_build.ensure_bundle()").stderr == ""
