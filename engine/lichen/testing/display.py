"""A display for tests of desktop programs: one for a run, in memory, and pictures of it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

SIZE = (1240, 800)


class Display:
    """An X server without a screen (Xvfb)."""

    def __init__(self, folder: Path) -> None:
        self._memory = folder / "Xvfb_screen0"
        keep = '"$@" & server=$!; read -r _; kill "$server"; wait'  # also when this process is killed
        server = ["Xvfb", "-displayfd", "1", "-screen", "0", f"{SIZE[0]}x{SIZE[1]}x24", "-fbdir", str(folder)]
        self._server = subprocess.Popen(
            ["sh", "-c", keep, "sh", *server, "-nocursor", "-nolisten", "tcp", "-wr", "-noreset"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        assert self._server.stdout is not None
        self.name = f":{self._server.stdout.readline().decode().strip()}"
        """As for `DISPLAY`."""

    def picture(self, file: Path, height: int = SIZE[1]) -> None:
        """Write what is shown, the upper so many rows of it, as a PNG file."""
        width, rows = read_xwd(self._memory.read_bytes())
        file.write_bytes(png(width, rows[:height]))

    def close(self) -> None:
        """End it."""
        self._server.communicate()


def read_xwd(data: bytes) -> tuple[int, list[bytes]]:
    """The width and the rows, three bytes a pixel, of an X window dump (version 7, 32 bits a pixel, as Xvfb writes)."""
    header = struct.unpack(">25I", data[:100])
    size, version, width, height, bits, stride, colours = (header[at] for at in (0, 1, 4, 5, 11, 12, 19))
    assert (version, bits) == (7, 32)
    first = size + colours * 12
    pixels = [data[first + row * stride : first + row * stride + width * 4] for row in range(height)]
    return width, [bytes(byte for at in range(0, width * 4, 4) for byte in row[at : at + 3][::-1]) for row in pixels]


def png(width: int, rows: list[bytes]) -> bytes:
    """An image of three bytes a pixel as PNG (ISO/IEC 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">2I5B", width, len(rows), 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.fixture(scope="session")
def display() -> Iterator[Display]:
    """A display for the whole run; `DISPLAY` names it meanwhile."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not here: make setup installs it")
    with tempfile.TemporaryDirectory(prefix="lichen-display-") as folder, pytest.MonkeyPatch.context() as patch:
        shown = Display(Path(folder))
        patch.setitem(os.environ, "DISPLAY", shown.name)
        try:
            yield shown
        finally:
            shown.close()
