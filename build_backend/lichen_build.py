"""The build backend: setuptools, after making sure of a Rust toolchain and of the notes page.

Where no rustc of 1.90 or newer runs, a toolchain is fetched with `puccinialin` into the user's cache. Where npm is,
the page of the notes application is built into the package when it is missing or older than its sources; without npm
the wheel is built without the page, and says so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from setuptools import build_meta

RUST_NEEDED = (1, 90)
ROOT = Path(__file__).resolve().parent.parent
WEB = ROOT / "demo_app" / "web"
BUNDLE = ROOT / "demo_app" / "lichen_notes" / "static" / "bundle" / "app.js"


def _say(text: str) -> None:
    print(f"lichen: {text}", file=sys.stderr, flush=True)


def adopt_rustup_home() -> None:
    """Let a rustup proxy on PATH find its toolchains beside its own folder, also where HOME is another one."""
    cargo = shutil.which("cargo")
    if cargo is None or "RUSTUP_HOME" in os.environ:
        return
    beside = Path(cargo).parent.parent.parent / ".rustup"
    if (beside / "toolchains").is_dir():
        os.environ["RUSTUP_HOME"] = str(beside)


def rust_version() -> tuple[int, int] | None:
    """The version of the rustc that runs here, None where none does (a toolchain proxy without a toolchain is none)."""
    try:
        cargo = subprocess.run(["cargo", "--version"], capture_output=True, text=True, check=True, timeout=60)
        rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"rustc (\d+)\.(\d+)", rustc.stdout)
    return (int(found[1]), int(found[2])) if found and cargo.stdout.startswith("cargo ") else None


def ensure_rust() -> None:
    """Fetch a toolchain and put it first on PATH, unless a new enough one is there."""
    adopt_rustup_home()
    version = rust_version()
    if version is not None and version >= RUST_NEEDED:
        return
    there = "no rustc" if version is None else f"rustc {version[0]}.{version[1]}"
    needed = f"{RUST_NEEDED[0]}.{RUST_NEEDED[1]}"
    _say(f"found {there}, and {needed} is needed: fetching a Rust toolchain")
    try:
        from puccinialin import setup_rust

        os.environ.update(setup_rust())
    except Exception as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise SystemExit(
            f"lichen: a Rust toolchain could not be fetched ({reason}); install Rust {needed} or newer and try again"
        ) from error
    version = rust_version()
    if version is None or version < RUST_NEEDED:
        raise SystemExit(
            f"lichen: the fetched Rust toolchain does not run, or is too old; install Rust {needed} or newer"
        )


def bundle_is_stale() -> bool:
    """Whether the page must be built: its sources are here, and newer than what was built from them."""
    sources = [file for file in WEB.rglob("*") if file.is_file() and "node_modules" not in file.parts]
    if not sources:
        return False
    return not BUNDLE.exists() or BUNDLE.stat().st_mtime < max(file.stat().st_mtime for file in sources)


def ensure_bundle() -> None:
    """Build the notes page where that is needed and possible."""
    if not bundle_is_stale():
        return
    npm = shutil.which("npm")
    if npm is None:
        _say("npm is not here: the notes page is left out of this build")
        return
    try:
        if not (WEB / "node_modules").is_dir():
            subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=WEB, check=True, stdout=sys.stderr)
        subprocess.run([npm, "run", "build"], cwd=WEB, check=True, stdout=sys.stderr)
    except (OSError, subprocess.SubprocessError) as error:
        raise SystemExit(f"lichen: the notes page could not be built ({error})") from error


def _prepare() -> None:
    ensure_rust()
    ensure_bundle()


get_requires_for_build_sdist = build_meta.get_requires_for_build_sdist
build_sdist = build_meta.build_sdist
get_requires_for_build_wheel = build_meta.get_requires_for_build_wheel
get_requires_for_build_editable = build_meta.get_requires_for_build_editable
prepare_metadata_for_build_wheel = build_meta.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = build_meta.prepare_metadata_for_build_editable


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """Build a wheel (PEP 517)."""
    _prepare()
    return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """Build an editable wheel (PEP 660)."""
    _prepare()
    return build_meta.build_editable(wheel_directory, config_settings, metadata_directory)
