"""`make demo ARGS="--headless --json"`: the story by itself."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from lichen.errors import LichenError, Unreachable
from lichen_notes.demo import Device, Story


@pytest.mark.timeout(120)
async def test_the_story_ends_well_within_a_minute() -> None:
    story = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "lichen_notes.demo", "--headless", "--json", stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(60):
        out, _ = await story.communicate()
    lines = out.decode().splitlines()
    assert len(lines) == 1
    result = json.loads(lines[0])
    assert story.returncode == 0
    assert result["equal"] is True
    assert result["lost"] == 0
    assert result["doubled"] == 0
    assert result["acked"] > 60
    assert re.fullmatch("[0-9a-f]{64}", result["text_sha256"])
    assert all(re.fullmatch("[0-9a-f]{64}", head) for head in result["heads"])
    assert result["path_before"] in ("websocket", "webrtc")
    assert result["path_after_relay_kill"] == "webrtc"
    assert result["kills"] == ["relay", "device"]
    assert min(result["bytes"].values()) > 1_000


class Played(Device):
    """A device without a process, which takes so many words and then refuses or does nothing more."""

    def __init__(self, name: str, folder: Path, words: int, *, refuses: bool) -> None:
        super().__init__(name, name[0].lower(), folder, "ws://127.0.0.1:1")
        self.words = words
        self.refuses = refuses

    async def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if path == "/api/state":
            return {"traffic": {}}
        self.words -= 1
        if self.words < 0:
            if self.refuses:
                raise LichenError(f"{self.name}: no space is left")
            await asyncio.Event().wait()
        return {}


@pytest.mark.parametrize("failing", ["Ada", "Ben"])
async def test_a_writer_that_fails_ends_the_story_with_its_reason(tmp_path: Path, failing: str) -> None:
    story = Story(tmp_path, lambda _: None)
    story.devices = [Played(name, tmp_path, 3, refuses=name == failing) for name in ("Ada", "Ben")]
    async with asyncio.timeout(10):
        with pytest.raises(ExceptionGroup) as caught:
            await story.kill_a_writer()
    assert caught.group_contains(LichenError, match="no space is left")


async def test_writers_that_do_not_get_on_are_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lichen_notes.demo.SETTLE_S", 0.2)
    story = Story(tmp_path, lambda _: None)
    story.devices = [Played(name, tmp_path, 3, refuses=False) for name in ("Ada", "Ben")]
    async with asyncio.timeout(10):
        with pytest.raises(ExceptionGroup) as caught:
            await story.kill_a_writer()
    assert caught.group_contains(Unreachable, match="both write")
