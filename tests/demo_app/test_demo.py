"""`make demo ARGS="--headless --json"`: the story by itself."""

from __future__ import annotations

import asyncio
import json
import re
import sys

import pytest


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
